"""What can influence a unit, whatever the values at hand are: a gradient that follows the graph and not its values.

The gradient of an operation that picks or gates is zero where a value was not picked or the gate was shut, although
another picture would open it. `spreading` gives such operations a gradient that is not zero wherever there can be an
influence. All others, convolutions and sums above all, keep theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node

from tuivis.engine.taps import removed

_ELEMENTWISE = frozenset(
    {"Relu", "LeakyRelu", "PreluKernel", "Elu", "Celu", "Hardtanh", "Threshold", "Clamp", "ClampMin", "ClampMax"}
    | {"Maximum", "Minimum", "Fmax", "Fmin", "Abs", "Pow", "Gelu", "Silu", "Mish", "Softplus", "LogSigmoid", "Tanh"}
    | {"Sigmoid", "Hardsigmoid", "Hardswish", "Hardshrink", "Softshrink", "Exp"}
)
_PRODUCTS = frozenset({"Mul", "Div"})
_ALONG = frozenset({"Max", "Min", "Amax", "Amin", "Aminmax", "Topk", "Sort", "Kthvalue", "Median", "LogSoftmax"})
_SOFTMAX = frozenset({"Softmax", "SafeSoftmax"})
_POOLING = ("MaxPool", "AdaptiveMaxPool", "FractionalMaxPool")
_MASKED = torch.finfo(torch.float32).tiny
"""A softmax that is smaller is a masked one: masks are minus infinity, or -100 as in Swin."""

Gradients = tuple[Tensor | None, ...]
Spread = Callable[[Tensor, Tensor, int], Tensor]
"""From (what is marked above, the gradient below, which of the operation's inputs that is) to what is marked below."""


@contextmanager
def spreading(root: Node) -> Iterator[None]:
    """Let backward passes from `root` follow the graph and not its values.

    An elementwise function passes on all that comes from above, a product of two that depend on the input to both;
    max-pooling passes it to the whole window, a maximum and the like along a dimension, softmax, to the whole
    dimension; attention to every key and value. What passes is scattered over 1/2 .. 1, so that sums after it do not
    cancel out.
    """
    with ExitStack() as stack:
        for node in _nodes(root):
            kind = re.fullmatch(r"(\w+)Backward\d", node.name())
            if kind is not None and (spread := _spread(kind[1], node)) is not None:
                stack.enter_context(removed(node.register_hook(partial(_scattered, spread))))
        yield


def _nodes(root: Node) -> Iterator[Node]:
    seen, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)


def _spread(kind: str, node: Any) -> Spread | None:
    """Return how an operation spreads what is marked, or None for one that its own gradient tells."""
    varying = all(following is not None for following, _ in node.next_functions)
    if kind in _ELEMENTWISE or (kind in _PRODUCTS and varying):
        return lambda marked, below, _: marked.sum_to_size(below.shape)
    if kind in _SOFTMAX:
        open_ = node._saved_result > _MASKED
        return lambda marked, below, _: _along(node._saved_dim, marked * open_, below) * open_
    if kind in _ALONG:
        return lambda marked, below, _: _along(getattr(node, "_saved_dim", ()), marked, below)
    if kind.startswith(_POOLING):
        return lambda marked, below, _: _pooled(kind, node, marked, below)
    if kind.startswith("ScaledDotProduct") and not _masks(node):
        return lambda marked, below, which: _along((3,) if which == 0 else (2, 3), marked, below)
    return None


def _scattered(spread: Spread, below: Gradients, above: Gradients) -> Gradients:
    """Return the gradients that go below in place of `below`."""
    marked = torch.stack([each != 0 for each in above if each is not None]).any(0).float()

    def passed(which: int, gradient: Tensor) -> Tensor:
        random = torch.Generator(gradient.device).manual_seed(0)
        scattered = torch.empty_like(gradient, dtype=torch.float32).uniform_(0.5, 1, generator=random)
        return (scattered * (spread(marked, gradient, which) != 0)).to(gradient.dtype)

    return tuple(None if each is None else passed(which, each) for which, each in enumerate(below))


def _along(dims: int | Sequence[int], marked: Tensor, below: Tensor) -> Tensor:
    """Mark all along `dims`, all there are if it names none, where anything is marked."""
    named = (dims,) if isinstance(dims, int) else dims
    # Autograd keeps a negative dimension as an unsigned number.
    places = sorted((dim - 2**64 if dim >= 2**63 else dim) % below.ndim for dim in named) or list(range(below.ndim))
    if marked.ndim < below.ndim:
        for place in places:
            marked = marked.unsqueeze(place)
    return marked.amax(places, keepdim=True).expand_as(below) if places else marked


def _masks(node: Any) -> bool:
    masks = (getattr(node, name, None) for name in ("_saved_attn_mask", "_saved_attn_bias"))
    return node._saved_is_causal or any(mask is not None for mask in masks)


def _pooled(kind: str, node: Any, marked: Tensor, below: Tensor) -> Tensor:
    """Mark the window of each pooled value that is marked, (..., h, w), one axis after the other."""
    count = 3 if "3D" in kind else 2
    for axis in range(-count, 0):
        windows = marked.new_zeros(marked.shape[axis], below.shape[axis])
        for pooled, window in zip(windows, _windows(kind, node, axis, *windows.shape), strict=True):
            pooled[[place for place in window if 0 <= place < len(pooled)]] = 1
        marked = torch.tensordot(marked, windows, ([axis], [0])).movedim(-1, axis)
    return marked


def _windows(kind: str, node: Any, axis: int, pooled: int, size: int) -> list[range]:
    """Return the places, of `size`, that each of the `pooled` values may be taken from, along an axis."""
    if kind.startswith("Adaptive"):
        return [range(i * size // pooled, -(-(i + 1) * size // pooled)) for i in range(pooled)]
    kernel = node._saved_kernel_size[axis]
    if kind.startswith("Fractional"):
        # Where the windows lie is drawn anew in each forward pass: this is all that can be drawn.
        slack, steps = size - kernel, max(1, pooled - 1)
        windows = [range(i * slack // steps, -(-i * slack // steps) + kernel) for i in range(pooled - 1)]
        return [*windows, range(slack, size)]
    stride = (node._saved_stride or node._saved_kernel_size)[axis]
    padding, dilation = node._saved_padding[axis], node._saved_dilation[axis]
    starts = (i * stride - padding for i in range(pooled))
    return [range(start, start + dilation * (kernel - 1) + 1, dilation) for start in starts]

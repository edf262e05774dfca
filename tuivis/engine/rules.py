"""What a backward pass does at an activation function: the rules of deconv and guided backpropagation.

A rule acts on the node that autograd keeps for an activation, so it does not matter whether the model calls a module or
a function, in place or not, once or many times. `Rules` sees the calls as a `TorchFunctionMode`; no module is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rule = Literal["gradient", "deconv", "guided", "support"]

ACTIVATION_NODES = frozenset(
    {"ReluBackward0", "HardtanhBackward0", "GeluBackward0", "SiluBackward0", "HardswishBackward0"}
)
"""The nodes of ReLU, of hardtanh and ReLU6, of GELU, SiLU and hardswish."""

_RISING = frozenset({"ReluBackward0", "HardtanhBackward0"})
_GATES = frozenset({"HardsigmoidBackward0", "SigmoidBackward0"})
_POOLING = frozenset({torch.max_pool2d, F.max_pool2d, F.max_pool2d_with_indices})
_FUNCTIONS = frozenset(
    {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6, F.hardtanh, F.hardtanh_}
    | {F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.sigmoid, torch.sigmoid, Tensor.sigmoid}
)

Gradients = tuple[Tensor, ...]


class Window(NamedTuple):
    """What max-pooling looks at, (vertical, horizontal) each."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


class Rules(TorchFunctionMode):
    """While entered, makes the activations of every forward pass follow `rule` in later backward passes.

    With g the gradient that comes from above and f the activation function, what goes on below is

    - "gradient": f'(x) g;
    - "deconv" (Zeiler and Fergus, *Visualizing and Understanding Convolutional Networks*, 2014, section 2.1):
      max(g, 0), whatever x is; max-pooling uses its switches, as in every backward pass;
    - "guided" (Springenberg et al., *Striving for Simplicity*, 2015, section 3.4): max(f'(x), 0) max(g, 0);
    - "support": 1 where g is not 0, whatever x is, and at max-pooling the same for the whole window. What arrives at
      the input is not zero exactly where the input can have an influence.

    For ReLU this is what the papers say. ReLU6 and hardtanh are ReLUs that saturate twice: "guided" stops at both
    ends, "deconv" at none. GELU, SiLU and hardswish have no mask but a derivative, which takes its place; where it is
    negative it counts as zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rule: Rule = "gradient"

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`; if it is an activation function or max-pooling, let its node follow the rule."""
        kwargs = kwargs or {}
        if func in _POOLING:
            return self._pool(func, *args, **kwargs)
        if func not in _FUNCTIONS:
            return func(*args, **kwargs)
        given = kwargs.get("input", args[0] if args else None)
        if not isinstance(given, Tensor) or not given.requires_grad or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if not given._is_view():
            return self._ruled(func(*args, **kwargs))
        # In place on a view, autograd hides the activation's node inside another: the activation works on a copy.
        copy = given.clone()
        result = self._ruled(func(copy, *args[1:], **{**kwargs, "input": copy} if "input" in kwargs else kwargs))
        return given.copy_(result) if result is copy else result

    def _ruled(self, result: Tensor) -> Tensor:
        if result.grad_fn is not None and result.grad_fn.name() in ACTIVATION_NODES | _GATES:
            result.grad_fn.register_hook(partial(self._pass_on, result.grad_fn.name()))
        return result

    def _pass_on(self, node: str, below: Gradients, above: Gradients) -> Gradients | None:
        """Return what goes below an activation in place of its gradient, or None for that."""
        if self.rule == "support":
            return ((above[0] != 0).to(above[0].dtype),)
        if self.rule == "gradient" or node in _GATES:
            return None
        if self.rule == "deconv":
            return (above[0].clamp(min=0),)
        if node in _RISING:
            return (below[0].clamp(min=0),)
        return (below[0].masked_fill(above[0] < 0, 0).clamp_(min=0),)

    def _pool(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        pooled = result[0] if isinstance(result, tuple) else result
        if pooled.grad_fn is not None:
            names = ("input", "kernel_size", "stride", "padding", "dilation")
            given = {"stride": None, "padding": 0, "dilation": 1} | dict(zip(names, args, strict=False)) | kwargs
            kernel = given["kernel_size"]
            window = Window(*map(_pair, (kernel, given["stride"] or kernel, given["padding"], given["dilation"])))
            pooled.grad_fn.register_hook(partial(self._spread, window))
        return result

    def _spread(self, window: Window, below: Gradients, above: Gradients) -> Gradients | None:
        if self.rule != "support":
            return None
        return (spread((above[0] != 0).to(above[0].dtype), window, below[0].shape[-2:]),)


def spread(gradient: Tensor, window: Window, size: torch.Size) -> Tensor:
    """Give the gradient of each pooled value, (..., h, w), to its whole window; return (..., *size)."""
    (kernel, stride, padding, dilation), pooled = window, gradient.shape[-2:]
    # Where pooling rounds its size up, the last windows reach over the edge, and are cut off there.
    height, width = ((pooled[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 - 2 * padding[i] for i in (0, 1))
    columns = gradient.reshape(-1, 1, pooled.numel()).expand(-1, kernel[0] * kernel[1], -1)
    whole = F.fold(columns, (height, width), kernel, dilation, padding, stride)
    whole = F.pad(whole, (0, max(0, size[1] - width), 0, max(0, size[0] - height)))
    return whole[..., : size[0], : size[1]].reshape(*gradient.shape[:-2], *size)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])

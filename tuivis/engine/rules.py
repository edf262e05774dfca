"""What a backward pass does at an activation function: the rules of deconv and guided backpropagation.

A rule acts on the node that autograd keeps for an activation, so it does not matter whether the model calls a module or
a function, in place or not, once or many times. `Rules` sees the calls as a `TorchFunctionMode`; no module is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rule = Literal["gradient", "deconv", "guided", "support"]

_CURVED = frozenset({"GeluBackward0", "SiluBackward0", "HardswishBackward0"})
_ALWAYS = _CURVED | {"ReluBackward0", "HardtanhBackward0", "ThresholdBackward0", "ThresholdBackward1"}
_FUNCTIONS = frozenset(
    {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6, F.hardtanh, F.hardtanh_}
    | {F.gelu, F.silu, F.hardswish, F.threshold, torch.threshold}
    | {torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_, torch.clip, torch.clip_, Tensor.clip, Tensor.clip_}
    | {torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_}
    | {torch.maximum, torch.max, Tensor.maximum, Tensor.max}
)

Gradients = tuple[Tensor | None, ...]


def activates(node: Any) -> bool:
    """Say whether a node is that of an activation function which the rules know.

    ReLU, ReLU6, hardtanh, threshold, GELU, SiLU and hardswish always are. `clamp` is one from 0 on, or between -1 and
    1: it then is ReLU, ReLU6 or hardtanh, while other bounds keep numbers in range. `maximum` is one beside a constant
    of zeros.
    """
    name = node.name()
    if name in _ALWAYS:
        return True
    if name.startswith("ClampMinBackward"):
        return _is(node._saved_min, 0)
    if name.startswith("ClampBackward"):
        return _is(node._saved_min, 0) or (_is(node._saved_min, -1) and _is(node._saved_max, 1))
    if name != "MaximumBackward0":
        return False
    (one, _), (other, _) = node.next_functions
    x, constant = (node._saved_self, node._saved_other) if other is None else (node._saved_other, node._saved_self)
    fits = constant.numel() == 1 or constant.shape == x.shape
    return (one is None) != (other is None) and fits and _is(constant, 0)


def before(node: Node) -> tuple[Node | None, int]:
    """Return the node, and the number of its output, that an activation's input comes from."""
    return next((edge for edge in node.next_functions if edge[0] is not None), (None, 0))


def _is(bound: Tensor | float | None, value: float) -> bool:
    """Say whether the bound of a clamp is `value`, everywhere."""
    return bool((bound == value).all()) if isinstance(bound, Tensor) else bound == value


class Rules(TorchFunctionMode):
    """While entered, makes the activations of every forward pass follow `rule` in later backward passes.

    With g the gradient that comes from above and f the activation function, what goes on below is

    - "gradient": f'(x) g;
    - "deconv" (Zeiler and Fergus, *Visualizing and Understanding Convolutional Networks*, 2014, section 2.1):
      max(g, 0), whatever x is; max-pooling uses its switches, as in every backward pass;
    - "guided" (Springenberg et al., *Striving for Simplicity*, 2015, section 3.4): max(f'(x), 0) max(g, 0);
    - "support": as "gradient"; see `support.spreading`.

    For ReLU, whichever way it is written, this is what the papers say. ReLU6 and hardtanh are ReLUs that saturate
    twice: "guided" stops at both ends, "deconv" at none. A threshold passes where x is over it. GELU, SiLU and
    hardswish have no mask but a derivative, which takes its place; where it is negative it counts as zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rule: Rule = "gradient"

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`; if it is an activation function, let its node follow the rule."""
        kwargs = kwargs or {}
        if func not in _FUNCTIONS or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        given = kwargs.get("input", args[0] if args else None)
        if not isinstance(given, Tensor) or not given.requires_grad or not given._is_view():
            return self._ruled(func(*args, **kwargs))
        # In place on a view, autograd hides the activation's node inside another: the activation works on a copy.
        copy = given.clone()
        result = self._ruled(func(copy, *args[1:], **{**kwargs, "input": copy} if "input" in kwargs else kwargs))
        return given.copy_(result) if result is copy else result

    def _ruled(self, result: Any) -> Any:
        node = result.grad_fn if isinstance(result, Tensor) else None
        if node is not None and activates(node):
            node.register_hook(partial(self._pass_on, node.name() in _CURVED))
        return result

    def _pass_on(self, curved: bool, below: Gradients, above: tuple[Tensor, ...]) -> Gradients | None:
        """Return what goes below an activation in place of its gradient, or None for that."""
        if self.rule in ("gradient", "support"):
            return None
        return tuple(None if gradient is None else self._passed(curved, gradient, above[0]) for gradient in below)

    def _passed(self, curved: bool, below: Tensor, above: Tensor) -> Tensor:
        if self.rule == "deconv":
            return above.clamp(min=0)
        return (below.masked_fill(above < 0, 0) if curved else below).clamp(min=0)

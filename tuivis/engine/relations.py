"""What a unit has to do with others on a picture: which units feed it, which it feeds, which classes it moves.

All are gradient x activation. From the unit c with its map a, the units of a layer below count by the sum over
positions of b * d(1/2 ||a||^2)/db. What the unit contributes upwards to first order is the derivative along a itself,
J a: one pass with forward-mode derivatives gives it for all layers above and all classes at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from tuivis.engine.backward import Recording
from tuivis.engine.layout import replaced, tensors
from tuivis.engine.taps import Layers, Tap, at, blame, scores

NEAR = 8
"""Layers before and after that may have to do with a unit: of parallel branches the nearest are no relatives."""


@dataclass(frozen=True)
class Relatives:
    """A layer, "" if there is none, and what each of its units gives or takes, (units,)."""

    layer: str
    shares: Tensor


def neighbours(layers: Layers, layer: str) -> tuple[list[str], list[str]]:
    """Return the nearest layers that people look at before `layer` and after it, each the nearest first.

    Modules that lie inside it, or around it, are neither.
    """
    infos = [info for info in layers.infos if (info.listed and info.units) or info.name == layer]
    place = [info.name for info in infos].index(layer)
    names, module = [info.name for info in infos], layers.tap(layer).module
    if not module:
        # The model itself is around everything. Its output is that of its last layers, and fed by what feeds them.
        shape = layers.tap(layer).arrangement.shape
        before = dropwhile(lambda name: layers.tap(name).arrangement.shape == shape, names[:place][::-1])
        return list(before)[:NEAR], []

    def apart(names: list[str]) -> list[str]:
        modules = {name: layers.tap(name).module for name in names}
        return [name for name in names if not (_inside(modules[name], module) or _inside(module, modules[name]))]

    return apart(names[:place][::-1])[:NEAR], apart(names[place + 1 :])[:NEAR]


def _inside(module: str, other: str) -> bool:
    """Say whether a module is `other`, or lies inside it."""
    return f"{module}.".startswith(f"{other}." if other else "")


def feeding(recording: Recording, unit: int, below: Sequence[str]) -> Relatives:
    """Return the nearest of the layers `below` (read by the recording) that has a share in the unit's map."""
    found = recording.backward(unit, also=below).layers
    for name in below:
        shares = (found[name] * recording.activations[name]).sum((1, 2))
        if bool(shares.any()):
            return Relatives(name, shares)
    return Relatives("", torch.empty(0))


class _Slowly(TorchFunctionMode):
    """Keeps `nn.MultiheadAttention` and the like from their fused inference, which knows no derivative."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def pushed(
    module: nn.Module, layers: Layers, batch: Tensor, layer: str, unit: int, *, above: Collection[str]
) -> tuple[Relatives, Tensor]:
    """Return what a unit gives to the nearest of the layers `above` that it reaches, and to each class, (classes,).

    A unit above takes the sum over its positions of its own map times J a, as in `feeding` the other way round; a
    class takes J a itself.

    Raises
    ------
    UserError
        If torch has no forward-mode derivative for something that the model does.
    """
    tap = layers.tap(layer)
    found: dict[str, Tensor] = {}

    def enter(output: Any) -> Any:
        tensor = dict(tensors(output))[tap.path]
        direction = tap.arrangement.seed(unit, tap.arrangement.apply(tensor)[unit])
        # Nothing must reach the unit through what is computed in place later on.
        return replaced(output, tap.path, forward_ad.make_dual(tensor.clone(), direction))  # type: ignore[no-untyped-call]

    def read(other: Tap, output: Any) -> None:
        value, tangent = _unpacked(dict(tensors(output))[other.path])
        if tangent is not None:
            arrange = other.arrangement.apply
            found[other.layer] = (arrange(value) * arrange(tangent)).sum((1, 2)).clone()

    with ExitStack() as stack:
        for context in (torch.no_grad(), blame(module), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH)):
            stack.enter_context(context)
        stack.enter_context(_Slowly())
        stack.enter_context(at(module, tap, enter))
        for other in map(layers.tap, above):
            stack.enter_context(at(module, other, partial(read, other)))
        answer = scores(layers, module(batch))
        tangent = _unpacked(answer)[1]
        classes = torch.zeros_like(answer) if tangent is None else tangent.clone()
    nearest = next((name for name in above if name in found and bool(found[name].any())), "")
    return Relatives(nearest, found.get(nearest, torch.empty(0))), classes


def _unpacked(tensor: Tensor) -> tuple[Tensor, Tensor | None]:
    dual = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
    return dual.primal, dual.tangent

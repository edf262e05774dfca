"""Switching units and layers off: "what if it were not there?"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tuivis.engine.layout import replaced, tensors
from tuivis.engine.taps import Layers, Tap, at, blame, not_computed
from tuivis.engine.values import Off
from tuivis.errors import UserError, printable

Means = Mapping[str, Tensor]
"""By layer: the mean of its module's output over photographs, in the output's own shape."""


@contextmanager
def switched_off(module: nn.Module, layers: Layers, off: Sequence[Off], means: Means) -> Iterator[None]:
    """Run the model with units off: their whole channel, leading tokens included, is zero or the mean.

    Raises
    ------
    UserError
        If a layer or a unit is not there.
    """
    by_layer = defaultdict[str, list[Off]](list)
    for each in off:
        by_layer[each.layer].append(each)
    with ExitStack() as stack:
        for layer, switches in by_layer.items():
            tap = layers.tap(layer)
            for each in switches:
                if each.unit is not None and not 0 <= each.unit < tap.arrangement.units:
                    raise UserError(f"There is no unit {each.unit} in layer {printable(layer)}.")
            stack.enter_context(at(module, tap, partial(_switch, tap, switches, means.get(layer))))
        yield


def _switch(tap: Tap, off: Sequence[Off], mean: Tensor | None, output: Any) -> Any:
    """Return the module's output with the units of `off` replaced."""
    tensor = dict(tensors(output))[tap.path]
    # Whoever ranks by ablation runs many copies of a picture at once.
    shape, batch = list(tap.arrangement.shape), tap.arrangement.batch
    shape[batch] = tensor.shape[batch] if tensor.ndim > batch else 1
    if list(tensor.shape) != shape:
        raise UserError(f"Layer {printable(tap.layer)} has another shape for this picture: switch its units on again.")
    axis = tap.arrangement.axis
    for each in off:
        units = range(tap.arrangement.units) if each.unit is None else [each.unit]
        index = torch.tensor(units, device=tensor.device)
        if each.mean and mean is not None:
            tensor = tensor.index_copy(axis, index, mean.expand(shape).index_select(axis, index))
        else:
            tensor = tensor.index_fill(axis, index, 0)
    return replaced(output, tap.path, tensor)


def mean_output(
    module: nn.Module, layers: Layers, layer: str, batches: Sequence[Callable[[], Tensor]]
) -> Iterator[tuple[int, Tensor]]:
    """Yield the mean of a layer's module's output, in its own shape, over 1, 2, ... all pictures, with that number.

    `batches` return (1, C, H, W) each.
    """
    tap = layers.tap(layer)
    total: Tensor | None = None
    for number, load in enumerate(batches, 1):
        found: list[Tensor] = []
        # Whoever asks may stop between two pictures: nothing is held then.
        with torch.no_grad(), blame(module), at(module, tap, lambda out: found.append(_copy(out, tap))):  # noqa: B023
            module(load())
        if not found:
            raise not_computed(layer)
        total = found[0] if total is None else total + found[0]
        yield number, total / number


def _copy(output: Any, tap: Tap) -> Tensor:
    return dict(tensors(output))[tap.path].clone()

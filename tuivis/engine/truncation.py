"""A network that ends at one layer, for whole batches and for gradients.

A forward pass stops at the layer by an exception: nothing above it is computed. Where the layer is what a ReLU (or a
softmax) returned, it stops one operation earlier, at what that was given. There a unit that is off still has a
gradient, and a class is independent of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from tuivis.engine import folding
from tuivis.engine.layout import tensors
from tuivis.engine.taps import Layers, blame, removed
from tuivis.errors import UserError, printable

_OWN = {
    F.relu,
    F.relu_,
    F.relu6,
    F.hardtanh,
    F.hardtanh_,
    F.softmax,
    F.log_softmax,
    torch.relu,
    torch.relu_,
    torch.softmax,
    torch.log_softmax,
    Tensor.relu,
    Tensor.relu_,
    Tensor.softmax,
    Tensor.log_softmax,
}
"""Operations that only squash a unit: none changes which of a layer's units is the strongest at a position."""


class _Stop(BaseException):
    """Carries the layer's tensor out of the forward pass."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Squashes(TorchFunctionMode):
    """Counts the operations of `_OWN`; stops at number `stop`, before it is carried out.

    Before number `stop` exists, `last` is (number, result) of the latest.
    """

    def __init__(self, stop: int | None) -> None:
        super().__init__()
        self._stop = stop
        self._count = 0
        self.last: tuple[int, Tensor] | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _OWN:
            return func(*args, **kwargs)
        number, self._count = self._count, self._count + 1
        if number == self._stop:
            raise _Stop(args[0] if args else kwargs["input"])
        result = func(*args, **kwargs)
        self.last = number, result
        return result


class Truncated:
    """A model up to one of its layers.

    Parameters
    ----------
    module, layers
        The model, in evaluation mode and frozen, and what `taps.discover` found in it.
    layer
        The layer's name.
    example
        (1, C, H, W), what the model takes.

    Raises
    ------
    UserError
        If there is no such layer, or the model fails.
    """

    def __init__(self, module: nn.Module, layers: Layers, layer: str, example: Tensor) -> None:
        self._module = module
        self._tap = layers.tap(layer)
        self._own: int | None = None
        self.pairs: list[folding.Pair] = []
        """What is folded while the network runs."""
        with torch.no_grad(), _Squashes(None) as squashes:
            activation = self._stopped(example)
        if squashes.last is not None and _same(squashes.last[1], activation):
            self._own = squashes.last[0]
        with torch.no_grad():
            self.shape: tuple[int, int, int] = tuple(self(example).shape[1:])  # type: ignore[assignment]
        """(units, height, width)."""
        self.pairs = folding.pairs(module, self, example)

    @property
    def before(self) -> bool:
        """Whether the pass stops before a ReLU or a softmax of the layer's own."""
        return self._own is not None

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the layer for a batch (N, C, H, W): (N, units, height, width), with its graph.

        Raises
        ------
        UserError
            If the model fails, or the layer has another shape than it had before.
        torch.OutOfMemoryError
            If the batch is too large.
        """
        if self._own is None:
            return self.read(batch)
        with _Squashes(self._own):
            return self._arranged(self._stopped(batch), len(batch))

    def read(self, batch: Tensor) -> Tensor:
        """Return the same as it is read from the model: after a ReLU or a softmax of the layer's own."""
        return self._arranged(self._stopped(batch), len(batch))

    def _arranged(self, tensor: Tensor, count: int) -> Tensor:
        arrangement = self._tap.arrangement
        expected = list(arrangement.shape)
        expected[arrangement.batch] = count
        if list(tensor.shape) != expected:
            raise UserError(
                f"layer {printable(self._tap.layer)} has shape {tuple(tensor.shape)} for {count} pictures, not "
                f"{tuple(expected)}: the model mixes pictures of a batch; choose another layer"
            )
        return arrangement.apply_batch(tensor)

    def _stopped(self, batch: Tensor) -> Tensor:
        tap, calls = self._tap, Counter[str]()

        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if calls[tap.module] == tap.call:
                raise _Stop(dict(tensors(output))[tap.path])
            calls[tap.module] += 1

        module = self._module.get_submodule(tap.module)
        try:
            with ExitStack() as stack:
                stack.enter_context(blame(self._module))
                stack.enter_context(removed(module.register_forward_hook(hook)))
                for pair in self.pairs:
                    stack.enter_context(pair.folded())
                self._module(batch)
        except _Stop as stop:
            return stop.tensor
        raise UserError(f"the model did not compute layer {printable(tap.layer)}: choose another layer")


def _same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.data_ptr() == other.data_ptr() and one.shape == other.shape)

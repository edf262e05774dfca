"""The orders of a layer's units that are about a class: by gradient x activation, and by true ablation."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tuivis.engine.classes import class_gradient
from tuivis.engine.ranking import Ablation
from tuivis.engine.taps import Layers
from tuivis.engine.values import Order


class Ranking:
    """A layer's units on one picture, by what they do for a class.

    What is not asked for is not computed: where no gradient gets through there still is ablation.
    """

    def __init__(self, module: nn.Module, layers: Layers, batch: Tensor, layer: str, target: int | None) -> None:
        about = module, layers, batch, layer, target
        self._attribute = partial(class_gradient, *about)
        self._make = partial(Ablation, *about)
        self._ablation: Ablation | None = None

    @cached_property
    def gradient(self) -> Tensor:
        """(units,): gradient x activation, summed over positions (to first order what the unit gives to the class)."""
        return self._attribute().attribution

    @property
    def target(self) -> int:
        """The class, once `ablate` is through."""
        assert self._ablation is not None
        return self._ablation.target

    @property
    def falls(self) -> Tensor:
        """(units,): how much the class's output falls without the unit, once `ablate` is through."""
        assert self._ablation is not None
        return self._ablation.falls

    def ablate(self) -> Iterator[float]:
        """Yield the share that is done, until all is; one who stops in between may go on later."""
        if self._ablation is None:
            self._ablation = self._make()
        while not self._ablation.done:
            yield self._ablation.fraction
            self._ablation.advance()

    def order(self, order: Order) -> NDArray[np.int32]:
        """Return the units, (units,), those that do most for the class first."""
        scores = self.falls if order == "ablation" else self.gradient
        return np.argsort(-scores.double().cpu().numpy(), kind="stable").astype(np.int32)


class Orders:
    """Keeps the newest ranking."""

    def __init__(self, module: nn.Module, layers: Layers) -> None:
        self._module, self._layers = module, layers
        self._kept: tuple[Hashable, Ranking] | None = None

    def ranking(self, batch: Tensor, layer: str, target: int | None, key: Hashable) -> Ranking:
        """Return the ranking of a layer's units; the one that is kept if it was made for the same `key`."""
        key = key, layer, target
        if self._kept is None or self._kept[0] != key:
            self._kept = None
            self._kept = key, Ranking(self._module, self._layers, batch.clone(), layer, target)
        return self._kept[1]

"""What is to become large: a unit, several, or a direction in a layer, at a position or over the map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tuivis.engine.optimise.recipes import Recipe
from tuivis.errors import UserError


@dataclass(frozen=True)
class Objectives:
    """One objective for each sample of a batch.

    Parameters
    ----------
    weights
        (N, units): a sample's objective is the sum of its units' values with these weights.
    at
        (row, column) of the position, or None for the mean over the map.
    sign
        1, or -1 to minimise.
    softmax
        Whether the value is the unit's probability under a softmax over the units of the layer.
    """

    weights: Tensor
    at: tuple[int, int] | None
    sign: int = 1
    softmax: bool = False

    def __call__(self, activation: Tensor) -> Tensor:
        """Return each sample's value, (N,), to be maximised after multiplying with `sign`."""
        # Zero times what is no number would be none: a broken unit must not spoil the others.
        return (self._reduced(activation).masked_fill(self.weights == 0, 0) * self.weights).sum(1)

    def _reduced(self, activation: Tensor) -> Tensor:
        values = activation.mean((2, 3)) if self.at is None else activation[:, :, self.at[0], self.at[1]]
        return values.softmax(1) if self.softmax else values

    def anywhere(self, activation: Tensor) -> Tensor:
        """Return each sample's value, (N,), where it is highest: for pictures whose content lies anywhere."""
        if self.at is None:
            return self(activation)
        values = activation.softmax(1) if self.softmax else activation
        values = values.masked_fill((self.weights == 0)[:, :, None, None], 0)
        return self.sign * (self.sign * torch.einsum("nuhw,nu->nhw", values, self.weights)).amax((1, 2))

    def rank(self, activation: Tensor) -> Tensor:
        """Return the place, (N,), of each sample's best unit in its layer, 1 for the strongest.

        Strong is what has a high maximum over the map, or a high mean where that is the objective. A direction has no
        units: the rank is 0.
        """
        values = self.sign * activation
        values = values.mean((2, 3)) if self.at is None else values.amax((2, 3))
        chosen = self.weights > 0
        best = values.masked_fill(~chosen, -torch.inf).amax(1, keepdim=True)
        rank = (values > best).sum(1) + 1
        return rank.masked_fill(self.is_direction, 0)

    @property
    def is_direction(self) -> Tensor:
        """Whether each sample's weights are something else than ones and zeros, (N,) bool."""
        return ((self.weights != 0) & (self.weights != 1)).any(1)

    def keep(self, samples: Tensor) -> Objectives:
        """Return the objectives of some samples."""
        return Objectives(self.weights[samples], self.at, self.sign, self.softmax)

    def repeat(self, times: int) -> Objectives:
        """Return each sample's objective so many times in a row."""
        weights = self.weights if times == 1 else self.weights.repeat_interleave(times, 0)
        return Objectives(weights, self.at, self.sign, self.softmax)


def position(recipe: Recipe, shape: tuple[int, int, int]) -> tuple[int, int] | None:
    """Return where in a layer of `shape` (units, height, width) the recipe looks: None is everywhere.

    Raises
    ------
    UserError
        If the position lies outside.
    """
    _, height, width = shape
    if recipe.objective == "channel":
        return None
    row, column = recipe.at or (height // 2, width // 2)
    if row >= height or column >= width:
        raise UserError(f"position [{row}, {column}] is outside: the layer's map has {height} rows, {width} columns")
    return row, column

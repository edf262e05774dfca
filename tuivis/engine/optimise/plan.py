"""From a target to the objective of a sample: which units or which direction, at which position."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tuivis.engine.optimise.objectives import Objectives, position
from tuivis.engine.optimise.photographs import Photographs
from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.results import Target
from tuivis.errors import UserError, printable

Shape = tuple[int, int, int]


def check(target: Target, units: int, layer: str, inputs: Sequence[str]) -> None:
    """Refuse a target that the layer, or the `inputs` by their names, have not.

    Raises
    ------
    UserError
        If a unit is out of range, the file of a direction does not fit, or the name of its picture is not that of one
        input.
    """
    for unit in target.units:
        if not 0 <= unit < units:
            raise UserError(f"there is no unit {unit} in layer {printable(layer)}: choose from 0 to {units - 1}")
    if target.vector:
        _read(Path(target.vector), units)
    if target.picture and inputs.count(target.picture) != 1:
        several = "several pictures are" if target.picture in inputs else "no picture is"
        raise UserError(f"{several} called {printable(target.picture)} among the inputs: name just the one of --input")


def weights(target: Target, recipe: Recipe, shape: Shape, photographs: Photographs, direction: Tensor | None) -> Tensor:
    """Return the (units,) weights of a target: ones for its units, or a direction of length 1.

    `direction` is the activation (units, h, w) of the target's picture, if it has one.

    Raises
    ------
    UserError
        If the file of a direction does not fit.
    """
    if target.units:
        return torch.zeros(shape[0]).index_fill_(0, torch.tensor(target.units), 1.0)
    if target.vector:
        vector = _read(Path(target.vector), shape[0])
    else:
        assert direction is not None
        at = position(recipe, shape)
        # What all photographs have in common says nothing about this one.
        centred = direction - photographs.activations.mean((0, 2, 3))[:, None, None]
        vector = centred.mean((1, 2)) if at is None else centred[:, at[0], at[1]]
    length = float(vector.norm())
    if not length > 0:
        raise UserError(f"{printable(target.title)} is no direction: it is zero everywhere")
    return vector / length


def objectives(recipe: Recipe, shape: Shape, rows: Sequence[Tensor], device: torch.device) -> Objectives:
    """Return the objectives of samples with these weights."""
    sign = -1 if recipe.minimise else 1
    return Objectives(torch.stack(list(rows)).to(device), position(recipe, shape), sign, recipe.policy == "progress01")


def _read(path: Path, units: int) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
        vector = torch.from_numpy(np.asarray(array, dtype=np.float32).reshape(-1))
    except OSError as error:
        raise UserError(f"cannot read the direction {printable(path)}: {printable(error.strerror)}") from None
    except (ValueError, TypeError, EOFError):
        raise UserError(f"{printable(path)} is no .npy file of numbers: numpy.save writes one") from None
    if len(vector) != units or not bool(vector.isfinite().all()):
        raise UserError(f"{printable(path)} holds {len(vector)} numbers: the layer has {units} units, one number each")
    return vector

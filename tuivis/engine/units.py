"""One unit on one picture, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuivis.engine.tiles import Maps
from tuivis.engine.values import Tiles
from tuivis.errors import UserError


@dataclass(frozen=True)
class Description:
    """What there is to say about a unit.

    `levels` is its whole map, (height, width) uint8, normalised by itself. `maximum` is the greatest value that is not
    NaN and `at` its (row, column), the first if there are several; `mean` is over the finite values. Both are NaN
    where the unit has no such value. `active` is the share of positions over zero, in 0 .. 1. `rank` is the unit's
    place by maximum, 1 for the strongest; ties by index.
    """

    levels: NDArray[np.uint8]
    maximum: float
    at: tuple[int, int]
    mean: float
    active: float
    rank: int


def describe(maps: Maps, unit: int) -> Description:
    """Describe one unit of a layer.

    Raises
    ------
    UserError
        If the layer has no such unit.
    """
    units, height, width = maps.values.shape
    if not 0 <= unit < units:
        raise UserError(f"There is no unit {unit} in this layer: choose one from 0 to {units - 1}.")
    values = maps.values[unit].cpu().numpy().astype(np.float64)
    # nanargmax would take a NaN for the least value.
    peak = 0 if np.isnan(values).all() else int(np.flatnonzero(values == np.nanmax(values))[0])
    finite = values[np.isfinite(values)]
    return Description(
        levels=maps.levels(Tiles(unit, 1, height, width), "index", "unit", 0.0).levels[0],
        maximum=float(values.flat[peak]),
        at=divmod(peak, width),
        mean=float(finite.mean()) if finite.size else float("nan"),
        active=float((values > 0).mean()),
        rank=int(np.flatnonzero(maps.order("strength") == unit)[0]) + 1,
    )

"""One layer's activation as tiles: reduced and quantised on the device, so that little leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tuivis.engine.values import INFINITE, LEVELS, NOT_A_NUMBER, Normalisation, Order, Tiles

_SMALLEST_SPAN = LEVELS * float(np.finfo(np.float32).tiny)
_SMALLEST_BOOSTED = 1e-6


@dataclass(frozen=True)
class Quantised:
    """Tiles as levels.

    `levels` is (count, height, width) uint8. `low` and `high` are the values of level 0 and of level LEVELS - 1, for
    the whole layer, boosted if there is a boost. `nans` and `infinities` count values of the whole layer.
    """

    levels: NDArray[np.uint8]
    low: float
    high: float
    nans: int
    infinities: int


@dataclass(frozen=True)
class _Statistics:
    """Of the whole layer at full resolution; arrays are (units,) float64.

    `low` and `high` span each unit's finite values (NaN where it has none); `peak` is the highest value that is not
    NaN (NaN where all are).
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    peak: NDArray[np.float64]
    nans: int
    infinities: int


class Maps:
    """One layer's activation for one picture. What is computed from it is kept, so that each question costs once.

    Parameters
    ----------
    activation
        (units, height, width), on any device, of any floating type; computed in float32.

    Attributes
    ----------
    values
        The activation, float32, on its device.
    """

    def __init__(self, activation: Tensor) -> None:
        self.values = activation.detach().float()
        self._reduced: tuple[tuple[int, int], Tensor, Tensor | None] | None = None

    def order(self, order: Order) -> NDArray[np.int32]:
        """Return the units in order, (units,).

        "strength" is by each unit's maximum, the highest first; ties by index; units that are NaN throughout last.
        """
        return self._by_strength if order == "strength" else np.arange(len(self.values), dtype=np.int32)

    def levels(
        self, tiles: Tiles, order: Order | NDArray[np.int32], normalisation: Normalisation, boost: float
    ) -> Quantised:
        """Return the tiles in slots `tiles.first` .. `tiles.first + tiles.count - 1` of the order.

        `order` may also be the units themselves in another order, (units,).

        There are fewer where the layer ends. Maps larger than `tiles.height` x `tiles.width` are averaged down, each
        axis by itself; smaller ones keep their size. A tile's pixel is NOT_A_NUMBER if any value that it stands for
        is NaN, else INFINITE if any is infinite, else 0 .. LEVELS - 1, linear between two values:

        - "layer": the least and the greatest finite value of the layer;
        - "unit": the same of each unit by itself;
        - "diverging": -m and m, where m is the layer's greatest magnitude: zero is the middle level exactly.

        What is constant has level 0 ("diverging" without magnitude: the middle level).

        Notes
        -----
        Individual boost b, of the Deep Visualization Toolbox (Yosinski et al. 2015), multiplies each unit by its
        maximum to the power -b before that. Units whose maximum is not positive, or under a millionth of the layer's,
        are left as they are.
        """
        permutation = order if isinstance(order, np.ndarray) else self.order(order)
        units = permutation[tiles.first : tiles.first + tiles.count].astype(np.int64)
        statistics = self._statistics
        factor = _boost(statistics.high, boost)
        scale = _scale(factor * statistics.low, factor * statistics.high, normalisation)
        picked = torch.from_numpy(units).to(self.values.device)
        averages, codes = self._reduce(tiles.height, tiles.width)
        # In place: new memory costs more than the arithmetic.
        shifted = averages[picked].sub_(self._column((scale.origin / factor)[units]))
        level = shifted.mul_(self._column((scale.slope * factor)[units])).add_(scale.base).round_()
        level = level.clamp_(0, LEVELS - 1).to(torch.uint8)
        if codes is not None:
            level = torch.where(codes[picked] > 0, codes[picked], level)
        return Quantised(level.cpu().numpy(), scale.low, scale.high, statistics.nans, statistics.infinities)

    def _column(self, per_unit: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(per_unit.astype(np.float32)).to(self.values.device)[:, None, None]

    @cached_property
    def _by_strength(self) -> NDArray[np.int32]:
        # numpy sorts NaN last, and ties in a stable sort by index.
        return np.argsort(-self._statistics.peak, kind="stable").astype(np.int32)

    @cached_property
    def _statistics(self) -> _Statistics:
        flat = self.values.flatten(1)
        low, high = torch.stack(torch.aminmax(flat, dim=1)).cpu().numpy().astype(np.float64)
        # NaN spreads to both ends, and an infinity is one.
        if np.isfinite(low).all() and np.isfinite(high).all():
            return _Statistics(low, high, high, 0, 0)
        finite, nan, inf = torch.isfinite(flat), torch.isnan(flat), float("inf")
        bounds = torch.stack(
            [
                torch.where(finite, flat, inf).amin(1),
                torch.where(finite, flat, -inf).amax(1),
                torch.where(nan, -inf, flat).amax(1),
            ]
        )
        low, high, peak = bounds.cpu().numpy().astype(np.float64)
        some, known = finite.any(1).cpu().numpy(), (~nan).any(1).cpu().numpy()
        low, high, peak = np.where(some, low, np.nan), np.where(some, high, np.nan), np.where(known, peak, np.nan)
        return _Statistics(low, high, peak, int(nan.sum()), int((~finite & ~nan).sum()))

    @cached_property
    def _finite(self) -> tuple[Tensor, Tensor | None]:
        """The values with zeros for what is not finite, and (units, h, w) float32 codes of that, if there is any."""
        if not (self._statistics.nans or self._statistics.infinities):
            return self.values, None
        codes = torch.isinf(self.values) * float(INFINITE) + torch.isnan(self.values) * float(NOT_A_NUMBER)
        return self.values.nan_to_num(0, 0, 0), codes

    def _reduce(self, height: int, width: int) -> tuple[Tensor, Tensor | None]:
        """Return the whole layer's averages, and uint8 codes of what is not finite, at most height x width."""
        values, codes = self._finite
        size = min(height, values.shape[1]), min(width, values.shape[2])
        if size == values.shape[1:]:
            return values, None if codes is None else codes.to(torch.uint8)
        if self._reduced is None or self._reduced[0] != size:
            averages = F.adaptive_avg_pool2d(values, size)
            # The greatest code in a pixel's area is the one that counts: NaN before infinity before none.
            pooled = None if codes is None else F.adaptive_max_pool2d(codes, size).to(torch.uint8)
            self._reduced = size, averages, pooled
        return self._reduced[1:]


@dataclass(frozen=True)
class _Scale:
    """From values to levels: (value - origin) * slope + base; origin and slope are (units,)."""

    origin: NDArray[np.float64]
    slope: NDArray[np.float64]
    base: float
    low: float
    high: float


def _boost(high: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return each unit's factor, (units,): its maximum to the power -exponent."""
    factor = np.ones_like(high)
    if exponent:
        strong = (high > 0) & (high >= _SMALLEST_BOOSTED * np.max(high, initial=0, where=~np.isnan(high)))
        factor[strong] = high[strong] ** -exponent
    return factor


def _scale(low: NDArray[np.float64], high: NDArray[np.float64], normalisation: Normalisation) -> _Scale:
    """Return the scale of a layer whose units' finite values span `low` .. `high` (NaN where a unit has none)."""
    known = ~np.isnan(low)
    least, greatest = (float(low[known].min()), float(high[known].max())) if known.any() else (0.0, 0.0)
    if normalisation == "diverging":
        magnitude = max(abs(least), abs(greatest))
        slope = np.full_like(low, _slope(2 * magnitude))
        return _Scale(np.zeros_like(low), slope, (LEVELS - 1) / 2, -magnitude, magnitude)
    if normalisation == "unit":
        origin, span = np.where(known, low, 0), np.where(known, high - low, 0)
        return _Scale(origin, _slope(span), 0, least, greatest)
    return _Scale(np.full_like(low, least), np.full_like(low, _slope(greatest - least)), 0, least, greatest)


def _slope(span: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return levels per value; none where the span is too small for float32 to divide by."""
    spans = np.asarray(span, dtype=np.float64)
    return np.divide(LEVELS - 1, spans, out=np.zeros_like(spans), where=spans > _SMALLEST_SPAN)

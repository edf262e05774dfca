"""How good a picture is, in numbers, on the clean picture as it is in its file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import msgspec
import torch
from torch import Tensor
from torch.nn import functional as F

from tuivis.engine.optimise.objectives import Objectives
from tuivis.engine.optimise.parametrisations import Space
from tuivis.engine.optimise.photographs import Photographs
from tuivis.engine.optimise.results import Quality
from tuivis.engine.optimise.warp import cut
from tuivis.engine.truncation import Truncated

_VIEWS = ((0.85, 0.09, -0.05), (0.92, -0.11, 0.07), (1.08, 0.06, 0.1), (1.15, -0.07, -0.09))
"""(scale, shift down, shift across) as shares of half the picture: no recipe that comes along uses them."""


@dataclass(frozen=True)
class Judge:
    """Measures pictures against the photographs at hand."""

    network: Truncated
    space: Space
    photographs: Photographs

    def judge(self, picture: Tensor, objective: Objectives) -> Quality:
        """Return the numbers of one picture (C, H, W) in 0 .. 1; `objective` is that of its one sample."""
        # All at once: on a GPU a pass of five takes no longer than one of one.
        there = picture.to(self.space.low.device)
        passed = self._layer(torch.cat([there[None], views(there)]))
        activation, moved = passed[:1], passed[1:]
        sign = objective.sign
        natural = sign * objective.repeat(len(self.photographs.images)).anywhere(
            self.photographs.activations.to(activation.device)
        )
        natural = natural[natural.isfinite()]
        strongest = sign * float(natural.max()) if len(natural) else math.nan
        value, peak = float(objective(activation)), float(objective.anywhere(activation))
        seen = objective.repeat(len(_VIEWS)).anywhere(moved).double()
        worst = float(sign * torch.quantile(sign * seen, 0.05))
        positive = sign * peak > 0
        maximum, mean = self._of_unit(there, activation, objective)
        numbers = Quality(
            objective=value,
            strongest=strongest,
            ratio=peak / strongest if sign * strongest > 0 else None,
            robustness=float(seen.mean()) / peak if positive else None,
            robustness_5=worst / peak if positive else None,
            rank=int(objective.rank(activation)),
            slope=slope(picture[None]),
            natural_slope=self._natural_slope,
            variation=variation(picture[None]),
            natural_variation=self._natural_variation,
            saturated=float(((picture <= 0) | (picture >= 1)).float().mean()),
            highest=peak,
            maximum=maximum,
            mean=mean,
        )
        unknown = [name for name, number in msgspec.structs.asdict(numbers).items() if not math.isfinite(number or 0)]
        return msgspec.structs.replace(numbers, **dict.fromkeys(unknown))

    @cached_property
    def _natural_slope(self) -> float:
        return slope(self.photographs.images)

    @cached_property
    def _natural_variation(self) -> float:
        return variation(self.photographs.images)

    def _of_unit(self, picture: Tensor, activation: Tensor, objective: Objectives) -> tuple[float | None, float | None]:
        """Return the maximum and the mean of the map of the objective's unit, None if it is not one unit."""
        if bool(objective.is_direction) or int(objective.weights.sum()) != 1:
            return None, None
        if self.network.before:
            with torch.no_grad():
                activation = self.network.read(self.space.input(picture[None])).float()
        unit = activation[0, int(objective.weights[0].argmax())]
        return float(unit.max()), float(unit.mean())

    def _layer(self, pictures: Tensor) -> Tensor:
        with torch.no_grad():
            return self.network(self.space.input(pictures)).float()

    def diversity(self, pictures: list[Tensor]) -> list[float]:
        """Return each picture's mean cosine distance to the others, of the layer's means over the map."""
        features = F.normalize(
            torch.cat([self._layer(each[None].to(self.space.low.device)).mean((2, 3)) for each in pictures])
        )
        distances = 1 - features @ features.T
        distances.fill_diagonal_(0)
        return [float(row.sum()) / (len(pictures) - 1) for row in distances]


def views(picture: Tensor) -> Tensor:
    """Return shifted and scaled views, (4, C, H, W), of a picture (C, H, W) in 0 .. 1; outside of it is gray."""
    maps = torch.tensor([[[1 / s, 0, x], [0, 1 / s, y]] for s, y, x in _VIEWS], device=picture.device)
    return cut(picture.expand(len(maps), -1, -1, -1) - 0.5, maps) + 0.5


def slope(images: Tensor) -> float:
    """Return the slope of the log power over the log frequency of (N, C, H, W), fitted over rings of equal width.

    The mean over channels is transformed, through a Hann window so that edges do not count; pictures that show
    nature have about -2.
    """
    gray = images.mean(1).double()
    gray = gray - gray.mean((1, 2), keepdim=True)
    window, ring, count = _rings(*gray.shape[-2:])
    if count < 3:
        return float("nan")
    power = torch.fft.rfft2(gray * window).abs().square().mean(0).flatten()
    sums = torch.zeros(count + 2, dtype=torch.float64).index_add_(0, ring, power)
    numbers = torch.bincount(ring, minlength=count + 2)
    x = torch.arange(count + 1, dtype=torch.float64)[2:].log()
    y = (sums[2:-1] / numbers[2:-1].clamp(min=1)).clamp(min=1e-12).log()
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())


@lru_cache(maxsize=8)
def _rings(height: int, width: int) -> tuple[Tensor, Tensor, int]:
    """Return the window of pictures, which ring each frequency lies in, and the last ring that is whole.

    Frequencies beyond are in the ring after it, and a constant is in the first.
    """
    window = torch.hann_window(height, dtype=torch.float64)[:, None] * torch.hann_window(width, dtype=torch.float64)
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    count = min(height, width) // 2
    ring = ((rows.square() + columns.square()).sqrt() * 2 * count).round().long().flatten()
    return window, ring.clamp(max=count + 1), count


def variation(images: Tensor) -> float:
    """Return the mean absolute difference of neighbouring pixels of (N, C, H, W)."""
    down, across = images.diff(dim=2).abs().mean(), images.diff(dim=3).abs().mean()
    return float(down + across) / 2

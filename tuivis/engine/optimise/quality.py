"""How good a picture is, in numbers, on the clean picture as it is in its file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor
from torch.nn import functional as F

from tuivis.engine.optimise.objectives import Objectives
from tuivis.engine.optimise.parametrisations import Space
from tuivis.engine.optimise.photographs import Photographs
from tuivis.engine.optimise.results import Quality
from tuivis.engine.optimise.transforms import apply
from tuivis.engine.truncation import Truncated

_VIEWS = ((0.85, 0.09, -0.05), (0.92, -0.11, 0.07), (1.08, 0.06, 0.1), (1.15, -0.07, -0.09))
"""(scale, shift down, shift across) as shares of half the picture: no recipe that comes along uses them."""


@dataclass(frozen=True)
class Judge:
    """Measures pictures against the photographs at hand."""

    network: Truncated
    space: Space
    photographs: Photographs

    def activation(self, picture: Tensor) -> Tensor:
        """Return the layer, (1, units, h, w), for one picture (C, H, W) in 0 .. 1."""
        with torch.no_grad():
            return self.network(self.space.input(picture[None].to(self.space.low.device))).float()

    def judge(self, picture: Tensor, objective: Objectives) -> Quality:
        """Return the numbers of one picture (C, H, W) in 0 .. 1; `objective` is that of its one sample."""
        activation = self.activation(picture)
        sign = objective.sign
        there = objective.repeat(len(self.photographs.images))
        natural = sign * there.anywhere(self.photographs.activations.to(activation.device))
        natural = natural[natural.isfinite()]
        strongest = sign * float(natural.max()) if len(natural) else math.nan
        value, peak = float(objective(activation)), float(objective.anywhere(activation))
        seen = objective.repeat(len(_VIEWS)).anywhere(self.activation_of_views(picture)).double()
        worst = float(sign * torch.quantile(sign * seen, 0.05))
        positive = sign * peak > 0
        maximum, mean = self._of_unit(picture, objective)
        numbers = Quality(
            objective=value,
            strongest=strongest,
            ratio=peak / strongest if sign * strongest > 0 else None,
            robustness=float(seen.mean()) / peak if positive else None,
            robustness_5=worst / peak if positive else None,
            rank=int(objective.rank(activation)),
            slope=slope(picture[None]),
            natural_slope=slope(self.photographs.images),
            variation=variation(picture[None]),
            natural_variation=variation(self.photographs.images),
            saturated=float(((picture <= 0) | (picture >= 1)).float().mean()),
            highest=peak,
            maximum=maximum,
            mean=mean,
        )
        unknown = [name for name, number in msgspec.structs.asdict(numbers).items() if not math.isfinite(number or 0)]
        return msgspec.structs.replace(numbers, **dict.fromkeys(unknown))

    def _of_unit(self, picture: Tensor, objective: Objectives) -> tuple[float | None, float | None]:
        """Return the maximum and the mean of the map of the objective's unit, None if it is not one unit."""
        if bool(objective.is_direction) or int(objective.weights.sum()) != 1:
            return None, None
        with torch.no_grad():
            read = self.network.read(self.space.input(picture[None].to(self.space.low.device))).float()
        unit = read[0, int(objective.weights[0].argmax())]
        return float(unit.max()), float(unit.mean())

    def activation_of_views(self, picture: Tensor) -> Tensor:
        """Return the layer, (views, units, h, w), for shifted and scaled views of a picture."""
        maps = torch.tensor([[[1 / s, 0, x], [0, 1 / s, y]] for s, y, x in _VIEWS], device=self.space.low.device)
        with torch.no_grad():
            return self.network(self.space.input(apply(picture[None].to(maps), maps, None))).float()

    def diversity(self, pictures: list[Tensor]) -> list[float]:
        """Return each picture's mean cosine distance to the others, of the layer's means over the map."""
        features = F.normalize(torch.cat([self.activation(each).mean((2, 3)) for each in pictures]))
        distances = 1 - features @ features.T
        distances.fill_diagonal_(0)
        return [float(row.sum()) / (len(pictures) - 1) for row in distances]


def slope(images: Tensor) -> float:
    """Return the slope of the log power over the log frequency of (N, C, H, W), fitted over rings of equal width.

    The mean over channels is transformed, through a Hann window so that edges do not count; pictures that show
    nature have about -2.
    """
    gray = images.mean(1).double()
    gray = gray - gray.mean((1, 2), keepdim=True)
    height, width = gray.shape[-2:]
    window = torch.hann_window(height, dtype=torch.float64)[:, None] * torch.hann_window(width, dtype=torch.float64)
    power = torch.fft.rfft2(gray * window).abs().square().mean(0)
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    count = min(height, width) // 2
    ring = ((rows.square() + columns.square()).sqrt() * 2 * count).round().long().flatten()
    inside = (ring >= 2) & (ring <= count)
    if int(inside.sum()) < 3:
        return float("nan")
    sums = torch.zeros(count + 1, dtype=torch.float64).index_add_(0, ring[inside], power.flatten()[inside])
    numbers = torch.bincount(ring[inside], minlength=count + 1)
    x = torch.arange(count + 1, dtype=torch.float64)[2:].log()
    y = (sums[2:] / numbers[2:].clamp(min=1)).clamp(min=1e-12).log()
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())


def variation(images: Tensor) -> float:
    """Return the mean absolute difference of neighbouring pixels of (N, C, H, W)."""
    down, across = images.diff(dim=2).abs().mean(), images.diff(dim=3).abs().mean()
    return float(down + across) / 2

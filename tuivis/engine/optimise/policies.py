"""How far a step goes: learning-rate policies, and the ways to go up a gradient. One rate for each sample."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tuivis.engine.optimise.recipes import Recipe

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_MOMENTUM_DECAY = 0.004


def rates(recipe: Recipe, squared_norms: Tensor, values: Tensor, scale: float) -> Tensor:
    """Return the learning rate of each sample (Yosinski et al. 2015, the original's code).

    Parameters
    ----------
    recipe
        Its policy: constant; progress, min(max_rate, desired / |g|^2), which by first order raises the objective by
        `desired`; progress01, the same with desired = min(early_progress, late_progress * (1 - objective)).
    squared_norms
        (N,), |g|^2.
    values
        (N,), the objectives.
    scale
        What `desired` counts in, if it is relative.
    """
    if recipe.policy == "constant":
        return torch.full_like(values, recipe.rate)
    desired = torch.full_like(values, recipe.desired * (scale if recipe.relative else 1.0))
    if recipe.policy == "progress01":
        desired = (recipe.late_progress * (1 - values)).clamp(max=recipe.early_progress)
    return (desired / squared_norms).clamp(max=recipe.max_rate)


@dataclass
class Ascent:
    """The memory of Adam or NAdam for each sample; plain gradient ascent needs none.

    Equal to `torch.optim.Adam` (Kingma and Ba 2015) and `torch.optim.NAdam` (Dozat 2016) with their defaults. `count`
    is (N,) float64: a sample's step may have been undone. `product` is NAdam's product of momenta.
    """

    kind: str
    mean: Tensor
    square: Tensor
    count: Tensor
    product: Tensor = field(default_factory=lambda: torch.empty(0))

    @classmethod
    def start(cls, kind: str, parameter: Tensor) -> Ascent:
        """Return the memory before the first step."""
        size = parameter.shape if kind != "gradient" else (len(parameter), *(0,) * (parameter.ndim - 1))
        zeros = parameter.new_zeros(size)
        count = torch.zeros(len(parameter), dtype=torch.float64, device=parameter.device)
        return cls(kind, zeros, zeros.clone(), count, count + 1)

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps."""
        return {"mean": self.mean, "square": self.square, "count": self.count, "product": self.product}

    def step(self, gradient: Tensor, rate: Tensor) -> Tensor:
        """Return what to add to the parameter, and remember. `rate` is (N,)."""
        if self.kind == "gradient":
            return gradient * _wide(rate, gradient)
        self.count = self.count + 1
        self.mean = torch.lerp(self.mean, gradient, 1 - _BETA1)
        self.square = self.square * _BETA2 + gradient * gradient * (1 - _BETA2)
        deviation = (self.square / _wide(1 - _BETA2**self.count, gradient)).sqrt_().add_(_EPSILON)
        if self.kind == "adam":
            return self.mean * _wide(rate / (1 - _BETA1**self.count), gradient) / deviation
        now = _BETA1 * (1 - 0.5 * 0.96 ** (self.count * _MOMENTUM_DECAY))
        following = _BETA1 * (1 - 0.5 * 0.96 ** ((self.count + 1) * _MOMENTUM_DECAY))
        self.product = self.product * now
        present = gradient * _wide(rate * (1 - now) / (1 - self.product), gradient)
        momentum = self.mean * _wide(rate * following / (1 - self.product * following), gradient)
        return (present + momentum) / deviation


def _wide(per_sample: Tensor, like: Tensor) -> Tensor:
    return per_sample.to(like.dtype).view(-1, *(1,) * (like.ndim - 1))

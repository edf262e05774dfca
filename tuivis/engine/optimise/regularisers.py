"""The seven regularisers of Yosinski et al. (2015), on batches (N, C, H, W) of mean-subtracted pixels.

Every percentile is taken anew, per sample, with linear interpolation as `numpy.percentile` has it; what is strictly
under it becomes zero.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from tuivis.engine.optimise.recipes import Recipe


def clip(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return `x` between `low` and `high`, (C, 1, 1) each: what a picture can show."""
    return torch.minimum(torch.maximum(x, low), high)


def regularise(recipe: Recipe, x: Tensor, gradient: Tensor, step: int) -> Tensor:
    """Return `x`, already updated, after all regularisers but `clip`, in the original's order.

    `gradient` is that from before the update.
    """
    if recipe.decay:
        x = x * (1 - recipe.decay)
    if recipe.blur_radius and recipe.blur_every and step % recipe.blur_every == 0:
        x = blur(x, recipe.blur_radius)
    if recipe.small_value:
        x = _without(x, x.abs(), recipe.small_value)
    if recipe.small_norm:
        x = _without(x, torch.linalg.vector_norm(x, dim=1, keepdim=True), recipe.small_norm)
    if recipe.contribution:
        x = _without(x, contribution(x, gradient), recipe.contribution)
    if recipe.absolute_contribution:
        x = _without(x, contribution(x, gradient).abs(), recipe.absolute_contribution)
    return x


def contribution(x: Tensor, gradient: Tensor) -> Tensor:
    """Return by how much the objective would fall, to first order, if a pixel became zero: (N, 1, H, W), sum_c g x.

    The paper's text. The original's code has the opposite sign and removes the pixels that help most.
    """
    return (gradient * x).sum(1, keepdim=True)


def blur(x: Tensor, radius: float) -> Tensor:
    """Return `x` after a Gaussian blur, equal to `scipy.ndimage.gaussian_filter` of each channel with its defaults."""
    rows, columns = (_blurring(n, radius, x.device).to(x.dtype) for n in x.shape[-2:])
    return rows @ x @ columns.T


@lru_cache(maxsize=8)
def _blurring(size: int, radius: float, device: torch.device) -> Tensor:
    """Return the (size, size) matrix that blurs one axis; at the edges the picture is mirrored."""
    reach = int(4 * radius + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets.double() / radius) ** 2)
    weights /= weights.sum()
    there = (torch.arange(size)[:, None] + offsets) % (2 * size)
    there = torch.where(there < size, there, 2 * size - 1 - there)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, there, weights.expand(size, -1).contiguous()).to(device)


def percentile(values: Tensor, percent: float) -> Tensor:
    """Return the percentile of each sample, (N,), of `values` (N, ...)."""
    flat = values.flatten(1)
    place = (flat.shape[1] - 1) * percent / 100
    below = math.floor(place)
    low = flat.kthvalue(below + 1, dim=1).values
    if place == below:
        return low
    return torch.lerp(low, flat.kthvalue(below + 2, dim=1).values, place - below)


def _without(x: Tensor, values: Tensor, percent: float) -> Tensor:
    threshold = percentile(values, percent).view(-1, 1, 1, 1)
    return x * (values >= threshold)

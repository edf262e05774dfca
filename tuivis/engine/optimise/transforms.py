"""What a step sees of a picture: shifted, scaled and turned, or random crops; drawn for each sample by itself.

All of it is one affine map a view, so that a picture is interpolated once. The network gets its own size of input:
what sticks out is cut off, and what lies outside of the picture is gray.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from tuivis.engine.optimise.recipes import Recipe


def views(recipe: Recipe) -> int:
    """Return how many views a step has of each picture."""
    return recipe.crops or 1


def draw(recipe: Recipe, shape: tuple[int, int, int], generator: Generator) -> tuple[Tensor | None, Tensor | None]:
    """Draw one sample's views for one step.

    Returns
    -------
    maps
        (views, 2, 3): from a view's coordinates to the picture's, both in -1 .. 1; None if a view is the picture.
    noise
        (views, C, H, W), or None.
    """
    noise = None
    maps = None
    if recipe.crops:
        maps = torch.stack([_crop(recipe, generator) for _ in range(recipe.crops)])
    elif recipe.jitter or recipe.second_jitter or recipe.scales or recipe.degrees:
        maps = _wobble(recipe, shape, generator)[None]
    if recipe.noise:
        noise = (torch.rand(views(recipe), *shape, generator=generator) * 2 - 1) * recipe.noise
    return maps, noise


def apply(images: Tensor, maps: Tensor | None, noise: Tensor | None) -> Tensor:
    """Return the views, (N * views, C, H, W), of pictures (N, C, H, W)."""
    if maps is not None:
        if len(maps) > len(images):
            images = images.repeat_interleave(len(maps) // len(images), 0)
        grid = F.affine_grid(maps, list(images.shape), align_corners=False)
        # Zero is what lies outside of the picture: gray must be zero.
        images = F.grid_sample(images - 0.5, grid, mode="bilinear", align_corners=False) + 0.5
    return images if noise is None else images + noise


def _wobble(recipe: Recipe, shape: tuple[int, int, int], generator: Generator) -> Tensor:
    """Shift by whole pixels, scale and turn around the centre, shift again (Olah et al. 2017)."""
    _, height, width = shape
    down, across = (_integer(recipe.jitter, generator) for _ in range(2))
    scale = _choice(recipe.scales, generator, 1.0)
    turn = math.radians(_choice(recipe.degrees, generator, 0.0))
    down_after, across_after = (_integer(recipe.second_jitter, generator) for _ in range(2))
    cosine, sine = math.cos(turn) / scale, math.sin(turn) / scale
    # In pixels from the centre: picture = turned((view + shift after)) + shift before.
    rows = (sine * across_after + cosine * down_after + down) * 2 / height
    columns = (cosine * across_after - sine * down_after + across) * 2 / width
    aspect = height / width
    return torch.tensor([[cosine, -sine * aspect, columns], [sine / aspect, cosine, rows]])


def _crop(recipe: Recipe, generator: Generator) -> Tensor:
    """Cut out a square share of the picture around a point near its centre (Fel et al. 2023)."""
    size = float(recipe.crop_size + recipe.crop_deviation * torch.randn((), generator=generator))
    size = min(max(size, 0.05), 1.0)
    x, y = (torch.rand(2, generator=generator) * 2 - 1).mul(1 - size).tolist()
    return torch.tensor([[size, 0.0, x], [0.0, size, y]])


def _integer(extent: int, generator: Generator) -> int:
    """Return a whole number of pixels of up to half of `extent` to either side."""
    return int(torch.randint(extent + 1, (), generator=generator)) - extent // 2


def _choice(values: Sequence[float], generator: Generator, otherwise: float) -> float:
    return values[int(torch.randint(len(values), (), generator=generator))] if values else otherwise

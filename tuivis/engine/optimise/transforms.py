"""What a step sees of a picture: shifted, scaled and turned, or random crops; drawn for each sample by itself.

All of it is one affine map a view, so that a picture is interpolated once. The network gets its own size of input:
what sticks out is cut off, and what lies outside of the picture is gray.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from tuivis.engine.optimise import warp
from tuivis.engine.optimise.recipes import Recipe


@dataclass(frozen=True)
class Draws:
    """What a step's chances are, on the CPU.

    Attributes
    ----------
    maps
        (N, views, 2, 3): from a view's coordinates to the picture's, both in -1 .. 1; None if a view is the picture.
    seeds
        (N,) of each sample's noise, or None.
    """

    maps: Tensor | None
    seeds: Tensor | None

    def of(self, part: slice) -> Draws:
        """Return those of some samples."""
        maps, seeds = (None if each is None else each[part] for each in (self.maps, self.seeds))
        return Draws(maps, seeds)


def views(recipe: Recipe) -> int:
    """Return how many views a step has of each picture."""
    return recipe.crops or 1


def draw(recipe: Recipe, shape: tuple[int, int, int], generators: Sequence[Generator]) -> Draws:
    """Draw all samples' views for one step, each from its own generator, on the CPU."""
    maps, seeds = None, None
    if recipe.crops:
        maps = _crops(recipe, generators)
    elif recipe.jitter or recipe.second_jitter or recipe.scales or recipe.degrees:
        maps = _wobbles(recipe, shape, generators)[:, None]
    if recipe.noise:
        seeds = torch.stack([torch.randint(2**62, (), generator=each) for each in generators])
    return Draws(maps, seeds)


def noise(recipe: Recipe, shape: tuple[int, int, int], seeds: Tensor, device: torch.device) -> Tensor:
    """Return the noise of samples, (N * views, C, H, W): the same for the same seed on the same device."""
    result = torch.empty(len(seeds), views(recipe), *shape, device=device)
    generator = Generator(device)
    for sample, seed in zip(result, seeds.tolist(), strict=True):
        sample.uniform_(-recipe.noise, recipe.noise, generator=generator.manual_seed(seed))
    return result.flatten(0, 1)


def apply(recipe: Recipe, images: Tensor, maps: Tensor | None, noise: Tensor | None) -> Tensor:
    """Return the views, (N * views, C, H, W), of pictures (N, C, H, W); `maps` is (N, views, 2, 3)."""
    if maps is not None:
        # Zero is what lies outside of the picture: gray must be zero.
        images, maps = (images - 0.5).repeat_interleave(maps.shape[1], 0), maps.flatten(0, 1)
        images = warp.cut(images, maps) if recipe.crops else warp.turn(images, maps, window(recipe))
        images = images + 0.5
    return images if noise is None else images + noise


def _wobbles(recipe: Recipe, shape: tuple[int, int, int], generators: Sequence[Generator]) -> Tensor:
    """Shift by whole pixels, scale and turn around the centre, shift again (Olah et al. 2017): (N, 2, 3)."""
    _, height, width = shape
    chances = torch.stack([torch.rand(6, generator=each, dtype=torch.float64) for each in generators], 1)
    down, across = (_integer(recipe.jitter, each) for each in chances[:2])
    scale = _choice(recipe.scales or (1.0,), chances[2])
    turn = _choice(recipe.degrees or (0.0,), chances[3]).deg2rad()
    down_after, across_after = (_integer(recipe.second_jitter, each) for each in chances[4:])
    cosine, sine = turn.cos() / scale, turn.sin() / scale
    # In pixels from the centre: picture = turned((view + shift after)) + shift before.
    rows = (sine * across_after + cosine * down_after + down) * 2 / height
    columns = (cosine * across_after - sine * down_after + across) * 2 / width
    aspect = height / width
    maps = torch.stack([cosine, -sine * aspect, columns, sine / aspect, cosine, rows], 1)
    return maps.float().view(-1, 2, 3)


def _crops(recipe: Recipe, generators: Sequence[Generator]) -> Tensor:
    """Cut square shares out of the picture, anywhere in it (Fel et al. 2023): (N, crops, 2, 3)."""
    sizes = torch.stack([torch.randn(recipe.crops, generator=each) for each in generators])
    sizes = (recipe.crop_size + recipe.crop_deviation * sizes).clamp(0.05, 1.0)
    chances = torch.stack([torch.rand(2, recipe.crops, generator=each) for each in generators], 1)
    x, y = (chances * 2 - 1) * (1 - sizes)
    none = torch.zeros_like(sizes)
    return torch.stack([sizes, none, x, none, sizes, y], 2).view(*sizes.shape, 2, 3)


def window(recipe: Recipe) -> int:
    """Return how many pixels of a view, on each axis, a pixel of the picture has a share in at most."""
    turns = (math.radians(each) for each in recipe.degrees or (0.0,))
    return math.ceil(2 * max(recipe.scales, default=1.0) * max(abs(math.cos(t)) + abs(math.sin(t)) for t in turns))


def _integer(extent: int, chances: Tensor) -> Tensor:
    """Return whole numbers of pixels of up to half of `extent` to either side."""
    return (chances * (extent + 1)).floor() - extent // 2


def _choice(values: Sequence[float], chances: Tensor) -> Tensor:
    return chances.new_tensor(values)[(chances * len(values)).long()]

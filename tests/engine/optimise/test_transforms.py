"""What a step sees: whole-pixel shifts are exact, crops and turns lie where they should, draws repeat."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator

from tuivis.engine.optimise.recipes import BUILT_IN, Recipe
from tuivis.engine.optimise.transforms import apply, draw

SHAPE = (3, 12, 20)


def maps(seed: int = 0, **parameters: Any) -> Any:
    return draw(Recipe(name="test", **parameters), SHAPE, Generator().manual_seed(seed))[0]


def test_a_jitter_shifts_by_whole_pixels_and_shows_gray_outside() -> None:
    image = torch.rand(1, *SHAPE)
    seen = set()
    for seed in range(30):
        moved = apply(image, maps(seed, jitter=4), None)[0]
        found = [
            (down, across)
            for down in range(-2, 3)
            for across in range(-2, 3)
            if torch.allclose(moved[:, 3:-3, 3:-3], image[0].roll((-down, -across), (1, 2))[:, 3:-3, 3:-3], atol=1e-5)
        ]
        assert len(found) == 1
        seen.add(found[0])
        if found[0][0] == 2:
            assert torch.allclose(moved[:, -2:], torch.tensor(0.5), atol=1e-5)
    assert len(seen) > 10


def test_a_quarter_turn_of_an_oblong_picture_keeps_its_centre() -> None:
    image = torch.rand(1, *SHAPE)
    turned = apply(image, maps(degrees=(90.0,)), None)
    square = image[..., 4:16]
    assert torch.allclose(turned[..., 4:16], square.rot90(1, (2, 3)), atol=1e-4) or torch.allclose(
        turned[..., 4:16], square.rot90(-1, (2, 3)), atol=1e-4
    )


def test_a_scale_enlarges() -> None:
    (matrix,) = maps(scales=(2.0,))
    assert torch.allclose(matrix, torch.tensor([[0.5, 0, 0], [0, 0.5, 0]]))


def test_crops_lie_inside_of_the_picture_and_noise_within_its_bounds() -> None:
    crops, noise = draw(BUILT_IN["maco"], SHAPE, Generator().manual_seed(3))
    assert crops is not None
    assert noise is not None
    assert crops.shape == (6, 2, 3)
    assert bool((crops[:, :, 2].abs() + crops[:, [0, 1], [0, 1]] <= 1 + 1e-6).all())
    assert noise.shape == (6, *SHAPE)
    assert 0.09 < float(noise.abs().max()) <= 0.1
    assert apply(torch.rand(2, *SHAPE), torch.cat([crops, crops]), None).shape == (12, *SHAPE)


def test_the_same_generator_draws_the_same() -> None:
    recipe = BUILT_IN["distill"]
    one, other = (draw(recipe, SHAPE, Generator().manual_seed(7))[0] for _ in range(2))
    different = draw(recipe, SHAPE, Generator().manual_seed(8))[0]
    assert one is not None
    assert other is not None
    assert torch.equal(one, other)
    assert different is not None
    assert not torch.equal(one, different)
    assert math.isclose(float(one[0, 0, 0] / one[0, 1, 1]), 1, rel_tol=1e-5)

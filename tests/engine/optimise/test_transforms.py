"""What a step sees: whole-pixel shifts are exact, crops and turns lie where they should, draws repeat."""

from __future__ import annotations

import math
from typing import Any

import pytest
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


@pytest.mark.parametrize("first", [True, False])
def test_the_first_shift_is_before_scaling_and_turning_and_the_second_after(first: bool) -> None:
    """In pixels from the centre, picture = A (view + second shift) + first shift; A turns by 30 degrees and shrinks."""
    _, height, width = SHAPE
    to_pixels = torch.diag(torch.tensor([width / 2, height / 2]))
    turn = math.radians(30)
    turning = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) / 1.25
    seen = set()
    for seed in range(20):
        shifts = {"jitter": 6} if first else {"second_jitter": 6}
        (matrix,) = maps(seed, scales=(1.25,), degrees=(30.0,), **shifts)
        linear = to_pixels @ matrix[:, :2] @ to_pixels.inverse()
        assert torch.allclose(linear, turning, atol=1e-5)
        shift = to_pixels @ matrix[:, 2]
        shift = shift if first else linear.inverse() @ shift
        assert torch.allclose(shift, shift.round(), atol=1e-4) and float(shift.abs().max()) <= 3.001
        seen.add(tuple(shift.round().tolist()))
    assert len(seen) > 10


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

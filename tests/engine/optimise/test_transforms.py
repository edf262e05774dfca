"""What a step sees: whole-pixel shifts are exact, crops and turns lie where they should, draws repeat."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from tuivis.engine.optimise.recipes import BUILT_IN, Recipe, changed
from tuivis.engine.optimise.transforms import apply, draw, noise, window
from tuivis.engine.optimise.warp import cut, products, spread

SHAPE = (3, 12, 20)
CPU = torch.device("cpu")


def maps(seed: int = 0, **parameters: Any) -> Tensor:
    drawn = draw(Recipe(name="test", **parameters), SHAPE, [Generator().manual_seed(seed)]).maps
    assert drawn is not None
    return drawn


def seen(image: Tensor, seed: int = 0, **parameters: Any) -> Tensor:
    """Return what one step sees of one picture."""
    return apply(Recipe(name="test", **parameters), image, maps(seed, **parameters), None)


def test_a_jitter_shifts_by_whole_pixels_and_shows_gray_outside() -> None:
    image = torch.rand(1, *SHAPE)
    shifts = set()
    for seed in range(30):
        moved = seen(image, seed, jitter=4)[0]
        found = [
            (down, across)
            for down in range(-2, 3)
            for across in range(-2, 3)
            if torch.allclose(moved[:, 3:-3, 3:-3], image[0].roll((-down, -across), (1, 2))[:, 3:-3, 3:-3], atol=1e-5)
        ]
        assert len(found) == 1
        shifts.add(found[0])
        if found[0][0] == 2:
            assert torch.allclose(moved[:, -2:], torch.tensor(0.5), atol=1e-5)
    assert len(shifts) > 10


def test_a_quarter_turn_of_an_oblong_picture_keeps_its_centre() -> None:
    image = torch.rand(1, *SHAPE)
    turned = seen(image, degrees=(90.0,))
    square = image[..., 4:16]
    assert torch.allclose(turned[..., 4:16], square.rot90(1, (2, 3)), atol=1e-4) or torch.allclose(
        turned[..., 4:16], square.rot90(-1, (2, 3)), atol=1e-4
    )


def test_a_scale_enlarges() -> None:
    ((matrix,),) = maps(scales=(2.0,))
    assert torch.allclose(matrix, torch.tensor([[0.5, 0, 0], [0, 0.5, 0]]))


@pytest.mark.parametrize("first", [True, False])
def test_the_first_shift_is_before_scaling_and_turning_and_the_second_after(first: bool) -> None:
    """In pixels from the centre, picture = A (view + second shift) + first shift; A turns by 30 degrees and shrinks."""
    _, height, width = SHAPE
    to_pixels = torch.diag(torch.tensor([width / 2, height / 2]))
    turn = math.radians(30)
    turning = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) / 1.25
    found = set()
    for seed in range(20):
        shifts = {"jitter": 6} if first else {"second_jitter": 6}
        ((matrix,),) = maps(seed, scales=(1.25,), degrees=(30.0,), **shifts)
        linear = to_pixels @ matrix[:, :2] @ to_pixels.inverse()
        assert torch.allclose(linear, turning, atol=1e-5)
        shift = to_pixels @ matrix[:, 2]
        shift = shift if first else linear.inverse() @ shift
        assert torch.allclose(shift, shift.round(), atol=1e-4) and float(shift.abs().max()) <= 3.001
        found.add(tuple(shift.round().tolist()))
    assert len(found) > 10


def test_crops_lie_inside_of_the_picture_and_noise_within_its_bounds() -> None:
    recipe = BUILT_IN["maco"]
    drawn = draw(recipe, SHAPE, [Generator().manual_seed(seed) for seed in (3, 4)])
    assert drawn.maps is not None
    assert drawn.seeds is not None
    assert drawn.maps.shape == (2, 6, 2, 3)
    crops = drawn.maps.flatten(0, 1)
    assert bool((crops[:, :, 2].abs() + crops[:, [0, 1], [0, 1]] <= 1 + 1e-6).all())
    added = noise(recipe, SHAPE, drawn.seeds, CPU)
    assert added.shape == (12, *SHAPE)
    assert 0.09 < float(added.abs().max()) <= 0.1
    assert torch.equal(added[6:], noise(recipe, SHAPE, drawn.seeds[1:], CPU))
    assert not torch.equal(added[:6], added[6:])
    assert apply(recipe, torch.rand(2, *SHAPE), drawn.maps, added).shape == (12, *SHAPE)


def test_the_products_that_are_the_same_in_every_run_are_the_interpolation() -> None:
    drawn = draw(BUILT_IN["maco"], SHAPE, [Generator().manual_seed(seed) for seed in (3, 4)]).maps
    assert drawn is not None
    images, crops = torch.rand(12, *SHAPE), drawn.flatten(0, 1)
    torch.testing.assert_close(products(images, crops), cut(images, crops), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "wobble", [{}, {"scales": (1.0,)}, {"scales": (2.5,)}, {"scales": (0.6,)}, {"degrees": (77.0,)}]
)
def test_the_gradient_that_is_the_same_in_every_run_is_that_of_the_interpolation(wobble: dict[str, Any]) -> None:
    recipe = changed(BUILT_IN["distill"], wobble)
    drawn = draw(recipe, SHAPE, [Generator().manual_seed(seed) for seed in range(40)]).maps
    assert drawn is not None
    images, gradient = torch.rand(40, *SHAPE).requires_grad_(), torch.randn(40, *SHAPE)
    (expected,) = torch.autograd.grad(apply(recipe, images, drawn, None), images, gradient)
    torch.testing.assert_close(spread(gradient, drawn[:, 0], window(recipe)), expected, atol=2e-4, rtol=1e-4)


def test_the_same_generator_draws_the_same() -> None:
    recipe = BUILT_IN["distill"]
    drawn = draw(recipe, SHAPE, [Generator().manual_seed(seed) for seed in (7, 8, 7)]).maps
    assert drawn is not None
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.allclose(drawn[:, 0, 0, 0], drawn[:, 0, 1, 1])

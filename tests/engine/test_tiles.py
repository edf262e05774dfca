"""Tiles as levels, against closed forms and against numpy on a real network's activations."""

from __future__ import annotations

from itertools import product
from typing import Any, cast, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.engine.networks import network, photograph
from tuivis.engine.tiles import Maps, Quantised
from tuivis.engine.values import INFINITE, LEVELS, NOT_A_NUMBER, Normalisation, Order, Tiles

NAN, INF = float("nan"), float("inf")
Floats = NDArray[np.float64]


def quantise(
    values: Any,
    normalisation: Normalisation = "layer",
    *,
    order: Order = "index",
    boost: float = 0.0,
    tiles: Tiles | None = None,
) -> Quantised:
    """Levels of `values` (units, h, w), all of them at full size unless `tiles` says otherwise."""
    activation = torch.as_tensor(values)
    whole = Tiles(0, *activation.shape)
    return Maps(activation).levels(tiles or whole, order, normalisation, boost)


@pytest.fixture(scope="module")
def real() -> dict[str, Tensor]:
    """Activations of EfficientNet-Lite0 on a photograph: after a ReLU6 (28 x 28), and a block's signed output."""
    model = cast(Any, network("efficientnet_lite0").model)
    batch = photograph("astronaut.png", 224, 224)
    kept: dict[str, Tensor] = {}
    handles = [
        model._blocks[number].register_forward_hook(lambda _m, _i, out, name=name: kept.update({name: out[0].clone()}))
        for number, name in ((4, "28x28"), (10, "14x14"))
    ]
    with torch.no_grad():
        model(batch)
    for handle in handles:
        handle.remove()
    return kept


# What the levels should be, in numpy and float64.


def averaged(values: Floats, height: int, width: int) -> Floats:
    """Each output pixel is the mean of the input pixels that its area touches."""
    _, h, w = values.shape
    height, width = min(height, h), min(width, w)
    out = np.empty((len(values), height, width))
    for row in range(height):
        for column in range(width):
            top, bottom = row * h // height, -(-(row + 1) * h // height)
            left, right = column * w // width, -(-(column + 1) * w // width)
            out[:, row, column] = values[:, top:bottom, left:right].mean((1, 2))
    return out


def expected(values: Floats, tiles: Tiles, order: Order, normalisation: Normalisation, boost: float) -> Floats:
    """The exact, unrounded levels."""
    peaks = values.max((1, 2))
    units = np.lexsort((np.arange(len(peaks)), -peaks)) if order == "strength" else np.arange(len(peaks))
    if boost:
        values = values * np.where(peaks > 1e-6 * peaks.max(), np.abs(peaks) ** -boost, 1)[:, None, None]
    low, high = values.min(), values.max()
    if normalisation == "unit":
        low, high = values.min((1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    if normalisation == "diverging":
        high = np.abs(values).max()
        low = -high
    levels: Floats = (averaged(values, tiles.height, tiles.width) - low) / (high - low) * (LEVELS - 1)
    return levels[units][tiles.first : tiles.first + tiles.count]


PAGES = [("28x28", Tiles(7, 20, 9, 14)), ("14x14", Tiles(0, 112, 14, 14)), ("14x14", Tiles(90, 40, 5, 99))]


@pytest.mark.parametrize(("layer", "tiles"), PAGES)
@pytest.mark.parametrize("how", list(product(get_args(Order), get_args(Normalisation), [0.0, 0.5, 1.0])))
def test_real_activations(
    real: dict[str, Tensor], layer: str, tiles: Tiles, how: tuple[Order, Normalisation, float]
) -> None:
    exact = expected(real[layer].numpy().astype(np.float64), tiles, *how)
    found = Maps(real[layer]).levels(tiles, *how)
    assert found.levels.dtype == np.uint8
    assert found.levels.shape == exact.shape
    assert np.abs(found.levels - exact).max() < 0.5 + 1e-3
    assert (found.nans, found.infinities) == (0, 0)


def test_questions_to_the_same_maps_do_not_disturb_each_other(real: dict[str, Tensor]) -> None:
    maps = Maps(real["28x28"])
    before = maps.values.clone()
    questions: list[tuple[Tiles, Order, Normalisation, float]] = [
        (Tiles(0, 40, 28, 28), "index", "layer", 0.0),
        (Tiles(0, 40, 7, 7), "strength", "unit", 0.8),
        (Tiles(3, 5, 28, 10), "index", "diverging", 0.0),
        (Tiles(0, 40, 7, 7), "index", "layer", 0.3),
    ]
    for question in [*questions, *reversed(questions)]:
        fresh = Maps(real["28x28"]).levels(*question)
        found = maps.levels(*question)
        np.testing.assert_array_equal(found.levels, fresh.levels)
        assert (found.low, found.high) == (fresh.low, fresh.high)
    assert torch.equal(maps.values, before)


def test_one_scale_for_the_whole_layer_lets_units_compare() -> None:
    found = quantise([[[0.0, 1.0]], [[2.0, 5.0]]])
    np.testing.assert_array_equal(found.levels, [[[0, 50]], [[100, 250]]])
    assert (found.low, found.high) == (0, 5)


def test_the_scale_is_that_of_units_off_the_page_too() -> None:
    found = quantise([[[0.0]], [[10.0]], [[5.0]]], tiles=Tiles(2, 1, 1, 1))
    assert (found.levels.item(), found.low, found.high) == (125, 0, 10)


def test_each_unit_by_itself_still_tells_the_range_of_the_layer() -> None:
    found = quantise([[[0.0, 1.0]], [[-2.0, 5.0]]], "unit")
    np.testing.assert_array_equal(found.levels, [[[0, 250]], [[0, 250]]])
    assert (found.low, found.high) == (-2, 5)


def test_diverging_puts_zero_in_the_middle_whatever_the_range() -> None:
    found = quantise([[[-1.0, 0.0, 1.0]], [[3.0, -3.0, -7.0]]], "diverging")
    assert found.levels[0, 0, 1] == (LEVELS - 1) // 2
    assert found.levels[1, 0, 2] == 0
    assert int(found.levels[1, 0, 0]) + int(found.levels[1, 0, 1]) == LEVELS - 1
    assert (found.low, found.high) == (-7, 7)


@pytest.mark.parametrize(("normalisation", "level"), [("layer", 0), ("unit", 0), ("diverging", 250)])
@pytest.mark.parametrize("value", [3.0, 1e30])
def test_a_constant_layer_has_one_level(normalisation: Normalisation, level: int, value: float) -> None:
    assert (quantise(torch.full((3, 4, 5), value), normalisation).levels == level).all()


@pytest.mark.parametrize(("normalisation", "level"), [("layer", 0), ("unit", 0), ("diverging", 125)])
@pytest.mark.parametrize("values", [torch.zeros(2, 3, 3), torch.tensor([[[0.0, 1e-42]]])])
def test_a_layer_without_magnitude_has_one_level(normalisation: Normalisation, level: int, values: Tensor) -> None:
    assert (quantise(values, normalisation).levels == level).all()


def test_boost_at_one_gives_every_unit_the_same_maximum() -> None:
    found = quantise([[[0.0, 8.0]], [[0.0, 2.0]]], boost=1.0)
    np.testing.assert_array_equal(found.levels, [[[0, 250]], [[0, 250]]])
    assert (found.low, found.high) == (0, 1)


def test_boost_leaves_units_that_are_never_positive_or_next_to_nothing() -> None:
    found = quantise([[[0.0, 4.0]], [[-1.0, 0.0]], [[0.0, 1e-9]]], boost=0.5)
    np.testing.assert_array_equal(found.levels, [[[83, 250]], [[0, 83]], [[83, 83]]])
    assert (found.low, found.high) == (-1, 2)


def test_strength_goes_by_maximum_ties_by_index_and_nan_last() -> None:
    values = [[[NAN, NAN]], [[1.0, 5.0]], [[7.0, 0.0]], [[NAN, 6.0]], [[5.0, 5.0]], [[-INF, -INF]], [[INF, 0.0]]]
    order = Maps(torch.tensor(values)).order("strength")
    assert order.dtype == np.int32
    assert order.tolist() == [6, 2, 3, 1, 4, 5, 0]
    assert Maps(torch.tensor(values)).order("index").tolist() == list(range(7))


def test_many_equal_units_stay_in_order() -> None:
    values = torch.zeros(500, 1, 1)
    values[::7] = 1
    order = Maps(values).order("strength").tolist()
    assert order == [*range(0, 500, 7), *(unit for unit in range(500) if unit % 7)]


def test_a_page_is_slots_of_the_order_and_ends_with_the_layer() -> None:
    values = torch.tensor([0.0, 4.0, 1.0, 3.0, 2.0])[:, None, None] / 4 * 250
    assert quantise(values, order="strength", tiles=Tiles(1, 3, 1, 1)).levels.flatten().tolist() == [188, 125, 62]
    assert quantise(values, tiles=Tiles(3, 9, 1, 1)).levels.flatten().tolist() == [188, 125]
    assert quantise(values, tiles=Tiles(5, 9, 1, 1)).levels.shape == (0, 1, 1)


def test_tiles_are_never_larger_than_the_map_and_each_axis_is_by_itself() -> None:
    values = np.arange(24.0).reshape(1, 4, 6)
    assert quantise(values, tiles=Tiles(0, 1, 50, 3)).levels.shape == (1, 4, 3)
    assert quantise(values, tiles=Tiles(0, 1, 2, 50)).levels.shape == (1, 2, 6)


def test_what_is_not_finite_has_levels_of_its_own_and_is_counted_over_the_layer() -> None:
    values = [[[NAN, 1.0, INF]], [[-INF, 0.0, 2.0]], [[NAN, NAN, NAN]]]
    found = quantise(values, tiles=Tiles(0, 2, 1, 3))
    np.testing.assert_array_equal(found.levels, [[[NOT_A_NUMBER, 125, INFINITE]], [[INFINITE, 0, 250]]])
    assert (found.nans, found.infinities) == (4, 2)
    assert (found.low, found.high) == (0, 2)


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
@pytest.mark.parametrize("value", [NAN, INF])
def test_a_layer_without_a_finite_value(normalisation: Normalisation, value: float) -> None:
    found = quantise(torch.full((2, 3, 3), value), normalisation, boost=0.5, tiles=Tiles(0, 2, 2, 2))
    assert (found.levels == (NOT_A_NUMBER if np.isnan(value) else INFINITE)).all()
    assert (found.low, found.high) == (0, 0)


def test_a_pixel_takes_the_worst_of_its_area() -> None:
    values = torch.zeros(2, 4, 4)
    values[0, 0, 0], values[0, 1, 1], values[0, 3, 0], values[0, 3, 3] = NAN, INF, -INF, 1.0
    found = quantise(values, tiles=Tiles(0, 2, 2, 2))
    np.testing.assert_array_equal(found.levels, [[[NOT_A_NUMBER, 0], [INFINITE, 62]], [[0, 0], [0, 0]]])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_computed_in_float32(dtype: torch.dtype) -> None:
    values = torch.tensor([[[0.0, 1.0, 2.0, 4.0]]], dtype=dtype)
    np.testing.assert_array_equal(quantise(values).levels, [[[0, 62, 125, 250]]])


def test_large_sums_of_half_floats_do_not_overflow() -> None:
    values = torch.full((1, 8, 8), 60000.0, dtype=torch.float16)
    values[0, :, 4:] = 0
    np.testing.assert_array_equal(quantise(values, tiles=Tiles(0, 1, 1, 2)).levels, [[[250, 0]]])

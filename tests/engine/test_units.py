"""A unit in numbers, on maps whose numbers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tuivis.engine.tiles import Maps
from tuivis.engine.units import describe
from tuivis.engine.values import INFINITE, NOT_A_NUMBER
from tuivis.errors import UserError

NAN, INF = float("nan"), float("inf")


def test_a_unit_in_numbers() -> None:
    maps = Maps(torch.tensor([[[9.0, 9.0, 9.0]] * 2, [[-1.0, 0.0, 0.25], [1.0, 4.0, 4.0]], [[0.0] * 3] * 2]))
    unit = describe(maps, 1)
    assert unit.maximum == 4
    assert unit.at == (1, 1)
    assert unit.mean == pytest.approx(8.25 / 6)
    assert unit.active == pytest.approx(4 / 6)
    assert unit.rank == 2
    np.testing.assert_array_equal(unit.levels, np.array([[0, 50, 62], [100, 250, 250]], np.uint8))
    assert isinstance(unit.at[0], int)


def test_ranks_count_from_one_and_ties_go_by_index() -> None:
    maps = Maps(torch.tensor([1.0, 3.0, 3.0, 2.0])[:, None, None])
    assert [describe(maps, unit).rank for unit in range(4)] == [4, 1, 2, 3]


def test_what_is_not_finite_is_told_and_does_not_spoil_the_rest() -> None:
    maps = Maps(torch.tensor([[[NAN, 1.0], [3.0, -1.0]], [[NAN, -INF], [INF, 2.0]], [[NAN, NAN], [NAN, NAN]]]))
    some, infinite, nothing = (describe(maps, unit) for unit in range(3))
    assert (some.maximum, some.at, some.mean, some.active, some.rank) == (3, (1, 0), 1, 0.5, 2)
    np.testing.assert_array_equal(some.levels, [[NOT_A_NUMBER, 125], [250, 0]])
    assert (infinite.maximum, infinite.at, infinite.mean, infinite.rank) == (INF, (1, 0), 2, 1)
    np.testing.assert_array_equal(infinite.levels, [[NOT_A_NUMBER, INFINITE], [INFINITE, 0]])
    assert math.isnan(nothing.maximum)
    assert math.isnan(nothing.mean)
    assert (nothing.at, nothing.active, nothing.rank) == ((0, 0), 0, 3)
    assert (nothing.levels == NOT_A_NUMBER).all()


def test_the_lowest_of_values_is_not_confused_with_a_nan() -> None:
    assert describe(Maps(torch.tensor([[[NAN, -INF]]])), 0).at == (0, 1)


@pytest.mark.parametrize("unit", [-1, 2])
def test_a_unit_that_is_not_there_is_refused(unit: int) -> None:
    with pytest.raises(UserError, match=rf"no unit {unit} in this layer: choose one from 0 to 1"):
        describe(Maps(torch.zeros(2, 1, 1)), unit)

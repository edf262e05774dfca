"""Objectives by hand: values, where they are highest, and ranks, upwards and downwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tuivis.engine.optimise.objectives import Objectives

MAPS = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]], [[5.0, -5.0], [0.0, 0.0]], [[4.0, 4.0], [4.0, 4.0]]]])
"""One picture, three units, 2 x 2 positions: maxima 3, 5, 4; means 1.5, 0, 4."""


def weights(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float32)


@pytest.mark.parametrize(
    ("of", "at", "sign", "value", "highest", "rank"),
    [
        ((1, 0, 0), (1, 0), 1, 2.0, 3.0, 3),
        ((1, 0, 0), None, 1, 1.5, 1.5, 2),
        ((0, 1, 0), (0, 0), 1, 5.0, 5.0, 1),
        ((0, 1, 0), (0, 1), -1, -5.0, -5.0, 1),
        ((1, 0, 0), (0, 1), -1, 1.0, 0.0, 2),
        ((0, 0, 1), None, -1, 4.0, 4.0, 3),
        ((1, 1, 0), (1, 0), 1, 2.0, 5.0, 1),
        ((1, 1, 0), None, 1, 1.5, 1.5, 2),
        ((0.6, -0.8, 0), (0, 1), 1, 4.6, 4.6, 0),
        ((0.6, -0.8, 0), None, 1, 0.9, 0.9, 0),
    ],
)
def test_a_value_its_peak_and_the_rank(
    of: tuple[float, ...], at: tuple[int, int] | None, sign: int, value: float, highest: float, rank: int
) -> None:
    objective = Objectives(weights(*of), at, sign)
    assert float(objective(MAPS)) == pytest.approx(value)
    assert float(objective.anywhere(MAPS)) == pytest.approx(highest)
    assert int(objective.rank(MAPS)) == rank


def test_the_softmax_is_over_the_units_of_the_position() -> None:
    objective = Objectives(weights(0, 0, 1), (1, 1), softmax=True)
    expected = torch.tensor([3.0, 0.0, 4.0]).softmax(0)[2]
    assert float(objective(MAPS)) == pytest.approx(float(expected))


def test_a_unit_that_is_no_number_spoils_only_itself() -> None:
    spoilt = MAPS.clone()
    spoilt[:, 1] = torch.nan
    both = Objectives(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), (1, 0))
    values, peaks = both(spoilt.repeat(2, 1, 1, 1)), both.anywhere(spoilt.repeat(2, 1, 1, 1))
    assert values.isnan().tolist() == peaks.isnan().tolist() == [False, True]
    assert (float(values[0]), float(peaks[0])) == (2.0, 3.0)

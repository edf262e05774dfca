"""Learning rates against their formulas, Adam and NAdam against torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tuivis.engine.optimise.policies import Ascent, rates
from tuivis.engine.optimise.recipes import Recipe


def rate(squared_norm: float, value: float, scale: float = 1.0, **parameters: Any) -> float:
    recipe = Recipe(name="test", **parameters)
    return float(rates(recipe, torch.tensor([squared_norm]), torch.tensor([value]), scale))


def test_constant_is_the_rate() -> None:
    assert rate(123.0, 4.0, rate=100.0) == 100


def test_progress_raises_the_objective_by_what_is_desired() -> None:
    assert rate(0.5, 9.0, policy="progress", desired=2.0) == pytest.approx(4.0)
    assert rate(0.5, 9.0, policy="progress", desired=2.0, max_rate=3.0) == 3
    assert rate(0.5, 9.0, scale=1.5, policy="progress", desired=2.0, relative=True) == pytest.approx(6.0)


def test_progress01_slows_down_towards_one() -> None:
    parameters: dict[str, Any] = {"policy": "progress01", "early_progress": 0.1, "late_progress": 0.5}
    assert rate(0.5, 0.2, **parameters) == pytest.approx(0.1 / 0.5)
    assert rate(0.5, 0.9, **parameters) == pytest.approx(0.5 * 0.1 / 0.5)


@pytest.mark.parametrize(
    ("kind", "optimiser"), [("adam", torch.optim.Adam), ("nadam", torch.optim.NAdam), ("gradient", torch.optim.SGD)]
)
def test_ascents_are_torchs(kind: str, optimiser: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    goal = torch.randn(2, 3, 4, generator=generator)
    ours = torch.zeros(2, 3, 4)
    theirs = torch.zeros(2, 3, 4, requires_grad=True)
    torchs = optimiser([theirs], lr=0.1, maximize=True)
    ascent = Ascent.start(kind, ours)
    for _ in range(20):
        ours = ours + ascent.step(-2 * (ours - goal), torch.full((2,), 0.1))
        torchs.zero_grad()
        torch.autograd.backward(-(theirs - goal).square().sum())
        torchs.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-5)

"""The figures about what moves, from frames on a simulated clock."""

from __future__ import annotations

import pytest

from tuivis.render.meter import Meter


def played(period: float, count: int, age: float | None = 0.1) -> Meter:
    meter = Meter()
    for number in range(count):
        meter.add(100 + number * period, 1000 * (1 + number % 2), age)
    return meter


@pytest.mark.parametrize("period", [0.01, 0.1, 0.9, 4.0, 30.0])
def test_the_rate_is_told_however_slow_it_is(period: float) -> None:
    figures = played(period, 400).figures(100 + 399 * period + period / 2)
    assert figures is not None
    assert figures.fps == pytest.approx(1 / period)
    assert figures.size == pytest.approx(1500, abs=200)
    assert figures.age == pytest.approx(0.1)


def test_only_the_last_seconds_count() -> None:
    meter = played(0.1, 50, age=9.0)
    for number in range(50):
        meter.add(200 + number * 0.05, 7000, 0.2)
    figures = meter.figures(202.45)
    assert figures is not None
    assert (figures.fps, figures.size, figures.age) == pytest.approx((20, 7000, 0.2))


def test_the_rate_falls_while_no_frame_comes() -> None:
    meter = played(0.1, 20)
    rates = [figures.fps for now in (102, 103, 110, 200) if (figures := meter.figures(now))]
    assert len(rates) == 4
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.03


def test_frames_of_one_instant_have_figures() -> None:
    assert played(0.0, 3).figures(100) is not None


def test_one_frame_has_no_rate_and_none_is_left_when_all_are_forgotten() -> None:
    assert Meter().figures(1) is None
    assert played(0.1, 1).figures(100) is None
    meter = played(0.1, 5)
    meter.clear()
    assert meter.figures(101) is None


def test_an_age_that_nobody_knows_is_left_out() -> None:
    figures = played(0.1, 5, age=None).figures(100.5)
    assert figures is not None
    assert figures.age is None

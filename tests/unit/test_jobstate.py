"""The state of jobs, by tables: what an intent or an event makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tuivis.engine.commands import Optimise
from tuivis.engine.events import Finished, JobEnded, JobPaused, JobStarted, Preview, Stepped
from tuivis.engine.optimise.recipes import BUILT_IN
from tuivis.engine.optimise.results import Quality, Run, Target, Verdict
from tuivis.engine.values import Array
from tuivis.intents import Noted
from tuivis.jobstate import (
    CURVE,
    JobQueued,
    JobSelected,
    JobState,
    JobsToggled,
    Made,
    PicturesFound,
    Status,
    shortened,
    worked,
)
from tuivis.reduce import reduce
from tuivis.state import State
from tuivis.widgets.jobs import clock
from tuivis.widgets.optimised import side_by_side, sparkline

UNITS = (4, 5, 6, 7)
RUNS = tuple(Run("conv", Target(units=(unit,)), "pixel", 0) for unit in UNITS)
QUALITY = Quality(3.0, 1.0, 3.0, 1.0, 1.0, 1, -2.0, -2.0, 0.1, 0.1, 0.0)


def command(job: int, units: tuple[int, ...] = UNITS) -> Optimise:
    return Optimise(job, "conv", tuple(Target(units=(u,)) for u in units), (BUILT_IN["pixel"],), (0,), "/pictures")


def stepped(step: int, runs: tuple[int, ...] = (0, 1), objective: float | None = 1.0, job: int = 1) -> Stepped:
    return Stepped(job, runs, step, 10, (objective,) * len(runs), (0.05,) * len(runs), (0,) * len(runs), 2.0)


def finished(run: int) -> Finished:
    return Finished(1, run, "a.png", "a.json", Verdict.success, 3, 3.0, QUALITY, 0, 1.0)


def made(unit: int, seed: int = 0, value: float = 1.0) -> Made:
    run = Run("conv", Target(units=(unit,)), "pixel", seed)
    return Made(run, "a.png", np.zeros((4, 4, 3), np.uint8), (1.0,), value, 1.0, "majority success", 3, True)


def after(*events: object) -> JobState:
    state = JobState()
    for event in (JobQueued(command(1)), *events):
        state = worked(event, state)
    return state


STARTED = JobStarted(1, RUNS, ("",) * 4, ())


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((), "waiting"),
        ((STARTED,), "working"),
        ((STARTED, stepped(1), JobPaused(1, True)), "paused"),
        ((STARTED, JobPaused(1, True), JobPaused(1, False)), "waiting"),
        ((STARTED, JobPaused(1, True), JobPaused(1, False), stepped(2)), "working"),
        ((STARTED, JobEnded(1, "done")), "done"),
        ((JobEnded(1, "failed", "no"),), "failed"),
        ((JobEnded(2, "failed", "another's"),), "waiting"),
        ((JobEnded(1, "cancelled"), JobQueued(command(1))), "waiting"),
        ((JobQueued(command(1), "unfinished"),), "unfinished"),
    ],
)
def test_a_job_is_where_its_last_event_says(events: tuple[object, ...], status: Status) -> None:
    (job,) = after(*events).jobs
    assert job.status == status


@pytest.mark.parametrize(
    ("events", "share", "seconds"),
    [
        ((STARTED,), 0, 0),
        ((STARTED, stepped(5)), 0.25, 30),  # two of four are half done; ten steps of 2 s for each two
        ((STARTED, stepped(10)), 0.5, 20),
        ((STARTED, stepped(10), finished(0), finished(1)), 0.5, 20),
        ((STARTED, stepped(10), finished(0), finished(1), stepped(5, (2, 3))), 0.75, 10),
        ((JobStarted(1, RUNS, ("",) * 4, (0, 1, 2)), stepped(5, (3,))), 0.875, 10),
        ((STARTED, JobEnded(1, "done")), 1, 0),
    ],
)
def test_a_job_says_how_much_is_done_and_how_long_the_rest_takes(
    events: tuple[object, ...], share: float, seconds: float
) -> None:
    (job,) = after(*events).jobs
    assert job.share == pytest.approx(share)
    if job.status != "done":
        assert job.seconds_left == pytest.approx(seconds)


def test_a_unit_has_the_curve_and_the_preview_of_its_own_run_until_its_picture_is_there() -> None:
    pixels = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    events = (STARTED, stepped(1, objective=1.0), stepped(2, objective=None), stepped(3, objective=2.5))
    state = after(*events, Preview(1, (0, 1), 3, Array.of(pixels)))
    ((_, sample),) = state.at_work(("conv", 5))
    assert sample.curve == (1.0, 2.5) and sample.rate == 0.05
    assert sample.pixels is not None and np.array_equal(sample.pixels, pixels[1])
    assert not state.at_work(("conv", 6)) and not state.at_work(("other", 5))
    state = worked(PicturesFound((made(5),)), state)
    assert not state.at_work(("conv", 5)) and len(state.made["conv", 5]) == 1
    assert not worked(JobEnded(1, "cancelled"), state).at_work(("conv", 4))


def test_the_next_batch_starts_curves_of_its_own_and_long_curves_keep_their_ends() -> None:
    events = [stepped(step, objective=float(step)) for step in range(1, 200)]
    state = after(STARTED, *events)
    ((_, sample),) = state.at_work(("conv", 4))
    assert len(sample.curve) <= CURVE and sample.curve[0] == 1 and sample.curve[-1] >= 190
    assert list(sample.curve) == sorted(sample.curve)
    assert not worked(stepped(1, (2, 3)), state).at_work(("conv", 4))
    assert shortened(tuple(map(float, range(1000))))[0::63] == (0.0, 999.0)


def test_pictures_stand_by_recipe_and_seed_and_a_newer_one_takes_the_place_of_the_same() -> None:
    state = after(PicturesFound((made(4, 2), made(4, 0), made(4, 1))), PicturesFound((made(4, 1, 9.0),)))
    assert [(each.run.seed, each.value) for each in state.made["conv", 4]] == [(0, 1.0), (1, 9.0), (2, 1.0)]


def test_pictures_like_an_input_stand_apart_from_those_of_units() -> None:
    like = Run("conv", Target.like("cat.png"), "pixel", 0)
    samples = after(JobStarted(1, (like, RUNS[1]), ("", ""), ()), stepped(1))
    assert [sample.run for _, sample in samples.at_work(("conv", "cat.png"))] == [like]
    assert [sample.run for _, sample in samples.at_work(("conv", 5))] == [RUNS[1]]
    state = worked(PicturesFound((replace(made(4), run=like), made(5))), samples)
    assert [each.run for each in state.made["conv", "cat.png"]] == [like]
    assert state.has_pictures(("conv", "cat.png")) and not state.has_pictures(("conv", "dog.png"))
    assert not state.at_work(("conv", "cat.png")) and state.units_made("conv") == 1


def test_jobs_are_selected_as_they_come_and_by_steps_that_stay_in_the_list() -> None:
    state = after(JobQueued(command(2)), JobQueued(command(3)))
    assert [job.command.job for job in state.jobs] == [1, 2, 3] and state.selected == 2
    for by, selected in ((1, 2), (-1, 1), (-9, 0)):
        state = worked(JobSelected(by), state)
        assert state.selected == selected
    assert JobState().job is None and worked(JobSelected(1), JobState()).selected == 0


def test_the_list_and_the_patterns_come_and_go() -> None:
    shown = after(JobsToggled("listed"), JobsToggled("patterns"), JobsToggled("patterns"))
    assert shown.listed and not shown.patterns


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (JobEnded(1, "done"), "conv/4 units pixel is done: /pictures"),
        (JobEnded(1, "failed", "the disk is full"), "conv/4 units pixel: the disk is full"),
        (JobEnded(1, "cancelled"), "before"),
        (stepped(1), "before"),
    ],
)
def test_the_status_line_says_how_a_job_ended(event: object, note: str) -> None:
    state = State()
    for each in (JobQueued(command(1)), STARTED, Noted("before"), event):
        state = reduce(state, each)
    assert state.note == note


@pytest.mark.parametrize(
    ("curve", "width", "drawn"),
    [
        ((), 5, ""),
        ((1.0,), 5, "▁"),
        ((0.0, 7.0), 5, "▁█"),
        ((0.0, 1, 2, 3, 4, 5, 6, 7), 8, "▁▂▃▄▅▆▇█"),
        ((0.0, 9, 9, 9, 9, 7), 2, "▁█"),
        ((-3.0, -3.0, -3.0), 3, "▁▁▁"),
    ],
)
def test_a_curve_is_drawn_between_its_lowest_and_its_highest(curve: tuple[float, ...], width: int, drawn: str) -> None:
    assert sparkline(curve, width) == drawn


def test_pictures_stand_in_a_square_with_a_line_between_them() -> None:
    pictures = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(1, 6)]
    grid = side_by_side(pictures, 29, 40)
    assert grid.shape == (17, 26, 3)
    assert [grid[4, x, 0] for x in (4, 13, 22)] == [10, 20, 30]
    assert [grid[13, x, 0] for x in (4, 13, 22)] == [40, 50, 0]
    assert not grid[8].any()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (3600, "1:00:00")])
def test_time_left(seconds: float, text: str) -> None:
    assert clock(seconds) == text

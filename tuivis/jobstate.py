"""Jobs as the explorer knows them: what is asked for, at work and made. Pure, a part of the state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuivis.engine.commands import Optimise
from tuivis.engine.events import Finished, JobEnded, JobPaused, JobStarted, Preview, Stepped
from tuivis.engine.optimise.results import Run, Target
from tuivis.errors import printable

Status = Literal["starting", "waiting", "working", "paused", "done", "cancelled", "failed", "unfinished"]
OPEN: tuple[Status, ...] = ("starting", "waiting", "working", "paused")
"""Of jobs that the engine has."""
CURVE = 64
"""The most points of a curve."""
Place = tuple[str, int | str]
"""A layer and one of its units, or the name of an input whose direction is meant."""


def place_of(run: Run) -> Place:
    """Return what a run makes a picture of."""
    target = run.target
    return run.layer, target.units[0] if len(target.units) == 1 else target.picture or target.title


def pictures_of(command: Optimise) -> int:
    """Return how many pictures a job makes."""
    return len(command.targets) * len(command.recipes) * len(command.seeds)


@dataclass(frozen=True, eq=False)
class Made:
    """A finished picture: `pixels` is (H, W, 3) uint8, `curve` its objective, `value` that of the clean picture.

    `seen` is the maximum, or the mean if that was the objective, of the unit's map for it, as for any input.
    """

    run: Run
    path: str
    pixels: NDArray[np.uint8]
    curve: tuple[float, ...]
    value: float | None
    strongest: float | None
    verdict: str
    majority: int | None
    channel: bool
    """Whether the objective was the mean over the map, in place of one position."""
    robustness: float = 1.0
    """The share of the value that is left under shifts and scales."""
    seen: float | None = None
    ratio: float | None = None
    """The highest value over that of the strongest of the photographs, where both are positive."""
    rank: int = 0
    """The unit's place in its layer, 1 is the strongest."""
    least: bool = False
    """Whether it is what the unit likes least."""

    @property
    def standing(self) -> tuple[bool, float]:
        """What tells better pictures from worse: noise has high values, too, but loses them at the first shift.

        What a unit likes least comes after all that it likes.
        """
        value = -math.inf if self.value is None else -self.value if self.least else self.value
        return not self.least, value * self.robustness if value > 0 else value


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture in the making."""

    run: Run
    curve: tuple[float, ...] = ()
    rate: float | None = None
    pixels: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """A job: its command, and how far it is. A step takes `seconds` for all `members`, indices into `runs`."""

    command: Optimise
    status: Status = "waiting"
    runs: tuple[Run, ...] = ()
    done: frozenset[int] = frozenset()
    members: tuple[int, ...] = ()
    samples: Mapping[int, Sample] = field(default_factory=dict)
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    message: str = ""

    @property
    def total(self) -> int:
        """Pictures to make."""
        return pictures_of(self.command)

    @property
    def title(self) -> str:
        """What is made, and of which layer."""
        return f"{printable(self.command.layer)}/{self.made}"

    @property
    def made(self) -> str:
        """What is made."""
        targets, recipes = self.command.targets, self.command.recipes
        what = printable(targets[0].title) if len(targets) == 1 else f"{len(targets)} units"
        seeds = f" ×{len(self.command.seeds)}" if len(self.command.seeds) > 1 else ""
        return f"{what} {','.join(each.name for each in recipes)}{seeds}"

    @property
    def share(self) -> float:
        """How much is done, in 0 .. 1."""
        return 1 - self._left / self.total if self.status != "done" else 1.0

    @property
    def seconds_left(self) -> float:
        """Seconds until it is done, as far as the steps so far tell."""
        return self._left * self.steps * self.seconds / max(1, len(self.members))

    @property
    def _left(self) -> float:
        """Pictures that are missing, those at work in part."""
        at_work = len([index for index in self.members if index not in self.done])
        return self.total - len(self.done) - (at_work * self.step / self.steps if self.steps else 0)


@dataclass(frozen=True, eq=False)
class JobState:
    """All jobs in the order in which they came, and all pictures of this network."""

    jobs: tuple[Job, ...] = ()
    made: Mapping[Place, tuple[Made, ...]] = field(default_factory=dict)
    selected: int = 0
    listed: bool = False
    """Whether the list of jobs is on screen."""
    patterns: bool = False
    """Whether the mosaic shows pictures in place of activations."""

    @property
    def job(self) -> Job | None:
        """The selected job."""
        return self.jobs[self.selected] if self.jobs else None

    def at_work(self, place: Place) -> tuple[tuple[Job, Sample], ...]:
        """Return the pictures of a place that are in the making, with their jobs."""
        there = {(made.run.recipe, made.run.seed) for made in self.made.get(place, ())}
        found = []
        for job in self.jobs:
            if job.command.layer != place[0] or job.status not in OPEN:
                continue
            found += [
                (job, sample)
                for sample in job.samples.values()
                if place_of(sample.run) == place and (sample.run.recipe, sample.run.seed) not in there
            ]
        return tuple(found)

    def has_pictures(self, place: Place) -> bool:
        """Say whether a place has a picture, or one in the making."""
        return place in self.made or bool(self.at_work(place))

    def units_made(self, layer: str) -> int:
        """Return how many units of a layer have a picture."""
        return sum(name == layer and isinstance(what, int) for name, what in self.made)


@dataclass(frozen=True)
class JobWanted:
    """Make pictures of the selected unit, or of all units of the layer: with each recipe, and so many seeds.

    `least`: of what they like least. `towards`: the name of an input, for more (or less) of what is seen there in place
    of what the unit wants.
    """

    all_units: bool
    recipes: tuple[str, ...]
    seeds: int
    least: bool = False
    towards: str = ""

    def targets(self, unit: int, units: int) -> tuple[Target, ...]:
        """Return what to make pictures of, where `unit` of a layer of `units` is selected."""
        if self.towards:
            return (Target.like(self.towards),)
        return tuple(Target(units=(each,)) for each in (range(units) if self.all_units else (unit,)))


@dataclass(frozen=True)
class JobCommanded:
    """Pause the selected job or let it go on, cancel it, or try again what has ended without being done."""

    what: Literal["pause", "cancel", "retry"]


@dataclass(frozen=True)
class JobSelected:
    """Select the next job of the list, or the one before."""

    by: int


@dataclass(frozen=True)
class JobsToggled:
    """Show or hide the list of jobs, or the pictures in the mosaic."""

    what: Literal["listed", "patterns"]


@dataclass(frozen=True)
class JobQueued:
    """A job was given to a device, with or without others before it, or found unfinished.

    One of the same number takes its place.
    """

    command: Optimise
    status: Status = "waiting"


@dataclass(frozen=True)
class PicturesFound:
    """Pictures are on disk."""

    made: tuple[Made, ...]


def shortened(curve: tuple[float, ...]) -> tuple[float, ...]:
    """Return at most `CURVE` points of a curve, evenly, the last one among them."""
    if len(curve) <= CURVE:
        return curve
    return tuple(curve[round(i)] for i in np.linspace(0, len(curve) - 1, CURVE))


def worked(event: object, state: JobState) -> JobState:
    """Return the state of the jobs after an intent or an event of their engine."""
    if isinstance(event, JobStarted | Stepped | Preview | Finished | JobPaused | JobEnded):
        jobs = tuple(_told(event, job) if job.command.job == event.job else job for job in state.jobs)
        return replace(state, jobs=jobs)
    return _asked(event, state)


def said(event: object, state: JobState) -> str:
    """Return what the status line says about an event, "" for nothing."""
    if isinstance(event, JobQueued) and event.status in OPEN:
        begins = "starts" if event.status == "starting" else "waits for its turn"
        return f"{Job(event.command).title} {begins}: O lists the jobs"
    if not isinstance(event, JobStarted | JobEnded):
        return ""
    job = next((job for job in state.jobs if job.command.job == event.job), None)
    if job is None:
        return ""
    if isinstance(event, JobStarted):
        return f"{job.title} has begun: O lists the jobs"
    if event.how == "failed":
        return f"{job.title}: {event.message}"
    return "" if event.how == "cancelled" else f"{job.title} is done: {printable(job.command.folder)}"


@singledispatch
def _asked(event: object, state: JobState) -> JobState:
    return state


@_asked.register
def _(event: JobsToggled, state: JobState) -> JobState:
    if event.what == "listed":
        return replace(state, listed=not state.listed)
    return replace(state, patterns=not state.patterns)


@_asked.register
def _(event: JobSelected, state: JobState) -> JobState:
    return replace(state, selected=max(0, min(state.selected + event.by, len(state.jobs) - 1)))


@_asked.register
def _(event: JobQueued, state: JobState) -> JobState:
    new = Job(event.command, event.status)
    if any(job.command.job == event.command.job for job in state.jobs):
        return replace(state, jobs=tuple(new if j.command.job == event.command.job else j for j in state.jobs))
    return replace(state, jobs=(*state.jobs, new), selected=len(state.jobs))


@_asked.register
def _(event: PicturesFound, state: JobState) -> JobState:
    made = dict(state.made)
    for each in event.made:
        place = place_of(each.run)
        others = [old for old in made.get(place, ()) if old.run != each.run]
        made[place] = tuple(sorted((*others, each), key=lambda one: (one.run.recipe, one.run.seed)))
    return replace(state, made=made)


@singledispatch
def _told(event: object, job: Job) -> Job:
    return job


@_told.register
def _(event: JobStarted, job: Job) -> Job:
    return replace(job, status="working", runs=event.runs, done=frozenset(event.done), samples={})


@_told.register
def _(event: Stepped, job: Job) -> Job:
    samples = dict(job.samples) if event.runs == job.members else {}
    for index, objective, rate in zip(event.runs, event.objectives, event.rates, strict=True):
        sample = samples.get(index) or Sample(job.runs[index])
        curve = sample.curve if objective is None else (*sample.curve, objective)
        # Every other point goes once there are too many: the curve keeps its shape.
        samples[index] = replace(sample, curve=curve if len(curve) <= CURVE else curve[::2], rate=rate)
    step, steps, seconds = event.step, event.steps, event.seconds
    return replace(job, status="working", members=event.runs, samples=samples, step=step, steps=steps, seconds=seconds)


@_told.register
def _(event: Preview, job: Job) -> Job:
    samples = dict(job.samples)
    for index, pixels in zip(event.runs, event.pixels.numpy(), strict=True):
        samples[index] = replace(samples.get(index) or Sample(job.runs[index]), pixels=pixels)
    return replace(job, samples=samples)


@_told.register
def _(event: Finished, job: Job) -> Job:
    return replace(job, done=job.done | {event.run})


@_told.register
def _(event: JobPaused, job: Job) -> Job:
    return replace(job, status="paused" if event.paused else "waiting")


@_told.register
def _(event: JobEnded, job: Job) -> Job:
    return replace(job, status=event.how, message=event.message, samples={})

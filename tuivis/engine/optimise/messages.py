"""What the UI and the engine say to each other about jobs; `tuivis.engine.protocol` carries it. No torch."""

from __future__ import annotations

from typing import Literal

import msgspec

from tuivis.engine.array import Array
from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.results import Quality, Run, Target, Verdict

# Commands: from the UI to the engine.


class Optimise(msgspec.Struct, frozen=True, tag=True):
    """Make pictures of what the targets want to see; after `Load` and `Open`, whose pictures are the photographs.

    Answered by `JobStarted`, then `Stepped`, `Preview` and `Finished` ..., and in the end by `JobEnded`. Jobs wait for
    each other in the order in which they came. The engine takes other commands between steps.

    Attributes
    ----------
    job
        A number that the UI chooses; what concerns the job carries it.
    targets, recipes, seeds
        Every target is made with every recipe and every seed.
    folder
        Where the files go; made if it is missing.
    existing
        What to do where results are: refuse before the work starts, make them anew, or make only what is missing and
        go on from checkpoints.
    film
        Whether to write an MP4 of each run, too.
    batch
        The most samples that take their steps together; 0 is what suits the device.
    preview
        Pixels of the longer side of a preview; 0 sends none.
    checkpoint_seconds
        How often what was done so far is saved.
    """

    job: int
    layer: str
    targets: tuple[Target, ...]
    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...]
    folder: str
    existing: Literal["refuse", "overwrite", "resume"] = "refuse"
    film: bool = False
    batch: int = 0
    preview: int = 96
    checkpoint_seconds: float = 10.0


class Pause(msgspec.Struct, frozen=True, tag=True):
    """Pause a job after its present step, which is saved. Answered by `JobPaused`; the next job takes its turn."""

    job: int


class Unpause(msgspec.Struct, frozen=True, tag=True):
    """Let a paused job go on. Answered by `JobPaused` (with `paused` false)."""

    job: int


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """End a job; finished pictures stay. Answered by `JobEnded`."""

    job: int


# Events: from the engine to the UI.


class JobStarted(msgspec.Struct, frozen=True, tag=True):
    """A job begins. `runs` are the pictures to make, in order; those in `done` (indices) are there already.

    `labels` are the classes' names of the runs' targets, or empty strings.
    """

    job: int
    runs: tuple[Run, ...]
    labels: tuple[str, ...]
    done: tuple[int, ...]


class Stepped(msgspec.Struct, frozen=True, tag=True):
    """Samples have taken a step: some ten times a second at most, and after the last step of a batch.

    `runs` are indices into those of `JobStarted`; `objectives` (null is NaN), `rates` and `undone` (how many steps were
    undone so far) go with them. `step` of `steps` is done; a step takes `seconds` for all of them together.
    """

    job: int
    runs: tuple[int, ...]
    step: int
    steps: int
    objectives: tuple[float | None, ...]
    rates: tuple[float | None, ...]
    undone: tuple[int, ...]
    seconds: float


class Preview(msgspec.Struct, frozen=True, tag=True):
    """What some samples look like now: `pixels` is (len(runs), h, w, 3) uint8. A newer one replaces an older."""

    job: int
    runs: tuple[int, ...]
    step: int
    pixels: Array


class Finished(msgspec.Struct, frozen=True, tag=True):
    """A picture is on disk: `picture` is its path, `sidecar` that of its record (`results.Result` as JSON).

    `majority` is the first step in which the unit was its layer's strongest; `strongest_photograph` is the index of the
    picture that gives the target most among those at hand, to be shown beside it (its value is `quality.strongest`).
    """

    job: int
    run: int
    picture: str
    sidecar: str
    verdict: Verdict
    majority: int | None
    best: float | None
    quality: Quality
    strongest_photograph: int
    seconds: float


class JobPaused(msgspec.Struct, frozen=True, tag=True):
    """A job was paused, or goes on."""

    job: int
    paused: bool


class JobEnded(msgspec.Struct, frozen=True, tag=True):
    """A job has ended; `message` says why where it failed."""

    job: int
    how: Literal["done", "cancelled", "failed"]
    message: str = ""


JobCommand = Optimise | Pause | Unpause | Cancel
JobEvent = JobStarted | Stepped | Preview | Finished | JobPaused | JobEnded

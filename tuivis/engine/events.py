"""Events: what the engine tells the UI."""

from __future__ import annotations

from typing import Literal

import msgspec

from tuivis.engine.optimise.results import Quality, Run, Verdict
from tuivis.engine.values import (
    Array,
    Backpass,
    Box,
    DeviceInfo,
    LayerInfo,
    Normalisation,
    Prediction,
    Share,
    SourceKind,
    Tiles,
)


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Hello`. `packages` maps package names to versions."""

    version: int
    program: str
    pid: int


class Progress(msgspec.Struct, frozen=True, tag=True):
    """What the engine is busy with; `fraction` in 0 .. 1, or None where it is not known."""

    text: str
    fraction: float | None = None


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is ready. `input_shape` is (C, H, W); `notes` are things that the user should know, a line each."""

    model: str
    weights: str
    random_weights: bool
    device: DeviceInfo
    input_shape: tuple[int, int, int]
    layers: tuple[LayerInfo, ...]
    output: str
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The pictures to choose from, by name, and which of them move. `notes` says what was left out, a line each."""

    pictures: tuple[str, ...]
    notes: tuple[str, ...] = ()
    kinds: tuple[SourceKind, ...] = ()


class Frame(msgspec.Struct, frozen=True, tag=True):
    """A picture went through the network. `pixels` is (H, W, 3) uint8: what the network saw.

    While something is switched off, `before` has the probabilities of the same classes with nothing off, and `top`
    holds the classes that were ahead before, too.

    Of a moving source: `age` is the seconds between the frame's time and this event, `seconds` its place in a video of
    `length` seconds and `rate` frames per second (None where there is none) that has ended `lap` times before,
    `dropped` the frames of the source that were not shown so far.
    """

    generation: int
    picture: int
    pixels: Array
    top: tuple[Prediction, ...]
    forward_ms: float
    device: DeviceInfo
    before: tuple[float, ...] = ()
    age: float = 0.0
    seconds: float | None = None
    length: float | None = None
    rate: float | None = None
    lap: int = 0
    dropped: int = 0


class Shown(msgspec.Struct, frozen=True, tag=True):
    """All that a `Show` asks for has been sent, or given up for a newer command.

    `fresh` says whether a new frame of a moving source went through the network.
    """

    generation: int
    fresh: bool = False


class SourceState(msgspec.Struct, frozen=True, tag=True):
    """One line about a moving source that does not give frames; empty when all is well again.

    `reason` is the part of it that says why, where that is known; `final` tells that none will come for that reason.
    """

    picture: int
    message: str
    reason: str = ""
    final: bool = False


class Mosaic(msgspec.Struct, frozen=True, tag=True):
    """Tiles of one layer, in the slots that `tiles` names.

    `levels` is (count, height, width) uint8. `order` is the whole permutation of the layer's units, (units,) int32.
    `low` and `high` are the values of level 0 and of level LEVELS - 1 (normalisation "unit": those of the whole layer
    all the same). `nans` and `infinities` count values of the whole layer.
    """

    generation: int
    layer: str
    picture: int
    tiles: Tiles
    levels: Array
    order: Array
    normalisation: Normalisation
    low: float
    high: float
    nans: int
    infinities: int


class Unit(msgspec.Struct, frozen=True, tag=True):
    """One unit on one picture.

    `levels` is its map, (h, w) uint8, normalised by itself; `at` is (row, column) of the maximum. `active` is the
    share of positions over zero, in 0 .. 1; `rank` is 1 for the layer's highest maximum.
    """

    generation: int
    layer: str
    picture: int
    unit: int
    levels: Array
    maximum: float
    at: tuple[int, int]
    mean: float
    active: float
    rank: int
    label: str = ""


class Backward(msgspec.Struct, frozen=True, tag=True):
    """A backward pass as a picture of the input's size.

    `pixels` is (H, W, 3) uint8 in colours, or (H, W) uint8 levels that are shown as a map ("norm", "blur") or laid
    over the input ("overlay", Grad-CAM). Where there is nothing to see `pixels` is empty; `reason` says why
    that is, or what is not drawn.
    `target` is the class of Grad-CAM, with its name.
    """

    generation: int
    picture: int
    backpass: Backpass
    pixels: Array
    reason: str = ""
    target: int | None = None
    label: str = ""


class Relations(msgspec.Struct, frozen=True, tag=True):
    """What a unit has to do with the input, with other layers' units and with the classes.

    `field` is the receptive field of the strongest position, `effective` the box of 95 % of its gradient; None where
    the input has no influence. `feeding` are units of the layer `below`, `fed` those of the layer `above`, the most
    influential first, either sign; `up` and `down` the classes that the unit pushes up and down most. `notes` says
    what could not be found out.
    """

    generation: int
    picture: int
    layer: str
    unit: int
    field: Box | None
    effective: Box | None
    below: str
    feeding: tuple[Share, ...]
    above: str
    fed: tuple[Share, ...]
    up: tuple[Share, ...]
    down: tuple[Share, ...]
    notes: tuple[str, ...] = ()


class Ranked(msgspec.Struct, frozen=True, tag=True):
    """A layer's units on one picture, each by three scores, (units,) float64.

    `activation` is the maximum; `gradient` gradient x activation, summed over the map; `ablation` how much the
    class's output falls when the unit is zero.
    """

    layer: str
    picture: int
    target: int
    label: str
    activation: Array
    gradient: Array
    ablation: Array
    note: str = ""


class Activations(msgspec.Struct, frozen=True, tag=True):
    """One layer's raw activations, (units, H, W) float32, and `input`, the (C, H, W) float32 array the network got.

    If a backward pass was asked for: its picture, `input_gradient` (C, H, W) float32 (with Grad-CAM the heat, (1, H,
    W)), and, but with Grad-CAM, the receptive field of the position that it started from, or of the strongest one.
    """

    generation: int
    layer: LayerInfo
    input: Array
    pixels: Array
    activations: Array
    top: tuple[Prediction, ...]
    forward_ms: float
    backward: Backward | None = None
    input_gradient: Array | None = None
    field: Box | None = None


class Devices(msgspec.Struct, frozen=True, tag=True):
    """The devices of the engine's machine and the versions of its packages."""

    devices: tuple[DeviceInfo, ...]
    packages: dict[str, str]


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """A film has so many `frames`, `bytes` and `seconds` now; with a `path` it is whole, and there.

    `dropped` pictures are not in it, since others came before it was time for a frame.
    """

    frames: int
    bytes: int
    seconds: float
    path: str = ""
    dropped: int = 0


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A command failed: one clear line.

    `during` is the command's name; `generation` is that of the `Show` or `Read`, or the number of the job, else 0. A
    backward pass that failed is "Backward", units that could not be ranked are "Order": the rest of the `Show` is
    answered all the same.
    """

    message: str
    during: str
    generation: int = 0


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

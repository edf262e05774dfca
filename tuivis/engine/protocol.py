"""Commands and events: the only thing that the UI and the engine both import.

A message on the wire is a 4-byte little-endian length and that many bytes of msgpack. Arrays travel as raw
bytes inside the message. The first message in each direction is `Hello` and `Welcome`, which carry `VERSION`.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.results import Quality, Run, Target, Verdict

VERSION = 2
"""Raised whenever a message changes: an engine and a UI of different versions refuse each other."""

MAX_MESSAGE = 1 << 30
"""Bytes. A longer length prefix can only be garbage on the stream."""

LEVELS = 251
"""Values of a quantised activation are 0 .. LEVELS - 1; odd, so that zero has a level of its own in the middle."""
INFINITE = 254
"""The level of an infinite activation."""
NOT_A_NUMBER = 255
"""The level of a NaN activation."""

Kind = Literal["map", "vector", "tokens", "unusable"]
Normalisation = Literal["layer", "unit", "diverging"]
Order = Literal["index", "strength"]


class Array(msgspec.Struct, frozen=True):
    """A numpy array on the wire: row-major bytes with their shape and type."""

    shape: tuple[int, ...]
    dtype: str
    data: bytes

    @classmethod
    def of(cls, array: NDArray[Any]) -> Array:
        """Pack `array`."""
        return cls(array.shape, array.dtype.str, np.ascontiguousarray(array).tobytes())

    def numpy(self) -> NDArray[Any]:
        """Return the array, read-only, without a copy."""
        return np.frombuffer(self.data, dtype=np.dtype(self.dtype)).reshape(self.shape)


class LayerInfo(msgspec.Struct, frozen=True):
    """One layer: a module output that has units.

    `name` is the module's name in `model.named_modules()`; `#1` follows for the module's second call in one
    forward pass, and `[key]` for one tensor out of a tuple, dict or dataclass. `height` and `width` are those of a
    unit's map (1 x 1 for a vector). `shape` is the module's output shape as torch gives it. A layer of kind
    "unusable" has no units; `reason` says why. `listed` marks what people look at first: blocks, convolutions, linear
    layers, the output.
    """

    name: str
    module: str
    kind: Kind
    units: int
    height: int
    width: int
    shape: tuple[int, ...]
    listed: bool = True
    reason: str = ""


class DeviceInfo(msgspec.Struct, frozen=True):
    """A device, as torch names it; memory in bytes (for the CPU: used is this process's resident memory)."""

    name: str
    title: str
    memory_used: int
    memory_total: int


class Prediction(msgspec.Struct, frozen=True):
    """One class of the model's output; `probability` in 0 .. 1."""

    index: int
    label: str
    probability: float


# Commands: from the UI to the engine.


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The first message: who is there."""

    version: int
    program: str


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load a model. Answered by `Progress` ... and `Loaded`, or by `Failed`.

    `weights` is None for the model's own default, "DEFAULT", "random" or a path; `device` is None for the best one.
    """

    model: str
    weights: str | None = None
    device: str | None = None
    seed: int = 0


class Open(msgspec.Struct, frozen=True, tag=True):
    """List the pictures of the sources. Answered by `Opened`, or by `Failed`."""

    sources: tuple[str, ...]


class Tiles(msgspec.Struct, frozen=True):
    """Which tiles of the layer on screen: slots `first` ..

    `first + count - 1` of the order, each `height` x `width` values.
    """

    first: int
    count: int
    height: int
    width: int


class Show(msgspec.Struct, frozen=True, tag=True):
    """Everything that the screen shows. The engine does only the work that differs from the previous `Show`.

    Answered by those of `Frame`, `Mosaic` and `Unit` that changed, each with this generation; a newer `Show` replaces
    one that waits.
    `boost` is the exponent b of the individual boost (0 off).
    """

    generation: int
    picture: int
    layer: str
    unit: int
    tiles: Tiles
    order: Order = "index"
    normalisation: Normalisation = "layer"
    boost: float = 0.0

    @property
    def source(self) -> tuple[object, ...]:
        """What a forward pass depends on."""
        return self.picture, self.layer

    @property
    def mosaic(self) -> tuple[object, ...]:
        """What a `Mosaic` depends on."""
        return self.picture, self.layer, self.tiles, self.order, self.normalisation, self.boost

    @property
    def detail(self) -> tuple[object, ...]:
        """What a `Unit` depends on."""
        return self.picture, self.layer, self.unit


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read one layer's raw activations for one picture, for files. Answered by `Activations`, or by `Failed`."""

    generation: int
    picture: int
    layer: str


class ListDevices(msgspec.Struct, frozen=True, tag=True):
    """Answered by `Devices`."""


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
    """The pictures to choose from, by name. `notes` says what was left out, a line each."""

    pictures: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Frame(msgspec.Struct, frozen=True, tag=True):
    """A picture went through the network. `pixels` is (H, W, 3) uint8: what the network saw."""

    generation: int
    picture: int
    pixels: Array
    top: tuple[Prediction, ...]
    forward_ms: float
    device: DeviceInfo


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


class Activations(msgspec.Struct, frozen=True, tag=True):
    """One layer's raw activations, (units, H, W) float32, and `input`, the (C, H, W) float32 array the network got."""

    generation: int
    layer: LayerInfo
    input: Array
    pixels: Array
    activations: Array
    top: tuple[Prediction, ...]
    forward_ms: float


class Devices(msgspec.Struct, frozen=True, tag=True):
    """The devices of the engine's machine and the versions of its packages."""

    devices: tuple[DeviceInfo, ...]
    packages: dict[str, str]


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


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A command failed: one clear line.

    `during` is the command's name, `generation` that of the `Show` or `Read`, or the number of the job, else 0.
    """

    message: str
    during: str
    generation: int = 0


Command = Hello | Load | Open | Show | Read | ListDevices | Optimise | Pause | Unpause | Cancel
JobEvent = JobStarted | Stepped | Preview | Finished | JobPaused | JobEnded
Event = Welcome | Progress | Loaded | Opened | Frame | Mosaic | Unit | Activations | Devices | Failed | JobEvent

_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(Command)
_events = msgspec.msgpack.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """Return `message` with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "little") + body


def decode_command(body: bytes) -> Command:
    """Return the command in `body` (without its length).

    Raises
    ------
    msgspec.DecodeError
        If `body` is no command of this version.
    """
    return cast(Command, _commands.decode(body))


def decode_event(body: bytes) -> Event:
    """Return the event in `body` (without its length).

    Raises
    ------
    msgspec.DecodeError
        If `body` is no event of this version.
    """
    return cast(Event, _events.decode(body))

"""Commands and events: the only thing that the UI and the engine both import.

A message on the wire is a 4-byte little-endian length and that many bytes of msgpack. Arrays travel as raw
bytes inside the message. The first message in each direction is `Hello` and `Welcome`, which carry `VERSION`.
"""

from __future__ import annotations

from typing import Literal, cast

import msgspec

from tuivis.engine.array import Array as Array
from tuivis.engine.optimise.messages import Cancel as Cancel
from tuivis.engine.optimise.messages import Finished as Finished
from tuivis.engine.optimise.messages import JobCommand, JobEvent
from tuivis.engine.optimise.messages import JobEnded as JobEnded
from tuivis.engine.optimise.messages import JobPaused as JobPaused
from tuivis.engine.optimise.messages import JobStarted as JobStarted
from tuivis.engine.optimise.messages import Optimise as Optimise
from tuivis.engine.optimise.messages import Pause as Pause
from tuivis.engine.optimise.messages import Preview as Preview
from tuivis.engine.optimise.messages import Stepped as Stepped
from tuivis.engine.optimise.messages import Unpause as Unpause

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


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A command failed: one clear line.

    `during` is the command's name, `generation` that of the `Show` or `Read`, or the number of the job, else 0.
    """

    message: str
    during: str
    generation: int = 0


Command = Hello | Load | Open | Show | Read | ListDevices | JobCommand
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

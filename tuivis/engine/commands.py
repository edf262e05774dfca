"""Commands: what the UI asks of the engine."""

from __future__ import annotations

from typing import Literal

import msgspec

from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.results import Target
from tuivis.engine.values import Array, Backpass, Normalisation, Off, Order, Tiles


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
    """List the pictures of the sources. Answered by `Opened`, or by `Failed`.

    With `every_frame` a video shows all its frames, in order, as fast as they are asked for.
    """

    sources: tuple[str, ...]
    every_frame: bool = False


class Show(msgspec.Struct, frozen=True, tag=True):
    """Everything that the screen shows. The engine does only the work that differs from the previous `Show`.

    Answered by those of `Frame`, `Mosaic`, `Unit`, `Backward` and `Relations` that changed, each with this generation,
    and in the end by `Shown`; a newer `Show` replaces one that waits.
    Of a moving source a new `moment` asks for a newer frame. `mirror` swaps left and right; `whole` shows all of the
    picture, with bars beside it, in place of the part that the network's preprocessing cuts out.
    `boost` is the exponent b of the individual boost (0 off). `off` is what is switched off. `backward` asks for a
    `Backward`; with `gradients` the mosaic shows that pass's gradients in place of activations. `relations` asks for a
    `Relations`. `target` is the class that the orders "gradient" and "ablation" are about, None for the predicted one.
    """

    generation: int
    picture: int
    layer: str
    unit: int
    tiles: Tiles
    order: Order = "index"
    normalisation: Normalisation = "layer"
    boost: float = 0.0
    off: tuple[Off, ...] = ()
    backward: Backpass | None = None
    gradients: bool = False
    relations: bool = False
    target: int | None = None
    moment: int = 0
    mirror: bool = False
    whole: bool = False

    @property
    def seen(self) -> tuple[object, ...]:
        """What the network's input depends on."""
        return self.picture, self.moment, self.mirror, self.whole

    @property
    def source(self) -> tuple[object, ...]:
        """What a forward pass depends on."""
        return *self.seen, self.layer, self.off

    @property
    def mosaic(self) -> tuple[object, ...]:
        """What a `Mosaic` depends on."""
        backward = self.backward and msgspec.structs.replace(self.backward, view="raw") if self.gradients else None
        target = self.target if self.order in ("gradient", "ablation") else None
        return *self.source, self.tiles, self.order, self.normalisation, self.boost, backward, target

    @property
    def detail(self) -> tuple[object, ...]:
        """What a `Unit` depends on."""
        return *self.source, self.unit

    @property
    def pass_back(self) -> tuple[object, ...]:
        """What a `Backward` depends on."""
        return *self.seen, self.off, self.backward

    @property
    def kin(self) -> tuple[object, ...]:
        """What a `Relations` depends on."""
        return *self.detail, self.relations


class Hold(msgspec.Struct, frozen=True, tag=True):
    """Stop a video's clock, or let it go on. Not answered."""

    picture: int
    held: bool


class Seek(msgspec.Struct, frozen=True, tag=True):
    """Move a video by seconds, or by frames, forwards or (negative) backwards. Not answered."""

    picture: int
    seconds: float = 0.0
    frames: int = 0


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read one layer's raw activations for one picture, for files. Answered by `Activations`, or by `Failed`.

    `backward` asks for a backward pass as well, in its raw values; `off` is what is switched off.
    """

    generation: int
    picture: int
    layer: str
    backward: Backpass | None = None
    off: tuple[Off, ...] = ()


class Rank(msgspec.Struct, frozen=True, tag=True):
    """Rank a layer's units for a class on one picture, None for the predicted one.

    Answered by `Progress` ... and `Ranked`, or by `Failed`.
    """

    picture: int
    layer: str
    target: int | None = None


class Record(msgspec.Struct, frozen=True, tag=True):
    """Begin an MP4 of `width` x `height` pixels, both even, of `rate` frames per second. Answered by `Recorded`.

    Needs no model. The film has its name `path` when it is whole; unless it is to `replace` what has that name then,
    it gets one that nothing has. It ends as if told to when the stream of commands does.
    """

    path: str
    width: int
    height: int
    rate: float
    replace: bool = False


class Append(msgspec.Struct, frozen=True, tag=True):
    """Show a picture, (height, width, 3) uint8, from second `at` of the film on; None: the last one until then.

    Answered by `Recorded`, or by `Failed`: that is the end of the film, and nothing is left of it.
    """

    pixels: Array | None
    at: float


class EndRecording(msgspec.Struct, frozen=True, tag=True):
    """End the film with second `at`. Answered by `Recorded` with its path, or by `Failed`."""

    at: float


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
    sources
        The photographs, where they are others than those of `Open`.
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
    sources: tuple[str, ...] = ()


class Pause(msgspec.Struct, frozen=True, tag=True):
    """Pause a job after its present step, which is saved. Answered by `JobPaused`; the next job takes its turn."""

    job: int


class Unpause(msgspec.Struct, frozen=True, tag=True):
    """Let a paused job go on. Answered by `JobPaused` (with `paused` false)."""

    job: int


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """End a job; finished pictures stay. Answered by `JobEnded`."""

    job: int

"""Intents: what a key, a click, the palette or the App asks the state for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tuivis.engine.commands import Show

Setting = Literal["gamma", "boost", "normalisation", "order", "colours"]


@dataclass(frozen=True)
class Moved:
    """Move the selection by tiles."""

    columns: int
    rows: int


@dataclass(frozen=True)
class UnitChosen:
    """Select a unit by number."""

    unit: int


@dataclass(frozen=True)
class EndChosen:
    """Select the first or the last tile."""

    last: bool


@dataclass(frozen=True)
class LayerChosen:
    """Look at a layer."""

    name: str


@dataclass(frozen=True)
class LayerStepped:
    """Look at the next layer of the list, or at the one before."""

    by: int


@dataclass(frozen=True)
class ClassChosen:
    """Look at a class's unit in the output layer."""

    index: int


@dataclass(frozen=True)
class CameraToggled:
    """Look at the camera, or at what was there before."""


@dataclass(frozen=True)
class PictureStepped:
    """Look at the next picture, or at the one before."""

    by: int


@dataclass(frozen=True)
class Scrolled:
    """Scroll the mosaic by rows of tiles; the selection stays."""

    rows: int


@dataclass(frozen=True)
class Cycled:
    """Give a setting its next value."""

    setting: Setting


@dataclass(frozen=True)
class Toggled:
    """Switch "zoom" or "all_layers"."""

    setting: Literal["zoom", "all_layers"]


@dataclass(frozen=True)
class BackwardCycled:
    """Take the next useful combination of mode and view, the next mode, the next view, or the next start."""

    what: Literal["combination", "mode", "view", "start"]


@dataclass(frozen=True)
class LookToggled:
    """Switch gradients in the mosaic, or the unit's relations, on or off."""

    what: Literal["gradients", "relations"]


@dataclass(frozen=True)
class Frozen:
    """Keep the backward unit while the selection moves, or let it follow again."""


@dataclass(frozen=True)
class PositionPicked:
    """Start the backward pass from one position of the unit's map."""

    row: int
    column: int


@dataclass(frozen=True)
class PositionMoved:
    """Move the position that the backward pass starts from; it begins at the strongest."""

    columns: int
    rows: int


@dataclass(frozen=True)
class ClassTargeted:
    """Ask about a class, None for the predicted one."""

    index: int | None


@dataclass(frozen=True)
class Switched:
    """Switch the unit, or its whole layer, off (zero, or the mean over the photographs) or on again."""

    layer: bool = False
    mean: bool = False


@dataclass(frozen=True)
class SwitchedOn:
    """Put all back that is off."""


@dataclass(frozen=True)
class Visited:
    """Go to one of the unit's relatives: 1 .. 4 feed it, 5 .. 8 are fed by it."""

    number: int


@dataclass(frozen=True)
class Rested:
    """The selection has rested for a moment: there is time for what takes longer."""


@dataclass(frozen=True)
class Defaults:
    """Put every view setting back."""


@dataclass(frozen=True)
class CanvasResized:
    """The mosaic's pane has another size."""

    canvas: tuple[int, int]
    smallest: int


@dataclass(frozen=True)
class Noted:
    """Something to say in the status line."""

    text: str


@dataclass(frozen=True)
class MosaicSent:
    """The terminal was sent a mosaic whose tiles are new, in so many bytes."""

    size: int


@dataclass(frozen=True)
class Sent:
    """A `Show` went to the engine; `before` is the one before it."""

    show: Show
    before: Show | None


@dataclass(frozen=True)
class EngineLost:
    """The engine is gone: how, and where its log is."""

    ending: str
    log: str


@dataclass(frozen=True)
class EngineStarted:
    """A new engine starts."""

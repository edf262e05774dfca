"""What the user asks about causes: backward passes, relations, what is switched off. Pure, a part of the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, Literal

from tuivis.engine.events import Relations, Unit
from tuivis.engine.values import Backpass, BackwardMode, BackwardView, LayerInfo, Off
from tuivis.errors import printable
from tuivis.intents import (
    BackwardCycled,
    ClassTargeted,
    Frozen,
    LookToggled,
    PositionMoved,
    PositionPicked,
    Switched,
    SwitchedOn,
)

COMBINATIONS: tuple[tuple[BackwardMode | None, BackwardView], ...] = (
    (None, "raw"),
    ("gradient", "raw"),
    ("gradient", "norm"),
    ("deconv", "raw"),
    ("guided", "raw"),
    ("gradcam", "overlay"),
)
MODES: tuple[BackwardMode | None, ...] = (None, "gradient", "deconv", "guided", "input", "gradcam")
VIEWS: tuple[BackwardView, ...] = ("raw", "gray", "norm", "blur", "overlay")
NAMES = {"input": "gradient × input", "gradcam": "Grad-CAM", "blur": "blurred norm"}
"""Of modes and views whose names are not their own."""

Start = Literal["map", "strongest"] | tuple[int, int]


@dataclass(frozen=True)
class Look:
    """What the user wants to know. Off, nothing is computed."""

    mode: BackwardMode | None = None
    view: BackwardView = "raw"
    start: Start = "map"
    frozen: tuple[str, int] | None = None
    """The layer and unit that backward passes start from, whatever is selected."""
    gradients: bool = False
    """Whether the mosaic shows gradients."""
    fills: bool = False
    """Whether the backward picture fills the mosaic's pane."""
    relations: bool = False
    target: int | None = None
    """The class of Grad-CAM and of the orders that are about a class; None for the predicted one."""
    off: tuple[Off, ...] = ()

    failed: BackwardMode | None = None
    """The mode that has just failed: the next one comes after it."""

    def defaults(self) -> Look:
        """Return the look without what is a matter of view."""
        return Look(target=self.target, off=self.off)

    def source(self, layer: str, unit: int) -> tuple[str, int]:
        """Return the layer and unit that a backward pass starts from while `unit` of `layer` is selected."""
        return self.frozen or (layer, unit)

    def starts_in(self, layer: str, unit: int) -> bool:
        """Say whether backward passes start from this unit while it is selected, so that its map has their position."""
        return self.source(layer, unit) == (layer, unit)

    def backpass(self, layer: str, unit: int, infos: Sequence[LayerInfo]) -> Backpass | None:
        """Return the backward pass to ask for, or None while it is off."""
        if self.mode is None:
            return None
        if self.mode == "gradcam":
            return Backpass("gradcam", "overlay", layer, 0, "map", self.target)
        layer, unit = self.source(layer, unit)
        info = next((info for info in infos if info.name == layer), None)
        start = self.start
        if isinstance(start, tuple) and (info is None or start[0] >= info.height or start[1] >= info.width):
            start = "map"
        return Backpass(self.mode, self.view, layer, unit, start)

    def describe(self, layer: str, unit: int, infos: Sequence[LayerInfo]) -> str:
        """Return mode, unit and view for the status line; "" while it is off."""
        passed = self.backpass(layer, unit, infos)
        if passed is None:
            return ""
        if passed.mode == "gradcam":
            return "Grad-CAM for " + ("the predicted class" if self.target is None else f"class {self.target}")
        frozen = " (frozen)" if self.frozen else ""
        start = {"map": "", "strongest": " strongest"}.get(str(passed.start), f" at {passed.start}")
        return f"{name(passed.mode)} {printable(passed.layer)}/{passed.unit}{start}{frozen} {name(passed.view)}"

    def gradients_of(self, layer: str, unit: int) -> str:
        """Return what the mosaic shows in place of activations."""
        if self.mode == "gradcam":
            return "gradients of the " + ("predicted class" if self.target is None else f"class {self.target}")
        layer, unit = self.source(layer, unit)
        mode = "" if self.mode in ("gradient", "input", None) else f"{self.mode} "
        return f"{mode}gradients from {printable(layer)}/{unit}"


def name(mode_or_view: str) -> str:
    """Return a mode or a view as people read it."""
    return NAMES.get(mode_or_view, mode_or_view)


@dataclass(frozen=True)
class Selection:
    """What is selected: the layer on screen, the unit, and what is known of it."""

    layer: LayerInfo
    number: int
    unit: Unit | None


@singledispatch
def turned(event: object, look: Look, selected: Selection) -> Look:
    """Return the look after an intent."""
    return look


def _next(values: Sequence[Any], value: Any) -> Any:
    return values[(values.index(value) + 1) % len(values)] if value in values else values[0]


@turned.register
def _(event: BackwardCycled, look: Look, selected: Selection) -> Look:
    if event.what == "combination":
        mode, view = _next(COMBINATIONS, (look.mode, look.view)) if look.mode else COMBINATIONS[1]
        look = replace(look, mode=mode, view=view)
    elif event.what == "mode":
        look = replace(look, mode=_next(MODES, look.mode or look.failed), failed=None)
    elif event.what == "view":
        return replace(look, view=_next(VIEWS, look.view))
    else:
        return replace(look, start=_next(("map", "strongest"), look.start))
    return look if look.mode else replace(look, gradients=False, fills=False)


@turned.register
def _(event: Frozen, look: Look, selected: Selection) -> Look:
    return replace(look, frozen=None if look.frozen else (selected.layer.name, selected.number))


@turned.register
def _(event: LookToggled, look: Look, selected: Selection) -> Look:
    if event.what == "relations":
        return replace(look, relations=not look.relations)
    return replace(look, gradients=not look.gradients, mode=look.mode or "gradient")


@turned.register
def _(event: PositionPicked, look: Look, selected: Selection) -> Look:
    return replace(look, start=(event.row, event.column))


@turned.register
def _(event: PositionMoved, look: Look, selected: Selection) -> Look:
    at = look.start if isinstance(look.start, tuple) else selected.unit.at if selected.unit else (0, 0)
    row = min(max(at[0] + event.rows, 0), selected.layer.height - 1)
    column = min(max(at[1] + event.columns, 0), selected.layer.width - 1)
    return replace(look, start=(row, column))


@turned.register
def _(event: ClassTargeted, look: Look, selected: Selection) -> Look:
    return replace(look, target=event.index)


@turned.register
def _(event: Switched, look: Look, selected: Selection) -> Look:
    which = selected.layer.name, None if event.layer else selected.number
    before = [off for off in look.off if (off.layer, off.unit) == which]
    others = tuple(off for off in look.off if (off.layer, off.unit) != which)
    same = bool(before) and before[0].mean == event.mean
    return replace(look, off=others if same else (*others, Off(*which, event.mean)))


@turned.register
def _(event: SwitchedOn, look: Look, selected: Selection) -> Look:
    return replace(look, off=())


def visited(relations: Relations | None, number: int) -> tuple[str, int] | None:
    """Return the layer and unit that is number 1 .. 4 of the feeding units, or 5 .. 8 of the fed ones."""
    if relations is None:
        return None
    layer, shares = (relations.below, relations.feeding) if number <= 4 else (relations.above, relations.fed)
    index = (number - 1) % 4
    return (layer, shares[index].unit) if index < len(shares) else None

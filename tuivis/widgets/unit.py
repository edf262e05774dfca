"""The unit panel: what the selected unit does on the input at hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import var
from textual.timer import Timer

from tuivis.engine.values import Box
from tuivis.errors import printable
from tuivis.intents import Noted, PositionMoved, PositionPicked
from tuivis.render import colormap
from tuivis.render.mosaic import mark
from tuivis.render.overlay import framed, layered
from tuivis.render.picture import Picture, Rect
from tuivis.state import State
from tuivis.widgets.backward import BackwardPane
from tuivis.widgets.calm import CalmLines
from tuivis.widgets.display import Display
from tuivis.widgets.intent import Intent
from tuivis.widgets.optimised import OptimisedPane
from tuivis.widgets.picture import PicturePane
from tuivis.widgets.relations import Crop, RelationsText

REST = 0.15
"""Seconds that the selection rests before the overlay is drawn: who walks through units waits for no picture."""

LATER = 0.1
"""Seconds from a move of the selection until the pictures come or go."""

COLOURS = 16
"""Entries of the map's palette: 4 bits for a pixel, so that a step through the units takes a third less."""


class UnitMap(PicturePane):
    """The unit's map laid over the input; posts `PositionPicked` and `PositionMoved`.

    It draws the receptive field, the effective field inside it, and the position that the backward pass starts from.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1,0)", "position left", show=False, id="position.left"),
        Binding("right,l", "move(1,0)", "position right", show=False, id="position.right"),
        Binding("up,k", "move(0,-1)", "position up", show=False, id="position.up"),
        Binding("down,j", "move(0,1)", "position down", show=False, id="position.down"),
    ]

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    _timer: Timer | None = None

    def watch_state(self, old: State, new: State) -> None:
        """Draw when the unit or the input is another."""
        view, before = new.view, old.view
        # The map takes keys only where a position means something.
        self.can_focus = new.look.mode is not None
        marks = _marks(old) != _marks(new)
        marks = marks or old.playback.live != new.playback.live
        if marks or old.unit is not new.unit or (view.gamma, view.colours) != (before.gamma, before.colours):
            if self._timer is not None:
                self._timer.stop()
            if new.playback.live:
                self.draw()
            else:
                self._timer = self.set_timer(REST, self.draw)

    def watch_chrome(self) -> None:
        """Draw in the colours of another theme."""
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw at the new size."""
        self.draw()

    def draw(self) -> None:
        """Lay the map over the input and fit both into the pane."""
        unit, frame, view = self.state.unit, self.state.frame, self.state.view
        width, height = self.canvas
        if unit is None or frame is None or not width or not height:
            self.picture = None
            return
        live = self.state.playback.live
        shrink = self._pictures.quality.shrink if live else 1
        picture = framed(frame.pixels.numpy(), width, height, shrink)
        if len(unit.levels.data) > 1:
            palette = colormap.palette(view.colours, COLOURS, view.gamma, colormap.CHROMES[self.chrome])
            picture = layered(picture.pixels, colormap.coarsen(unit.levels.numpy(), COLOURS), palette)
            self._mark(picture, frame.pixels.shape[:2])
        # Of what moves everything changes: the terminal needs no picture without heat to lay another heat over.
        self.picture = Picture(picture.rgb(), scale=shrink, coarse=shrink > 1) if live else picture

    def _mark(self, picture: Picture, seen: tuple[int, ...]) -> None:
        """Draw the boxes and the position into a new picture's heat. `seen` is (height, width) of the input."""
        assert picture.heat is not None and self.state.unit is not None
        position, field, effective = _marks(self.state)
        levels = picture.heat.levels
        for box, colour in ((field, colormap.SELECTED), (effective, colormap.FROZEN)):
            if box is not None:
                inside = (box.top, box.left, box.height, box.width)
                mark(levels, _scaled(inside, seen, levels.shape), _entry(colour))
        if position is not None:
            cell = (*position, 1, 1)
            mark(levels, _scaled(cell, self.state.unit.levels.shape, levels.shape), _entry(colormap.INFINITE))

    def action_move(self, columns: int, rows: int) -> None:
        """Move the position that the backward pass starts from."""
        self._pick(PositionMoved(columns, rows))

    def on_click(self, event: events.Click) -> None:
        """Start the backward pass from the position under the mouse."""
        offset, unit, box = event.get_content_offset(self), self.state.unit, self._box()
        if offset is None or unit is None or box is None or self.state.look.mode is None:
            return
        corner = self.content_region.offset
        x, y = offset.x + corner.x - box.column, offset.y + corner.y - box.row
        height, width = unit.levels.shape
        if 0 <= x < box.columns and 0 <= y < box.rows:
            row, column = (2 * y + 1) * height // (2 * box.rows), (2 * x + 1) * width // (2 * box.columns)
            self._pick(PositionPicked(row, column))

    def _pick(self, wish: PositionMoved | PositionPicked) -> None:
        """Pass the wish on, unless what the backward pass starts from is another unit's map."""
        look, view = self.state.look, self.state.view
        if look.starts_in(view.layer, view.unit):
            self.post_message(Intent(wish))
        else:
            layer, unit = look.source(view.layer, view.unit)
            self.post_message(
                Intent(Noted(f"a position is one of {printable(layer)}/{unit}, which is frozen: go there"))
            )


def _marks(state: State) -> tuple[tuple[int, int] | None, Box | None, Box | None]:
    """Return the position that the backward pass starts from, the receptive field and the effective field."""
    look, unit, found = state.look, state.unit, state.relations
    position: tuple[int, int] | None = None
    starts_here = unit is not None and look.starts_in(unit.layer, unit.unit)
    if unit is not None and starts_here and look.mode not in (None, "gradcam") and look.start != "map":
        position = unit.at if look.start == "strongest" else look.start
        if position[0] >= unit.levels.shape[0] or position[1] >= unit.levels.shape[1]:
            position = None
    if unit is None or found is None or not look.relations:
        return position, None, None
    same = (found.layer, found.unit, found.picture) == (unit.layer, unit.unit, unit.picture)
    return (position, found.field, found.effective) if same else (position, None, None)


def _entry(level: int) -> int:
    """Return the entry of the map's palette for one of the reserved levels."""
    return int(colormap.coarsen(np.array([level], np.uint8), COLOURS)[0])


def _scaled(box: tuple[int, int, int, int], size: tuple[int, ...], target: tuple[int, ...]) -> Rect:
    """Return the box (top, left, height, width) of a picture of `size` in one of size `target`."""
    top, left, height, width = box
    down, across = target[0] / size[0], target[1] / size[1]
    y, x = round(top * down), round(left * across)
    return Rect(x, y, max(2, round((left + width) * across) - x), max(2, round((top + height) * down) - y))


class UnitNumbers(CalmLines):
    """The unit's numbers."""

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw the lines that read differently."""
        same = old.view.unit == new.view.unit and old.view.layer == new.view.layer
        self.follow(new.playback.live and same)

    def lines(self) -> tuple[Text, ...]:
        """Return one line for each number."""
        first, *rest = _numbers(self.state)
        return Text(first, "bold"), *map(Text, rest)


class UnitPanel(Vertical):
    """The selected unit: its map over the input, and its numbers."""

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    def __init__(self, display: Display, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = display
        self._optimised = OptimisedPane(display)
        self._later: Timer | None = None

    def compose(self) -> ComposeResult:
        """Yield the parts."""
        self.border_title = "unit"
        yield UnitMap(self._pictures).data_bind(UnitPanel.state, UnitPanel.chrome)
        yield UnitNumbers().data_bind(UnitPanel.state)
        yield BackwardPane(self._pictures).data_bind(UnitPanel.state, UnitPanel.chrome)
        yield self._optimised
        yield RelationsText().data_bind(UnitPanel.state)
        yield Crop(self._pictures).data_bind(UnitPanel.state)

    def watch_state(self, old: State, new: State) -> None:
        """Make room for what is asked for."""
        self.set_class(new.look.mode is not None, "-backward")
        self.set_class(new.look.relations, "-relations")
        if (old.view.layer, old.view.unit) != (new.view.layer, new.view.unit):
            # Laying out the panel and encoding its pictures takes time: what the key changes in the mosaic goes first.
            if self._later is not None:
                self._later.stop()
            self._later = self.set_timer(LATER, self._show_pictures)
        elif self._later is None:
            self._show_pictures()

    def _show_pictures(self) -> None:
        """Show what the selected unit wants to see, and more of what is seen, if there is a picture of either."""
        self._later = None
        self.set_class(any(map(self.state.jobs.has_pictures, self.state.places)), "-optimised")
        self._optimised.state = self.state


def _numbers(state: State) -> list[str]:
    """Return the lines: the unit, its class name, maximum and its place, mean, share active, rank."""
    unit, layer = state.unit, state.layer
    if unit is None or layer is None or unit.layer != layer.name:
        return ["" if state.trouble else "…"]
    is_map = layer.height * layer.width > 1
    lines = [f"unit {unit.unit}"]
    if unit.label:
        lines.append(printable(unit.label))
    lines.append(f"max {unit.maximum:.4g}" + (f" at {unit.at[0]},{unit.at[1]}" if is_map else ""))
    if is_map:
        lines += [f"mean {unit.mean:.4g}", f"active {unit.active:.0%}"]
    return [*lines, f"rank {unit.rank} of {layer.units}"]

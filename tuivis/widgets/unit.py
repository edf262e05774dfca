"""The unit panel: what the selected unit does on the input at hand."""

from __future__ import annotations

from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Region
from textual.reactive import var
from textual.timer import Timer
from textual.widget import Widget

from tuivis.errors import printable
from tuivis.render import colormap
from tuivis.render.overlay import fit, layered
from tuivis.render.picture import Picture
from tuivis.state import State
from tuivis.widgets.display import Display
from tuivis.widgets.picture import PicturePane

REST = 0.15
"""Seconds that the selection rests before the overlay is drawn: who walks through units waits for no picture."""

COLOURS = 16
"""Entries of the map's palette: 4 bits for a pixel, so that a step through the units takes a third less."""


class UnitMap(PicturePane):
    """The unit's map laid over the input."""

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    _timer: Timer | None = None

    def watch_state(self, old: State, new: State) -> None:
        """Draw when the unit or the input is another."""
        view, before = new.view, old.view
        if old.unit is not new.unit or (view.gamma, view.colours) != (before.gamma, before.colours):
            if self._timer is not None:
                self._timer.stop()
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
            return
        pixels = fit(frame.pixels.numpy(), width, height)
        if len(unit.levels.data) > 1:
            palette = colormap.palette(view.colours, COLOURS, view.gamma, colormap.CHROMES[self.chrome])
            self.picture = layered(pixels, colormap.coarsen(unit.levels.numpy(), COLOURS), palette)
        else:
            self.picture = Picture(pixels)


class UnitNumbers(Widget):
    """The unit's numbers."""

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw the lines that read differently, no further than they reach."""
        lines = zip_longest(_numbers(old), _numbers(new), fillvalue="")
        for row, (before, after) in enumerate(lines):
            if before != after:
                self.refresh(Region(0, row, max(cell_len(before), cell_len(after)), 1))

    def render(self) -> Text:
        """Return one line for each number."""
        first, *rest = _numbers(self.state)
        return Text.assemble((first, "bold"), *(f"\n{line}" for line in rest), no_wrap=True)


class UnitPanel(Vertical):
    """The selected unit: its map over the input, and its numbers."""

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    def __init__(self, display: Display, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = display

    def compose(self) -> ComposeResult:
        """Yield the parts."""
        self.border_title = "unit"
        yield UnitMap(self._pictures).data_bind(UnitPanel.state, UnitPanel.chrome)
        yield UnitNumbers().data_bind(UnitPanel.state)


def _numbers(state: State) -> list[str]:
    """Return the lines: the unit, its class name, maximum and its place, mean, share active, rank."""
    unit, layer = state.unit, state.layer
    if unit is None or layer is None or unit.layer != layer.name:
        return ["…"]
    is_map = layer.height * layer.width > 1
    lines = [f"unit {unit.unit}"]
    if unit.label:
        lines.append(printable(unit.label))
    lines.append(f"max {unit.maximum:.4g}" + (f" at ({unit.at[0]}, {unit.at[1]})" if is_map else ""))
    if is_map:
        lines += [f"mean {unit.mean:.4g}", f"active {unit.active:.0%}"]
    return [*lines, f"rank {unit.rank} of {layer.units}"]

"""The mosaic pane: all units of the layer on screen as one picture, walked with the keys or the mouse."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.reactive import var
from textual.strip import Strip
from textual.timer import Timer

from tuivis.engine.events import Mosaic
from tuivis.errors import printable
from tuivis.intents import CanvasResized, EndChosen, MosaicSent, Moved, Scrolled, UnitChosen
from tuivis.playback import Parted
from tuivis.render import colormap
from tuivis.render.mosaic import Layout, blended, compose, mark
from tuivis.render.picture import Picture
from tuivis.render.quality import Quality
from tuivis.state import State
from tuivis.widgets.backward import backward_picture
from tuivis.widgets.display import Display
from tuivis.widgets.intent import Intent
from tuivis.widgets.patterns import with_patterns
from tuivis.widgets.picture import PicturePane
from tuivis.widgets.status import activity
from tuivis.widgets.turns import FOCUSED

MOVING = 0.5
"""Seconds. Changes that follow each other faster are drawn coarsely: on a slow link the next one comes sooner."""
BEST = Quality(256)
REST = 0.15
"""Seconds without a change after which a coarse picture is refined."""


_ORDERS = {
    "strength": "strongest first",
    "gradient": "by gradient × activation",
    "ablation": "by ablation",
}


class MosaicPane(PicturePane, can_focus=True):
    """Draws `state.mosaic`; posts `Moved`, `UnitChosen`, `EndChosen`, `Scrolled` and `CanvasResized`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"mosaic--waiting"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1,0)", "unit left", show=False, id="unit.left"),
        Binding("right,l", "move(1,0)", "unit right", show=False, id="unit.right"),
        Binding("up,k", "move(0,-1)", "unit up", show=False, id="unit.up"),
        Binding("down,j", "move(0,1)", "unit down", show=False, id="unit.down"),
        Binding("shift+left,H", "move(-3,0)", "three left", show=False, id="unit.left3"),
        Binding("shift+right,L", "move(3,0)", "three right", show=False, id="unit.right3"),
        Binding("shift+up,K", "move(0,-3)", "three up", show=False, id="unit.up3"),
        Binding("shift+down,J", "move(0,3)", "three down", show=False, id="unit.down3"),
        Binding("g,home", "end(False)", "first unit", show=False, id="unit.first"),
        Binding("G,end", "end(True)", "last unit", show=False, id="unit.last"),
    ]

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    def __init__(self, display: Display, *, id: str | None = None) -> None:
        super().__init__(display, id=id)
        self._draft, self._still = (Quality(size) for size in display.palette_sizes)
        self._quality = self._still
        self._changed = 0.0
        self._refine: Timer | None = None

    @property
    def weight(self) -> float:
        """The pane's share of a link that is too slow for all: the mosaic comes first unless another picture does."""
        focused = self.screen.focused
        return 1.0 if isinstance(focused, PicturePane) and focused is not self else FOCUSED

    def on_resize(self, event: events.Resize) -> None:
        """Say how many pixels there are now."""
        self.post_message(Intent(CanvasResized(self.canvas, self._pictures.smallest_tile)))

    def watch_state(self, old: State, new: State) -> None:
        """Draw what changed."""
        self.title(title(new), _subtitle(new))
        blank = self.picture is None
        self._follow(old, new)
        if blank and (self.picture is not None or activity(old) != activity(new)):
            self.refresh(Region(0, self.content_size.height // 2 - 1, self.content_size.width, 3))

    def _follow(self, old: State, new: State) -> None:
        kept = old.mosaic is new.mosaic and old.view == new.view and old.canvas == new.canvas and old.look == new.look
        kept = kept and _patterns(old) == _patterns(new) and old.playback.live == new.playback.live
        if kept and (old.backward is new.backward or not new.look.fills):
            return
        if old.view != new.view:
            self._pictures.turns.hurry(self)
        if _content(old) == _content(new) and old.playback.live == new.playback.live:
            # Only the frame of the selected tile moves: the picture keeps its levels.
            self._draw(self._quality)
            return
        moving, self._changed = monotonic() - self._changed < MOVING, monotonic()
        live, quality = new.playback.live, self._pictures.quality
        if live and quality.parts != new.playback.parts:
            self.post_message(Intent(Parted(quality.parts)))
        self._draw(quality if live else self._draft if moving else self._still)
        if self._refine is not None:
            self._refine.stop()
        if not live:
            self._refine = self.set_timer(REST, lambda: self._draw(self._still))

    def render_line(self, y: int) -> Strip:
        """Return row `y` of the cells: where there is no picture, the reason stands in the three in the middle."""
        width, row = self.content_size.width, y - self.content_size.height // 2 + 1
        if self.picture is not None or row not in range(3) or not width:
            return super().render_line(y)
        text = Text(activity(self.state), overflow="fold")
        lines = ["", *(line.plain for line in text.wrap(self.app.console, width, justify="center"))][-3:]
        ink = self.get_component_rich_style("mosaic--waiting")
        return Strip([Segment(set_cell_size("".join(lines[row : row + 1]), width), ink)], width)

    def report(self, size: int) -> None:
        """Say what the mosaic cost."""
        self.post_message(Intent(MosaicSent(size)))

    def watch_chrome(self) -> None:
        """Draw in the colours of another theme."""
        self._draw(self._quality)

    def _draw(self, quality: Quality) -> None:
        """Compose the mosaic in a quality."""
        state, layout = self.state, self.state.layout
        mosaic = state.mosaic
        if layout is None or mosaic is None:
            self.picture = None
            return
        if not fits(mosaic, state):
            return
        self._quality = quality
        # What goes before the units are on other pages is as large as before the step: it says nothing of it.
        judged = state.playback.live and quality.parts == state.playback.parts
        self.captured = self._pictures.captured if judged else None
        filling = backward_picture(state, self.canvas, self.chrome, quality.shrink) if state.look.fills else None
        self.picture = filling or mosaic_picture(state, mosaic, layout, quality, self.chrome)

    def exported(self) -> Picture | None:
        """Return the mosaic on screen with all its levels, or None if there is none yet."""
        state, layout = self.state, self.state.layout
        if layout is None or state.mosaic is None or not fits(state.mosaic, state):
            return None
        return mosaic_picture(state, state.mosaic, layout, BEST, self.chrome)

    def action_move(self, columns: int, rows: int) -> None:
        """Move the selection."""
        self.post_message(Intent(Moved(columns, rows)))

    def action_end(self, last: bool) -> None:
        """Select the first or the last unit."""
        self.post_message(Intent(EndChosen(last)))

    def on_click(self, event: events.Click) -> None:
        """Select the tile under the mouse."""
        offset = event.get_content_offset(self)
        layout = self.state.layout
        if offset is None or layout is None or self.content_size.area == 0:
            return
        width, height = self.canvas
        x = (2 * offset.x + 1) * width // (2 * self.content_size.width)
        y = (2 * offset.y + 1) * height // (2 * self.content_size.height)
        slot = layout.slot_at(x, y)
        layer = self.state.layer
        if slot is not None and layer is not None and self.state.first + slot < layer.units:
            self.post_message(Intent(UnitChosen(self.state.unit_at(self.state.first + slot))))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the pages."""
        self.post_message(Intent(Scrolled(1)))
        event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the pages."""
        self.post_message(Intent(Scrolled(-1)))
        event.stop()


def mosaic_picture(state: State, mosaic: Mosaic, layout: Layout, quality: Quality, chrome: str) -> Picture:
    """Return the mosaic with its selected and its frozen tile framed."""
    view, size = state.view, quality.colours
    pixels = compose(blended(mosaic.levels.numpy(), quality.coarseness), layout)
    if state.look.frozen and state.look.frozen[0] == view.layer and not view.zoom:
        frozen = state.slot(state.look.frozen[1]) - state.first
        if 0 <= frozen < layout.page:
            mark(pixels, layout.frame(frozen), colormap.FROZEN)
    slot = state.slot(view.unit) - state.first
    if 0 <= slot < layout.page and not view.zoom:
        mark(pixels, layout.frame(slot), colormap.SELECTED)
    name = colormap.DEFAULTS["diverging"] if mosaic.normalisation == "diverging" else view.colours
    palette = colormap.palette(name, size, view.gamma, colormap.CHROMES[chrome])
    picture = Picture(colormap.coarsen(pixels, size), palette, layout.scale, coarse=quality.coarseness > 1)
    return with_patterns(picture, state, layout) if state.jobs.patterns else picture


def _content(state: State) -> tuple[object, ...]:
    """Return what the tiles depend on, the selection aside."""
    view = state.view
    unit = view.unit if view.zoom else 0
    backward = id(state.backward) if state.look.fills else 0
    drawn = _patterns(state)
    return id(state.mosaic), state.canvas, view.zoom, unit, view.gamma, view.colours, state.look.fills, backward, drawn


def _patterns(state: State) -> int:
    """Return what tells the pictures in the mosaic apart, 0 while it shows activations."""
    return id(state.jobs.made) if state.jobs.patterns else 0


def fits(mosaic: Mosaic, state: State) -> bool:
    """Say whether the newest answer is one for the layout on screen; if not, the right one is on its way."""
    return mosaic.layer == state.view.layer and mosaic.tiles == state.tiles


def title(state: State) -> str:
    """Say what the mosaic shows, safe on a terminal."""
    layer, view, look = state.layer, state.view, state.look
    if layer is None:
        return "units"
    if look.fills:
        return look.describe(view.layer, view.unit, state.layers)
    units = f"unit {view.unit} of {layer.units}" if view.zoom else f"{layer.units} units"
    parts = [printable(layer.name), units]
    if layer.height * layer.width > 1:
        parts.append(f"{layer.height}×{layer.width}")
    if state.jobs.patterns:
        there = state.jobs.units_made(layer.name)
        # It says why the mosaic is dark: before what a narrow pane cuts off.
        parts.insert(1, f"{there} {'picture' if there == 1 else 'pictures'}" if there else "no pictures: press P")
    elif look.gradients:
        parts.append(look.gradients_of(view.layer, view.unit))
    else:
        parts.append({"layer": "per layer", "unit": "per unit", "diverging": "around zero"}[view.normalisation])
    if view.order == "ablation" and state.playback.live:
        parts.append(f"{_ORDERS['gradient']}, when paused {_ORDERS['ablation']}")
    elif view.order != "index":
        parts.append(_ORDERS[view.order])
    if view.gamma != 1:
        parts.append(f"gamma {view.gamma}")
    if view.boost:
        parts.append(f"boost {view.boost}")
    return " · ".join(parts)


def _subtitle(state: State) -> str:
    layer, layout = state.layer, state.layout
    if layer is None or layout is None or layout.units <= layout.page:
        return ""
    last = min(state.first + layout.page, layer.units)
    why = " (the link is slow)" if state.parts > 1 else ""
    return f"tiles {state.first} to {last - 1} of {layer.units}{why}: scroll for more"

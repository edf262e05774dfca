"""The explore screen: layers, mosaic, input, predictions, unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import var
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from tuivis.errors import printable
from tuivis.intents import (
    BackwardCycled,
    CameraToggled,
    Cycled,
    Defaults,
    Frozen,
    LayerStepped,
    LookToggled,
    PictureStepped,
    Rested,
    Switched,
    SwitchedOn,
    Toggled,
    Visited,
)
from tuivis.jobstate import JobsToggled, JobWanted
from tuivis.playback import FrameStepped, Sought, Turned
from tuivis.recording import RecordingToggled
from tuivis.screens.recipes import Choice, RecipeForm
from tuivis.state import State
from tuivis.widgets.display import Display
from tuivis.widgets.input import InputPane
from tuivis.widgets.intent import Intent
from tuivis.widgets.jobs import JobsPane
from tuivis.widgets.layers import LayerTree
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.off import OffList
from tuivis.widgets.picture import PicturePane
from tuivis.widgets.predictions import Predictions
from tuivis.widgets.status import StatusLine
from tuivis.widgets.unit import UnitPanel

SMALLEST = (80, 24)
"""Cells. Below this the panes would show nothing that can be read."""


REST = 0.3
"""Seconds that the selection rests before the unit's relations are asked for."""

_INTENTS: dict[str, Callable[..., object]] = {
    "layer": LayerStepped,
    "picture": PictureStepped,
    "toggle": Toggled,
    "cycle": Cycled,
    "defaults": Defaults,
    "backward": BackwardCycled,
    "freeze": Frozen,
    "look": LookToggled,
    "visit": Visited,
    "off": Switched,
    "on": SwitchedOn,
    "jobs": JobsToggled,
    "turn": Turned,
    "step": FrameStepped,
    "seek": Sought,
    "camera": CameraToggled,
    "record": RecordingToggled,
}


class ExploreScreen(Screen[None]):
    """Gives every widget the state; turns keys into intents."""

    AUTO_FOCUS = "MosaicPane"
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (100, "-middle"), (160, "-wide")]
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-low"), (32, "-high"), (50, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u,pageup", "intend('layer', -1)", "previous layer", id="layer.previous"),
        Binding("o,pagedown", "intend('layer', 1)", "next layer", id="layer.next"),
        Binding("A", "intend('toggle', 'all_layers')", "list all layers, or what people look at", id="layer.all"),
        Binding("tab", "app.focus_next", "next pane", id="pane.next"),
        Binding("shift+tab", "app.focus_previous", "pane before", id="pane.previous"),
        Binding("w", "intend('picture', -1)", "previous picture", id="picture.previous"),
        Binding("e", "intend('picture', 1)", "next picture", id="picture.next"),
        Binding("space", "intend('turn', 'paused')", "pause, play; of pictures a slide show", id="play.pause"),
        Binding("full_stop", "intend('step', 1)", "next frame", id="play.next"),
        Binding("comma", "intend('step', -1)", "frame before", id="play.previous"),
        Binding("greater_than_sign", "intend('seek', 5)", "5 seconds on", id="play.forward"),
        Binding("less_than_sign", "intend('seek', -5)", "5 seconds back", id="play.back"),
        Binding("f", "intend('turn', 'frozen')", "freeze the picture, the source goes on", id="play.freeze"),
        Binding("c", "intend('camera', None)", "the camera, and back", id="play.camera"),
        Binding("M", "intend('turn', 'flipped')", "mirror", id="play.mirror"),
        Binding("0", "intend('turn', 'whole')", "the whole picture, or its centre", id="play.whole"),
        Binding("R", "intend('record', None)", "record mosaic and input, and stop", id="record.toggle"),
        Binding("z", "intend('toggle', 'zoom')", "zoom: the grid, or one unit", id="view.zoom"),
        Binding("v", "intend('cycle', 'normalisation')", "values: per layer, per unit, around zero", id="view.values"),
        Binding("t", "intend('cycle', 'gamma')", "gamma", id="view.gamma"),
        Binding("T", "intend('cycle', 'boost')", "boost of weak units", id="view.boost"),
        Binding("C", "intend('cycle', 'colours')", "colour map", id="view.colours"),
        Binding("i", "intend('cycle', 'order')", "order of the tiles", id="view.order"),
        Binding("b", "intend('backward', 'combination')", "backward passes, and off", id="backward.next"),
        Binding("n", "intend('backward', 'mode')", "backward mode", id="backward.mode"),
        Binding("m", "intend('backward', 'view')", "backward view", id="backward.view"),
        Binding("S", "intend('backward', 'start')", "start: map or strongest", id="backward.start"),
        Binding("d", "intend('freeze', None)", "freeze the backward unit", id="backward.freeze"),
        Binding("a", "intend('look', 'gradients')", "gradients in the mosaic", id="backward.gradients"),
        Binding("W", "intend('look', 'relations')", "why: field, relatives, classes", id="unit.relations"),
        *(Binding(str(n), f"intend('visit', {n})", "visit a relative", id=f"unit.visit{n}") for n in range(1, 9)),
        Binding("x", "intend('off', False, False)", "switch the unit off, or on again", id="off.unit"),
        Binding("X", "intend('off', False, True)", "set the unit to its mean", id="off.mean"),
        Binding("ctrl+x", "intend('off', True, False)", "switch the layer off", id="off.layer"),
        Binding("ctrl+r", "intend('on', None)", "put all back", id="off.none"),
        Binding("p", "optimise(False)", "make a picture of the unit", id="optimise.unit"),
        Binding("P", "optimise(True)", "make pictures of all units of the layer", id="optimise.layer"),
        Binding("s", "intend('jobs', 'patterns')", "pictures in the mosaic", id="optimise.patterns"),
        Binding("O", "intend('jobs', 'listed')", "list the jobs, or hide them", id="optimise.jobs"),
        Binding("escape", "intend('defaults', None)", "back to defaults", id="view.defaults"),
    ]

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    def __init__(self, display: Display) -> None:
        super().__init__()
        self._pictures = display
        self._rest: Timer | None = None

    def compose(self) -> ComposeResult:
        """Yield the panes, each bound to the state."""
        yield Static(id="banner")
        with Horizontal(id="rooms"):
            with Vertical(id="left"):
                layers = LayerTree(id="layers")
                layers.border_title = "layers"
                yield layers.data_bind(ExploreScreen.state)
                yield InputPane(self._pictures, id="input").data_bind(ExploreScreen.state)
                predictions = Predictions(id="predictions")
                predictions.border_title = "predictions"
                yield predictions.data_bind(ExploreScreen.state)
                yield OffList(id="off").data_bind(ExploreScreen.state)
                yield JobsPane(id="jobs").data_bind(ExploreScreen.state)
            mosaic = MosaicPane(self._pictures, id="mosaic")
            yield mosaic.data_bind(ExploreScreen.state, ExploreScreen.chrome)
            unit = UnitPanel(self._pictures, id="unit")
            yield unit.data_bind(ExploreScreen.state, ExploreScreen.chrome)
        yield StatusLine(self._pictures).data_bind(ExploreScreen.state)
        yield Static(id="too-small")

    def watch_state(self, old: State, new: State) -> None:
        """Show the banner while something is wrong."""
        if old.banner != new.banner:
            banner = self.query_one("#banner", Static)
            banner.update(Content(new.banner))
            banner.set_class(bool(new.banner), "-shown")
        if new.look.relations and not new.rested and (old.view != new.view or old.look != new.look):
            if self._rest is not None:
                self._rest.stop()
            self._rest = self.set_timer(REST, lambda: self.post_message(Intent(Rested())))

    def on_resize(self, event: events.Resize) -> None:
        """Say so when the terminal is too small."""
        width, height = event.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(small, "-too-small")
        text = f"too small: {width}×{height}\ntuivis needs {SMALLEST[0]}×{SMALLEST[1]}"
        self.query_one("#too-small", Static).update(Content(text))

    def on_screen_suspend(self) -> None:
        """Take the pictures away: another screen lies over them."""
        for pane in self.query(PicturePane):
            pane.cover(True)

    def on_screen_resume(self) -> None:
        """Bring the pictures back."""
        for pane in self.query(PicturePane):
            pane.cover(False)

    def action_optimise(self, all_units: bool) -> None:
        """Ask how to make pictures, then have them made."""
        layer = self.state.layer
        if layer is None:
            return

        def start(chosen: Choice | None) -> None:
            if chosen is not None:
                self.post_message(Intent(JobWanted(all_units, *chosen)))

        name = printable(layer.name)
        if all_units:
            self.app.push_screen(RecipeForm(name, f"all {layer.units} units"), start)
            return
        state = self.state
        form = RecipeForm(name, f"unit {state.view.unit}", state.seen, state.playback.moves)
        self.app.push_screen(form, start)

    def action_intend(self, what: str, value: Any = None, other: Any = None) -> None:
        """Post the intent that a key stands for; Textual counts the parameters and drops what is too many."""
        self.post_message(Intent(_INTENTS[what](*(each for each in (value, other) if each is not None))))

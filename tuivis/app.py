"""The App: the screen, the engine's reader, the signals. Intents and events go in, one new state comes out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import ClassVar

import msgspec
from rich.console import RenderableType
from textual import events, on, work
from textual._xterm_parser import XTermParser
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen

from tuivis import config, hangup
from tuivis.config import Settings
from tuivis.engine.client import Engine
from tuivis.engine.commands import Load, Open, Read, Show
from tuivis.engine.events import Activations, Frame, Loaded
from tuivis.errors import UserError
from tuivis.export import export_backward, export_name, export_picture
from tuivis.files import unused
from tuivis.intents import ClassTargeted, EngineLost, EngineStarted, Noted, Sent, UnitChosen
from tuivis.jobs import Jobs
from tuivis.keys import bindings_of
from tuivis.player import Player
from tuivis.rank import class_number
from tuivis.recorder import Recorder
from tuivis.reduce import reduce
from tuivis.render.picture import CellSize
from tuivis.screens.explore import ExploreScreen
from tuivis.screens.help import Help, key_name
from tuivis.screens.messages import Messages
from tuivis.screens.prompt import Prompt
from tuivis.screens.search import Palette, Search
from tuivis.state import State, View
from tuivis.themes import THEMES, chrome_of
from tuivis.widgets.display import Display
from tuivis.widgets.intent import Intent
from tuivis.widgets.jobs import JobsPane
from tuivis.widgets.layers import LayerTree
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.overdraw import covers
from tuivis.widgets.picture import PicturePane
from tuivis.widgets.unit import UnitMap

LONGEST_NUMBER = 12
"""Characters of a unit's number that is typed in."""


class TuivisApp(App[int]):
    """Owns the state and the engine; everything else draws or asks.

    Parameters
    ----------
    settings
        What the command line and the configuration say.
    display
        The terminal.
    typed
        Keys that were typed while the terminal was probed.
    """

    TITLE = "tuivis"
    # Textual loads the style of a screen that is pushed, not that of the default screen.
    CSS_PATH = "screens/explore.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        # What opens a line to type in is done at once: keys that come with it, over a slow link, are for that line.
        Binding("slash", "search", "search layers and classes", id="program.search", priority=True),
        Binding("colon", "unit", "go to a unit by number", id="unit.number", priority=True),
        Binding("y", "copy", "copy the unit's address", id="unit.copy"),
        Binding("number_sign", "target", "the class asked about", id="backward.class", priority=True),
        Binding("E", "export", "export what you see", id="program.export", priority=True),
        Binding("r", "restart", "start the engine again", id="program.restart"),
        Binding("N", "messages", "messages of loading", id="program.messages"),
        Binding("question_mark", "help", "this help", id="program.help"),
        Binding("ctrl+p", "command_palette", "command palette", id="program.palette"),
        Binding("ctrl+z", "suspend_process", "suspend", id="program.suspend"),
        Binding("q,ctrl+c,ctrl+q", "quit", "quit", id="program.quit"),
    ]

    def __init__(self, settings: Settings, display: Display, typed: str = "") -> None:
        super().__init__()
        self.settings = settings
        view = View(unit=settings.unit, wish=settings.unit, colours=settings.colours)
        self.state = State(view=view, wanted=settings.layer, colours=settings.colours)
        self._pictures = display
        self._typed = typed
        self._engine: Engine | None = None
        self._jobs = Jobs(settings, self.apply, self.run_worker)
        self._player = Player(lambda: self.state, self.apply, display, settings.fps)
        self._recorder = Recorder(lambda: self.state, lambda: self.explore.chrome, self.apply)
        self._shown: Show | None = None
        self._target = ""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = settings.theme
        self.set_keymap(settings.keys)

    def get_default_screen(self) -> Screen[None]:
        """Return the explore screen."""
        return ExploreScreen(self._pictures)

    def on_mount(self) -> None:
        """Connect the display, watch the terminal, and start the engine once the screen is painted."""
        if self._driver is not None:
            self._pictures.connect(self._driver.write)
        self.app_resume_signal.subscribe(self, lambda _: self._resume())
        self.theme_changed_signal.subscribe(self, lambda theme: self._follow_theme())
        hangup.watch(self, self.leave)
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        self._follow_theme()
        self.apply(EngineStarted())
        for event in XTermParser().feed(self._typed):
            self.post_message(event)
        self.run_engine()

    @property
    def explore(self) -> ExploreScreen:
        """The explore screen."""
        screen = self.screen_stack[0]
        assert isinstance(screen, ExploreScreen)
        return screen

    # State

    def apply(self, event: object) -> None:
        """Take an intent or an event into the state, show it, and ask the engine for what is then missing."""
        before, self.state = self.state.playback, reduce(self.state, event)
        if (before.picture, before.live) != (self.state.playback.picture, self.state.playback.live):
            self._pictures.begin()
        show = self.state.request()
        if self._engine is not None and show is not None:
            generation = self._shown.generation if self._shown else 0
            if self._shown is None or msgspec.structs.replace(show, generation=generation) != self._shown:
                show = msgspec.structs.replace(show, generation=generation + 1)
                self._engine.send(show)
                self.state = reduce(self.state, Sent(show, self._shown))
                self._shown = show
        if self.screen_stack:  # the last intents come when the screens are gone
            self.explore.state = self.state

    @on(Intent)
    def take_intent(self, message: Intent) -> None:
        """Apply what a widget asks for."""
        before = self.state
        self.apply(message.intent)
        self._player.take(message.intent, before, self._engine)
        self._jobs.take(message.intent, self.state)
        self._recorder.take(message.intent)

    async def on_event(self, event: events.Event) -> None:
        """Let the optimiser make way for what the user does."""
        if isinstance(event, events.InputEvent) and not isinstance(event, events.MouseMove):
            self._jobs.make_way()
        await super().on_event(event)

    # The engine

    @work(exclusive=True)
    async def run_engine(self) -> None:
        """Start the engine and apply its events until it ends."""
        log = config.log_path()
        try:
            engine = self._engine = await Engine.start(log)
        except UserError as error:
            self.apply(EngineLost(f"did not start: {error}", str(log)))
            return
        self._shown = None
        self._load(engine)
        async for event in engine.events():
            if isinstance(event, Frame):
                self._pictures.captured = monotonic() - event.age
            self.apply(event)
            self._player.hear(event, self._shown.generation if self._shown else 0)
            if isinstance(event, Loaded):
                engine.send(Open(self.settings.input, self.settings.every_frame))
                self.run_worker(self._jobs.look())
            if isinstance(event, Activations):
                self.apply(Noted(export_backward(self.state, event, self._target)))
        self._engine = None
        self.apply(EngineLost(await engine.ending(), str(log)))

    def _load(self, engine: Engine) -> None:
        engine.send(Load(self.settings.model, self.settings.weights, self.settings.devices[0]))

    def action_restart(self) -> None:
        """Start the engine again after it was lost, or let it load again what it could not."""
        phase = self.state.phase
        if phase in ("lost", "refused"):
            self.apply(EngineStarted())
        if phase == "lost":
            self.run_engine()
        elif phase == "refused" and self._engine is not None:
            self._load(self._engine)

    # What keys do that is not a matter of state

    def action_search(self) -> None:
        """Search layers and classes."""
        self.push_screen(Palette([Search], placeholder="Search layers and classes…"))

    def action_command_palette(self) -> None:
        """Search the commands."""
        self.push_screen(Palette(id="--command-palette"))

    def action_unit(self) -> None:
        """Ask for a unit's number."""

        def go(text: str | None) -> None:
            if text is None or not text.strip():
                return
            is_number = text.strip().isdecimal() and len(text) < LONGEST_NUMBER
            self.apply(UnitChosen(int(text)) if is_number else Noted(f"not a number: {text!r}"))

        self.push_screen(Prompt("unit", placeholder="number"), go)

    def action_target(self) -> None:
        """Ask for the class that is asked about."""

        def ask(text: str | None) -> None:
            loaded = self.state.loaded
            try:
                number = class_number(text, loaded) if loaded is not None and text and text.strip() else None
                self.apply(ClassTargeted(number))
            except UserError as error:
                self.apply(Noted(str(error)))

        self.push_screen(Prompt("class", placeholder="number or name; none: the predicted one"), ask)

    def action_copy(self) -> None:
        """Copy the unit's address with OSC 52."""
        address = f"{self.state.view.layer}/{self.state.view.unit}"
        self.copy_to_clipboard(address)
        self.apply(Noted(f"copied {address}"))

    def action_export(self) -> None:
        """Ask for a file's name, and write the mosaic as it is on screen, or the backward pass with its raw arrays."""
        show = self.state.request()
        if show is not None and show.backward is not None:
            self._export_backward(Read(0, show.picture, show.backward.layer, show.backward, show.off))
            return
        picture = self.explore.query_one(MosaicPane).exported()
        if picture is None:
            self.apply(Noted("nothing to export yet"))
            return

        def write(path: str | None) -> None:
            if path:
                self.apply(Noted(export_picture(picture, path)))

        self.push_screen(Prompt("export to", str(unused(Path(export_name(self.state))))), write)

    def _export_backward(self, read: Read) -> None:
        def ask(path: str | None) -> None:
            if path and self._engine is not None:
                self._target = path
                self._engine.send(read)

        self.push_screen(Prompt("export to", str(unused(Path(export_name(self.state))))), ask)

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help(binding for _, binding in self._all_bindings()))

    def action_messages(self) -> None:
        """Show what loading had to say."""
        self.push_screen(Messages(self.state.messages))

    def _all_bindings(self) -> list[tuple[DOMNode, Binding]]:
        return bindings_of(
            (
                *(self.explore.query_one(pane) for pane in (MosaicPane, LayerTree, UnitMap, JobsPane)),
                self.explore,
                self,
            ),
            self.settings.keys,
        )

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield the palette's commands: those of Textual that make sense here, and every binding."""
        yield SystemCommand("Theme", "choose a theme", self.action_change_theme)
        actions: dict[str, SystemCommand] = {}
        for node, binding in self._all_bindings():
            run = partial(self.run_action, binding.action, node)
            command = SystemCommand(binding.description.capitalize(), f"key {key_name(binding.key)}", run)
            actions.setdefault(binding.action, command)
        yield from actions.values()

    # The terminal

    def action_quit(self) -> None:  # type: ignore[override]
        """End the program."""
        self.leave(0)

    @work
    async def leave(self, code: int) -> None:
        """End the program once the terminal has said its last, with an exit code."""
        await self._pictures.turns.close()
        self.exit(return_code=code)

    @work
    async def action_suspend_process(self) -> None:  # type: ignore[override]
        """Suspend the program once the terminal has said its last."""
        await self._pictures.turns.close()
        self._jobs.go_on()
        super().action_suspend_process()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Draw again the pictures that Textual's output has covered."""
        super()._display(screen, renderable)
        for pane in self.explore.query(PicturePane) if self.screen_stack else ():
            if covers(renderable, pane.content_region):
                pane.repaint()

    def on_cursor_position(self, event: events.CursorPosition) -> None:
        """Take the terminal's answer that it has drawn a frame."""
        self._pictures.answered(event.x, event.y, event.time)

    def on_resize(self, event: events.Resize) -> None:
        """Follow a change of the font's size."""
        if event.pixel_size is None or not event.size.area:
            return
        cell = CellSize(event.pixel_size.width // event.size.width, event.pixel_size.height // event.size.height)
        if self._pictures.resize_cell(cell):
            self._redraw_pictures()

    def _resume(self) -> None:
        """Draw the whole screen again: another program had it, and Textual paints only what has changed since."""
        self._pictures.turns.open()
        self._redraw_pictures()
        self.refresh(layout=True)

    def _redraw_pictures(self) -> None:
        for pane in self.explore.query(PicturePane):
            pane.forget()

    def _follow_theme(self) -> None:
        self.explore.chrome = chrome_of(self.current_theme)

    async def on_unmount(self) -> None:
        """End the recording and the engines."""
        self._player.close()
        await self._recorder.close()
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()
        await self._jobs.close()

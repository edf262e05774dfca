"""The status line: the device, the model, what the last frame cost, and what is going on."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual.reactive import var
from textual.widget import Widget

from tuivis.engine.values import DeviceInfo
from tuivis.errors import printable
from tuivis.render.meter import Figures
from tuivis.state import State
from tuivis.widgets.display import Display
from tuivis.widgets.predictions import bar

GIB = 1 << 30
EVERY = 1.0
"""Seconds between two lines about what moves."""


class StatusLine(Widget):
    """Draws one line: facts on the left, the last note or the progress on the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"status--note"}

    state: var[State] = var(State(), init=False)

    def __init__(self, display: Display, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = display
        self._line: tuple[list[str], str] = (["tuivis"], "")

    def on_mount(self) -> None:
        """Keep the figures of what moves up to date."""
        self.set_interval(EVERY, self._tell)

    def _tell(self) -> None:
        line = self._facts(), self._line[1]
        if self.state.playback.live and line != self._line:
            self._line = line
            self.refresh()

    def watch_state(self, old: State, new: State) -> None:
        """Draw when the line reads differently."""
        # What moves has other figures with every frame: nobody can read them as fast.
        live = new.playback.live and old.playback.live
        line = self._line[0] if live else self._facts(), activity(new)
        if line != self._line:
            self._line = line
            self.refresh()

    def render(self) -> Text:
        """Return the line, cut to the width."""
        width = self.content_size.width
        ink = self.get_component_rich_style("status--note")
        right = Text(self._line[1], ink, no_wrap=True)
        # What loading had to say can be read in full elsewhere, and must not take the place of the facts.
        loading = self.state.note.partition("; ")[0] in self.state.messages
        right.truncate(max(0, width // 2 if loading else width - 20), overflow="ellipsis")
        facts = Text(" · ".join(self._line[0]), no_wrap=True)
        facts.truncate(max(0, width - right.cell_len - 2), overflow="ellipsis", pad=True)
        return Text.assemble(facts, "  ", right)

    def _facts(self) -> list[str]:
        state = self.state
        if state.loaded is None:
            return ["tuivis"]
        facts = [*filter(None, [state.recording.describe()]), printable(Path(state.loaded.model).name)]
        if state.loaded.random_weights:
            facts.append("random weights")
        if state.mosaic is not None and state.mosaic.nans + state.mosaic.infinities:
            facts.append(f"{state.mosaic.nans} NaN, {state.mosaic.infinities} infinite")
        if looking := state.look.describe(state.view.layer, state.view.unit, state.layers):
            facts.append(looking)
        live = self._pictures.meter.figures(monotonic()) if state.playback.live else None
        if live is not None:
            facts += [*_figures(live), str(self._pictures.quality)]
        elif state.frame is not None:
            facts.append(f"{state.frame.forward_ms:.0f} ms")
            facts += [f"{state.sent / 1000:.1f} kB"] * bool(state.sent)
        facts.append(self._pictures.choice.protocol)
        facts.append(device_text(state.frame.device if state.frame else state.loaded.device))
        if state.playback.live and state.frame is not None and state.frame.dropped:
            facts.append(f"{state.frame.dropped} dropped")
        return facts


def _figures(live: Figures) -> list[str]:
    """Return how fast what moves is, how large, and how old if the terminal tells when a frame is on screen."""
    rate = f"{live.fps:.1f}" if live.fps < 2 else f"{live.fps:.0f}"
    age = [] if live.age is None else [f"{live.age * 1000:.0f} ms old"]
    return [f"{rate} fps", f"{live.size / 1000:.0f} kB/frame", *age]


def device_text(device: DeviceInfo) -> str:
    """Return a device's name and memory: used of total. Which processor it is tells nobody anything."""
    used, total = device.memory_used / GIB, device.memory_total / GIB
    title = f" {printable(device.title)}" if device.name != "cpu" else ""
    return f"{device.name}{title} {used:.1f}/{total:.0f} GiB"


def activity(state: State) -> str:
    """Return what the engine is busy with, or the last note, safe on a terminal."""
    if state.progress is None:
        return printable(state.note or state.trouble) or state.playback.message
    text = printable(state.progress.text)
    if state.progress.fraction is None:
        return f"{text} …"
    return f"{text} {bar(state.progress.fraction, 10):<10} {state.progress.fraction:.0%}"

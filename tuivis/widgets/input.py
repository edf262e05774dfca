"""The input pane: exactly what the network sees."""

from __future__ import annotations

from textual import events
from textual.reactive import var

from tuivis.errors import printable
from tuivis.render.overlay import framed
from tuivis.state import State
from tuivis.widgets.jobs import clock
from tuivis.widgets.picture import PicturePane


class InputPane(PicturePane):
    """Draws `state.frame`'s pixels."""

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw the frame when it is another."""
        if new.pictures:
            name = printable(new.pictures[new.view.picture])
            place = f"{new.view.picture + 1}/{len(new.pictures)}"
            self.title(name, " · ".join(filter(None, (new.playback.describe(), _time(new), place))))
        before = old.frame.pixels.data if old.frame else None
        if (new.frame.pixels.data if new.frame else None) != before or old.playback.live != new.playback.live:
            self.draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw at the new size."""
        self.draw()

    def draw(self) -> None:
        """Fit the frame into the pane."""
        width, height = self.canvas
        if self.state.frame is None:
            self.picture = None
        elif width and height:
            shrink = self._pictures.quality.shrink if self.state.playback.live else 1
            self.picture = framed(self.state.frame.pixels.numpy(), width, height, shrink)


def _time(state: State) -> str:
    """Return the place in a video, and its length."""
    frame = state.frame
    if state.playback.kind != "video" or frame is None or frame.seconds is None:
        return ""
    return clock(frame.seconds) + (f" / {clock(frame.length)}" if frame.length else "")

"""The backward pane: what in the input drives the unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import var
from textual.widgets import Static

from tuivis.errors import printable
from tuivis.lookback import name
from tuivis.render import colormap
from tuivis.render.backward import coloured
from tuivis.render.overlay import framed
from tuivis.render.picture import Picture
from tuivis.state import State
from tuivis.widgets.display import Display
from tuivis.widgets.picture import PicturePane

_GREY = 127.5
"""Zero, in a raw picture."""


class BackwardPicture(PicturePane):
    """Draws `state.backward`."""

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw when the picture or its colours are others."""
        resting = old.playback.live != new.playback.live
        if resting or old.backward is not new.backward or old.view.colours != new.view.colours:
            self.draw()

    def watch_chrome(self) -> None:
        """Draw in the colours of another theme."""
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw at the new size."""
        self.draw()

    def draw(self) -> None:
        """Fit the picture into the pane."""
        shrink = self._pictures.quality.shrink if self.state.playback.live else 1
        self.picture = backward_picture(self.state, self.canvas, self.chrome, shrink)


class BackwardPane(Vertical):
    """The backward picture under its title, or why there is none; there only while backward passes are asked for."""

    state: var[State] = var(State(), init=False)
    chrome: var[str] = var("dark", init=False)

    def __init__(self, display: Display, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = display

    def compose(self) -> ComposeResult:
        """Yield the parts."""
        yield Static(id="reason")
        yield BackwardPicture(self._pictures).data_bind(BackwardPane.state, BackwardPane.chrome)

    def watch_state(self, old: State, new: State) -> None:
        """Come and go, and say what is shown."""
        self.set_class(new.look.mode is not None, "-shown")
        title = _title(new)
        if title != _title(old):
            self.border_title = Content(f" {title} ")
        reason = new.backward.reason if new.backward else ""
        if reason != (old.backward.reason if old.backward else ""):
            self.set_class(bool(reason), "-reason")
            self.set_class(new.backward is not None and not new.backward.pixels.data, "-nothing")
            self.query_one("#reason", Static).update(Content(printable(reason)))


def backward_picture(state: State, canvas: tuple[int, int], chrome: str, shrink: int = 1) -> Picture | None:
    """Return the newest backward pass fitted into `canvas`, (width, height); None where there is nothing to see.

    Every `shrink` pixels of a side are sent as one.
    """
    backward, frame = state.backward, state.frame
    if backward is None or frame is None or not backward.pixels.data or not canvas[0] or not canvas[1]:
        return None
    palette = colormap.palette(state.view.colours, 256, 1.0, colormap.CHROMES[chrome])
    over = backward.backpass.view == "overlay"
    pixels = coloured(backward.pixels.numpy(), frame.pixels.numpy(), over, palette)
    picture = framed(pixels, *canvas, shrink)
    averaged = backward.pixels.numpy().ndim == 3 and picture.height < len(pixels)
    return replace(picture, pixels=_stretched(picture.pixels)) if averaged else picture


def _stretched(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a raw picture in full contrast around its grey: averaging it down let its signs cancel."""
    deviation = pixels.astype(np.float32) - _GREY
    return np.asarray(np.rint(deviation * (_GREY / max(1.0, float(np.abs(deviation).max()))) + _GREY), np.uint8)


def _title(state: State) -> str:
    look, view = state.look, state.view
    if look.mode is None:
        return ""
    if look.mode == "gradcam":
        return f"Grad-CAM: {printable(state.backward.label)}" if state.backward else "Grad-CAM"
    layer, unit = look.source(view.layer, view.unit)
    frozen = f" · {printable(layer)}/{unit}" if look.frozen else ""
    return f"{name(look.mode)} · {name(look.view)}{frozen}"

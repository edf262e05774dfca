"""The player: asks for the next frame when the last one is shown and the link has room, and for the next slide."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf

from tuivis.engine.client import Engine
from tuivis.engine.commands import Hold, Seek
from tuivis.engine.events import Shown
from tuivis.intents import Noted, PictureStepped
from tuivis.playback import FrameStepped, Sought, Ticked
from tuivis.render.protocols import COMPRESS
from tuivis.state import State
from tuivis.widgets.display import Display

SLIDE = 3.0
"""Seconds that a picture of the slide show stays."""
LOOK_AGAIN = 0.005
"""Seconds, at most, between looks whether the link has room."""


class Player:
    """Turns playback keys into commands, and time into intents.

    Parameters
    ----------
    state, apply
        The present state, and what takes an intent into it.
    display
        Knows when the link has room for another frame.
    fps
        Frames per second at most.
    """

    def __init__(
        self, state: Callable[[], State], apply: Callable[[object], None], display: Display, fps: float | None
    ) -> None:
        self._state = state
        self._apply = apply
        self._display = display
        self._pause = 1 / fps if fps else 0.0
        self._asked = -inf
        self._takes = 0.0
        self._idle = self._advised = False
        self._slide: asyncio.TimerHandle | None = None
        self._tick: asyncio.TimerHandle | None = None

    def take(self, intent: object, before: State, engine: Engine | None) -> None:
        """Do what an intent asks for besides changing the state."""
        state = self._state()
        picture, playback = state.view.picture, state.playback
        if engine is not None and playback.moves:
            if playback.paused != before.playback.paused:
                engine.send(Hold(picture, playback.paused))
            match intent:
                case FrameStepped():
                    engine.send(Seek(picture, frames=intent.by))
                case Sought():
                    engine.send(Seek(picture, seconds=intent.by))
        if playback.slides != before.playback.slides:
            self._show_slides(playback.slides)
        self._go_on()

    def hear(self, event: object, generation: int) -> None:
        """Take an event of the engine: when all is shown that was asked for last, another frame may come."""
        if isinstance(event, Shown) and event.generation == generation:
            self._idle = True
            if event.fresh:
                self._takes = time.monotonic() - self._asked
                self._advise()
            self._go_on()

    def close(self) -> None:
        """Ask for nothing more."""
        for timer in (self._tick, self._slide):
            if timer is not None:
                timer.cancel()
        self._idle = False

    def _go_on(self) -> None:
        """Ask for another frame as soon as the link will have room for it."""
        if self._tick is not None or not self._idle or not self._state().wants_frame:
            return
        # What is recorded must not wait for the link.
        patience = 0.0 if self._state().recording.runs else self._display.patience(self._takes)
        wait = max(self._asked + self._pause - time.monotonic(), patience)
        if wait > 0:
            self._tick = asyncio.get_running_loop().call_later(min(wait, LOOK_AGAIN), self._look_again)
        else:
            self._idle, self._asked = False, time.monotonic()
            self._apply(Ticked())

    def _look_again(self) -> None:
        self._tick = None
        self._go_on()

    def _advise(self) -> None:
        """Say once what would help a slow link."""
        if self._display.wants_compression and not self._advised:
            self._advised = True
            self._apply(Noted(COMPRESS))

    def _show_slides(self, shown: bool) -> None:
        if self._slide is not None:
            self._slide.cancel()
        self._slide = asyncio.get_running_loop().call_later(SLIDE, self._next_slide) if shown else None

    def _next_slide(self) -> None:
        self._apply(PictureStepped(1))
        self._show_slides(True)

"""Turns: the picture panes share one link, on which one frame at a time is made, when the pacer lets it go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Protocol

from tuivis.render.pacer import Drawn, Pacer

FOCUSED = 4.0
"""How many times the share of another pane the pane in focus gets of a link that is too slow for all."""
LOOK_AGAIN = 0.5
"""Seconds between looks at a terminal that does not answer."""
LAST_ANSWERS = 1.0
"""Seconds that the terminal's last answers are waited for before it is left: they would become input for the shell."""


class Send(Protocol):
    """Sends a frame; what it is `of` comes back when it is drawn."""

    def __call__(self, frame: bytes, of: object = None) -> None:
        """Send it."""


class Turns:
    """Hands out turns to send a frame; each is over before the next begins.

    Panes that wait get the link's bytes in proportion to their weights (start-time fair queueing: Goyal et al.,
    "Start-time Fair Queueing", SIGCOMM 1996), and a pane that did not want the link does not save its share up.

    Parameters
    ----------
    pacer
        Says when.
    write
        Writes to the terminal.
    wrap
        Makes a question reach the terminal itself.
    clock
        Seconds, of the clock that answers are timed by.
    """

    def __init__(
        self,
        pacer: Pacer,
        write: Callable[[bytes], None],
        wrap: Callable[[bytes], bytes] = bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pacer = pacer
        self._write = write
        self._wrap = wrap
        self._clock = clock
        self._waiting: dict[object, asyncio.Future[None]] = {}
        self._ends: dict[object, float] = {}
        self._virtual = 0.0
        self._hurried: object = None
        self._taken = self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, pane: object, weight: float) -> AsyncIterator[Send]:
        """Wait for the pane's turn; give the function that sends its frame, which may be nothing."""
        future = self._waiting[pane] = asyncio.get_running_loop().create_future()
        start = self._ends[pane] = max(self._ends.get(pane, 0.0), self._virtual)

        def send(frame: bytes, of: object = None) -> None:
            self._ends[pane] = start + len(frame) / weight
            if frame:
                asked = self.pacer.send(len(frame), self._clock(), of)
                self._write(frame + (self._wrap(asked) if asked else b""))

        self._serve()
        try:
            await future
            self._virtual = start
            yield send
        finally:
            if self._waiting.pop(pane, None) is None:
                self._taken = False
            self._serve()

    def hurry(self, pane: object) -> None:
        """Let the pane have the next turn, as soon as can be: a key waits for what it shows."""
        self._hurried = pane
        self._serve()

    def answered(self, number: int, at: float) -> Drawn | None:
        """Take note of the terminal's answer; return what is drawn now."""
        drawn = self.pacer.answered(number, at)
        self._serve()
        return drawn

    async def close(self) -> None:
        """Hand out no more turns, and wait for the answers that are under way."""
        self._closed = True
        end = self._clock() + LAST_ANSWERS
        while self.pacer.in_flight and self._clock() < end:
            await asyncio.sleep(0.01)

    def open(self) -> None:
        """Hand out turns again, after another program had the terminal."""
        self._closed = False
        self.pacer.forget()
        self._serve()

    def _serve(self) -> None:
        """Let the next pane have its turn, now or when its time has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._taken or self._closed or not self._waiting:
            return
        hurried = self._hurried in self._waiting
        if not hurried and (alone := self.pacer.alone(self._clock())):
            self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._serve)
            self._write(self._wrap(alone))
            return
        wait = self.pacer.wait(self._clock(), hurried)
        if wait > 0:
            if wait == inf:
                reminder = self.pacer.reminder(self._clock())
                self._write(self._wrap(reminder) if reminder else b"")
            self._timer = asyncio.get_running_loop().call_later(min(wait, LOOK_AGAIN), self._serve)
            return
        pane = self._hurried if hurried else min(self._waiting, key=lambda each: self._ends[each])
        self._hurried = None if hurried else self._hurried
        self._taken = True
        future = self._waiting.pop(pane)
        if not future.done():
            # Else the pane has just been given up: it passes its turn on as soon as it hears of that.
            future.set_result(None)

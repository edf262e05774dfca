"""The explorer's recorder: films what is on screen, at its own pace, however little of it the link shows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tuivis import film
from tuivis.conversation import Conversation
from tuivis.engine.commands import Append, EndRecording, Record
from tuivis.engine.events import Recorded
from tuivis.engine.values import Array
from tuivis.errors import UserError, printable
from tuivis.export import export_name
from tuivis.files import check_target, unused
from tuivis.intents import Noted
from tuivis.recording import Recording, RecordingToggled, extent
from tuivis.render.film import Stage
from tuivis.state import State

RATE = 25.0
"""Frames per second of a recording."""
PAUSE = 1.0
"""Seconds, at most, that go by between two pictures: what takes longer, as a suspended program does, is left out."""

LAST = 5.0
"""Seconds, at most, that the end of the program waits for that of the recording: a disk may hang."""


class Recorder:
    """Turns the key into a recording that goes on until the key comes again.

    A picture is drawn when the encoder has taken the last one, so that nothing piles up.

    Parameters
    ----------
    state, chrome
        The present state, and the name of the theme's colours.
    apply
        Takes an intent into the state.
    """

    def __init__(self, state: Callable[[], State], chrome: Callable[[], str], apply: Callable[[object], None]) -> None:
        self._state, self._chrome, self._apply = state, chrome, apply
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    def take(self, intent: object) -> None:
        """Start a recording or end it, if that is what the intent asks for."""
        if not isinstance(intent, RecordingToggled):
            return
        if self._task is not None:
            self._stop.set()
        elif not _has_begun(self._state()):
            self._apply(Noted("nothing to record yet"))
        else:
            self._stop.clear()
            self._task = asyncio.create_task(self._run(self._state(), self._chrome()))

    async def close(self) -> None:
        """End the recording, if there is one; it is too late to say so."""
        self._apply = lambda event: None
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=LAST)

    async def _run(self, first: State, chrome: str) -> None:
        """Record from the state `first` on, and say how it went."""
        try:
            path = unused(Path(export_name(first)).with_suffix(".mp4").absolute())
            check_target(path, ".mp4")
            self._apply(Recording(path.name))
            stage = Stage.around(first.canvas)
            async with film.filmed(Record(str(path), stage.width, stage.height, RATE)) as encoder:
                picture = partial(film.picture, stage=stage, chrome=chrome)
                done = await self._follow(encoder, first, picture, path.name)
            note = f"recorded {printable(done.path)} · {extent(done.seconds, done.bytes)}"
        except UserError as error:
            note = str(error)
        except OSError as error:
            note = f"cannot record: {printable(error)}"
        self._task = None
        self._apply(Recording(outcome=note))

    async def _follow(
        self, encoder: Conversation, state: State, picture: Callable[[State], Array], name: str
    ) -> Recorded:
        """Append what is new, and ask the encoder to go on with what it has where nothing is, until it is enough."""
        drawn: State | None = None
        at, last = 0.0, time.monotonic()
        while True:
            pixels = None
            if film.is_whole(state) and (drawn is None or not _same(drawn, state)):
                pixels = await asyncio.to_thread(picture, state)
                drawn = state
            done = await encoder.ask(Append(pixels, at), Recorded)
            if int(done.seconds) != int(self._state().recording.seconds):
                self._apply(Recording(name, done.seconds, done.bytes))
            if self._stop.is_set():
                return await encoder.ask(EndRecording(at), Recorded)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, last + 1 / RATE - time.monotonic()))
            state, now = self._state(), time.monotonic()
            # The film begins with its first picture: between a frame and its mosaic there is none.
            at, last = 0.0 if drawn is None else at + min(now - last, PAUSE), now


def _has_begun(state: State) -> bool:
    """Say whether there are pictures: between a frame and its mosaic these do not go together, but soon will."""
    return state.frame is not None and state.mosaic is not None and state.layout is not None


def _same(one: State, other: State) -> bool:
    """Say whether two states look the same in a film."""
    kept = one.frame is other.frame and one.mosaic is other.mosaic and one.backward is other.backward
    chosen = one.view == other.view and one.look == other.look and one.canvas == other.canvas
    return kept and chosen and one.jobs.patterns == other.jobs.patterns and one.jobs.made is other.jobs.made

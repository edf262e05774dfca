"""Video files: their frames at their own times, round and round."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tuivis.engine.decoder import Decoder
from tuivis.engine.feeds import AGAIN, Feed, Moment, Prepare
from tuivis.errors import printable

SLIP = 0.5
"""Seconds that decoding may be late before the clock waits for it."""
LATE = 0.05
"""Seconds that a frame may be late and is still shown."""
_NOWHERE = 0.0, 0


class Video(Feed):
    """A video file, or all its frames as fast as they are taken (`every_frame`). `clock` gives monotonic seconds."""

    def __init__(
        self, path: Path, prepare: Prepare, every_frame: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(prepare)
        self._path = path
        self._every_frame = every_frame
        self._clock = clock
        self._held = False
        self._wish: tuple[float, int] = _NOWHERE
        self._from: float | None = None
        """The place that the wish counts from; None for where the decoder is."""
        self._origin: float | None = None
        """When the video's second 0 was."""

    def hold(self, held: bool) -> None:
        """Stop the clock, or let it go on."""
        with self.changed:
            self._held, self._origin = held, None
            self.changed.notify_all()

    def seek(self, seconds: float, frames: int) -> None:
        """Move by seconds or frames, from the frame that was taken last; what is asked for meanwhile adds up."""
        with self.changed:
            if self._taken is not None and self._taken.era == self._era:
                self._from = self._taken.seconds
            self._wish = self._wish[0] + seconds, self._wish[1] + frames
            self._era += 1
            self.changed.notify_all()

    def run(self) -> None:
        """Play the file again and again."""
        name = printable(self._path.name)
        while not self.closed:
            decoder = Decoder(self._path)
            try:
                self._origin = None
                while not self.closed and not decoder.is_replaced and self._play(decoder):
                    decoder.rewind()
                    self.lap += 1
                opened, replaced = decoder.opened, decoder.is_replaced
            finally:
                decoder.close()
            if not self._path.exists():
                self.say(f"{name} is gone")
            elif not opened:
                self.say(f"{name} is no video that can be read")
            elif not replaced:
                self.say(f"{name} has no frames")
            else:
                continue
            self.rest(AGAIN)

    def _play(self, decoder: Decoder) -> bool:
        """Play to the end; say whether there was a frame."""
        self.length = decoder.length
        self.rate = decoder.film_rate() if self._every_frame else decoder.rate
        end: float | None = None
        while not self.closed and not decoder.is_replaced:
            if self._is_moved(decoder):
                end = decoder.place
                continue
            if end is not None and self._rests():
                continue
            era = self._era
            if not decoder.grab() or decoder.place is None:
                break
            end = decoder.place
            self.say("")
            if self._is_due(end):
                self._offer(decoder, end, era)
        if end is not None and self._origin is not None:
            self._origin += max(self.length or 0.0, end + decoder.period)
        return end is not None

    def _rests(self) -> bool:
        """Say whether no frame is wanted now; wait a while for one to be."""

        def wanted() -> bool:
            waits = self._held or (self._every_frame and not self.is_taken())
            return self.closed or self._wish != _NOWHERE or not waits

        with self.changed:
            if wanted():
                return False
            self.changed.wait_for(wanted, AGAIN)
            return True

    def _is_due(self, place: float) -> bool:
        """Wait for the time of the frame at `place`; say whether it is not past yet."""
        if self._every_frame:
            return True
        with self.changed:
            if self._held and self._newest is not None:
                return False
            if self._origin is None:
                self._origin = self._clock() - place
            while (wait := self._origin + place - self._clock()) > 0:
                self.changed.wait(wait)
                if self.closed or self._origin is None or self._wish != _NOWHERE:
                    return not self._held
            if -wait > SLIP:
                self._origin = self._clock() - place
            elif -wait > LATE:
                self.dropped += 1
                return False
        return True

    def _offer(self, decoder: Decoder, place: float, era: int) -> None:
        pixels = decoder.pixels()
        if pixels is None:
            self.dropped += 1
            return
        at = self._clock() if self._origin is None else self._origin + place
        self.publish(Moment(pixels, at, place, era, self.lap))

    def _is_moved(self, decoder: Decoder) -> bool:
        """Show the frame that somebody wishes to see, if anybody does."""
        with self.changed:
            (seconds, frames), self._wish = self._wish, _NOWHERE
            start, self._from = self._from, None
            era = self._era
        if (seconds, frames) == _NOWHERE:
            return False
        place = self._move(decoder, decoder.place if start is None else start, seconds, frames)
        if place is not None:
            with self.changed:
                self._origin = None if self._held else self._clock() - place
            self._offer(decoder, place, era)
        return True

    def _move(self, decoder: Decoder, start: float | None, seconds: float, frames: int) -> float | None:
        """Grab the frame that lies so far from the one at `start`; return its place."""

        def is_closed() -> bool:
            return self.closed

        target = (start or 0.0) + seconds
        if target != decoder.place:
            decoder.find(target, False, is_closed)
        for _ in range(-frames):
            decoder.find(decoder.place or 0.0, True, is_closed)
        for _ in range(frames):
            if not decoder.grab():
                decoder.rewind()
                decoder.grab()
        return decoder.place

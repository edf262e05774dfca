"""Video files: their frames at their own times, round and round."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tuivis.engine.feeds import Feed, Prepare
from tuivis.errors import UserError, printable

SLIP = 0.5
"""Seconds that decoding may be late before the clock waits for it."""
AGAIN = 1.0
"""Seconds between attempts to open a file that is damaged or gone."""
BACK = (1.0, 5.0, 30.0)
"""Seconds before a place at which to begin looking for it: a decoder can begin at key frames only."""
_LAST = 1 / 30
"""Seconds before the end of a video where a frame is to be expected."""
_SAME = 1e-4
"""Seconds: times that are closer are the same."""


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
        self._wish: tuple[float, int] = 0.0, 0
        self._origin: float | None = None
        """When the video's second 0 was."""
        self._place = 0.0
        """The place of the last frame, in seconds."""

    def hold(self, held: bool) -> None:
        """Stop the clock, or let it go on."""
        with self.changed:
            self._held, self._origin = held, None
            self.changed.notify_all()

    def seek(self, seconds: float, frames: int) -> None:
        """Move by seconds or frames; what is asked for meanwhile adds up."""
        with self.changed:
            self._wish = self._wish[0] + seconds, self._wish[1] + frames
            self.changed.notify_all()

    def run(self) -> None:
        """Play the file again and again."""
        while not self.closed:
            stamp = _stamp(self._path)
            capture = cv2.VideoCapture(os.fspath(self._path), cv2.CAP_FFMPEG)
            name = printable(self._path.name)
            if not stamp or not capture.isOpened():
                self.say(f"{name} is gone" if not stamp else f"{name} is no video that can be read")
                self.rest(AGAIN)
                continue
            rate, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
            self.rate = rate if rate > 0 else None
            self.length = frames / rate if rate > 0 and frames > 0 else None
            self._origin, self._place = None, 0.0
            while not self.closed and self._play(capture) and _stamp(self._path) == stamp:
                capture.set(cv2.CAP_PROP_POS_MSEC, 0)
                self._origin = None
                self.lap += 1
            capture.release()

    def _play(self, capture: cv2.VideoCapture) -> bool:
        """Play to the end; say whether there was a frame."""
        count = 0
        while not self.closed:
            with self.changed:
                wish, self._wish = self._wish, (0.0, 0)
            if wish != (0.0, 0):
                self._move(capture, *wish)
                continue
            if count and self._rests():
                continue
            if not capture.grab():
                break
            count += 1
            self._place = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if self._is_due(self._place):
                self._offer(capture)
        if not count and not self.closed:
            self.say(f"{printable(self._path.name)} has no frames")
            self.rest(AGAIN)
        return count > 0

    def _rests(self) -> bool:
        """Say whether no frame is wanted now; wait a while for one to be."""

        def wanted() -> bool:
            waits = self._held or (self._every_frame and not self.is_taken())
            return self.closed or self._wish != (0.0, 0) or not waits

        with self.changed:
            if wanted():
                return False
            self.changed.wait_for(wanted, AGAIN)
            return True

    def _is_due(self, place: float) -> bool:
        """Wait for the time of the frame at `place`; say whether it is not past yet."""
        if self._every_frame or self._held:
            return True
        with self.changed:
            if self._origin is None:
                self._origin = self._clock() - place
            while (wait := self._origin + place - self._clock()) > 0:
                self.changed.wait(wait)
                if self.closed or self._origin is None or self._wish != (0.0, 0):
                    return True
            if -wait > SLIP:
                self._origin = None
                return True
            if -wait > SLIP / 10:
                self.dropped += 1
                return False
        return True

    def _offer(self, capture: cv2.VideoCapture) -> None:
        read, pixels = capture.retrieve()
        if not read:
            self.dropped += 1
            return
        at = self._clock() if self._origin is None else self._origin + self._place
        self.say("")
        self.publish(rgb(pixels), at, self._place)

    def _move(self, capture: cv2.VideoCapture, seconds: float, frames: int) -> None:
        """Show the frame that lies so far from the last one."""
        self._origin = None
        if seconds:
            last = (self.length or np.inf) - _LAST
            self._find(capture, min(max(0.0, self._place + seconds), max(0.0, last)), before=False)
        for _ in range(-frames):
            self._find(capture, self._place, before=True)
        for _ in range(frames):
            if not capture.grab():
                capture.set(cv2.CAP_PROP_POS_MSEC, 0)
                capture.grab()
            self._place = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._offer(capture)

    def _find(self, capture: cv2.VideoCapture, place: float, before: bool) -> None:
        """Grab the last frame before `place`, or the first one from there on."""
        for back in (*BACK, np.inf):
            start, found = max(0.0, place - back), False
            earlier: float | None = None
            for at in _grabbed(capture, start):
                found = at >= place - _SAME
                if found:
                    break
                earlier = at
            if found and not before:
                self._place = at
                return
            if before and earlier is not None:
                self._place = next(at for at in _grabbed(capture, start) if at == earlier)
                return
        # Before the first frame, or behind the last one.
        self._place = next(_grabbed(capture, 0.0), 0.0)


def _grabbed(capture: cv2.VideoCapture, place: float) -> Iterator[float]:
    """Grab frame after frame from about `place` on; yield the place of each, in seconds."""
    capture.set(cv2.CAP_PROP_POS_MSEC, place * 1000)
    while capture.grab():
        yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000


def first_frame(path: Path) -> NDArray[np.uint8]:
    """Return a video's first frame, (H, W, 3) uint8 RGB.

    Raises
    ------
    UserError
        If there is none.
    """
    if not path.is_file():
        raise UserError(f"no file {printable(path)}")
    capture = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
    read, pixels = capture.read()
    capture.release()
    if not read:
        raise UserError(f"{printable(path)} is no video that can be read, or has no frames")
    return rgb(pixels)


def rgb(pixels: Any) -> NDArray[np.uint8]:
    """Return OpenCV's BGR, (H, W, 3), as RGB."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells whether the file is another, None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size

"""A video file, frame by frame, each at its place in seconds; any place can be found to the frame."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tuivis.errors import UserError, printable

BACK = (1.0, 5.0, 30.0, np.inf)
"""Seconds before a place at which to begin looking for it: a decoder can begin at key frames only."""
_SAME = 1e-4
"""Seconds: times that are closer are the same."""
_PERIOD = 1 / 30
"""Seconds of a frame where the file does not say."""
_TRIES = 5
"""Frames, one behind the other, that may be damaged before a video counts as ended."""
_FASTEST = 1000
"""Frames per second; where a file says more, it means the ticks of its clock."""
_FINEST = 240
"""Frames per second that a film may need for a video whose frames last differently."""
_LOOKED_AT = 20_000
"""Frames, at most, whose times are looked at before the first is shown."""


class Decoder:
    """Reads the video in `path`; whoever opens it closes it.

    Attributes
    ----------
    length
        Seconds of the whole, None if the file does not say.
    rate
        Frames per second, None if the file does not say.
    period
        Seconds of a frame, on average.
    place
        That of the frame that was grabbed last, in seconds; None before the first and behind the last.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)
        self._open()

    def _open(self) -> None:
        """Open the file before its first frame, and read what it says about itself."""
        self._capture = _capture(self._path)
        self.place: float | None = None
        rate, frames = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.rate = rate if 0 < rate <= _FASTEST else None
        self.period = 1 / self.rate if self.rate else _PERIOD
        self.length = frames * self.period if frames > 0 else None

    @property
    def opened(self) -> bool:
        """Whether the file is a video."""
        return bool(self._capture.isOpened())

    @property
    def is_replaced(self) -> bool:
        """Whether the file is gone, is another, or has become shorter; one that grows is still being written."""
        now = _identity(self._path)
        return self._identity is None or now is None or now[:2] != self._identity[:2] or now[2] < self._identity[2]

    def film_rate(self) -> float | None:
        """Return the frames per second, `rate` or a multiple, of a film where no two frames of the video fall on one.

        None if the file does not say, and `rate` if a film would need too many.
        """
        if self.rate is None:
            return None
        places = np.unique(_places(self._path))
        for rate in np.arange(self.rate, _FINEST, self.rate):
            if len(np.unique(np.round((places - places[:1]) * rate))) == len(places):
                return float(rate)
        return self.rate

    def grab(self) -> bool:
        """Go to the next frame; say whether there is one."""
        if not any(self._capture.grab() for _ in range(_TRIES)):
            self.place = None
            return False
        place = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self.place is not None and place <= self.place:
            # Some containers leave the time of their last frames out.
            place = self.place + self.period
        self.place = place
        return True

    def pixels(self) -> NDArray[np.uint8] | None:
        """Return the frame that was grabbed, (H, W, 3) uint8 RGB, None if it is damaged."""
        read, pixels = self._capture.retrieve()
        return rgb(pixels) if read else None

    def rewind(self) -> None:
        """Go before the first frame."""
        # Not every container can go back, but every file can be opened again; it may have grown meanwhile.
        self._capture.release()
        self._open()

    def find(self, place: float, before: bool, is_closed: Callable[[], bool]) -> bool:
        """Grab the frame that shows at `place`, or the one `before` it; the first one if there is none so early.

        Returns whether a frame was grabbed: not in a video without frames, nor if it `is_closed` meanwhile.
        """
        for back in BACK:
            start = place - back
            found = self._last(start, place, before, is_closed)
            if found is not None or start <= 0:
                break
        if found is None or self.place != found:
            # One frame too far: that it was the last one shows only at the next.
            self._walk(start, found, is_closed)
            if self.place != found:
                self._walk(0.0, found, is_closed)
        return self.place is not None and not is_closed()

    def _walk(self, start: float, place: float | None, is_closed: Callable[[], bool]) -> None:
        """Go from `start` on to the frame at `place`, which was seen before, or to the first one."""
        self._begin(start)
        while self.grab() and self._is_before(place) and not is_closed():
            pass

    def _last(self, start: float, place: float, before: bool, is_closed: Callable[[], bool]) -> float | None:
        """Go from `start` on to `place` or one frame further; return the place of the frame that `find` wants."""
        self._begin(start)
        limit = place - _SAME if before else place + _SAME
        found: float | None = None
        while not is_closed() and self.grab() and self._is_before(limit):
            found = self.place
            if not before and not self._is_before(place - _SAME):
                break
        return found

    def _is_before(self, place: float | None) -> bool:
        return place is not None and self.place is not None and self.place < place

    def _begin(self, start: float) -> None:
        """Go before the frames from `start` on, if the container can."""
        if start <= 0:
            self.rewind()
        else:
            self._capture.set(cv2.CAP_PROP_POS_MSEC, start * 1000)
            self.place = None

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


def first_frame(path: Path) -> NDArray[np.uint8]:
    """Return a video's first frame, (H, W, 3) uint8 RGB.

    Raises
    ------
    UserError
        If there is none.
    """
    if not path.is_file():
        raise UserError(f"no file {printable(path)}")
    decoder = Decoder(path)
    pixels = decoder.pixels() if decoder.grab() else None
    decoder.close()
    if pixels is None:
        raise UserError(f"{printable(path)} is no video that can be read, or has no frames")
    return pixels


def rgb(pixels: Any) -> NDArray[np.uint8]:
    """Return OpenCV's BGR, (H, W, 3), as RGB."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _capture(path: Path) -> cv2.VideoCapture:
    return cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)


def _places(path: Path) -> NDArray[np.float64]:
    """Return the places of a video's first frames, in seconds, as the file has them; nothing is decoded."""
    packets = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    places: list[float] = []
    while len(places) < _LOOKED_AT and packets.grab():
        places.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    packets.release()
    return np.array(places)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what tells one file from another, and its size; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size

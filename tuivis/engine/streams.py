"""Streams and cameras: opened again and again, with growing pauses, whenever they give nothing."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tuivis.engine import web
from tuivis.engine.decoder import rgb
from tuivis.engine.feeds import Feed, Moment, Prepare
from tuivis.engine.sources import without_secrets
from tuivis.engine.web import Refusal
from tuivis.errors import UserError

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to open; the last one again and again."""
TIMEOUT = 5.0
"""Seconds without a frame after which a stream is opened anew."""
SILENCE = 2.0
"""Seconds without a frame that are worth a word."""


class Live(Feed):
    """Something that gives frames as they happen. `name` is what people call it."""

    def __init__(self, name: str, prepare: Prepare) -> None:
        super().__init__(prepare)
        self._name = name
        self._last: float | None = None

    @abstractmethod
    def open(self) -> cv2.VideoCapture:
        """Try to open it; the capture says whether that went well."""

    def refusal(self) -> Refusal:
        """Say why it did not open."""
        return Refusal()

    @property
    def message(self) -> str:
        """What is wrong, one line; empty if nothing is."""
        last = self._last
        silence = 0.0 if last is None else time.monotonic() - last
        if not self._message and silence > SILENCE:
            return f"{self._name} stalls: its last frame came {silence:.0f} s ago"
        return self._message

    def run(self) -> None:
        """Show what comes; open it again when nothing comes any more."""
        attempt = 0
        self.say(f"waiting for {self._name}")
        while not self.closed:
            capture = self.open()
            opened = capture.isOpened()
            if opened and self._follow(capture):
                attempt = 0
            capture.release()
            self.reason, self.final = Refusal() if opened else self.refusal()
            self._last = None
            pause = PAUSES[min(attempt, len(PAUSES) - 1)]
            attempt += 1
            what = f"{self._name} is lost" if self._newest is not None else f"waiting for {self._name}"
            self.say(": ".join(filter(None, (what, self.reason, f"trying again every {pause:g} s"))))
            self.rest(pause)

    def _follow(self, capture: cv2.VideoCapture) -> bool:
        """Show frames until there are none; say whether there was one."""
        any_frame = False
        while not self.closed:
            read, pixels = capture.read()
            if not read:
                return any_frame
            any_frame = True
            self._last = time.monotonic()
            self.say("")
            self.publish(Moment(rgb(pixels), self._last))
        return any_frame


class Stream(Live):
    """A stream from the network."""

    def __init__(self, url: str, prepare: Prepare) -> None:
        super().__init__(without_secrets(url), prepare)
        self._url = url

    def open(self) -> cv2.VideoCapture:
        """Try to connect."""
        return _connect(self._url)

    def refusal(self) -> Refusal:
        """Say why no stream comes from the URL."""
        return web.refusal(self._url)


class Camera(Live):
    """A camera of the engine's machine, by number."""

    def __init__(self, number: int, prepare: Prepare) -> None:
        super().__init__(f"camera {number}", prepare)
        self._number = number

    def open(self) -> cv2.VideoCapture:
        """Try to open the camera."""
        return cv2.VideoCapture(self._number)


def _connect(url: str) -> cv2.VideoCapture:
    milliseconds = round(TIMEOUT * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
    # Several threads decode several frames at once, and so show each of them later by as many.
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, [*limits, cv2.CAP_PROP_N_THREADS, 1])


def first_of(
    name: str, open: Callable[[], cv2.VideoCapture], refusal: Callable[[], Refusal] = Refusal
) -> NDArray[np.uint8]:
    """Return the next frame of a stream or camera, (H, W, 3) uint8 RGB; `refusal` says why none came, if it can.

    Raises
    ------
    UserError
        If none comes.
    """
    capture = open()
    read, pixels = capture.read() if capture.isOpened() else (False, None)
    capture.release()
    if not read:
        raise UserError(": ".join(filter(None, (f"no frame comes from {name}", refusal().reason))))
    return rgb(pixels)


def frame_of_stream(url: str) -> NDArray[np.uint8]:
    """Return a stream's next frame; see `first_of`."""
    return first_of(without_secrets(url), lambda: _connect(url), lambda: web.refusal(url))


def frame_of_camera(number: int) -> NDArray[np.uint8]:
    """Return a camera's next frame; see `first_of`."""
    return first_of(f"camera {number}", lambda: cv2.VideoCapture(number))

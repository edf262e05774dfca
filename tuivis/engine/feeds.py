"""Moving sources: a thread decodes, the newest frame wins, and the viewer takes it when it is ready for one."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Prepare = Callable[[NDArray[np.uint8]], torch.Tensor]

SLICE = 0.005
"""Seconds between two looks whether somebody who waits for a frame has something better to do."""
AHEAD = 3
"""Frames, at most, that are prepared before one is taken: who takes few shall not pay for all."""


@dataclass(frozen=True)
class Moment:
    """A frame: `pixels` (H, W, 3) uint8 RGB, its monotonic time `at`.

    Of a video it has its place in `seconds`, and the `lap`: how many times the video has ended before.
    """

    number: int
    pixels: NDArray[np.uint8]
    at: float
    seconds: float | None = None
    lap: int = 0


class Feed(ABC):
    """A moving source, read by a thread of its own from the first `newest` on until `close`.

    Parameters
    ----------
    prepare
        Makes a network's input of a frame's pixels; the thread does so, while the network is busy with another frame.

    Attributes
    ----------
    length
        Seconds of the whole, None where there is no end.
    rate
        Frames per second of a video, None where it is not known.
    lap
        How many times a video has ended.
    dropped
        Frames that came and were not shown.
    """

    def __init__(self, prepare: Prepare) -> None:
        self.length: float | None = None
        self.rate: float | None = None
        self.dropped = self.lap = 0
        self._prepare = prepare
        self._message = ""
        self._newest: Moment | None = None
        self._prepared: tuple[Moment, Prepare, torch.Tensor] | None = None
        self._taken = -1
        self._credit = AHEAD
        self._number = 0
        self.changed = threading.Condition()
        self.closed = False
        self._thread = threading.Thread(target=self.run, name=type(self).__name__, daemon=True)

    @abstractmethod
    def run(self) -> None:
        """Read the source and `publish` its frames until it is `closed`."""

    def hold(self, held: bool) -> None:
        """Stop the source's clock or let it go on; most have none."""
        return

    def seek(self, seconds: float, frames: int) -> None:
        """Move the source to another place; most have none."""
        return

    @property
    def message(self) -> str:
        """What is wrong, one line; empty if nothing is."""
        return self._message

    def say(self, message: str) -> None:
        """Change what is wrong."""
        self._message = message

    def publish(self, pixels: NDArray[np.uint8], at: float, seconds: float | None = None) -> None:
        """Offer a frame; one that was offered before and not taken is dropped."""
        with self.changed:
            if self._newest is not None and self._newest.number != self._taken:
                self.dropped += 1
            self._number += 1
            moment = self._newest = Moment(self._number, pixels, at, seconds, self.lap)
            prepare, prepared = self._prepare, self._credit > 0
            self._credit -= 1
            self.changed.notify_all()
        if prepared:
            values = prepare(pixels)
            with self.changed:
                self._prepared = moment, prepare, values

    def newest(self, patience: float, interrupted: Callable[[], bool]) -> Moment | None:
        """Return the newest frame unless it was taken; wait for one so many seconds at most, or until interrupted."""
        if not self._thread.ident:
            self._thread.start()
        end = time.monotonic() + patience
        with self.changed:
            while self._newest is None or self._newest.number == self._taken:
                if self.closed or time.monotonic() >= end or interrupted():
                    return None
                self.changed.wait(SLICE)
            self._taken, self._credit = self._newest.number, AHEAD
            self.changed.notify_all()
            return self._newest

    def prepared(self, moment: Moment, prepare: Prepare) -> torch.Tensor:
        """Return the network's input for a frame; `prepare` is how frames are prepared from now on."""
        self._prepare = prepare
        with self.changed:
            ready = self._prepared
        if ready is not None and ready[0] is moment and ready[1] is prepare:
            return ready[2]
        return prepare(moment.pixels)

    def is_taken(self) -> bool:
        """Say whether the newest frame was taken, or there is none."""
        return self._newest is None or self._newest.number == self._taken

    def rest(self, seconds: float) -> None:
        """Do nothing for so long, or until somebody has changed something."""
        with self.changed:
            if not self.closed:
                self.changed.wait(seconds)

    def close(self) -> None:
        """Let the thread end when it can; nobody waits for it: it may hang in a system call."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

"""Moving sources: a thread decodes, the newest frame wins, and the viewer takes it when it is ready for one."""

from __future__ import annotations

import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tuivis.errors import printable

Prepare = Callable[[NDArray[np.uint8]], torch.Tensor]

SLICE = 0.005
"""Seconds between two looks whether somebody who waits for a frame has something better to do."""
AHEAD = 3
"""Frames, at most, that are prepared before one is taken: who takes few shall not pay for all."""

AGAIN = 1.0
"""Seconds between attempts to read what is damaged or gone."""


@dataclass(frozen=True)
class Moment:
    """A frame: `pixels` (H, W, 3) uint8 RGB, its monotonic time `at`, and in a video its place in `seconds`.

    `era` counts how often the source was moved before the frame was read, `lap` how many times a video has ended.
    """

    pixels: NDArray[np.uint8]
    at: float
    seconds: float | None = None
    era: int = 0
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
        Frames per second of a video, or of a film of all its frames; None where it is not known.
    lap
        How many times a video has ended.
    dropped
        Frames that came and were not shown.
    reason
        Why there are no frames, where that is known; a part of the message.
    final
        Whether none will come for that reason.
    """

    def __init__(self, prepare: Prepare) -> None:
        self.length: float | None = None
        self.rate: float | None = None
        self.dropped = self.lap = 0
        self.reason = ""
        self.final = False
        self._prepare = prepare
        self._message = ""
        self._newest: Moment | None = None
        self._taken: Moment | None = None
        self._prepared: tuple[Moment, Prepare, torch.Tensor] | None = None
        self._era = 0
        self._credit = AHEAD
        self.changed = threading.Condition()
        self.closed = False
        self.thread = threading.Thread(target=self._keep_running, name=type(self).__name__, daemon=True)

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

    def publish(self, moment: Moment) -> None:
        """Offer a frame; one that was offered before and not taken is dropped, and so is one of an older era."""
        with self.changed:
            if moment.era != self._era:
                return
            if not self.is_taken():
                self.dropped += 1
            self._newest = moment
            prepare, prepared = self._prepare, self._credit > 0
            self._credit -= 1
            self.changed.notify_all()
        if prepared:
            self._prepare_ahead(moment, prepare)

    def newest(self, patience: float, interrupted: Callable[[], bool]) -> Moment | None:
        """Return the newest frame unless it was taken; wait for one so many seconds at most, or until interrupted."""
        if not self.thread.ident:
            self.thread.start()
        end = time.monotonic() + patience
        with self.changed:
            while self.is_taken():
                if self.closed or time.monotonic() >= end or interrupted():
                    return None
                self.changed.wait(SLICE)
            self._taken, self._credit = self._newest, AHEAD
            self.changed.notify_all()
            return self._taken

    def prepared(self, moment: Moment, prepare: Prepare) -> torch.Tensor:
        """Return the network's input for a frame; `prepare` is how frames are prepared from now on."""
        self._prepare = prepare
        with self.changed:
            ready = self._prepared
        if ready is not None and ready[0] is moment and ready[1] is prepare:
            return ready[2]
        return prepare(moment.pixels)

    def is_taken(self) -> bool:
        """Say whether there is no frame that waits to be taken."""
        return self._newest is None or self._newest is self._taken or self._newest.era != self._era

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

    def _prepare_ahead(self, moment: Moment, prepare: Prepare) -> None:
        try:
            values = prepare(moment.pixels)
        except Exception:
            # The same happens to whoever takes the frame, and can tell.
            return
        with self.changed:
            self._prepared = moment, prepare, values

    def _keep_running(self) -> None:
        """Run; when a decoder raises, which it may on damaged data, say so and begin again."""
        while not self.closed:
            try:
                self.run()
            except Exception as error:
                traceback.print_exc()
                self.say(f"the source cannot be read: {printable(error)}")
                self.rest(AGAIN)

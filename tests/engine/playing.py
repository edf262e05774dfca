"""A clock that passes when a test says so, and waiting for the frames of a moving source."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from tests.clips import number_in
from tuivis.engine.feeds import Feed, Moment
from tuivis.engine.videos import Video

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""
QUIET = 0.1
"""Seconds in which a source that has nothing to show would have shown it, mostly."""


def prepare(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32))


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.video: Video | None = None

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        assert self.video is not None
        with self.video.changed:
            # Sums of tenths are a little less, or more.
            self.now += seconds + 1e-6
            self.video.changed.notify_all()


Play = Callable[..., Video]


def never() -> bool:
    return False


def take(feed: Feed) -> Moment:
    """Wait for the next frame."""
    moment = feed.newest(PATIENCE, never)
    assert moment is not None, feed.message
    return moment


def number(feed: Feed) -> int:
    return number_in(take(feed).pixels)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def until_newest(video: Video, number: int) -> None:
    """Wait until the frame has come, and do not take it."""
    until(lambda: video._newest is not None and number_in(video._newest.pixels) == number)


def until_late(clock: Clock, condition: Callable[[], bool]) -> None:
    """Let time pass until `condition` holds."""

    def holds() -> bool:
        clock.advance(0.05)
        return condition()

    until(holds)

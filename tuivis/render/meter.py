"""What the user sees of the pacing: frames per second, bytes per frame, and how old what is on screen was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW = 2.0
"""Seconds that the figures are taken over; longer where it takes longer for two frames to come."""
_INSTANT = 1e-3
"""Seconds: terminals tell of several frames at once."""


@dataclass(frozen=True)
class Figures:
    """Frames per second, bytes per frame, and the age of a frame when it was on screen, in seconds if it is known."""

    fps: float
    size: float
    age: float | None


class Meter:
    """Keeps the frames of the last seconds. Times are seconds of one monotonic clock, given by the caller."""

    def __init__(self) -> None:
        self._drawn: deque[tuple[float, int, float | None]] = deque()

    def add(self, at: float, size: int, age: float | None) -> None:
        """Take note of a frame of `size` bytes that was drawn `at` a time and was `age` seconds old then."""
        self._drawn.append((at, size, age))
        self._forget(at)

    def figures(self, now: float) -> Figures | None:
        """Return the figures, None before there are two frames."""
        self._forget(now)
        count = len(self._drawn)
        if count < 2:
            return None
        first, last = self._drawn[0][0], self._drawn[-1][0]
        # One that is late makes it slower even before it is there.
        fps = min((count - 1) / max(last - first, _INSTANT), count / max(now - first, _INSTANT))
        ages = [age for _, _, age in self._drawn if age is not None]
        return Figures(fps, sum(size for _, size, _ in self._drawn) / count, sum(ages) / len(ages) if ages else None)

    def clear(self) -> None:
        """Forget all frames: others follow, of something else."""
        self._drawn.clear()

    def _forget(self, now: float) -> None:
        while len(self._drawn) > 2 and self._drawn[0][0] < now - WINDOW:
            self._drawn.popleft()

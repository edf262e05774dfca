"""What the user sees of the pacing: frames per second, bytes per frame, and how old what is on screen was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW = 2.0
"""Seconds that the figures are taken over."""


@dataclass(frozen=True)
class Figures:
    """Frames per second, bytes per frame, and the age of a frame when it was on screen, in seconds."""

    fps: float
    size: float
    age: float


class Meter:
    """Keeps the frames of the last seconds. Times are seconds of one monotonic clock, given by the caller."""

    def __init__(self) -> None:
        self._drawn: deque[tuple[float, int, float]] = deque()

    def add(self, at: float, size: int, age: float) -> None:
        """Take note of a frame of `size` bytes that was drawn `at` a time and was `age` seconds old then."""
        self._drawn.append((at, size, age))

    def figures(self, now: float) -> Figures | None:
        """Return the figures, None if no frame came."""
        while self._drawn and self._drawn[0][0] < now - WINDOW:
            self._drawn.popleft()
        if not self._drawn:
            return None
        count = len(self._drawn)
        size, age = (sum(column) / count for column in list(zip(*self._drawn, strict=True))[1:])
        return Figures(count / WINDOW, size, age)

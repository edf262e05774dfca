"""How much of a live picture is sent: less when frames come late, more again when the link has room."""

from __future__ import annotations

from dataclasses import dataclass

from tuivis.render.pacer import Drawn

LATE = 0.1
"""Seconds. A frame that comes later than this and the bare round trip is too large."""
OFTEN = 3
"""Frames, one after another, that must be too large."""
ROOM = 0.7
"""The share of that time which a better quality must keep within before it is tried."""
HEADROOM = 2.0
"""Seconds for which there must have been room."""
GROWTH = 3.0
"""How many times larger frames get by a step up, where it has not been seen yet."""


@dataclass(frozen=True)
class Quality:
    """Entries of the palette of activations, and how many values of a tile's side are sent as one.

    `shrink` is how many pixels of a photograph's side are sent as one.
    """

    colours: int
    coarseness: int = 1
    shrink: int = 1

    def __str__(self) -> str:
        """Return it in words."""
        detail = {1: "", 2: ", half detail", 4: ", quarter detail"}[self.coarseness]
        return f"{self.colours} levels{detail}"


FINE = (Quality(256), Quality(64), Quality(16, shrink=2), Quality(16, 2, 4), Quality(16, 4, 4))
"""Qualities for a terminal that takes pictures with a palette of their own, the best first."""
PLAIN = (Quality(32), Quality(32, 2, 2), Quality(32, 4, 4))
"""Qualities where the palette is fixed."""
CAPS = {"256": 0, "64": 1, "16": 2, "half": 3, "quarter": 4}
"""What the user may ask for: the best of `FINE` that is used."""


def ladder(is_fine: bool, best: str | None) -> Ladder:
    """Return the ladder of `FINE`, which begins in the middle, or of `PLAIN`; `best`, one of `CAPS`, is its top."""
    cap = CAPS[best] if best else 0
    return Ladder(FINE[cap:], max(0, 2 - cap)) if is_fine else Ladder(PLAIN[max(0, cap - 2) :])


class Ladder:
    """Chooses among `steps`, the best first, by how late frames are; begins at step `start`."""

    def __init__(self, steps: tuple[Quality, ...], start: int = 0) -> None:
        self._steps = steps
        self._step = start
        self._since, self._late = 0.0, 0
        self._room_since: float | None = None
        self._sizes: dict[int, int] = {}

    @property
    def quality(self) -> Quality:
        """The quality to use now."""
        return self._steps[self._step]

    @property
    def is_best(self) -> bool:
        """Whether there is no better quality."""
        return self._step == 0

    def judge(self, drawn: Drawn, round_trip: float, now: float) -> None:
        """Take note of a whole frame that was drawn; one that was sent before the last step says nothing."""
        if drawn.sent < self._since:
            return
        limit = LATE + round_trip
        self._sizes[self._step] = drawn.size
        self._late = 0 if drawn.late <= limit else self._late + 1
        if self._late >= OFTEN and self._step < len(self._steps) - 1:
            self._turn(1, now)
        elif self._step == 0 or drawn.late * self._growth() > ROOM * limit:
            self._room_since = None
        elif self._room_since is None:
            self._room_since = now
        elif now - self._room_since >= HEADROOM:
            self._turn(-1, now)

    def _growth(self) -> float:
        """Return how many times larger the next better frame would be."""
        better = self._sizes.get(self._step - 1)
        return max(1.0, better / max(1, self._sizes[self._step])) if better else GROWTH

    def _turn(self, by: int, now: float) -> None:
        self._step += by
        self._since, self._room_since, self._late = now, None, 0

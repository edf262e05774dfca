"""How much of a live picture is sent: less when frames come late, more again when the link has room."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from tuivis.render.pacer import Drawn

LATE = 0.1
"""Seconds. A frame that comes later than this and the bare round trip is too large."""
VERY_LATE = 0.5
"""The same where a smaller one would show fewer units: all of them, less often, tell more."""
OFTEN = 3
"""Frames, one after another, that must be too large."""
HOPELESS = 1.5
"""Seconds. One frame as late as this is enough; where others were in time it may be a stall: the next tells, too."""
ROOM = 0.7
"""The share of that time which a better quality must keep within before it is tried."""
HEADROOM = 2.0
"""Seconds for which there must have been room."""
GROWTH = 3.0
"""How many times larger frames get by a step up, where it has not been seen yet."""


@dataclass(frozen=True)
class Quality:
    """Entries of the palette of activations, and how many values of a tile's side are sent as one.

    `shrink` is how many pixels of a photograph's side are sent as one, `parts` on how many pages the units are that
    would fit on one.
    """

    colours: int
    coarseness: int = 1
    shrink: int = 1
    parts: int = 1

    def __str__(self) -> str:
        """Return it in words."""
        detail = {1: "", 2: ", half detail", 4: ", quarter detail"}[self.coarseness]
        units = {1: "", 2: ", half the units", 4: ", a quarter of the units"}[self.parts]
        return f"{self.colours} levels{detail}{units}"


FINE = (
    Quality(256),
    Quality(64),
    Quality(16, shrink=2),
    Quality(16, 2, 4),
    Quality(16, 4, 4),
    Quality(16, 4, 4, 2),
)
"""Qualities for a terminal that takes pictures with a palette of their own, the best first."""
PLAIN = (
    Quality(32),
    Quality(32, 2, 2),
    Quality(32, 4, 4),
    Quality(12, 4, 4),
    Quality(12, 4, 4, 2),
    Quality(12, 4, 4, 4),
)
"""Qualities where pictures are runs of colours, of which fewer make longer runs."""
CAPS = {"256": 0, "64": 1, "16": 2, "half": 3, "quarter": 4}
"""What the user may ask for: the best of `FINE` that is used."""


def ladder(is_fine: bool, best: str | None) -> Ladder:
    """Return the ladder of `FINE` or of `PLAIN`, which begins in the middle; `best`, one of `CAPS`, is its top."""
    cap = CAPS[best] if best else 0
    steps, cap, start = (FINE, cap, 2) if is_fine else (PLAIN, max(0, cap - 2), 1)
    return Ladder(steps[cap:], max(0, start - cap))


class Ladder:
    """Chooses among `steps`, the best first, by how late frames are; begins at step `start`."""

    def __init__(self, steps: tuple[Quality, ...], start: int = 0) -> None:
        self._steps = steps
        self._step = start
        self._since, self._late = 0.0, 0
        self._fits, self._held = False, -inf
        self._has_room, self._turned = False, 0.0
        self._sizes: dict[int, int] = {}
        self.was_cramped = False
        """Whether the link had no room for a better quality, and not for a moment only."""

    @property
    def quality(self) -> Quality:
        """The quality to use now."""
        return self._steps[self._step]

    def judge(self, drawn: Drawn, round_trip: float, now: float) -> None:
        """Take note of a whole frame that was drawn; one that was sent before the last step says nothing."""
        if drawn.sent < self._since:
            return
        self._sizes[self._step] = drawn.size
        # What was under way when the link stalled is not late by more than it took afterwards.
        late = min(drawn.late, now - self._held)
        is_late = late > self._limit(self._step) + round_trip
        self._late = self._late + 1 if is_late else 0
        self._fits = self._fits or not is_late
        if is_late and late >= HOPELESS:
            self._late, self._held = self._late + (OFTEN - 2 if self._fits else OFTEN), now
        has_room = self._step > 0 and late * self._growth() <= ROOM * (self._limit(self._step - 1) + round_trip)
        if has_room != self._has_room:
            self._has_room, self._turned = has_room, now
        if self._late >= OFTEN and self._step < len(self._steps) - 1:
            self._turn(1, now)
        elif now - self._turned >= HEADROOM and self._step > 0:
            self.was_cramped = self.was_cramped or not has_room
            if has_room:
                self._turn(-1, now)

    def _limit(self, step: int) -> float:
        """Return how late frames may be at a step before the next one is taken."""
        here, below = self._steps[step], self._steps[min(step + 1, len(self._steps) - 1)]
        return LATE if here.parts == below.parts else VERY_LATE

    def _growth(self) -> float:
        """Return how many times larger the next better frame would be."""
        better = self._sizes.get(self._step - 1)
        return max(1.0, better / max(1, self._sizes[self._step])) if better else GROWTH

    def _turn(self, by: int, now: float) -> None:
        self._step += by
        self.was_cramped = self.was_cramped or by > 0
        self._since, self._late, self._fits = now, 0, False
        self._has_room, self._turned = False, now

"""When the next frame may be sent, so that the terminal never shows the past.

Neither the pty nor ssh tells how much waits in the link, so the terminal is asked: behind every frame goes a request
for the cursor's position with the frame's number in it, and the answer says that the frame is drawn. Two frames may be
under way: one that is sent while the answer to the other travels; three on long round trips. Now and then a question
goes alone: its answer takes the round trip of the bare link, and what a frame takes more is how late it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf

NUMBERS, _COLUMNS = 1024, 64
"""Numbers before they repeat, and how many go in a row: a screen of 80 x 24 holds them all."""
_TOP = 2
"""The first row with numbers. The answer for the first row of the screen would read like a function key."""

IN_FLIGHT, IN_FLIGHT_FAR = 2, 3
"""Frames under way at most, and where the round trip is longer than a frame takes to send."""
MEMORY = 12.0
"""Seconds for which a round trip is believed in."""
ALONE, BETWEEN = 10.0, 20
"""Seconds, and frames, at least, between two questions that go alone: each costs a round trip without frames."""
RECENT = 7
"""Frames from which it is foreseen when the next answer comes."""
PATIENCE = 3.0
"""Seconds without an answer after which the terminal is asked once more, or taken for one that never answers."""
FAITH = 20.0
"""The same for one that has answered other questions: on a very slow link the first frame may take that long."""
BLIND = 0.5
"""Seconds between frames for a terminal that never answers."""


def question(number: int) -> bytes:
    """Return the request that the terminal answers once it has drawn what was sent before; the cursor stays."""
    row, column = divmod(number, _COLUMNS)
    return b"\x1b7\x1b[%d;%dH\x1b[6n\x1b8" % (row + _TOP, column + 1)


def number_in(row: int, column: int) -> int | None:
    """Return the number in the cursor's position (from 1), or None if it holds none."""
    number = (row - _TOP) * _COLUMNS + column - 1
    return number if 0 <= number < NUMBERS and 1 <= column <= _COLUMNS else None


@dataclass(frozen=True)
class _Frame:
    """A frame under way; one without bytes is a question alone."""

    number: int
    size: int
    sent: float
    of: object


@dataclass(frozen=True)
class Drawn:
    """A frame of `size` bytes is on screen, `late` seconds after a tiny one would have been, sent at the same time.

    Where there is a limit it counts as late, too, for as long as it keeps others from being sent. `of` is whose frame
    it is, as the sender said.
    """

    of: object
    sent: float
    late: float
    size: int


class Pacer:
    """Decides when frames are sent. All times are seconds of one monotonic clock, given by the caller.

    Parameters
    ----------
    round_trip
        Seconds that an answer of the terminal took before anything was sent; None if it is not known.
    limit
        Bytes per second that are never exceeded.
    answers
        Whether the terminal itself answers: a multiplexer may answer in its place, at once, whatever waits behind it.
    """

    def __init__(self, round_trip: float | None = None, limit: float = inf, answers: bool = True) -> None:
        self._limit = limit
        self._flight: deque[_Frame] = deque()
        self._takes: deque[float] = deque(maxlen=RECENT)
        self._trips: deque[tuple[float, float]] = deque()
        self._number = 0
        self._probed = round_trip
        self._mute = not answers
        self._answers: bool | None = None if answers else False
        self._heard = -inf
        self._asked = 0.0
        self._alone: float | None = None
        self._since_alone = 0
        self._allowed = -inf

    @property
    def round_trip(self) -> float:
        """Seconds of the bare link, there and back."""
        return min((trip for _, trip in self._trips), default=self._probed or 0.0)

    @property
    def in_flight(self) -> int:
        """Frames that are sent and not known to be drawn."""
        return len(self._flight)

    def wait(self, now: float, hurried: bool = False) -> float:
        """Return the seconds until the next frame may be sent: 0 at once, infinite before an answer has come.

        One frame that is `hurried`, since a key waits for it, may go besides those that may be under way.
        """
        patience = PATIENCE if self._probed is None else FAITH
        if self._answers is None and self._flight and now - self._flight[0].sent >= patience:
            self._answers = False
            self._flight.clear()
        is_far = bool(self._takes) and self.round_trip > self._interval
        most = IN_FLIGHT_FAR if is_far else IN_FLIGHT
        alone = bool(self._flight) and (not self._flight[-1].size or self._wants_trip(now))
        if hurried:
            alone, most = False, most + 1
        return inf if alone or len(self._flight) >= most else max(0.0, self._allowed - now)

    def expects(self, now: float) -> float:
        """Return the seconds until there is probably room for another frame: infinite while the link is stalled.

        The answer that makes room is taken for given: who makes the next frame begins before it is there.
        """
        wait = self.wait(now)
        if wait < inf or self.is_stalled(now):
            return wait
        return max(0.0, self._heard + self._interval - now)

    def send(self, size: int, now: float, of: object = None) -> bytes:
        """Take note of a frame `of` somebody that is being sent; return the question to send behind it, if any."""
        self._number = (self._number + 1) % NUMBERS
        self._asked = now
        self._since_alone += 1
        self._allowed = max(self._allowed, now) + size / self._limit
        if self._answers is False:
            self._allowed = max(self._allowed, now + BLIND if self._limit == inf else 0.0)
        else:
            self._flight.append(_Frame(self._number, size, now, of))
        return b"" if self._mute else question(self._number)

    def unanswered(self, size: int, now: float, of: object) -> Drawn | None:
        """Return a frame that is being sent as if it were drawn at once, None where an answer will tell when it is."""
        return Drawn(of, now, size / self._limit, size) if self._answers is False else None

    def alone(self, now: float) -> bytes:
        """Return a question to send alone, or nothing: the link must be empty for it, and its time have come."""
        if self._flight or not self._wants_trip(now):
            return b""
        self._alone, self._since_alone = now, 0
        return self.send(0, now)

    def answered(self, number: int, now: float) -> Drawn | None:
        """Take note of the terminal's answer; return what is drawn now, None if nothing is."""
        if self._mute:
            return None
        # One that was silent at first may have been busy, or far away.
        self._answers = True
        if all(frame.number != number for frame in self._flight):
            return None
        frame = self._flight.popleft()
        while frame.number != number:
            frame = self._flight.popleft()
        if frame.size == 0 or now - frame.sent < self.round_trip:
            self._trips.append((now, now - frame.sent))
            while now - self._trips[0][0] > MEMORY and len(self._trips) > 1:
                self._trips.popleft()
        if frame.size:
            self._takes.append(now - max(self._heard, frame.sent))
        self._heard = now
        late = max(now - frame.sent - self.round_trip, frame.size / self._limit)
        return Drawn(frame.of, frame.sent, late, frame.size)

    @property
    def _interval(self) -> float:
        """Seconds from one answer to the next, or from a frame to its answer if that is sooner; their median."""
        return sorted(self._takes)[len(self._takes) // 2] if self._takes else 0.0

    def _wants_trip(self, now: float) -> bool:
        """Say whether the bare round trip should be measured again, or for the first time."""
        if self._answers is not True:
            return False
        if self._alone is None:
            return self._probed is None or self._since_alone >= BETWEEN
        return self._since_alone >= BETWEEN and now - self._alone >= ALONE

    def is_stalled(self, now: float) -> bool:
        """Say whether the terminal has been silent for longer than the link needs."""
        if not self._flight or not self._answers:
            return False
        frame = self._flight[0]
        return now - max(frame.sent, self._heard) > 1.0 + self.round_trip + 2 * self._interval

    def reminder(self, now: float) -> bytes:
        """Return a question to send alone when an answer is overdue, else nothing: one may have been lost."""
        if now - self._asked < PATIENCE or not self.is_stalled(now):
            return b""
        self._asked = now
        return question(self._flight[-1].number)

    def forget(self) -> None:
        """Take note that what is under way will not be answered: another program had the terminal."""
        self._flight.clear()
        self._allowed = -inf

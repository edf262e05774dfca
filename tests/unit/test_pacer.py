"""The pacer and the ladder against a simulated link, on a simulated clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf

import pytest

from tuivis.render.pacer import NUMBERS, Drawn, Pacer, number_in, question
from tuivis.render.quality import FINE, PLAIN, Ladder, Quality

KBIT = 1000 / 8


class Link:
    """A link of `rate` bytes per second and `delay` seconds each way, with a terminal behind it."""

    def __init__(self, rate: float, delay: float, answers: bool = True) -> None:
        self.rate, self.delay, self.answers = rate, delay, answers
        self.free = 0.0
        self.stalled = (inf, inf)
        self.replies: list[tuple[float, int]] = []
        self.shown: list[tuple[float, float]] = []
        self.written = 0

    def write(self, pacer: Pacer, size: int, now: float) -> None:
        asked = pacer.send(size, now)
        last = self._number(asked) if asked else 0
        self.written += size
        begin = max(now, self.free)
        if self.stalled[0] <= begin < self.stalled[1]:
            begin = self.stalled[1]
        self.free = begin + size / self.rate
        if self.stalled[0] <= self.free < self.stalled[1]:
            self.free += self.stalled[1] - self.stalled[0]
        self.shown.append((now, self.free + self.delay))
        if self.answers and asked:
            self.replies.append((self.free + 2 * self.delay, last))

    def remind(self, data: bytes, now: float) -> None:
        if data and self.answers:
            self.replies.append((max(now, self.free) + 2 * self.delay, self._number(data)))

    @staticmethod
    def _number(data: bytes) -> int:
        row, column = (int(n) for n in re.findall(rb"(\d+);(\d+)H", data)[0])
        number = number_in(row, column)
        assert number is not None
        return number


class Watch:
    """Sends a frame of `size(...)` whenever one may go; keeps when each was sent and when it was seen."""

    def __init__(self, link: Link, pacer: Pacer, fps: float = 200.0) -> None:
        self.link, self.pacer, self.now, self.fps = link, pacer, 0.0, fps
        self.due = 0.0
        self.drawn: list[Drawn] = []
        self.most = 0

    def play(
        self, seconds: float, size: Callable[[], int], judge: Callable[[Drawn, float], None] | None = None
    ) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.001
            for each in [each for each in self.link.replies if each[0] <= self.now]:
                self.link.replies.remove(each)
                drawn = self.pacer.answered(each[1], self.now)
                if drawn:
                    self.drawn.append(drawn)
                    if judge:
                        judge(drawn, self.now)
            for asked in (self.pacer.reminder(self.now), self.pacer.alone(self.now)):
                self.link.remind(asked, self.now)
            if self.now >= self.due and self.pacer.wait(self.now) == 0:
                self.link.write(self.pacer, size(), self.now)
                self.due = self.now + 1 / self.fps
            self.most = max(self.most, self.pacer.in_flight)

    def ages(self, since: float = 0.0) -> list[float]:
        """Return how old each frame was when it was seen, in order of age."""
        return sorted(seen - sent for sent, seen in self.link.shown if sent >= since)


def test_a_question_holds_its_number_and_leaves_the_cursor() -> None:
    for number in range(NUMBERS):
        text = question(number)
        assert text.startswith(b"\x1b7") and text.endswith(b"\x1b[6n\x1b8")
        row, column = (int(n) for n in re.findall(rb"(\d+);(\d+)H", text)[0])
        # On every screen that tuivis runs on; not in the first row, where the answer would be a key.
        assert 2 <= row <= 24 and 1 <= column <= 80
        assert number_in(row, column) == number
    assert number_in(1, 5) is None
    assert number_in(2, 70) is None


@pytest.mark.parametrize("known", [None, "probed"])
@pytest.mark.parametrize(
    ("kbit", "trip", "size"),
    [(1000, 0.05, 14_600), (2000, 0.05, 14_600), (10_000, 0.05, 30_000), (256, 0.2, 3_000), (2000, 0.3, 14_600)],
)
def test_the_link_is_full_and_no_more_waits_in_it_than_two_or_three_frames(
    kbit: int, trip: float, size: int, known: str | None
) -> None:
    watch = Watch(Link(kbit * KBIT, trip / 2), Pacer(trip if known else None))
    watch.play(5, lambda: size)
    before = watch.link.written
    watch.play(20, lambda: size)
    carried = (watch.link.written - before) / (20 * kbit * KBIT)
    takes = size / (kbit * KBIT)
    # Three frames under way carry no more than that in a round trip.
    possible = min(1.0, 3 * takes / (takes + trip))
    assert carried >= 0.93 * possible
    most = 3 if trip > takes else 2
    assert watch.ages(5)[-1] <= trip / 2 + most * takes + 0.01
    assert watch.most <= most
    assert watch.pacer.round_trip == pytest.approx(trip, abs=0.01)


def test_a_slow_source_is_sent_at_its_own_rate_without_delay() -> None:
    watch = Watch(Link(2000 * KBIT, 0.025), Pacer(), fps=5)
    watch.play(20, lambda: 14_600)
    assert len(watch.link.shown) == pytest.approx(100, abs=2)
    assert watch.ages(2)[-1] <= 0.025 + 0.0584 + 0.01


def test_a_link_that_becomes_slower_or_farther_is_learnt_again() -> None:
    link = Link(10_000 * KBIT, 0.01)
    watch = Watch(link, Pacer(0.02))
    watch.play(5, lambda: 14_600)
    link.rate, link.delay = 1000 * KBIT, 0.075
    watch.play(25, lambda: 14_600)
    written = link.written
    watch.play(10, lambda: 14_600)
    assert link.written - written >= 0.9 * 10 * 1000 * KBIT
    assert watch.ages(30)[-1] <= 0.075 + 3 * 0.1168 + 0.01
    assert watch.pacer.round_trip == pytest.approx(0.15, abs=0.01)


def test_nothing_is_sent_into_a_stalled_link_and_it_is_current_at_once_when_it_returns() -> None:
    link = Link(2000 * KBIT, 0.025)
    watch = Watch(link, Pacer(0.05))
    watch.play(5, lambda: 14_600)
    link.stalled = (watch.now, watch.now + 20)
    written = link.written
    watch.play(19.9, lambda: 14_600)
    assert watch.pacer.is_stalled(watch.now)
    assert link.written - written <= 3 * 14_600
    watch.play(1.1, lambda: 14_600)
    assert not watch.pacer.is_stalled(watch.now)
    sent, seen = max((each for each in link.shown if each[1] <= watch.now), key=lambda each: each[1])
    assert seen - sent < 0.2
    assert watch.now - seen < 0.2


def test_a_lost_answer_is_asked_for_again() -> None:
    link = Link(2000 * KBIT, 0.025)
    watch = Watch(link, Pacer(0.05))
    watch.play(2, lambda: 14_600)
    link.replies.clear()
    before = len(link.shown)
    watch.play(6, lambda: 14_600)
    assert len(link.shown) - before > 3


def test_a_terminal_that_never_answers_gets_two_frames_a_second() -> None:
    watch = Watch(Link(2000 * KBIT, 0.025, answers=False), Pacer())
    watch.play(3, lambda: 14_600)
    assert len(watch.link.shown) == 2
    watch.play(10, lambda: 14_600)
    assert 18 <= len(watch.link.shown) - 2 <= 21
    assert not watch.pacer.is_stalled(watch.now)


def test_a_terminal_that_answered_before_is_believed_in_while_its_first_frame_takes_long() -> None:
    watch = Watch(Link(64 * KBIT, 0.05), Pacer(0.1))
    watch.play(30, lambda: 60_000)
    assert watch.most == 2
    assert watch.ages()[-1] <= 0.05 + 2 * 60_000 / (64 * KBIT) + 0.01
    silent = Watch(Link(64 * KBIT, 0.05, answers=False), Pacer(0.1))
    silent.play(30, lambda: 1000)
    assert 18 <= len(silent.link.shown) <= 24


def test_a_terminal_that_is_late_at_first_is_paced_once_it_answers() -> None:
    link = Link(2000 * KBIT, 0.025)
    link.stalled = (0.0, 6.0)
    watch = Watch(link, Pacer())
    watch.play(8, lambda: 14_600)
    written = link.written
    watch.play(5, lambda: 14_600)
    assert link.written - written >= 0.9 * 5 * 2000 * KBIT


def test_a_limit_is_kept_with_and_without_answers() -> None:
    for answers in (True, False):
        link = Link(10_000 * KBIT, 0.01, answers)
        watch = Watch(link, Pacer(0.02, limit=500 * KBIT, answers=answers))
        watch.play(20, lambda: 14_600)
        assert 0.9 * 500 * KBIT <= link.written / 20 <= 1.05 * 500 * KBIT


def test_forgotten_frames_hold_nothing_up() -> None:
    pacer = Pacer(0.05)
    for _ in range(2):
        pacer.send(10_000, 0.0)
    assert pacer.wait(0.1) == inf
    pacer.forget()
    assert pacer.wait(0.1) == 0
    assert pacer.answered(3, 0.2) is None


SIZES = dict(zip(FINE, (46_000, 36_000, 12_000, 3_900, 1_600, 1_050), strict=True))
SIXEL = dict(zip(PLAIN, (94_000, 43_000, 26_000, 11_700, 6_800, 4_200), strict=True))
BLOCKS = dict(zip(PLAIN, (90_000, 59_000, 34_000, 22_000, 12_500, 6_600), strict=True))


def settle(
    kbit: float,
    trip: float,
    ladder: Ladder,
    watch: Watch | None = None,
    seconds: float = 20,
    sizes: Mapping[Quality, int] = SIZES,
) -> Watch:
    watch = watch or Watch(Link(kbit * KBIT, trip / 2), Pacer(trip), fps=30)
    watch.link.rate = kbit * KBIT
    pacer = watch.pacer
    watch.play(
        seconds,
        lambda: sizes[ladder.quality],
        lambda drawn, now: ladder.judge(drawn, pacer.round_trip, now),
    )
    return watch


@pytest.mark.parametrize(
    ("sizes", "kbit", "trip", "step"),
    [
        (SIZES, 100_000, 0.02, 0),
        (SIZES, 10_000, 0.05, 0),
        (SIZES, 2000, 0.05, 2),
        (SIZES, 600, 0.05, 3),
        (SIZES, 256, 0.2, 3),
        (SIZES, 100, 0.05, 4),
        (SIZES, 64, 0.05, 4),
        (SIZES, 40, 0.05, 5),
        (SIXEL, 20_000, 0.05, 0),
        (SIXEL, 5000, 0.05, 1),
        (SIXEL, 2000, 0.05, 3),
        (SIXEL, 500, 0.05, 3),
        (SIXEL, 256, 0.2, 3),
        (SIXEL, 100, 0.05, 5),
        (BLOCKS, 20_000, 0.05, 0),
        (BLOCKS, 2000, 0.05, 3),
        (BLOCKS, 600, 0.05, 3),
        (BLOCKS, 256, 0.2, 4),
    ],
)
def test_the_quality_suits_the_link(sizes: dict[Quality, int], kbit: int, trip: float, step: int) -> None:
    steps = tuple(sizes)
    ladder = Ladder(steps, 2 if steps == FINE else 1)
    watch = settle(kbit, trip, ladder, sizes=sizes)
    assert ladder.quality == steps[step]
    seen = set()
    for _ in range(10):
        settle(kbit, trip, ladder, watch, 1, sizes)
        seen.add(ladder.quality)
    # It stays there: what was tried once and was too much is remembered by its size.
    assert seen == {steps[step]}
    assert ladder.was_cramped == (step > 0)


@pytest.mark.parametrize("sizes", [SIZES, SIXEL])
def test_a_quarter_of_a_megabit_shows_all_units_and_less_than_a_second_ago(sizes: dict[Quality, int]) -> None:
    ladder = Ladder(tuple(sizes), 1)
    watch = settle(256, 0.2, ladder, sizes=sizes)
    begin = watch.now
    settle(256, 0.2, ladder, watch, sizes=sizes)
    assert ladder.quality.parts == 1
    ages = watch.ages(begin)
    assert ages[int(0.95 * len(ages))] <= 0.9


@pytest.mark.parametrize(("kbit", "step"), [(500, 3), (100, 4), (2000, 2)])
def test_the_quality_suits_the_limit_however_fast_the_link_is(kbit: int, step: int) -> None:
    ladder = Ladder(FINE, 2)
    watch = Watch(Link(100_000 * KBIT, 0.01), Pacer(0.02, limit=kbit * KBIT), fps=30)
    settle(100_000, 0.02, ladder, watch)
    seen = set()
    for _ in range(10):
        settle(100_000, 0.02, ladder, watch, 1)
        seen.add(ladder.quality)
    assert seen == {FINE[step]}


def test_a_limit_takes_frames_of_the_best_quality_for_too_large_too() -> None:
    ladder = Ladder(FINE)
    watch = Watch(Link(100_000 * KBIT, 0.01), Pacer(0.02, limit=500 * KBIT), fps=30)
    watch.play(20, lambda: 34_000, lambda drawn, now: ladder.judge(drawn, 0.02, now))
    assert ladder.quality == FINE[-1]


def test_the_quality_follows_a_link_that_changes() -> None:
    ladder = Ladder(FINE, 2)
    watch = settle(20_000, 0.05, ladder)
    assert ladder.quality == FINE[0]
    settle(600, 0.05, ladder, watch, 10)
    assert ladder.quality == FINE[3]
    settle(20_000, 0.05, ladder, watch, 20)
    assert ladder.quality == FINE[0]


@pytest.mark.parametrize(("kbit", "trip", "step"), [(20_000, 0.05, 0), (2000, 0.05, 2), (256, 0.2, 3)])
def test_a_stall_says_nothing_about_the_quality_that_suits_the_link(kbit: int, trip: float, step: int) -> None:
    ladder = Ladder(FINE, 2)
    watch = settle(kbit, trip, ladder)
    seen = set()
    for start in (0.0, 0.03, 0.06):
        watch.link.stalled = (watch.now + start, watch.now + start + 20)
        for _ in range(30):
            settle(kbit, trip, ladder, watch, 1)
            seen.add(ladder.quality)
    assert seen == {FINE[step]}


@pytest.mark.parametrize(("sizes", "step"), [(SIXEL, 4), (BLOCKS, 5)])
def test_where_pictures_are_runs_of_colours_the_quality_follows_the_link_too(
    sizes: dict[Quality, int], step: int
) -> None:
    ladder = Ladder(PLAIN, 1)
    watch = settle(20_000, 0.05, ladder, sizes=sizes)
    assert ladder.quality == PLAIN[0]
    settle(256, 0.05, ladder, watch, 20, sizes)
    assert ladder.quality == PLAIN[step]
    settle(20_000, 0.05, ladder, watch, 20, sizes)
    assert ladder.quality == PLAIN[0]


@pytest.mark.parametrize("sizes", [SIXEL, BLOCKS])
def test_frames_too_large_for_the_link_never_queue_but_come_less_often(sizes: dict[Quality, int]) -> None:
    ladder = Ladder(PLAIN, 1)
    watch = settle(64, 0.1, ladder, sizes=sizes, seconds=60)
    assert ladder.quality == PLAIN[-1]
    watch.play(20, lambda: sizes[ladder.quality])
    takes = sizes[PLAIN[-1]] / (64 * KBIT)
    assert watch.most == 2
    assert watch.ages(60)[-1] <= 0.05 + 2 * takes + 0.01


def test_quality_is_told_in_words() -> None:
    assert [str(each) for each in FINE] == [
        "256 levels",
        "64 levels",
        "16 levels",
        "16 levels, half detail",
        "16 levels, quarter detail",
        "16 levels, quarter detail, half the units",
    ]
    assert str(PLAIN[-1]) == "12 levels, quarter detail, a quarter of the units"

"""The terminal as the panes see it: what it measures where it answers, and where it does not."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from tuivis.engine.events import Shown
from tuivis.intents import Noted
from tuivis.player import Player
from tuivis.render.probe import Terminal
from tuivis.render.protocols import COMPRESS, Choice, Protocol
from tuivis.state import State
from tuivis.widgets.display import Display

SIZE = 40_000


def display(protocol: Protocol = "halfblock", tmux: bool = False, ssh: bool = False, kbit: float = 1e9) -> Display:
    shown = Display(Terminal(round_trip=0.01, tmux=tmux, ssh=ssh), Choice(protocol, "for a test"), kbit)
    shown.connect(lambda text: None)
    return shown


async def send(shown: Display, of: float | None) -> None:
    async with shown.turn("pane", 1.0) as out:
        out(b"x" * SIZE, of)


def answer_late(shown: Display, seconds: float) -> None:
    """Send a frame of a moving source, which the terminal says that it has drawn, so late."""
    asked: list[str] = []
    shown.connect(asked.append)
    now = time.monotonic()
    shown.write(b"x" * SIZE + shown.turns.pacer.send(SIZE, now, now))
    for row, column in re.findall(r"\x1b\[(\d+);(\d+)H\x1b\[6n", "".join(asked)):
        shown.answered(int(column) - 1, int(row) - 1, now + seconds)


async def test_where_tmux_answers_what_is_sent_is_measured_but_not_its_age() -> None:
    shown = display(tmux=True)
    for _ in range(3):
        await send(shown, time.monotonic())
        await send(shown, None)
        async with shown.turn("pane", 1.0) as out:
            out(b"", time.monotonic())
    figures = shown.meter.figures(time.monotonic())
    assert figures is not None
    assert (figures.size, figures.age) == (SIZE, None)


async def test_where_tmux_answers_the_quality_suits_the_limit() -> None:
    wide, narrow = display(tmux=True), display(tmux=True, kbit=3000)
    for shown in (wide, narrow):
        for _ in range(4):
            await send(shown, time.monotonic())
    assert wide.quality == display().quality
    assert narrow.quality.coarseness > wide.quality.coarseness


async def test_where_the_terminal_answers_nothing_is_measured_before_it_does() -> None:
    shown = display()
    await send(shown, time.monotonic())
    await send(shown, time.monotonic())
    assert shown.meter.figures(time.monotonic()) is None


@pytest.mark.parametrize(
    ("protocol", "ssh", "late", "wanted"),
    [
        ("halfblock", True, 1.0, True),
        ("sixel", True, 1.0, True),
        ("halfblock", True, 0.02, False),
        ("halfblock", False, 1.0, False),
        ("kitty", True, 1.0, False),
    ],
)
def test_compression_is_wanted_where_frames_are_late_and_it_gains_much(
    protocol: Protocol, ssh: bool, late: float, wanted: bool
) -> None:
    shown = display(protocol, ssh=ssh)
    for _ in range(4):
        answer_late(shown, late)
    assert shown.wants_compression == wanted


def test_compression_is_advised_once() -> None:
    shown = display(ssh=True)
    applied: list[object] = []
    player = Player(lambda: replace(State(), phase="ready"), applied.append, shown, None)
    player.hear(Shown(1, fresh=True), 1)
    assert applied == []
    for _ in range(4):
        answer_late(shown, 1.0)
    for _ in range(3):
        player.hear(Shown(2, fresh=True), 2)
    assert applied == [Noted(COMPRESS)]

"""Turns: who may send a frame, and when; against a terminal that answers when the test lets it."""

from __future__ import annotations

import asyncio
import re

from tuivis.render.pacer import Pacer, number_in
from tuivis.widgets.turns import FOCUSED, Turns


class Terminal:
    """Keeps what it is sent; answers when it is told to."""

    def __init__(self) -> None:
        self.turns = Turns(Pacer(0.01), self.take)
        self.heard: list[bytes] = []
        self.asked: list[int] = []

    def take(self, data: bytes) -> None:
        if data:
            self.heard.append(re.sub(rb"\x1b7\x1b\[\d+;\d+H\x1b\[6n\x1b8", b"", data))
        for row, column in re.findall(rb"\x1b\[(\d+);(\d+)H\x1b\[6n", data):
            number = number_in(int(row), int(column))
            assert number is not None
            self.asked.append(number)

    def answer(self, at: float) -> None:
        for number in self.asked:
            self.turns.answered(number, at)
        self.asked.clear()

    async def send(self, pane: str, frame: bytes, weight: float = 1.0) -> None:
        async with self.turns.turn(pane, weight) as send:
            await asyncio.sleep(0)
            send(frame)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_question_goes_behind_each_frame_and_no_third_frame_before_an_answer() -> None:
    terminal = Terminal()
    tasks = [asyncio.create_task(terminal.send(name, name.encode() * 50_000)) for name in "abc"]
    await settle()
    assert [each[:1] for each in terminal.heard] == [b"a", b"b"]
    assert len(terminal.asked) == 2
    terminal.answer(terminal.turns._clock())
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert [each[:1] for each in terminal.heard] == [b"a", b"b", b"c"]


async def test_a_key_does_not_wait_for_the_frames_under_way_but_one_key_at_a_time() -> None:
    terminal = Terminal()
    tasks = [asyncio.create_task(terminal.send(name, name.encode() * 50_000)) for name in "abcd"]
    await settle()
    assert [each[:1] for each in terminal.heard] == [b"a", b"b"]
    terminal.turns.hurry("d")
    await settle()
    assert [each[:1] for each in terminal.heard] == [b"a", b"b", b"d"]
    terminal.turns.hurry("c")
    await settle()
    assert len(terminal.heard) == 3
    terminal.answer(terminal.turns._clock())
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert [each[:1] for each in terminal.heard] == [b"a", b"b", b"d", b"c"]


async def test_an_empty_frame_takes_no_room_and_asks_nothing() -> None:
    terminal = Terminal()
    for _ in range(5):
        await terminal.send("a", b"")
    assert terminal.heard == [] and terminal.asked == []


async def test_the_pane_in_focus_gets_its_share_and_the_others_theirs() -> None:
    terminal = Terminal()
    counts = dict.fromkeys("abc", 0)

    async def stream(pane: str, weight: float) -> None:
        while True:
            await terminal.send(pane, b"x" * 10_000, weight)
            counts[pane] += 1

    tasks = [asyncio.create_task(stream(pane, FOCUSED if pane == "a" else 1.0)) for pane in "abc"]
    for _ in range(600):
        await settle()
        terminal.answer(terminal.turns._clock())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(counts.values()) > 300
    assert counts["a"] / counts["b"] - FOCUSED < 0.3
    assert abs(counts["b"] - counts["c"]) <= 2


async def held(terminal: Terminal) -> asyncio.Task[None]:
    """Let a pane have the turn and keep it; return what keeps it."""

    async def hold() -> None:
        async with terminal.turns.turn("a", 1.0):
            await asyncio.sleep(3600)

    holding = asyncio.create_task(hold())
    await settle()
    return holding


async def test_a_pane_that_gives_up_passes_its_turn_on() -> None:
    terminal = Terminal()
    holding = await held(terminal)
    waiting = asyncio.create_task(terminal.send("b", b"b"))
    given_up = asyncio.create_task(terminal.send("c", b"c"))
    await settle()
    given_up.cancel()
    holding.cancel()
    await asyncio.wait_for(waiting, 30)
    await terminal.send("d", b"d")
    assert terminal.heard == [b"b", b"d"]


async def test_a_pane_that_has_just_given_up_is_no_obstacle() -> None:
    terminal = Terminal()
    holding = await held(terminal)
    given_up = asyncio.create_task(terminal.send("b", b"b"))
    await settle()
    holding.cancel()
    given_up.cancel()
    # Before either has heard of it.
    terminal.turns._taken = False
    terminal.turns.hurry("b")
    await asyncio.wait_for(terminal.send("c", b"c"), 30)
    assert terminal.heard == [b"c"]


async def test_leaving_waits_for_the_last_answers_and_lets_nothing_more_out() -> None:
    terminal = Terminal()
    await terminal.send("a", b"a")
    closing = asyncio.create_task(terminal.turns.close())
    late = asyncio.create_task(terminal.send("b", b"b"))
    await settle()
    assert not closing.done() and not late.done()
    terminal.answer(terminal.turns._clock())
    await asyncio.wait_for(closing, 30)
    assert terminal.heard == [b"a"]
    terminal.turns.open()
    await asyncio.wait_for(late, 30)
    assert terminal.heard == [b"a", b"b"]

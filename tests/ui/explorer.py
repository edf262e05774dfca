"""The real App with the real engine, without a terminal: keys in, state and widgets out."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tuivis import config
from tuivis.app import TuivisApp
from tuivis.config import Settings
from tuivis.render.picture import CellSize
from tuivis.render.probe import Terminal
from tuivis.render.protocols import Choice, Protocol
from tuivis.state import State
from tuivis.widgets.display import Display

PATIENCE = 120.0
"""Seconds that anything may take on a busy machine."""
TERMINAL = Terminal(cell=CellSize(8, 16), true_colour=True)


@dataclass
class Explorer:
    """A running App, the pilot that types, and the bytes that its pictures sent."""

    app: TuivisApp
    pilot: Pilot[int]
    sent: list[str]

    @property
    def state(self) -> State:
        return self.app.state

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for `condition`."""
        for _ in range(int(PATIENCE / 0.05)):
            if condition():
                return
            await self.pilot.pause(0.05)
        raise AssertionError(f"never came true; note {self.state.note!r}, banner {self.state.banner!r}")

    async def press(self, *keys: str) -> None:
        """Type `keys`, and wait until the engine has answered."""
        await self.pilot.press(*keys)
        await self.until(self.settled)

    def settled(self) -> bool:
        """Say whether the answers on screen are those to the last request."""
        state, show = self.state, self.app.state.request()
        if show is None or state.mosaic is None or state.unit is None or state.frame is None:
            return False
        mosaic, unit = state.mosaic, state.unit
        shown = mosaic.layer == show.layer == unit.layer and unit.unit == show.unit and mosaic.tiles == show.tiles
        settings = mosaic.normalisation == show.normalisation or show.gradients
        return shown and settings and mosaic.picture == unit.picture == state.frame.picture == show.picture


@asynccontextmanager
async def explorer(
    settings: Settings | None = None,
    size: tuple[int, int] = (120, 40),
    protocol: Protocol = "halfblock",
    terminal: Terminal = TERMINAL,
    max_kbit: float | None = None,
) -> AsyncIterator[Explorer]:
    """Run the App; leave when it has shown its first mosaic."""
    display = Display(terminal, Choice(protocol, "for a test"), max_kbit)
    app = TuivisApp(settings or Settings(), display)
    async with app.run_test(size=size) as pilot:
        sent: list[str] = []

        def answer(text: str) -> None:
            sent.append(text)
            for row, column in re.findall(r"\x1b\[(\d+);(\d+)H\x1b\[6n", text):
                display.answered(int(column) - 1, int(row) - 1, time.monotonic())

        display.connect(answer)
        running = Explorer(app, pilot, sent)
        await running.until(lambda: bool(running.state.banner or running.state.trouble) or running.settled())
        yield running


@pytest.fixture(autouse=True)
def private_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep logs and pictures out of the home folder."""
    monkeypatch.setattr(config, "log_path", lambda: tmp_path / "engine.log")
    monkeypatch.setattr(config, "pictures_path", lambda: tmp_path / "pictures")


async def gone(pid: int) -> bool:
    """Wait until the process is gone."""
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        await asyncio.sleep(0.05)
    return False

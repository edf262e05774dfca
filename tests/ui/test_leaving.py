"""What happens when the program ends."""

from __future__ import annotations

import asyncio

from tests.ui.explorer import explorer, gone
from tuivis.app import TuivisApp
from tuivis.intents import UnitChosen
from tuivis.widgets.intent import Intent


async def test_leaving_ends_the_engine() -> None:
    async with explorer() as running:
        engine = running.app._engine
        assert engine is not None
    assert await gone(engine.pid)


async def test_what_a_pane_says_while_the_program_ends_still_counts() -> None:
    async def go_on_choosing(app: TuivisApp) -> int:
        chosen = 0
        while app.post_message(Intent(UnitChosen((chosen + 1) % 32))):
            chosen = (chosen + 1) % 32
            await asyncio.sleep(0)
        return chosen

    async with explorer() as running:
        choosing = asyncio.create_task(go_on_choosing(running.app))
    assert running.state.view.unit == await choosing

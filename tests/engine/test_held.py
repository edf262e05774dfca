"""An engine that stands still while another works: it goes on when it may, and when nobody is left to let it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tuivis.engine.client import Engine
from tuivis.engine.commands import ListDevices
from tuivis.engine.events import Devices


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(tmp_path / "engine.log")
    yield started
    await started.close()


def standing(pid: int) -> bool:
    """Say whether a process stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_an_engine_that_is_held_stands_still_answers_later_and_ends_as_others_do(engine: Engine) -> None:
    engine.hold()
    engine.send(ListDevices())
    await asyncio.sleep(0.2)
    assert standing(engine.pid)
    engine.release()
    assert isinstance(await anext(engine.events()), Devices)
    engine.hold()
    await engine.close()
    assert await engine.ending() == "ended (exit code 0)"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_an_engine_that_is_held_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, time
from pathlib import Path
from tuivis.engine.client import Engine

async def main():
    engine = await Engine.start(Path({str(tmp_path / "engine.log")!r}))
    engine.hold()
    await asyncio.sleep(0.2)
    print(engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert standing(pid)
        parent.kill()
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < end, "the engine is still there"
        time.sleep(0.05)

"""Memory while a video plays: the program's, its engine's, and what the terminal has to keep, early and late.

The real program plays a video on a pty, at whose other end a terminal answers as kitty does. Megabytes are resident
memory. What the terminal keeps are the pictures of which it was told and that were not deleted.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import report
from benchmarks.session import TUIVIS, Session
from tests.e2e.live import clip
from tests.e2e.terminal import engine_of

EARLY = 1.0
"""Minutes after which memory is looked at first."""
GROWTH = 1.05
"""How many times as much, at most, it may be in the end."""
LOOK = 5.0
"""Seconds after which what the terminal has heard is let go."""
_COMMAND = re.compile(rb"\x1b_G(a=[Td])[^;\x1b]*i=(\d+)")


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the video plays")
    minutes = parser.parse_args().minutes
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip(Path(folder, "clip.avi"), rate=25)
        with Session([*TUIVIS, "--input", str(Path(folder, "clip.avi")), "--quality", "16"]) as session:
            session.until(lambda: b" fps" in session.heard)
            pictures: set[bytes] = set()
            for name, end in (("early", EARLY), ("late", minutes)):
                watch(session, pictures, session.started + 60 * end)
                figures |= {f"{each}_{name}_MB": size for each, size in resident(session).items()}
                figures[f"terminal_{name}_pictures"] = len(pictures)
    for each in ("ui", "engine"):
        figures[f"{each}_growth"] = figures[f"{each}_late_MB"] / figures[f"{each}_early_MB"]
    figures["terminal_growth"] = figures["terminal_late_pictures"] / figures["terminal_early_pictures"]
    return report("memory", figures, dict.fromkeys(("ui_growth", "engine_growth", "terminal_growth"), GROWTH))


def watch(session: Session, pictures: set[bytes], end: float) -> None:
    """Take what comes until a time, and keep account of the pictures that the terminal holds."""
    while time.perf_counter() < end:
        until = min(end, time.perf_counter() + LOOK)
        while (left := until - time.perf_counter()) > 0:
            session.listen(left)
        for action, number in _COMMAND.findall(session.heard):
            (pictures.add if action == b"a=T" else pictures.discard)(number)
        session.forget()


def resident(session: Session) -> dict[str, float]:
    """Return the megabytes of the program and of its engine."""
    pids = {"ui": session.pid, "engine": engine_of(session.pid)}
    return {name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6 for name, pid in pids.items()}


if __name__ == "__main__":
    sys.exit(main())

"""How soon a key reaches the screen while a job runs, over the same without one.

The real program on a pty, two sessions of it. A key moves the selection; the time is that from the press to the first
bytes of the mosaic in which another tile is framed. Then a job is started by keys, on the same processor, and the same
is done again while it runs.
"""

from __future__ import annotations

import sys
import time
from random import Random
from statistics import median

from benchmarks.report import report
from benchmarks.session import COLUMNS, TUIVIS, Session
from benchmarks.traffic import mosaics, transmissions

LAYER = ("--layer", "_blocks.10")
SESSIONS, KEYS = 2, 30
PAUSE = 0.25, 0.75
"""Seconds between keys."""
RATIO = 1.2


def main() -> int:
    """Run the benchmark and return the exit code."""
    alone: list[float] = []
    beside: list[float] = []
    for number in range(SESSIONS):
        with Session((*TUIVIS, *LAYER)) as session:
            mosaic = first_mosaic(session)
            alone += delays(session, mosaic, number)
            start_job(session)
            beside += delays(session, mosaic, number)
    figures = {
        "alone_ms": 1000 * median(alone),
        "beside_job_ms": 1000 * median(beside),
        "alone_worst_ms": 1000 * sorted(alone)[-len(alone) // 20],
        "beside_job_worst_ms": 1000 * sorted(beside)[-len(beside) // 20],
        "beside_job_to_alone": median(beside) / median(alone),
    }
    return report("keys", figures, {"beside_job_to_alone": RATIO})


def first_mosaic(session: Session) -> int:
    """Wait until the screen is at rest, and return the number of the mosaic's pane."""
    session.until(lambda: bool(mosaics(transmissions(session.heard), COLUMNS)))
    session.rest(2)
    return mosaics(transmissions(session.heard), COLUMNS)[0].pane


def start_job(session: Session) -> None:
    """Start a job for the selected unit, and wait until it takes steps."""
    before = len(session.heard)
    session.type("p")
    session.rest(1)
    session.type("\r")
    session.until(lambda: b"/512" in session.heard[before:])


def delays(session: Session, mosaic: int, seed: int) -> list[float]:
    """Return the seconds from each of some keys to the mosaic that shows its effect."""
    dice, found = Random(seed), []
    for press in range(KEYS):
        end = time.perf_counter() + dice.uniform(*PAUSE)
        while (left := end - time.perf_counter()) > 0:
            session.listen(left)
        before, pressed = len(session.heard), time.perf_counter()
        session.type("jk"[press % 2])

        def has_come(before: int = before) -> bool:
            return any(each.pane == mosaic for each in transmissions(session.heard, before))

        session.until(has_come)
        first = next(each for each in transmissions(session.heard, before) if each.pane == mosaic)
        found.append(session.when(first.end) + session.started - pressed)
    return found


if __name__ == "__main__":
    sys.exit(main())

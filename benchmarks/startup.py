"""How long the user waits: for the screen, and for the first mosaic of real activations.

Both are measured on a pty with a terminal like kitty, against the import of torch and torchvision, which every program
of this kind has to wait for. The three take turns; each figure is the least of its rounds, after one that warms the
file system's cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.report import report
from benchmarks.session import COLUMNS, TUIVIS, Session
from benchmarks.traffic import mosaics, transmissions

ROUNDS = 5
PAINTED = b"predictions"
"""The title of the last pane on the left: where it is, all of the first screen is."""
TARGETS = {"first_paint_ratio": 0.25, "first_mosaic_ratio": 1.7}


def main() -> int:
    """Run the benchmark and return the exit code."""
    rounds = [(import_torch(), *start()) for _ in range(ROUNDS + 1)][1:]
    imported, paint, mosaic = (min(figures) for figures in zip(*rounds, strict=True))
    figures = {
        "import_torch_s": imported,
        "first_paint_s": paint,
        "first_mosaic_s": mosaic,
        "first_paint_ratio": paint / imported,
        "first_mosaic_ratio": mosaic / imported,
    }
    return report("startup", figures, TARGETS)


def import_torch() -> float:
    """Return the seconds that a Python takes that only imports torch and torchvision."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch, torchvision"], check=True, env=dict(os.environ))
    return time.perf_counter() - start


def start() -> tuple[float, float]:
    """Start tuivis and return the seconds until its panes are on the screen, and until the mosaic is."""
    with Session(TUIVIS) as session:
        session.until(lambda: PAINTED in session.heard)
        session.until(lambda: bool(mosaics(transmissions(session.heard), COLUMNS)))
        mosaic = mosaics(transmissions(session.heard), COLUMNS)[0]
        return session.when(session.heard.find(PAINTED)), session.when(mosaic.end)


if __name__ == "__main__":
    sys.exit(main())

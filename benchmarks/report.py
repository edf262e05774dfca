"""What a benchmark found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping


def report(benchmark: str, figures: Mapping[str, float], targets: Mapping[str, float]) -> int:
    """Print the figures and one line of JSON; return the exit code: 0 if no target is missed, else 1.

    Parameters
    ----------
    benchmark
        Its name.
    figures
        Numbers by name; the name says the unit.
    targets
        The most that some of the figures may be.
    """
    for name, figure in figures.items():
        if name in targets:
            verdict = "met" if figure <= targets[name] else "MISSED"
            print(f"  {name:<34} {figure:12,.3f}   at most {targets[name]:,g}: {verdict}")
        else:
            print(f"  {name:<34} {figure:12,.3f}")
    ok = all(figures[name] <= most for name, most in targets.items())
    rounded = {name: round(figure, 4) for name, figure in figures.items()}
    print(json.dumps({"benchmark": benchmark, "figures": rounded, "targets": dict(targets), "ok": ok}), flush=True)
    return 0 if ok else 1

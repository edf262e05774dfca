"""Tables of optimised pictures: one row a picture, or one row a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from tuivis.engine.optimise.results import Result, Verdict
from tuivis.errors import printable

_NUMBERS: dict[str, Callable[[Result], float | None]] = {
    "objective": lambda each: each.quality.objective,
    "ratio": lambda each: each.quality.ratio,
    "robust": lambda each: each.quality.robustness,
    "5 %": lambda each: each.quality.robustness_5,
    "rank": lambda each: each.quality.rank or None,
    "diverse": lambda each: each.quality.diversity,
    "slope": lambda each: each.quality.slope,
    "variation": lambda each: each.quality.variation,
    "saturated": lambda each: each.quality.saturated,
    "seconds": lambda each: each.seconds,
}


def score(result: Result) -> float:
    """Return how strongly the picture drives its unit under transforms that were not used, next to photographs."""
    quality = result.quality
    return (quality.ratio or 0.0) * (quality.robustness or 0.0)


def pictures(results: Sequence[Result]) -> Table:
    """Return one row for each picture."""
    table = _table("picture", "label", "verdict")
    for each in results:
        verdict = each.record.verdict.value if each.record.verdict else ""
        _row(table, [each.run.stem, each.label, verdict], [each])
    return table


def recipes(results: Sequence[Result]) -> Table:
    """Return one row for each recipe: the mean over its pictures, and how many reached majority."""
    table = _table("recipe", "majority")
    for name in dict.fromkeys(each.run.recipe for each in results):
        mine = [each for each in results if each.run.recipe == name]
        majority = sum(each.record.verdict is Verdict.success for each in mine)
        _row(table, [name, f"{majority} of {len(mine)}"], mine)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (*columns, *_NUMBERS):
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    return table


def _row(table: Table, words: Sequence[str], results: Sequence[Result]) -> None:
    cells = []
    for read in _NUMBERS.values():
        values = [value for value in map(read, results) if value is not None]
        cells.append(f"{sum(values) / len(values):.3g}" if values else "")
    table.add_row(*(Text(printable(each)) for each in (*words, *cells)))

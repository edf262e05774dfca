"""Tables of optimised pictures: one row a picture, or one row a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
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


_DROPPED = ("5 %", "variation", "saturated", "slope", "seconds", "diverse", "objective")
"""Numbers that a narrow table does without, the first to go first."""

_Row = tuple[list[str], list[Result]]
"""A row's words, and the results whose means are its numbers."""


def score(result: Result) -> float:
    """Return how strongly the picture drives its unit under transforms that were not used, next to photographs."""
    quality = result.quality
    return (quality.ratio or 0.0) * (quality.robustness or 0.0)


def pictures(results: Sequence[Result], width: int) -> Table:
    """Return one row for each picture, with as many numbers as fit into `width` columns."""
    rows = []
    for each in results:
        verdict = each.record.verdict.value if each.record.verdict else ""
        rows.append(([each.run.stem, each.label, verdict], [each]))
    return _fitting(("picture", "label", "verdict"), rows, width)


def recipes(results: Sequence[Result], width: int) -> Table:
    """Return one row for each recipe: the mean over its pictures, and how many reached majority; as `pictures`."""
    rows = []
    for name in dict.fromkeys(each.run.recipe for each in results):
        mine = [each for each in results if each.run.recipe == name]
        majority = sum(each.record.verdict is Verdict.success for each in mine)
        rows.append(([name, f"{majority} of {len(mine)}"], mine))
    return _fitting(("recipe", "majority"), rows, width)


def _fitting(words: Sequence[str], rows: Sequence[_Row], width: int) -> Table:
    """Return a table without the numbers that matter least, as far as it takes to fit; the caption says so."""
    for count in range(len(_DROPPED) + 1):
        table = _table(words, rows, [name for name in _NUMBERS if name not in _DROPPED[:count]])
        if count:
            table.caption = "a wider terminal shows more, --json all"
        if Console(width=10_000).measure(table).maximum <= width:
            break
    return table


def _table(words: Sequence[str], rows: Sequence[_Row], numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, caption_justify="left")
    used = [place for place, _ in enumerate(words) if any(texts[place] for texts, _ in rows)]
    for place in used:
        table.add_column(words[place], overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for texts, results in rows:
        cells = [_mean([value for value in map(_NUMBERS[name], results) if value is not None]) for name in numbers]
        table.add_row(*(Text(printable(each)) for each in (*(texts[place] for place in used), *cells)))
    return table


def _mean(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = sum(values) / len(values)
    return f"{mean:.3g}" if abs(mean) >= 0.001 else f"{mean:.3f}"

"""Ranking a layer's units by what they do for a class, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import msgspec
import numpy as np
from rich.table import Table
from rich.text import Text

from tuivis.config import Settings
from tuivis.conversation import Conversation, converse
from tuivis.engine.commands import Load, Open, Rank
from tuivis.engine.events import Loaded, Opened, Ranked
from tuivis.errors import UserError, nearest, printable
from tuivis.reduce import reduce
from tuivis.state import State


class RankedUnit(msgspec.Struct, frozen=True):
    """One unit: its scores, as in `tuivis.engine.events.Ranked`, and its place by each, from 1."""

    unit: int
    activation: float
    gradient: float
    ablation: float
    by_activation: int
    by_gradient: int
    by_ablation: int


class RankReport(msgspec.Struct, frozen=True):
    """A layer's units on one picture, the one whose absence costs the class most first."""

    model: str
    weights: str
    random_weights: bool
    layer: str
    picture: str
    target: int
    label: str
    units: tuple[RankedUnit, ...]
    notes: tuple[str, ...] = ()


def rank(settings: Settings, target: str | None) -> RankReport:
    """Rank the units of the settings' layer on the first picture, for the class `target`: its number or its name.

    Without a class it is the one that the network predicts.

    Raises
    ------
    UserError
        If the model, the picture, the layer or the class is not there.
    """

    async def talk(engine: Conversation) -> RankReport:
        loaded = await engine.ask(Load(settings.model, settings.weights, settings.device), Loaded)
        number = None if target is None else class_number(target, loaded.labels)
        opened = await engine.ask(Open(settings.input), Opened)
        layer = settings.layer or reduce(State(), loaded).view.layer
        ranked = await engine.ask(Rank(0, layer, number), Ranked)
        return RankReport(
            model=loaded.model,
            weights=loaded.weights,
            random_weights=loaded.random_weights,
            layer=layer,
            picture=opened.pictures[0],
            target=ranked.target,
            label=ranked.label,
            units=_units(ranked),
            notes=(*loaded.notes, *opened.notes),
        )

    return converse(talk)


def class_number(text: str, labels: Sequence[str]) -> int:
    """Return the number of a class, given as a number or as a name.

    Raises
    ------
    UserError
        If no class has that name.
    """
    if text.strip().isdecimal():
        return int(text)
    by_name = {label.lower(): index for index, label in reversed(list(enumerate(labels)))}
    if text.strip().lower() in by_name:
        return by_name[text.strip().lower()]
    hint = nearest(text, labels) or ": give its number"
    raise UserError(f"no class {printable(text)}{hint}")


def _units(ranked: Ranked) -> tuple[RankedUnit, ...]:
    scores = [each.numpy() for each in (ranked.activation, ranked.gradient, ranked.ablation)]
    orders = [np.argsort(-score, kind="stable") for score in scores]
    places = [np.argsort(order) + 1 for order in orders]
    rows = zip(*(column.tolist() for column in (*scores, *places)), strict=True)
    units = [RankedUnit(unit, *row) for unit, row in enumerate(rows)]
    return tuple(units[unit] for unit in orders[2])


def table(report: RankReport) -> Table:
    """Return a row for each unit, with its places in brackets."""
    result = Table(box=None, pad_edge=False)
    for name in ("unit", "ablation", "", "gradient x activation", "", "activation", ""):
        result.add_column(name, justify="right")
    for each in report.units:
        scores = (
            (each.ablation, each.by_ablation),
            (each.gradient, each.by_gradient),
            (each.activation, each.by_activation),
        )
        cells = [cell for score, place in scores for cell in (f"{score:.4g}", f"({place})")]
        result.add_row(*map(Text, (str(each.unit), *cells)))
    return result


def as_csv(report: RankReport) -> str:
    """Return a header and a line for each unit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RankedUnit.__struct_fields__)
    writer.writerows(msgspec.structs.astuple(each) for each in report.units)
    return text.getvalue()


def heading(report: RankReport) -> str:
    """Return what the table is about, safe on a terminal."""
    random = ", random weights" if report.random_weights else ""
    return printable(
        f"{report.model}{random}, {report.layer}, {report.picture}: for class {report.target} {report.label}"
    )

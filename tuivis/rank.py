"""Ranking a layer's units by what they do for a class, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import msgspec
import numpy as np
from rich.table import Table
from rich.text import Text

from tuivis.config import Settings
from tuivis.conversation import Conversation, DiedError, converse
from tuivis.engine.commands import Load, Open, Rank
from tuivis.engine.events import Loaded, Opened, Ranked
from tuivis.errors import UserError, nearest, printable
from tuivis.reduce import reduce
from tuivis.state import State


class RankedUnit(msgspec.Struct, frozen=True):
    """One unit: its scores, as in `tuivis.engine.events.Ranked`, and its place by each, from 1.

    What is no number is None, and has no place: by gradient every unit, where on a picture no gradient gets from the
    class to the layer; any score, where the network computes NaN.
    """

    unit: int
    activation: float | None
    gradient: float | None
    ablation: float | None
    by_activation: int | None
    by_gradient: int | None
    by_ablation: int | None


class RankReport(msgspec.Struct, frozen=True):
    """A layer's units, the one whose absence costs the class most first; scores are means over the pictures.

    `target` is None where it is the predicted class, which differs from picture to picture.
    """

    model: str
    weights: str
    random_weights: bool
    layer: str
    pictures: tuple[str, ...]
    target: int | None
    label: str
    units: tuple[RankedUnit, ...]
    notes: tuple[str, ...] = ()


def rank(settings: Settings, target: str | None) -> RankReport:
    """Rank the units of the settings' layer on all pictures, for the class `target`: its number or its name.

    Without a class it is for each picture the one that the network predicts. Pictures that cannot be read are left out
    and noted.

    Raises
    ------
    UserError
        If the model, the pictures, the layer or the class is not there.
    """

    async def talk(engine: Conversation) -> RankReport:
        loaded = await engine.ask(Load(settings.model, settings.weights, settings.devices[0]), Loaded)
        number = None if target is None else class_number(target, loaded)
        opened = await engine.ask(Open(settings.input), Opened)
        layer = settings.layer or reduce(State(), loaded).view.layer
        ranked, failures = await _on_each(engine, opened.pictures, layer, number)
        targets = {each.target: each.label for _, each in ranked}
        common, label = next(iter(targets.items())) if len(targets) == 1 else (None, "the one predicted for each")
        causes = dict.fromkeys(each.note for _, each in ranked if each.note)
        return RankReport(
            model=loaded.model,
            weights=loaded.weights,
            random_weights=loaded.random_weights,
            layer=layer,
            pictures=tuple(picture for picture, _ in ranked),
            target=common,
            label=label,
            units=_units([each for _, each in ranked]),
            notes=(*loaded.notes, *opened.notes, *failures, *causes),
        )

    return converse(talk)


async def _on_each(
    engine: Conversation, pictures: Sequence[str], layer: str, target: int | None
) -> tuple[list[tuple[str, Ranked]], list[str]]:
    """Return the pictures with their scores, and why some pictures have none; raise that if none has."""
    ranked: list[tuple[str, Ranked]] = []
    failures: list[str] = []
    for number, picture in enumerate(pictures):
        try:
            ranked.append((picture, await engine.ask(Rank(number, layer, target), Ranked)))
        except DiedError:
            raise
        except UserError as error:
            failures.append(str(error))
    if not ranked:
        raise UserError(failures[0])
    return ranked, failures


def class_number(text: str, loaded: Loaded) -> int:
    """Return the number of one of a model's classes, given as a number or as a name.

    Raises
    ------
    UserError
        If no class has that number or name.
    """
    labels = loaded.labels
    count = next((info.units for info in loaded.layers if info.name == loaded.output), 0)
    if text.strip().isdecimal():
        # No class has as many digits as Python refuses to read.
        number = int(text) if len(text.strip()) <= len(str(count)) else count
        if number >= count > 0:
            raise UserError(f"There is no class {printable(text.strip())}: choose one from 0 to {count - 1}.")
        return number
    by_name = {label.lower(): index for index, label in reversed(list(enumerate(labels)))}
    if text.strip().lower() in by_name:
        return by_name[text.strip().lower()]
    hint = nearest(text, labels) or ": give its number"
    raise UserError(f"no class {printable(text)}{hint}")


def _units(ranked: Sequence[Ranked]) -> tuple[RankedUnit, ...]:
    columns = zip(*((each.activation, each.gradient, each.ablation) for each in ranked), strict=True)
    scores = [np.mean([each.numpy() for each in column], axis=0) for column in columns]
    orders = [np.argsort(-score, kind="stable") for score in scores]
    places = [
        np.where(np.isnan(score), np.nan, order.argsort() + 1) for score, order in zip(scores, orders, strict=True)
    ]
    rows = zip(*(column.tolist() for column in (*scores, *places)), strict=True)
    known = ([None if math.isnan(each) else each for each in row] for row in rows)
    units = [RankedUnit(unit, *row[:3], *(place and int(place) for place in row[3:])) for unit, row in enumerate(known)]
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
        cells = [cell for score, place in scores for cell in _cells(score, place)]
        result.add_row(*map(Text, (str(each.unit), *cells)))
    return result


def _cells(score: float | None, place: int | None) -> tuple[str, str]:
    return ("-", "") if score is None else (f"{score:.4g}", f"({place})")


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
    count = len(report.pictures)
    seen = report.pictures[0] if count == 1 else f"mean over {count} pictures"
    target = "" if report.target is None else f" {report.target}"
    return printable(f"{report.model}{random}, {report.layer}, {seen}: for class{target} {report.label}")

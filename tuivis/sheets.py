"""Sheets of pictures that units want to see: the seeds of a unit, its recipes side by side, units with labels."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tuivis.engine.optimise.results import Result, Target, read
from tuivis.errors import UserError, printable
from tuivis.files import harmless_name, write_whole


def write(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write the sheets that `results` are on, with all other pictures of the layer that the folder has.

    The seeds of each unit stand in a square, its recipes side by side, and all units of the layer with labels.

    Raises
    ------
    UserError
        If one cannot be written.
    """
    there = _with_others(folder, results)
    by_unit: dict[tuple[str, Target], list[Result]] = {}
    by_recipe: dict[str, list[Result]] = {}
    by_target: dict[Target, list[Result]] = {}
    for each in there:
        seeds = by_unit.setdefault((each.run.recipe, each.run.target), [])
        if not seeds:
            by_recipe.setdefault(each.run.recipe, []).append(each)
            by_target.setdefault(each.run.target, []).append(each)
        seeds.append(each)
    groups: list[tuple[Callable[[Path, Sequence[Result]], Path], list[Result]]]
    groups = [(_square, seeds) for seeds in by_unit.values()]
    groups += [(_compared, firsts) for firsts in by_target.values()]
    groups += [(_layer, firsts) for firsts in by_recipe.values()]
    new = {each.run for each in results}
    return [draw(folder, group) for draw, group in groups if len(group) > 1 and new & {each.run for each in group}]


def _with_others(folder: Path, results: Sequence[Result]) -> list[Result]:
    """Return the results and those of the same layer and network in the folder, by recipe, target and seed."""
    found = {each.run: each for each in (*_in(folder), *results)}
    of = {(each.weights_sha256, each.run.layer) for each in results}
    recipes = list(dict.fromkeys(each.run.recipe for each in results))

    def place(each: Result) -> tuple[int, str, tuple[int, ...], str, int]:
        run = each.run
        known = recipes.index(run.recipe) if run.recipe in recipes else len(recipes)
        return known, run.recipe, run.target.units, run.target.title, run.seed

    return sorted((each for each in found.values() if (each.weights_sha256, each.run.layer) in of), key=place)


def _in(folder: Path) -> Iterator[Result]:
    """Yield what was made in a folder and is still there."""
    for path in folder.glob("*.json"):
        with contextlib.suppress(UserError):
            result = read(path)
            if (folder / result.picture).exists():
                yield result


def _square(folder: Path, seeds: Sequence[Result]) -> Path:
    """Write the pictures of one unit by one recipe."""
    name = f"{seeds[0].run.stem.rpartition('-')[0]}-seeds.png"
    return _sheet(folder, name, seeds, [""] * len(seeds), (), int(np.ceil(np.sqrt(len(seeds)))))


def _compared(folder: Path, firsts: Sequence[Result]) -> Path:
    """Write the first pictures of one unit by several recipes, each under the recipe's name."""
    first = firsts[0]
    title = f"{first.model}  {first.run.layer}  {first.run.target.title} {first.label}".strip()
    heading = [printable(title), f"{len(firsts)} recipes, seed {first.run.seed}"]
    # Without the recipe and the seed a picture's name is the unit's.
    name = f"{first.run.stem.rsplit('-', 2)[0]}-recipes.png"
    return _sheet(folder, name, firsts, [printable(each.run.recipe) for each in firsts], heading, min(4, len(firsts)))


def _layer(folder: Path, firsts: Sequence[Result]) -> Path:
    """Write the first pictures of several units by one recipe, each under the unit's number and class."""
    first = firsts[0]
    title = printable(f"{first.model}  {first.run.layer}  {first.run.recipe}")
    heading = [title, f"{len(firsts)} units, seed {first.run.seed}"]
    captions = [printable(f"{each.run.target.title} {each.label}") for each in firsts]
    name = harmless_name(first.run.layer, first.run.recipe, "sheet.png")
    return _sheet(folder, name, firsts, captions, heading, int(np.ceil(np.sqrt(len(firsts) * 1.25))))


def _sheet(
    folder: Path, name: str, results: Sequence[Result], captions: Sequence[str], heading: Sequence[str], columns: int
) -> Path:
    from tuivis.render import sheet

    picture = sheet.contact_sheet([_pixels(folder, each) for each in results], captions, heading, columns)
    data = io.BytesIO()
    picture.save(data, "PNG")
    write_whole(folder / name, data.getvalue())
    return folder / name


def _pixels(folder: Path, result: Result) -> NDArray[np.uint8]:
    with Image.open(folder / result.picture) as picture:
        return np.asarray(picture.convert("RGB"))

"""What a job may not write over, nor take for its own: results of another job in its folder. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.results import Run, read, sidecar
from tuivis.errors import UserError, printable


@dataclass(frozen=True)
class Origin:
    """What a picture comes from, its recipe aside: hashes of the network's weights and file, and of what it is like."""

    weights: str
    code: str
    towards: str


def refuse_existing(folder: Path, runs: Sequence[Run]) -> None:
    """Refuse to write over results.

    Raises
    ------
    UserError
        If any of `runs` has files in `folder`, or was begun there.
    """
    there = [run for run in runs if any((folder / f"{run.stem}{kind}").exists() for kind in (".json", ".png"))]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UserError(
            f"{printable(folder)} has {printable(there[0].stem)}.png{more} already: "
            "--overwrite makes them anew, --resume makes what is missing"
        )
    begun = next((run for run in runs if (folder / f"{run.stem}.checkpoint").exists()), None)
    if begun:
        raise UserError(
            f"{printable(folder)} has {printable(begun.stem)} half done: "
            "--resume goes on with it, --overwrite begins anew"
        )


def refuse_others(
    folder: Path, runs: Iterable[Run], origin: Callable[[Run], Origin], recipes: Sequence[Recipe]
) -> None:
    """Refuse to go on where results only have the names of `runs`, each of which has its `origin`.

    Raises
    ------
    UserError
        If one was made by another network, with other weights or code, of another picture or by other parameters, or
        cannot be read.
    """
    parameters = {recipe.name: _essence(recipe) for recipe in recipes}
    for run in runs:
        path = sidecar(folder, run)
        if not path.exists():
            continue
        result, ours = read(path), origin(run)
        compared = {
            "another unit": (result.run, run),
            "another network or other weights": (result.weights_sha256, ours.weights),
            "other code in the network's file": (result.code_sha256, ours.code),
            "another picture of that name": (result.towards_sha256, ours.towards),
            "other parameters": (_essence(result.parameters), parameters[run.recipe]),
        }
        change = next((what for what, (one, other) in compared.items() if one != other), None)
        if change:
            picture = printable(folder / result.picture)
            raise UserError(f"{picture} was made with {change}: move it away, or --overwrite it")


def _essence(recipe: Recipe) -> Recipe:
    return msgspec.structs.replace(recipe, about="")

"""The paper's random search for a recipe: draw hyperparameters, make a picture with each, rank them."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from tuivis.comparison import score
from tuivis.engine.optimise.recipes import BUILT_IN, Recipe, changed, toml
from tuivis.engine.optimise.results import Result
from tuivis.errors import UserError, printable
from tuivis.files import write_whole

SHEET = "search.png"
BEST = 9
"""Draws that become recipe files."""
_PERCENTILES = [0.0] * 10 + [10.0] * 10 + [20.0] * 5 + [30.0] * 2 + [50.0] * 2 + [80.0] * 2 + [90.0] * 2


def draws(count: int, seed: int) -> tuple[Recipe, ...]:
    """Return recipes from the ranges of Yosinski et al. (2015, the original's code), the same for the same seed."""
    chance = random.Random(seed)
    base = BUILT_IN["yosinski-3"]
    return tuple(changed(base, {"name": f"draw-{number:03}", "about": "", **_draw(chance)}) for number in range(count))


def _draw(chance: random.Random) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "decay": chance.choice([0.0] * 4 + [1e-4, 1e-3, 0.01, 0.01, 0.1, 0.2, 0.3]),
        "steps": chance.choice([250, 500, 750, 1000, 1500]),
        "blur_radius": chance.choice([0.0] * 10 + [0.3, 0.3, 0.4, 0.5, 1.0]),
        "blur_every": chance.choice([1, 2, 3, 4]),
    }
    for name in ("small_value", "small_norm", "contribution", "absolute_contribution"):
        parameters[name] = chance.choice(_PERCENTILES)
    if chance.random() < 10 / 15:
        parameters |= {
            "policy": "progress",
            "max_rate": chance.choice([1e2, 1e4, 1e6, 1e8]),
            "desired": chance.choice([0.1, 0.2, 0.5, 1.0, 2.0, 5.0]),
        }
    else:
        parameters["rate"] = 10.0 ** chance.randint(-3, 2)
    return parameters


def refuse_existing(folder: Path) -> None:
    """Refuse to write over what another search wrote.

    Raises
    ------
    UserError
        If its sheet or its recipes are in `folder`.
    """
    names = (SHEET, *(_best(place) for place in range(1, BEST + 1)))
    written = next((name for name in names if (folder / name).exists()), None)
    if written:
        raise UserError(
            f"{printable(folder)} has {written} of another search: name another folder, "
            "--overwrite it, or --resume that search"
        )


def write(folder: Path, results: Sequence[Result]) -> tuple[list[Result], list[Path]]:
    """Write a contact sheet, the best first, and the best as recipe files; return the results in that order.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    from tuivis.render import sheet

    ranked = sorted(results, key=score, reverse=True)
    tiles = []
    for each in ranked:
        with Image.open(folder / each.picture) as picture:
            tiles.append(np.asarray(picture.convert("RGB").resize((112, 112 * picture.height // picture.width))))
    captions = [f"{each.run.recipe[5:]}: {score(each):.2f}" for each in ranked]
    columns = max(4, int(np.ceil(np.sqrt(len(tiles) * 1.25))))
    heading = ["random search", "each draw's number and score: activation ratio x robustness"]
    data = io.BytesIO()
    sheet.contact_sheet(tiles, captions, heading, columns).save(data, "PNG")
    written = [folder / SHEET]
    write_whole(written[0], data.getvalue())
    for place, each in enumerate(ranked[:BEST], 1):
        path = folder / _best(place)
        recipe = msgspec.structs.replace(each.parameters, name=path.stem, about=f"{each.run.recipe} of a search")
        write_whole(path, toml(recipe).encode())
        written.append(path)
    return ranked, written


def _best(place: int) -> str:
    return f"best-{place}.toml"

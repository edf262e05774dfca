"""Remakes the documentation's optimised pictures: `make pictures`, or one of them by its name."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tuivis.config import Settings
from tuivis.engine.optimise.recipes import find
from tuivis.engine.optimise.results import Result
from tuivis.optimise import Request, make
from tuivis.render.sheet import contact_sheet

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"


@dataclass(frozen=True)
class Sheet:
    """What is made, and how it is laid out: so many columns, each picture `side` pixels wide."""

    recipes: tuple[str, ...]
    classes: str = ""
    layer: str = ""
    units: str = ""
    changes: tuple[str, ...] = ()
    columns: int = 4
    side: int = 224


SHEETS = {
    "classes": Sheet(("maco",), classes="flamingo,goldfish,volcano,daisy"),
    "recipes": Sheet(("yosinski-1-free", "yosinski-3-free", "distill", "pixel"), classes="flamingo"),
    "layer": Sheet(("distill",), layer="_blocks.10", units="0-23", changes=("steps=256",), columns=8, side=112),
}


def main(names: Sequence[str]) -> int:
    """Write the sheets of these names; without any, all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or SHEETS:
        sheet = SHEETS[name]
        recipes = tuple(find(recipe, sheet.changes) for recipe in sheet.recipes)
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(layer=sheet.layer)
            request = Request(settings, recipes, (0,), Path(folder), units=sheet.units, classes=sheet.classes)
            drawn(sheet, make(request).results, Path(folder)).save(FOLDER / f"{name}.jpg", quality=92, optimize=True)
    return 0


def drawn(sheet: Sheet, results: Sequence[Result], folder: Path) -> Image.Image:
    """Return the pictures, each under its class or unit, or under its recipe if there are several."""
    pictures = []
    for each in results:
        with Image.open(folder / each.picture) as picture:
            pictures.append(
                np.asarray(picture.convert("RGB").resize((sheet.side, sheet.side), Image.Resampling.LANCZOS))
            )
    several = len(sheet.recipes) > 1
    captions = [each.run.recipe if several else each.label or each.run.target.title for each in results]
    return contact_sheet(pictures, captions, (), sheet.columns)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Remakes the documentation's optimised pictures: `make pictures`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tuivis.config import Settings
from tuivis.engine.optimise.recipes import find
from tuivis.engine.optimise.results import Result
from tuivis.optimise import Request, make
from tuivis.render.sheet import contact_sheet

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SHEETS = {
    "classes": ("flamingo,banana,espresso", ("distill",)),
    "recipes": ("flamingo", ("distill", "maco", "yosinski-2-free", "pixel")),
}
"""By name: the classes, and the recipes."""


def main() -> int:
    """Write each sheet, in one row."""
    FOLDER.mkdir(exist_ok=True)
    for name, (classes, recipes) in SHEETS.items():
        with tempfile.TemporaryDirectory() as folder:
            request = Request(Settings(), tuple(map(find, recipes)), (0,), Path(folder), classes=classes)
            sheet(make(request).results, Path(folder)).save(FOLDER / f"{name}.png", optimize=True)
    return 0


def sheet(results: Sequence[Result], folder: Path) -> Image.Image:
    """Return the pictures, each under its class and recipe."""
    pictures = [np.asarray(Image.open(folder / each.picture).convert("RGB")) for each in results]
    captions = [f"{each.label}, {each.run.recipe}" for each in results]
    return contact_sheet(pictures, captions, (), len(results)).quantize(256)


if __name__ == "__main__":
    sys.exit(main())

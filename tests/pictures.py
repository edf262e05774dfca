"""Remakes the documentation's optimised pictures: `make pictures`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tuivis.config import Settings
from tuivis.engine.optimise.recipes import find
from tuivis.optimise import Request, make
from tuivis.render.sheet import contact_sheet

FILE = Path(__file__).parents[1] / "docs" / "pictures" / "classes.png"
CLASSES = "flamingo,banana"
STEPS = {"yosinski-3-free": 300, "distill": 128, "maco": 80}
"""By recipe: fewer than it has, so that two cores need minutes."""


def main() -> int:
    """Write one row for each recipe."""
    recipes = tuple(find(name, (f"steps={steps}",)) for name, steps in STEPS.items())
    with tempfile.TemporaryDirectory() as folder:
        made = make(Request(Settings(), recipes, (0,), Path(folder), classes=CLASSES))
        pictures = [np.asarray(Image.open(Path(folder, each.picture)).convert("RGB")) for each in made.results]
    captions = [f"{each.label}, {each.run.recipe}" for each in made.results]
    FILE.parent.mkdir(exist_ok=True)
    sheet = contact_sheet(pictures, captions, (), len(CLASSES.split(",")))
    sheet.quantize(256).save(FILE, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

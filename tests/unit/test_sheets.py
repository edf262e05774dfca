"""The sheets that pictures of units are on: all that a folder has of the layer, each time some are made."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from tuivis import sheets
from tuivis.engine.optimise.recipes import BUILT_IN
from tuivis.engine.optimise.results import Quality, Record, Result, Run, Target, sidecar

QUALITY = Quality(3.0, 1.0, 3.0, 1.0, 1.0, 1, -2.0, -2.0, 0.1, 0.1, 0.0)


def colour(unit: int, seed: int, recipe: str) -> tuple[int, int, int]:
    return 40 * unit + 40, 60 * seed + 60, 90 if recipe == "pixel" else 190


def made(folder: Path, unit: int, seed: int = 0, recipe: str = "pixel", weights: str = "w", layer: str = "a") -> Result:
    """Write a picture of one colour and its sidecar."""
    run = Run(layer, Target(units=(unit,)), recipe, seed)
    Image.new("RGB", (32, 32), colour(unit, seed, recipe)).save(folder / f"{run.stem}.png")
    result = Result(
        f"{run.stem}.png", run, "net", "", weights, "cpu", {}, BUILT_IN[recipe], None, "", 1.0, Record(), QUALITY
    )
    sidecar(folder, run).write_bytes(msgspec.json.encode(result))
    return result


def order(path: Path) -> list[tuple[int, ...]]:
    """Return the colours of a sheet's pictures, row by row, and check that each is there whole."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    code = pixels @ (1 << 16, 1 << 8, 1)
    corners = {}
    for value, count in zip(*np.unique(code, return_counts=True), strict=True):
        ys, xs = np.nonzero(code == value)
        if count >= 32 * 32 and (np.ptp(ys) + 1) * (np.ptp(xs) + 1) == count:
            corners[int(ys.min()), int(xs.min())] = tuple(map(int, pixels[ys[0], xs[0]]))
    return [corners[place] for place in sorted(corners)]


def test_what_is_made_later_stands_with_what_the_folder_has(tmp_path: Path) -> None:
    for unit in (2, 0):
        made(tmp_path, unit)
    made(tmp_path, 1, weights="others")
    made(tmp_path, 1, layer="b")
    (tmp_path / "unfinished-1.json").write_text("{}")
    made(tmp_path, 4)
    (tmp_path / "a-4-pixel-0.png").unlink()
    (path,) = sheets.write(tmp_path, [made(tmp_path, 1)])
    assert path.name == "a-pixel-sheet.png"
    assert order(path) == [colour(unit, 0, "pixel") for unit in (0, 1, 2)]


def test_only_sheets_with_something_new_are_written(tmp_path: Path) -> None:
    for unit in (0, 1):
        made(tmp_path, unit)
    written = sheets.write(tmp_path, [made(tmp_path, 1, recipe="distill"), made(tmp_path, 1, seed=2)])
    assert sorted(path.name for path in written) == ["a-1-pixel-seeds.png", "a-1-recipes.png"]
    assert order(tmp_path / "a-1-pixel-seeds.png") == [colour(1, 0, "pixel"), colour(1, 2, "pixel")]
    assert order(tmp_path / "a-1-recipes.png") == [colour(1, 0, "distill"), colour(1, 0, "pixel")]


def test_a_picture_alone_is_on_no_sheet(tmp_path: Path) -> None:
    assert not sheets.write(tmp_path, [made(tmp_path, 1)])

"""Remakes the documentation's screenshots: `make screenshots`."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.decoders import Pixels
from tests.e2e.desktop import Desktop
from tests.e2e.expected import ember
from tests.e2e.terminal import TUIVIS
from tuivis.files import write_whole
from tuivis.render import colormap

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
LARGEST = 400_000
"""Bytes of one file."""

SHOTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "explore": (("--layer", "_blocks.10", "--unit", "57"), ()),
    "unit": (("--layer", "_blocks.1", "--unit", "5", "--theme", "tuivis-light"), ("e", "e", "z")),
    "output": (("--layer", "output"), ("i", "g")),
    "why": (("--layer", "_blocks.10", "--unit", "57"), ("e", "e", "b", "b", "W")),
    "help": ((), ("question",)),
}
"""By name: the program's arguments, and the keys to press."""


def has_started(screen: Pixels) -> bool:
    """Say whether the mosaic is on the screen: the frame around a tile is."""
    return bool((np.abs(screen - ember()[colormap.SELECTED].astype(int)) < 12).all(axis=2).sum() > 100)


def take(arguments: tuple[str, ...], keys: tuple[str, ...]) -> bytes:
    """Return the PNG file of one screenshot."""
    # xterm has fewer colours: it dithers the photographs.
    terminal = "kitty" if shutil.which("kitty") else "xterm"
    with tempfile.TemporaryDirectory() as folder, Desktop(terminal, [*TUIVIS, *arguments], Path(folder)) as desktop:
        desktop.until(has_started)
        desktop.settle()
        for key in keys:
            desktop.press(key)
            desktop.settle()
        return packed(desktop.settle(12))


def packed(pixels: Pixels) -> bytes:
    """Return a PNG file of at most 256 colours; photographs lose a little, the rest nothing."""
    file = io.BytesIO()
    quantised = Image.fromarray(pixels).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    quantised.save(file, "PNG", optimize=True)
    assert len(file.getvalue()) < LARGEST
    return file.getvalue()


def main() -> None:
    """Write all the screenshots."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (arguments, keys) in SHOTS.items():
        write_whole(FOLDER / f"{name}.png", take(arguments, keys))
        sys.stdout.write(f"docs/screenshots/{name}.png\n")


if __name__ == "__main__":
    main()

"""What tuivis is compared with on the wire: the same pictures, shown the way that others show them.

`python -m benchmarks.rivals WAY COLUMNS ROWS FOLDER` shows the pictures of FOLDER by turns, in so many cells, the next
one at each key. WAY is "textual-image" (its widget for Kitty's graphics) or "half-blocks" (a Textual widget whose
lines are coloured half blocks, a cell for 1 x 2 pixels).

`python -m benchmarks.rivals live COLUMNS ROWS START` shows 30 mosaics a second in textual-image's widget; the first
tiles of each tell how many thirtieths of a second have passed since START, by the clock of `time.perf_counter`. Any key
frames another tile.
"""

from __future__ import annotations

import sys
import time
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.strip import Strip
from textual.widget import Widget
from textual_image.widget import TGPImage

from benchmarks.broadcast import BITS, FPS
from benchmarks.session import CELL
from tuivis.render import colormap
from tuivis.render.mosaic import compose, fit, mark

ACTIVATIONS = Path(__file__).parent.parent / "tests" / "data" / "activations.npy"


class HalfBlocks(Widget):
    """Draws `pixels`, (2 * rows, columns, 3)."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__()
        self.pixels = pixels

    def render_line(self, y: int) -> Strip:
        """Return one line of half blocks; equal neighbours are one segment."""
        upper, lower = self.pixels[2 * y], self.pixels[2 * y + 1]
        cells = [
            Segment("▀", Style(color=Color.from_rgb(*ink), bgcolor=Color.from_rgb(*paper)))
            for ink, paper in zip(upper.tolist(), lower.tolist(), strict=True)
        ]
        return Strip(cells).simplify()


class Rival(App[None]):
    """Shows the next picture at each key."""

    def __init__(self, way: str, cells: tuple[int, int], pictures: list[Image.Image]) -> None:
        super().__init__()
        self._way = way
        self._cells = cells
        self._pictures = cycle(pictures)

    def compose(self) -> ComposeResult:
        """Yield the widget."""
        self.shown = self._widget(next(self._pictures))
        self.shown.styles.width, self.shown.styles.height = self._cells
        yield self.shown

    def on_key(self, event: events.Key) -> None:
        """Show the next picture."""
        picture = next(self._pictures)
        if isinstance(self.shown, HalfBlocks):
            self.shown.pixels = np.asarray(picture)
            self.shown.refresh()
        else:
            self.shown.image = picture

    def _widget(self, picture: Image.Image) -> HalfBlocks | TGPImage:
        return HalfBlocks(np.asarray(picture)) if self._way == "half-blocks" else TGPImage(picture)


class LiveRival(App[None]):
    """Shows a mosaic that moves."""

    def __init__(self, cells: tuple[int, int], start: float) -> None:
        super().__init__()
        self._cells = cells
        self._start = start
        self._levels = np.load(ACTIVATIONS)
        self._layout = fit(len(self._levels), (14, 14), (cells[0] * CELL.width, cells[1] * CELL.height), 24)
        self._palette = colormap.palette("ember", 256, 1.0, colormap.CHROMES["dark"])
        self._selected = 0

    def compose(self) -> ComposeResult:
        """Yield the widget."""
        self.shown = TGPImage(self._mosaic())
        self.shown.styles.width, self.shown.styles.height = self._cells
        yield self.shown

    def on_mount(self) -> None:
        """Start moving."""
        self.set_interval(1 / FPS, self._move)

    def on_key(self, event: events.Key) -> None:
        """Frame the other tile."""
        self._selected = 11 - self._selected

    def _move(self) -> None:
        self.shown.image = self._mosaic()

    def _mosaic(self) -> Image.Image:
        number = max(0, round((time.perf_counter() - self._start) * FPS))
        levels = np.roll(self._levels, number, axis=(1, 2))
        for bit in range(BITS):
            levels[bit] = 250 * (number >> bit & 1)
        pixels = compose(levels, self._layout)
        mark(pixels, self._layout.frame(self._selected), colormap.SELECTED)
        scale = self._layout.scale
        return Image.fromarray(self._palette[pixels].repeat(scale, 0).repeat(scale, 1))


def main(way: str, columns: str, rows: str, folder: str) -> None:
    """Run the rival."""
    if way == "live":
        LiveRival((int(columns), int(rows)), float(folder)).run()
        return
    pictures = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.png"))]
    Rival(way, (int(columns), int(rows)), pictures).run()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What tuivis is compared with on the wire: the same pictures, shown the way that others show them.

`python -m benchmarks.rivals WAY COLUMNS ROWS FOLDER` shows the pictures of FOLDER by turns, in so many cells, the next
one at each key. WAY is "textual-image" (its widget for Kitty's graphics) or "half-blocks" (a Textual widget whose
lines are coloured half blocks, a cell for 1 x 2 pixels).
"""

from __future__ import annotations

import sys
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


def main(way: str, columns: str, rows: str, folder: str) -> None:
    """Run the rival."""
    pictures = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.png"))]
    Rival(way, (int(columns), int(rows)), pictures).run()


if __name__ == "__main__":
    main(*sys.argv[1:])

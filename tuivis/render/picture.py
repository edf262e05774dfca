"""What an encoder draws, where, and the interface that every encoder has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Rect(NamedTuple):
    """A rectangle of a picture's pixels."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def around(cls, rects: Sequence[Rect]) -> Rect:
        """Return the smallest rectangle that holds all `rects`, at least one."""
        x, y = min(rect.x for rect in rects), min(rect.y for rect in rects)
        right, bottom = max(rect.x + rect.width for rect in rects), max(rect.y + rect.height for rect in rects)
        return cls(x, y, right - x, bottom - y)


class Box(NamedTuple):
    """A rectangle of terminal cells; (0, 0) is the top left cell of the screen."""

    column: int
    row: int
    columns: int
    rows: int

    def overlap(self, other: Box) -> Box:
        """Return the cells that lie in both boxes; there may be none."""
        column, row = max(self.column, other.column), max(self.row, other.row)
        right = min(self.column + self.columns, other.column + other.columns)
        below = min(self.row + self.rows, other.row + other.rows)
        return Box(column, row, max(0, right - column), max(0, below - row))


class CellSize(NamedTuple):
    """Pixels of one terminal cell."""

    width: int
    height: int


@dataclass(frozen=True)
class Heat:
    """What lies over a picture, pixel by pixel; a terminal that lays pictures over each other is sent it alone.

    `levels` is (H, W) uint8, entries of `palette`, (n, 4) uint8 RGBA, n <= 256: alpha 0 shows the picture, 255 hides
    it.
    """

    levels: NDArray[np.uint8]
    palette: NDArray[np.uint8]

    def over(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return `pixels`, (H, W, 3) uint8, with the heat on them."""
        alpha = self.palette[:, 3:].astype(np.float32) / 255
        light, rest = self.palette[:, :3] * alpha, 1 - alpha
        mixed = pixels * rest[self.levels] + light[self.levels]
        return np.rint(mixed).astype(np.uint8)


@dataclass(frozen=True)
class Picture:
    """Pixels to draw.

    `pixels` is (H, W) uint8 indices into `palette` ((n, 3) uint8, n <= 256), or (H, W, 3) uint8 RGB with no palette.
    `scale` is the whole-number factor, nearest neighbour, from a pixel here to pixels on the canvas of the pane
    (see `Encoder.canvas`); H * scale x W * scale never exceeds the canvas. Encoders may send fewer pixels where
    the terminal scales by itself. `heat`, as large as `pixels`, lies over them. In a `coarse` picture most pixels are
    like their neighbours.
    """

    pixels: NDArray[np.uint8]
    palette: NDArray[np.uint8] | None = None
    scale: int = 1
    heat: Heat | None = None
    coarse: bool = False

    @property
    def height(self) -> int:
        """Rows of pixels, before scaling."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels, before scaling."""
        return int(self.pixels.shape[1])

    def rgb(self) -> NDArray[np.uint8]:
        """Return the pixels as (H, W, 3) uint8, not scaled, with the heat on them."""
        pixels = self.pixels if self.palette is None else self.palette[self.pixels]
        return pixels if self.heat is None else self.heat.over(pixels)

    def cover(self, cell: CellSize) -> tuple[int, int]:
        """Return (columns, rows): the cells that the scaled picture touches from a cell's corner on."""
        return -(-self.width * self.scale // cell.width), -(-self.height * self.scale // cell.height)

    def crop(self, rect: Rect) -> Picture:
        """Return the part of the picture inside `rect`."""
        inside = np.s_[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
        heat = self.heat and replace(self.heat, levels=self.heat.levels[inside])
        return replace(self, pixels=self.pixels[inside], heat=heat)


class Encoder(Protocol):
    """Turns the successive pictures of ONE pane into bytes for one terminal.

    An encoder is stateful: it knows what the terminal holds for its pane. Every method returns bytes that the caller
    writes in one piece and in order; every sequence of bytes leaves the cursor and the colours as they were (ESC 7 /
    ESC 8). `paper` is the SGR parameters of the background of the pane's blank cells, empty for the terminal's own.
    """

    paper: bytes

    def canvas(self, columns: int, rows: int) -> tuple[int, int]:
        """Return (width, height): the pixels that a pane of so many cells offers."""

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Show `picture` at the top left of `box`, whole, whatever the terminal shows there now."""

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Show `picture`, which differs from the one before only inside `damage` (in pixels before scaling).

        Size, scale, box and length of the palette are those of the picture before. Where the terminal holds no
        picture (`erase`, `forget`), this is `draw`.
        """

    def erase(self, room: Box | None = None) -> bytes:
        """Remove the picture from the screen and from the terminal's memory; empty if there is none.

        What blanks must be written over is so only inside `room`, the pane's cells by now: others' are not overwritten.
        """

    def forget(self) -> None:
        """Take note that the terminal lost what it held (another program had the screen)."""

    def cells(self, row: int) -> tuple[str, int] | None:
        """Return the text of the pane's row `row` and its 24-bit foreground colour, where text shows the picture.

        The text fills the box's columns and depends on nothing but the box. Only Kitty's placeholders are text; every
        other encoder returns None: its cells are blank. Valid after `draw`.
        """

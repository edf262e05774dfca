"""The mosaic: where each tile of a layer lies in one picture, and that picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from tuivis.render.colormap import GUTTER, LEVELS
from tuivis.render.picture import Rect

SMALLEST_DRAWN = 3
"""Pixels. A 1 x 1 map is drawn as 3 x 3, as in the original toolbox: a single pixel between gutters is no tile."""


@dataclass(frozen=True)
class Layout:
    """A grid of tiles with a gutter of one pixel between and around them; everything in pixels before scaling.

    Attributes
    ----------
    columns, rows
        Tiles on one page.
    height, width
        Values of a tile, as the engine sends them.
    zoom
        Pixels per value.
    scale
        Pixels of the canvas per pixel.
    left, top
        The margin that centres the grid.
    size
        (width, height) of the whole picture.
    units
        Tiles of the whole layer, on all pages.
    """

    columns: int
    rows: int
    height: int
    width: int
    zoom: int
    scale: int
    left: int
    top: int
    size: tuple[int, int]
    units: int

    @property
    def page(self) -> int:
        """Tiles on one page."""
        return self.columns * self.rows

    @property
    def total_rows(self) -> int:
        """Rows of tiles on all pages together."""
        return ceil(self.units / self.columns)

    @property
    def pitch(self) -> tuple[int, int]:
        """(x, y) distance from one tile to the next."""
        return self.width * self.zoom + 1, self.height * self.zoom + 1

    def part(self, parts: int) -> Layout:
        """Return the layout of a page with so many times fewer rows; the tiles keep their size and their places."""
        return replace(self, rows=ceil(self.rows / parts))

    def frame(self, slot: int) -> Rect:
        """Return the rectangle of the tile in `slot` of the page, with the gutter around it."""
        row, column = divmod(slot, self.columns)
        dx, dy = self.pitch
        return Rect(self.left + column * dx, self.top + row * dy, dx + 1, dy + 1)

    def slot_at(self, x: int, y: int) -> int | None:
        """Return the slot of the page at canvas pixel (x, y), or None beside the grid."""
        dx, dy = self.pitch
        column = (x // self.scale - self.left) // dx
        row = (y // self.scale - self.top) // dy
        inside = 0 <= column < self.columns and 0 <= row < self.rows
        return row * self.columns + column if inside else None


@lru_cache(maxsize=64)
def fit(units: int, map_size: tuple[int, int], canvas: tuple[int, int], smallest: int) -> Layout:
    """Lay out `units` tiles of `map_size` (height, width) on a canvas of (width, height) pixels.

    Tiles grow by whole-number factors while all fit, shrink (keeping their aspect) where they do not, but never
    under `smallest` pixels on the longer side: then the layer has more than one page.
    """
    map_height, map_width = map_size
    zoom = max(1, ceil(SMALLEST_DRAWN / max(map_size)))
    scale = _largest_scale(units, (map_height * zoom, map_width * zoom), canvas)
    if scale or max(map_size) * zoom <= smallest:
        return _arrange(units, map_size, zoom, max(1, scale), canvas)
    for side in range(max(map_size) - 1, smallest - 1, -1):
        shrunk = _shrink(map_size, side)
        if _largest_scale(units, shrunk, canvas):
            return _arrange(units, shrunk, 1, 1, canvas)
    return _arrange(units, _shrink(map_size, min(smallest, max(map_size))), 1, 1, canvas)


def _shrink(map_size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return `map_size` with its longer side `side`, the aspect kept."""
    longest = max(map_size)
    height, width = (max(1, round(length * side / longest)) for length in map_size)
    return height, width


def _capacity(tile: tuple[int, int], scale: int, canvas: tuple[int, int]) -> tuple[int, int]:
    """Return (columns, rows) of tiles that fit on the canvas."""
    width, height = (length // scale - 1 for length in canvas)
    return max(0, width // (tile[1] + 1)), max(0, height // (tile[0] + 1))


def _largest_scale(units: int, tile: tuple[int, int], canvas: tuple[int, int]) -> int:
    """Return the largest whole-number scale at which all units fit, 0 if not even at 1."""
    scale = 0
    while True:
        columns, rows = _capacity(tile, scale + 1, canvas)
        if columns * rows < units:
            return scale
        scale += 1


def _arrange(units: int, tile: tuple[int, int], zoom: int, scale: int, canvas: tuple[int, int]) -> Layout:
    """Centre a well-proportioned grid on the canvas."""
    drawn = tile[0] * zoom, tile[1] * zoom
    most_columns, most_rows = (max(1, n) for n in _capacity(drawn, scale, canvas))
    columns, rows = most_columns, most_rows
    if most_columns * most_rows >= units:
        # The original's rule: as many columns as give the grid the aspect of the pane.
        columns = min(most_columns, max(ceil(sqrt(units * most_columns / most_rows)), ceil(units / most_rows)))
        rows = ceil(units / columns)
    width, height = canvas[0] // scale, canvas[1] // scale
    left = (width - columns * (drawn[1] + 1) - 1) // 2
    top = (height - rows * (drawn[0] + 1) - 1) // 2
    return Layout(columns, rows, *tile, zoom, scale, max(0, left), max(0, top), (width, height), units)


def blended(levels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Return tiles (n, h, w) with every `times` x `times` values replaced by their mean, at the edges by fewer.

    A value that is none, infinite or not a number, makes all of them what the largest of them is.
    """
    if times == 1:
        return levels
    count, height, width = levels.shape
    padded = np.pad(levels, ((0, 0), (0, -height % times), (0, -width % times)), mode="edge")
    blocks = padded.reshape(count, padded.shape[1] // times, times, padded.shape[2] // times, times)
    highest = blocks.max((2, 4))
    means = np.where(highest < LEVELS, blocks.mean((2, 4)).round().astype(np.uint8), highest)
    spread: NDArray[np.uint8] = means.repeat(times, 1).repeat(times, 2)[:, :height, :width]
    return spread


def compose(levels: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """Return the mosaic of `levels` (n, h, w), n at most a page: (height, width) levels, `GUTTER` around the tiles."""
    count, height, width = levels.shape
    dx, dy = width * layout.zoom + 1, height * layout.zoom + 1
    rows = ceil(count / layout.columns)
    cells = np.full((rows * layout.columns, dy, dx), GUTTER, np.uint8)
    cells[:count, 1:, 1:] = levels.repeat(layout.zoom, 1).repeat(layout.zoom, 2)
    grid = cells.reshape(rows, layout.columns, dy, dx).swapaxes(1, 2).reshape(rows * dy, layout.columns * dx)
    picture = np.full(layout.size[::-1], GUTTER, np.uint8)
    target = picture[layout.top : layout.top + rows * dy, layout.left : layout.left + layout.columns * dx]
    target[...] = grid[: target.shape[0], : target.shape[1]]
    return picture


def mark(picture: NDArray[np.uint8], frame: Rect, level: int) -> None:
    """Draw the border of a tile's `frame` in place, in the colour of the reserved `level`."""
    bottom, right = frame.y + frame.height - 1, frame.x + frame.width - 1
    picture[frame.y, frame.x : right + 1] = level
    picture[bottom : bottom + 1, frame.x : right + 1] = level
    picture[frame.y : bottom + 1, frame.x] = level
    picture[frame.y : bottom + 1, right : right + 1] = level

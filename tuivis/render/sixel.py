"""Sixel: bands of six rows, each colour of a band as a run-length encoded line (DEC STD 070, chapter 9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tuivis.render.ansi import RESTORE, SAVE, move
from tuivis.render.painted import Painted
from tuivis.render.picture import Box, CellSize, Picture, Rect

Bytes = NDArray[np.uint8]

_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16
"""Thresholds of ordered dithering (Bayer 1973)."""


_CUBES = ((6, 7, 6), (4, 4, 4), (2, 4, 2), (2, 2, 2))
"""Levels of red, green and blue: a photograph takes a quarter more bytes with the first than with the second."""


class Sixel(Painted):
    """An encoder for xterm, foot, mlterm, Windows Terminal and others.

    `colours` is the number of the terminal's colour registers. A palette that fits is sent as it is; any other
    picture is dithered to a fixed cube of colours.

    xterm scrolls by a line whenever an image reaches the last row of the screen, so no box may include that row.
    """

    def __init__(self, cell: CellSize, colours: int = 256) -> None:
        super().__init__()
        assert colours >= 8
        self._cell = cell
        self._colours = colours

    def canvas(self, columns: int, rows: int) -> tuple[int, int]:
        """Return the pixels of so many cells."""
        return columns * self._cell.width, rows * self._cell.height

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Show the picture, after blanks over another that it would not cover."""
        columns, rows = picture.cover(self._cell)
        before = self._cover(picture, box, columns, rows)
        return before + self._show(picture, box, [Rect(0, 0, picture.width, picture.height)])

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Show the parts of the picture in the cells that the damage touches."""
        if self._shown is None:
            return self.draw(picture, box)
        return self._show(picture, box, damage) if damage else b""

    def _show(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        indices, palette = _indexed(picture, self._colours)
        images = []
        for rect in damage:
            column, row, part = _aligned(indices, picture.scale, rect, self._cell)
            images.append(move(box.row + row, box.column + column) + _image(part, palette))
        return SAVE + b"".join(images) + RESTORE


def _indexed(picture: Picture, colours: int) -> tuple[Bytes, Bytes]:
    """Return (H, W) indices and their palette, of at most `colours`."""
    if picture.palette is not None and len(picture.palette) <= colours:
        return picture.pixels, picture.palette
    levels = np.array(next(cube for cube in _CUBES if np.prod(cube) <= colours))
    height, width = picture.height, picture.width
    # Dithering cuts what would be runs: nobody sees its pattern in pixels as large as those of a coarse picture.
    pattern = np.full((1, 1), 0.5) if picture.coarse else _BAYER
    threshold = np.tile(pattern, (height // len(pattern) + 1, width // len(pattern) + 1))[:height, :width, None]
    steps = (picture.rgb() / 255 * (levels - 1) + threshold).astype(np.uint8)
    weights = np.array([levels[1] * levels[2], levels[2], 1])
    cube = np.stack(np.meshgrid(*map(np.arange, levels), indexing="ij"), axis=-1).reshape(-1, 3)
    return (steps @ weights).astype(np.uint8), np.round(cube * 255 / (levels - 1)).astype(np.uint8)


def _aligned(indices: Bytes, scale: int, rect: Rect, cell: CellSize) -> tuple[int, int, Bytes]:
    """Return (column, row, scaled indices) of the cells that `rect` touches."""
    height, width = (n * scale for n in indices.shape)
    column, row = rect.x * scale // cell.width, rect.y * scale // cell.height
    right = min(-(-(rect.x + rect.width) * scale // cell.width) * cell.width, width)
    below = min(-(-(rect.y + rect.height) * scale // cell.height) * cell.height, height)
    xs = np.arange(column * cell.width, right) // scale
    ys = np.arange(row * cell.height, below) // scale
    return column, row, indices[np.ix_(ys, xs)]


def _image(indices: Bytes, palette: Bytes) -> bytes:
    """Return one Sixel image. P2 is 1: pixels that no colour sets stay as they are."""
    height, width = indices.shape
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=len(palette)))
    percent = np.round(palette[used] / 255 * 100).astype(int)
    registers = b"".join(b"#%d;2;%d;%d;%d" % (n, *rgb) for n, rgb in enumerate(percent.tolist()))
    position = np.zeros(256, np.intp)
    position[used] = np.arange(len(used))
    bands = b"-".join(_bands(position[indices], len(used)))
    return b'\x1bP0;1q"1;1;%d;%d%b%b\x1b\\' % (width, height, registers, bands)


def _bands(indices: NDArray[np.intp], colours: int) -> Iterator[bytes]:
    """Give each band's text: a line for each of its colours.

    The band's commonest colour comes first and fills it, for the others to paint over: one run instead of many.
    """
    lines = _lines(indices, colours)
    common = np.count_nonzero(lines, axis=2).argmax(axis=1)
    lines[np.arange(len(lines)), common] = np.bitwise_or.reduce(lines, axis=1)
    texts = _encoded(lines.reshape(-1, lines.shape[2]))
    for band, first in enumerate(common.tolist()):
        order = [first, *(colour for colour in range(colours) if colour != first)]
        yield b"$".join(b"#%d%b" % (n, text) for n in order if (text := texts[band * colours + n]))


def _lines(indices: NDArray[np.intp], colours: int) -> Bytes:
    """Return (bands, colours, W): which of a band's six pixels, the top one bit 0, have the colour."""
    height, width = indices.shape
    lines = np.zeros((-(-height // 6), colours, width), np.uint8)
    for row in range(6):
        pixels = indices[row::6]
        lines[np.arange(len(pixels))[:, None], pixels, np.arange(width)] |= 1 << row
    return lines


def _encoded(lines: Bytes) -> list[bytes]:
    """Return the run-length encoded text of every line, without what is empty at its end."""
    count, width = lines.shape
    first = np.ones((count, width), np.bool_)
    np.not_equal(lines[:, 1:], lines[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    lengths = np.diff(starts, append=lines.size)
    values = lines.ravel()[starts]
    kept = (values > 0) | ((starts + lengths) % width > 0)
    runs = list(map(_run, lengths[kept].tolist(), values[kept].tolist()))
    bounds = np.searchsorted(starts[kept], np.arange(count + 1) * width).tolist()
    return [b"".join(runs[start:stop]) for start, stop in pairwise(bounds)]


@cache
def _run(length: int, value: int) -> bytes:
    """Return `length` times the same six pixels."""
    six = bytes([63 + value])
    return six * length if length < 4 else b"!%d%b" % (length, six)

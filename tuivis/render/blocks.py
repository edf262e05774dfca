"""Half blocks: every cell shows two pixels, one in the foreground colour, the other in the background."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuivis.render.ansi import PLAIN, RESTORE, SAVE, ground, move, runs
from tuivis.render.painted import Painted
from tuivis.render.picture import Box, Picture, Rect

Colours = Literal["true", "256"]

_DEFAULT = -1
"""The pane's background, under the last row of a picture of odd height."""

_UPPER_HALF, _LOWER_HALF = "▀".encode(), "▄".encode()

_STEPS = np.array([0, 95, 135, 175, 215, 255])
"""The levels of xterm's 6 x 6 x 6 cube, colours 16 .. 231; the greys 8, 18, ... 238 follow."""


class HalfBlocks(Painted):
    """An encoder for any terminal with true colour, or with xterm's palette of 256."""

    def __init__(self, colours: Colours = "true") -> None:
        super().__init__()
        self._colours = colours
        self._held = np.empty((0, 0, 2), np.int32)

    def canvas(self, columns: int, rows: int) -> tuple[int, int]:
        """Return (columns, 2 * rows)."""
        return columns, 2 * rows

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Show the picture, after blanks over another that it would not cover."""
        cells = self._cells(picture)
        before = self._cover(picture, box, cells.shape[1], cells.shape[0])
        self._held = cells
        return before + self._show(box, np.ones(cells.shape[:2], np.bool_))

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Show the cells that the terminal holds otherwise."""
        if self._shown is None:
            return self.draw(picture, box)
        before, self._held = self._held, self._cells(picture)
        changed = (self._held != before).any(axis=2)
        return self._show(self._shown, changed) if changed.any() else b""

    def _cells(self, picture: Picture) -> NDArray[np.int32]:
        """Return (rows, columns, 2): the colours of each cell's upper and lower pixel."""
        numbers = _true if self._colours == "true" else _nearest
        if picture.palette is None:
            pixels = numbers(picture.rgb())
        else:
            pixels = numbers(picture.palette)[picture.pixels]
        pixels = pixels.repeat(picture.scale, axis=0).repeat(picture.scale, axis=1)
        pixels = np.pad(pixels, ((0, len(pixels) % 2), (0, 0)), constant_values=_DEFAULT)
        return np.stack([pixels[::2], pixels[1::2]], axis=2)

    def _show(self, box: Box, changed: NDArray[np.bool_]) -> bytes:
        style = _true_style if self._colours == "true" else _palette_style
        parts = [SAVE, PLAIN, ground(self.paper)]
        foreground, background = _DEFAULT, _DEFAULT
        for row, start, stop in runs(changed):
            parts.append(move(box.row + row, box.column + start))
            for upper, lower in self._held[row, start:stop].tolist():
                text, ink, under = _drawn(upper, lower, foreground, background)
                if (ink, under) != (foreground, background):
                    paper = style(48, under) if under != _DEFAULT else self.paper or b"49"
                    new = [style(38, ink)] * (ink != foreground) + [paper] * (under != background)
                    parts.append(b"\x1b[%bm" % b";".join(new))
                    foreground, background = ink, under
                parts.append(text)
        return b"".join([*parts, RESTORE])


def _drawn(upper: int, lower: int, foreground: int, background: int) -> tuple[bytes, int, int]:
    """Return a cell's character, foreground and background, such that few of the colours in force change."""
    if upper == lower:
        # A blank has no foreground, so the one in force may stay.
        return b" ", foreground, lower
    kept = (upper == foreground) + (lower == background)
    if lower != _DEFAULT and (lower == foreground) + (upper == background) > kept:
        return _LOWER_HALF, lower, upper
    return _UPPER_HALF, upper, lower


@lru_cache(1 << 16)
def _true_style(layer: int, colour: int) -> bytes:
    """Return the SGR parameters of a 24-bit colour; `layer` is 38 for the foreground and 48 for the background."""
    return b"%d;2;%d;%d;%d" % (layer, colour >> 16, colour >> 8 & 255, colour & 255)


@lru_cache(1 << 16)
def _palette_style(layer: int, colour: int) -> bytes:
    """Return the SGR parameters of one of the 256 colours."""
    return b"%d;5;%d" % (layer, colour)


def _true(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return (..., 3) colours as 24-bit numbers."""
    numbers: NDArray[np.int32] = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    return numbers


def _nearest(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the nearest of xterm's colours 16 .. 255 to (..., 3) colours."""
    wanted = rgb.astype(np.int32)
    steps = np.abs(wanted[..., None] - _STEPS).argmin(axis=-1)
    grey = np.clip((wanted.mean(axis=-1) - 8 + 5) // 10, 0, 23).astype(np.int32)
    to_cube = ((wanted - _STEPS[steps]) ** 2).sum(axis=-1)
    to_grey = ((wanted - (8 + 10 * grey[..., None])) ** 2).sum(axis=-1)
    numbers: NDArray[np.int32] = np.where(to_grey < to_cube, 232 + grey, 16 + steps @ np.array([36, 6, 1]))
    return numbers.astype(np.int32)

"""Plain ASCII, no colour: every cell shows one pixel as a character."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuivis.render.ansi import PLAIN, RESTORE, SAVE, move, runs
from tuivis.render.painted import Painted
from tuivis.render.picture import Box, Picture, Rect

RAMP = np.frombuffer(b".:-=*oO8&@", np.uint8)
"""From dark to bright."""

RESERVED = np.frombuffer(b" #+!?", np.uint8)
"""What the last five colours of a palette mean: gutter, selected, frozen, infinite, not a number."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Rec. ITU-R BT.709."""


class Ascii(Painted):
    """An encoder for any terminal at all."""

    def __init__(self) -> None:
        super().__init__()
        self._held = np.empty((0, 0), np.uint8)

    def canvas(self, columns: int, rows: int) -> tuple[int, int]:
        """Return (columns, rows)."""
        return columns, rows

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Show the picture, after blanks over another that it would not cover."""
        cells = _characters(picture)
        before = self._cover(picture, box, cells.shape[1], cells.shape[0])
        self._held = cells
        return before + self._show(box, np.ones(cells.shape, np.bool_))

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Show the cells that the terminal holds otherwise."""
        if self._shown is None:
            return self.draw(picture, box)
        before, self._held = self._held, _characters(picture)
        changed = self._held != before
        return self._show(self._shown, changed) if changed.any() else b""

    def _show(self, box: Box, changed: NDArray[np.bool_]) -> bytes:
        parts = [SAVE, PLAIN]
        for row, start, stop in runs(changed):
            parts += [move(box.row + row, box.column + start), self._held[row, start:stop].tobytes()]
        return b"".join([*parts, RESTORE])


def _characters(picture: Picture) -> NDArray[np.uint8]:
    """Return (rows, columns) ASCII codes."""
    if picture.palette is None:
        characters = _ramp(picture.rgb())
    else:
        table = _ramp(picture.palette)
        if len(table) > len(RESERVED):
            table[-len(RESERVED) :] = RESERVED
        characters = table[picture.pixels]
    return characters.repeat(picture.scale, axis=0).repeat(picture.scale, axis=1)


def _ramp(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the characters for (..., 3) colours."""
    steps = (rgb @ _LUMINANCE * len(RAMP) / 256).astype(np.intp)
    characters: NDArray[np.uint8] = RAMP[steps]
    return characters

"""Kitty's graphics protocol without placeholders: the picture is placed where the cursor is."""

from __future__ import annotations

from collections.abc import Sequence

from tuivis.render import png
from tuivis.render.ansi import RESTORE, SAVE, move
from tuivis.render.kitty import deletion, transmission
from tuivis.render.picture import Box, CellSize, Picture, Rect


class KittyPlaced:
    """An encoder for kitty 0.20 .. 0.27, Konsole and WezTerm.

    `image_id`, 2 .. 2^32 - 1, and its neighbour, with which it makes a pair of an even and an odd number, are this
    pane's alone: an image that is transmitted again vanishes until that is complete.
    """

    paper = b""

    def __init__(self, image_id: int, cell: CellSize) -> None:
        self._id = image_id
        self._cell = cell
        self._shown = False

    def canvas(self, columns: int, rows: int) -> tuple[int, int]:
        """Return the pixels of so many cells."""
        return columns * self._cell.width, rows * self._cell.height

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Transmit and place the picture; the one before it then goes."""
        columns, rows = picture.cover(self._cell)
        assert columns <= box.columns and rows <= box.rows
        before = self.erase()
        self._shown, self._id = True, self._id ^ bool(before)
        keys = f"a=T,i={self._id},p=1,C=1,c={columns},r={rows},q=2,f=100"
        return (
            SAVE
            + move(box.row, box.column)
            + transmission(keys, png.sheet(picture, self._cell, columns, rows))
            + before
            + RESTORE
        )

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Transmit the whole picture again: these terminals have no frame edits, or get them wrong."""
        return b"" if self._shown and not damage else self.draw(picture, box)

    def erase(self, room: Box | None = None) -> bytes:
        """Delete the image."""
        shown, self._shown = self._shown, False
        return deletion(self._id) if shown else b""

    def forget(self) -> None:
        """Let the next picture be transmitted anew."""
        self._shown = False

    def cells(self, row: int) -> None:
        """Return None: the picture lies over blank cells."""

"""iTerm2's inline images (OSC 1337): https://iterm2.com/documentation-images.html."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from tuivis.render import png
from tuivis.render.ansi import RESTORE, SAVE, move
from tuivis.render.painted import Painted
from tuivis.render.picture import Box, CellSize, Picture, Rect


class ITerm(Painted):
    """An encoder for iTerm2, WezTerm, VS Code, mintty and others."""

    def __init__(self, cell: CellSize) -> None:
        super().__init__()
        self._cell = cell

    def canvas(self, columns: int, rows: int) -> tuple[int, int]:
        """Return the pixels of so many cells."""
        return columns * self._cell.width, rows * self._cell.height

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Show the picture, after blanks over another that it would not cover."""
        columns, rows = picture.cover(self._cell)
        before = self._cover(picture, box, columns, rows)
        data = png.sheet(picture, self._cell, columns, rows)
        keys = f"inline=1;size={len(data)};width={columns};height={rows};preserveAspectRatio=0;doNotMoveCursor=1"
        image = b"\x1b]1337;File=%b:%b\x1b\\" % (keys.encode(), b64encode(data))
        return before + SAVE + move(box.row, box.column) + image + RESTORE

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Show the whole picture again: there is no way to change a part of one."""
        return b"" if self._shown and not damage else self.draw(picture, box)

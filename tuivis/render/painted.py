"""What the encoders share whose pictures are painted over blank cells, and go when blanks are written over them."""

from __future__ import annotations

from tuivis.render.ansi import blank
from tuivis.render.picture import Box, Picture


class Painted:
    """Knows which cells the picture on the screen covers.

    Attributes
    ----------
    paper
        SGR parameters of the blank cells' background, empty for the terminal's own.
    """

    def __init__(self) -> None:
        self.paper = b""
        self._shown: Box | None = None
        self._size = (0, 0)

    def _cover(self, picture: Picture, box: Box, columns: int, rows: int) -> bytes:
        """Note a picture that takes so many cells of `box`; return what clears one before that it would not cover.

        Outside `box` nothing is cleared: those cells are no longer the pane's.
        """
        assert columns <= box.columns and rows <= box.rows
        size = (picture.width * picture.scale, picture.height * picture.scale)
        shown = Box(box.column, box.row, columns, rows)
        last, self._shown = self._shown, shown
        if last is None or (last, self._size) == (shown, size):
            before = b""
        else:
            before = blank(box.overlap(last), self.paper)
        self._size = size
        return before

    def erase(self, room: Box | None = None) -> bytes:
        """Write blanks over the picture, where it lies in `room`."""
        shown, self._shown = self._shown, None
        return blank(shown if room is None else room.overlap(shown), self.paper) if shown else b""

    def forget(self) -> None:
        """Take note that the picture is gone."""
        self._shown = None

    def cells(self, row: int) -> None:
        """Return None: the picture lies over blank cells."""

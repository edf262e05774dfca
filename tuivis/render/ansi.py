"""The escape sequences that the encoders share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tuivis.render.picture import Box

SAVE = b"\x1b7"
"""DECSC: keep the cursor and the colours."""
RESTORE = b"\x1b8"
"""DECRC: put them back."""
PLAIN = b"\x1b[m"
"""SGR 0: default colours, no attributes."""


def move(row: int, column: int) -> bytes:
    """Return the move of the cursor to a cell; (0, 0) is the top left cell of the screen."""
    return b"\x1b[%d;%dH" % (row + 1, column + 1)


def ground(paper: bytes) -> bytes:
    """Return the sequence that sets the background to SGR parameters, nothing for none."""
    return b"\x1b[%bm" % paper if paper else b""


def blank(box: Box, paper: bytes) -> bytes:
    """Return the bytes that overwrite `box` with blanks, cursor and colours kept.

    `paper` is the background's SGR parameters, empty for the terminal's own.
    """
    if not box.columns or not box.rows:
        return b""
    spaces = b" " * box.columns
    rows = b"".join(move(box.row + row, box.column) + spaces for row in range(box.rows))
    return SAVE + PLAIN + ground(paper) + rows + RESTORE


def runs(changed: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Give (row, first column, column after the last) of every run of changed cells in (rows, columns)."""
    edges = np.diff(changed.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(edges == 1)
    yield from zip(rows.tolist(), starts.tolist(), np.nonzero(edges == -1)[1].tolist(), strict=True)

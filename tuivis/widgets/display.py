"""The terminal as the picture panes see it: encoders to draw with, and one way out for their bytes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import count

from tuivis.render.picture import CellSize, Encoder
from tuivis.render.probe import Terminal
from tuivis.render.protocols import Choice, encoder


class Display:
    """Hands out encoders and writes their bytes, in order with Textual's own output.

    Parameters
    ----------
    terminal
        What the probe found.
    choice
        The protocol, and why.
    """

    def __init__(self, terminal: Terminal, choice: Choice) -> None:
        self.terminal = terminal
        self.choice = choice
        self.cell = terminal.cell
        self.sent = 0
        """Bytes of the last picture."""
        self._write: Callable[[str], None] | None = None
        # Two programs in one terminal must not share an id; kitty's placeholders carry 24 bits of it.
        self._ids = count(secrets.randbelow(1 << 23) + 256)

    def connect(self, write: Callable[[str], None] | None) -> None:
        """Write through `write` from now on; with None, nowhere."""
        self._write = write

    def encoder(self) -> Encoder:
        """Return an encoder for one more pane."""
        return encoder(self.choice.protocol, self.cell, next(self._ids))

    def write(self, data: bytes) -> None:
        """Send `data` to the terminal in one piece."""
        if data and self._write is not None:
            self._write(data.decode())

    def resize_cell(self, cell: CellSize) -> None:
        """Take note of another font size: encoders made from now on use it."""
        self.cell = cell

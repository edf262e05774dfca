"""The terminal as the picture panes see it: encoders to draw with, and one way out for their bytes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import count

from tuivis.render.pacer import Drawn, Pacer, number_in
from tuivis.render.picture import CellSize, Encoder
from tuivis.render.probe import Terminal
from tuivis.render.protocols import Choice, encoder
from tuivis.widgets.turns import Turns

_PIXELS = frozenset({"kitty", "kitty-placed", "iterm", "sixel"})

_PALETTES = {"kitty": (16, 256), "kitty-placed": (16, 256), "iterm": (16, 256), "ascii": (256, 256)}
"""Entries of a mosaic's palette: while things move, and at rest. What is not here has 32, always."""


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
        self._write: Callable[[str], None] | None = None
        # Two programs in one terminal must not share an id; kitty's placeholders carry 24 bits of it.
        self._ids = count(secrets.randbelow(1 << 23) + 256)
        self.turns = Turns(Pacer(terminal.round_trip), self.write)

    def connect(self, write: Callable[[str], None] | None) -> None:
        """Write through `write` from now on; with None, nowhere."""
        self._write = write

    @property
    def palette_sizes(self) -> tuple[int, int]:
        """Entries of a mosaic's palette while things move, and at rest."""
        return _PALETTES.get(self.choice.protocol, (32, 32))

    @property
    def smallest_tile(self) -> int:
        """Pixels of a tile's longer side under which a map is not recognisable: pixels of cells are large."""
        return 24 if self.choice.protocol in _PIXELS else 6

    def encoder(self) -> Encoder:
        """Return an encoder for one more pane."""
        return encoder(self.choice.protocol, self.terminal, next(self._ids))

    def write(self, data: bytes) -> None:
        """Send `data` to the terminal in one piece."""
        if data and self._write is not None:
            self._write(data.decode())

    def turn(self, pane: object, weight: float) -> AbstractAsyncContextManager[Callable[[bytes], None]]:
        """Wait until the link has room for a frame of the pane; give the function that sends it."""
        return self.turns.turn(pane, weight)

    def patience(self, lead: float) -> float:
        """Return the seconds after which to begin with a frame that takes `lead` seconds to make; 0 is at once."""
        return max(0.0, self.turns.pacer.wait(time.monotonic()) - lead)

    def answered(self, column: int, row: int, at: float) -> Drawn | None:
        """Take note that the terminal told the cursor's position, from 0, at a time; return the frame drawn now."""
        number = number_in(row + 1, column + 1)
        return None if number is None else self.turns.answered(number, at)

    def resize_cell(self, cell: CellSize) -> bool:
        """Take note of the font's size; say whether it is another. Encoders made from now on use it."""
        changed = self.terminal.cell is not None and cell != self.terminal.cell
        if changed:
            self.terminal = replace(self.terminal, cell=cell)
        return changed

"""The terminal as the picture panes see it: encoders to draw with, and one way out for their bytes."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from math import inf

from tuivis.render.meter import Meter
from tuivis.render.pacer import Pacer, number_in
from tuivis.render.picture import CellSize, Encoder
from tuivis.render.probe import Terminal
from tuivis.render.protocols import COMPRESSIBLE, UNANSWERED, Choice, answers, encoder
from tuivis.render.quality import Quality, ladder
from tuivis.render.tmux import wrap
from tuivis.widgets.turns import Send, Turns

KBIT = 1000 / 8
"""Bytes."""

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
    max_kbit
        Kilobits per second that are not exceeded.
    quality
        The best quality that is used for what moves, one of `quality.CAPS`.
    """

    def __init__(
        self, terminal: Terminal, choice: Choice, max_kbit: float | None = None, quality: str | None = None
    ) -> None:
        self.terminal = terminal
        self.choice = choice
        self._write: Callable[[str], None] | None = None
        # Two programs in one terminal must not share an id; kitty's placeholders carry 24 bits of it. A pane has two.
        self._ids = count(2 * secrets.randbelow(1 << 22) + 256, 2)
        told = answers(terminal, choice)
        kbit = max_kbit or (inf if told else UNANSWERED)
        self.turns = Turns(Pacer(terminal.round_trip, kbit * KBIT, told), self.write, wrap if terminal.tmux else bytes)
        self.meter = Meter()
        self._ladder = ladder(choice.protocol in _PALETTES, quality)
        self.captured: float | None = None
        """When the newest frame of a moving source was captured, in seconds of the monotonic clock."""

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

    @property
    def quality(self) -> Quality:
        """How much is sent of what moves."""
        return self._ladder.quality

    @property
    def wants_compression(self) -> bool:
        """Whether the link is too slow for a protocol that `ssh -C` makes much smaller."""
        return self.terminal.ssh and self.choice.protocol in COMPRESSIBLE and self._ladder.was_cramped

    @asynccontextmanager
    async def turn(self, pane: object, weight: float) -> AsyncIterator[Send]:
        """Wait until the link has room for a frame of the pane; give the function that sends it."""
        async with self.turns.turn(pane, weight) as send:
            yield partial(self._send, send)

    def _send(self, send: Send, frame: bytes, of: object = None) -> None:
        """Send a frame, and measure it at once where the terminal never tells that it is drawn."""
        send(frame, of)
        sent = self.turns.pacer.unanswered(len(frame), time.monotonic(), of) if frame else None
        if sent is None or not isinstance(of, float):
            return
        self.meter.add(sent.sent, sent.size, None)
        # Without a limit nothing is known of the link.
        if sent.late:
            self._ladder.judge(sent, 0.0, sent.sent)

    def patience(self, lead: float) -> float:
        """Return the seconds after which to begin with a frame that takes `lead` seconds to make; 0 is at once."""
        return max(0.0, self.turns.pacer.expects(time.monotonic()) - lead)

    def begin(self) -> None:
        """Take note that other frames follow, of something else or after a pause: what was measured says nothing."""
        self.meter.clear()
        self.captured = None

    def answered(self, column: int, row: int, at: float) -> None:
        """Take note that the terminal told the cursor's position, from 0, at a time."""
        number = number_in(row + 1, column + 1)
        drawn = None if number is None else self.turns.answered(number, at)
        if drawn is not None and isinstance(drawn.of, float):
            # A frame of a moving source, captured at that time.
            trip = self.turns.pacer.round_trip
            self._ladder.judge(drawn, trip, at)
            self.meter.add(at, drawn.size, at - trip / 2 - drawn.of)

    def resize_cell(self, cell: CellSize) -> bool:
        """Take note of the font's size; say whether it is another. Encoders made from now on use it."""
        changed = self.terminal.cell is not None and cell != self.terminal.cell
        if changed:
            self.terminal = replace(self.terminal, cell=cell)
        return changed

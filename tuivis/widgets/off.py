"""The list of what is switched off."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.reactive import var
from textual.widgets import Static

from tuivis.engine.values import Off
from tuivis.errors import printable
from tuivis.state import State

LINES = 4
"""Lines that the list has at most."""


class OffList(Static):
    """Names what is off; there only while something is."""

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Come and go, and list what is off now."""
        if old.look.off != new.look.off:
            self.set_class(bool(new.look.off), "-shown")
            self.border_title = f"off: {len(new.look.off)}"
            self.border_subtitle = "ctrl+r: all on"
            self.update(Text("\n").join(_lines(new.look.off)))


def _lines(off: Sequence[Off]) -> list[Text]:
    """Return a line for each that is off, the last first, and how many more there are."""
    lines = list(map(_line, reversed(off)))
    if len(lines) <= LINES:
        return lines
    return [*lines[: LINES - 1], Text(f"… and {len(lines) - LINES + 1} more", "dim")]


def _line(off: Off) -> Text:
    which = "all of " + printable(off.layer) if off.unit is None else f"{printable(off.layer)}/{off.unit}"
    return Text(f"{which} → mean" if off.mean else which, no_wrap=True, overflow="ellipsis")

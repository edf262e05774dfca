"""The recording of what is on screen: whether there is one, how long and how large it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tuivis.errors import printable


@dataclass(frozen=True)
class RecordingToggled:
    """Start a recording, or end it."""


@dataclass(frozen=True)
class Recording:
    """A recording that goes to the file `name`, without one none; `seconds` and `size` in bytes so far.

    `outcome` says how the last one ended.
    """

    name: str = ""
    seconds: float = 0.0
    size: int = 0
    outcome: str = ""

    @property
    def runs(self) -> bool:
        """Whether there is one."""
        return bool(self.name)

    def describe(self) -> str:
        """Say how long it is, how large and where it goes; nothing if there is none."""
        return f"● {extent(self.seconds, self.size)} · {printable(self.name)}" if self.runs else ""


def extent(seconds: float, size: int) -> str:
    """Return a film's length and its `size`, in bytes, as text."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} · {size / 1e6:.1f} MB"

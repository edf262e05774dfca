"""Lines of text that follow what moves a few times a second: nobody reads faster, and the link is for the pictures."""

from __future__ import annotations

from itertools import zip_longest

from rich.text import Text
from textual.geometry import Region
from textual.timer import Timer
from textual.widget import Widget

EVERY = 0.5
"""Seconds between two looks at what moves."""


class CalmLines(Widget):
    """Draws the `lines` of a widget that is derived from this one, and of them only those that read differently."""

    _drawn: tuple[Text, ...] = ()
    _timer: Timer | None = None

    def lines(self) -> tuple[Text, ...]:
        """Return the lines, as they should be now."""
        raise NotImplementedError

    def follow(self, live: bool) -> None:
        """Bring the lines up to date: soon if what they tell of is moving, else at once."""
        if not live:
            self._update()
        elif self._timer is None:
            self._timer = self.set_timer(EVERY, self._update)

    def on_resize(self) -> None:
        """Take another width. What was drawn at once upon it still had the lines of the old one."""
        self._drawn = self.lines()
        self.refresh()

    def render(self) -> Text:
        """Return the lines."""
        return Text("\n", no_wrap=True).join(self._drawn)

    def _update(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        before, self._drawn = self._drawn, self.lines()
        for row, (old, new) in enumerate(zip_longest(before, self._drawn, fillvalue=Text())):
            if old != new:
                self.refresh(Region(0, row, max(old.cell_len, new.cell_len), 1))

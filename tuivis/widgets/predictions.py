"""The classes that the network sees in the input, with bars."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.reactive import var
from textual.widget import Widget

from tuivis.errors import printable
from tuivis.state import State

EIGHTHS = " ▏▎▍▌▋▊▉█"


class Predictions(Widget):
    """Draws the top classes of `state.frame`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"predictions--bar"}

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw the classes when they are others."""
        if (old.frame and old.frame.top) != (new.frame and new.frame.top):
            self.refresh()

    def render(self) -> Text:
        """Return a line for each class: its name, a bar, its probability."""
        frame = self.state.frame
        width = self.content_size.width
        name_width = max(8, min(20, width - 12))
        bar_width = max(1, width - name_width - 5)
        ink = self.get_component_rich_style("predictions--bar")
        text = Text(no_wrap=True)
        for prediction in frame.top if frame else ():
            name = printable(prediction.label)
            name = name if len(name) <= name_width else name[: name_width - 1] + "…"
            text.append(f"{name:<{name_width}} ")
            text.append(f"{bar(prediction.probability, bar_width):<{bar_width}}", ink)
            text.append(f" {prediction.probability:.2f}".replace("0.", ".")[-4:] + "\n")
        return text


def bar(share: float, width: int) -> str:
    """Return a bar of at most `width` cells for a `share` in 0 .. 1, to an eighth of a cell."""
    full, eighth = divmod(round(share * width * 8), 8)
    return ("█" * full + EIGHTHS[eighth]).rstrip() if full < width else "█" * width

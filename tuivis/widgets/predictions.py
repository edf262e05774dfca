"""The classes that the network sees in the input, with bars."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.reactive import var

from tuivis.engine.events import Frame
from tuivis.errors import printable
from tuivis.state import State
from tuivis.widgets.calm import CalmLines

EIGHTHS = " ▏▎▍▌▋▊▉█"


class Predictions(CalmLines):
    """Draws the top classes of `state.frame`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"predictions--bar"}

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw the classes when they are others."""
        self.follow(new.playback.live)
        if old.look.off != new.look.off:
            self.border_title = "before → after" if new.look.off else "predictions"

    def lines(self) -> tuple[Text, ...]:
        """Return a line for each class: its name, a bar, its probability."""
        frame = self.state.frame
        width = self.content_size.width
        if frame is not None and not frame.top:
            return (Text("no classes, or no finite output"),)
        if frame is not None and frame.before:
            return _compared(frame, width)
        name_width = max(8, min(20, width - 12))
        bar_width = max(1, width - name_width - 5)
        ink = self.get_component_rich_style("predictions--bar")
        return tuple(
            Text.assemble(
                f"{_cut(prediction.label, name_width)} ",
                (f"{bar(prediction.probability, bar_width):<{bar_width}}", ink),
                f" {_share(prediction.probability)}",
            )
            for prediction in (frame.top if frame else ())
        )


def _compared(frame: Frame, width: int) -> tuple[Text, ...]:
    """Return a line for each class: before, after, and the change where the width allows."""
    wide = width >= 19
    name_width = max(6, width - (13 if wide else 8))
    lines = []
    for prediction, before in zip(frame.top, frame.before, strict=True):
        change = round(prediction.probability, 2) - round(before, 2)
        text = Text.assemble((f"{_cut(prediction.label, name_width)} {_share(before)}", "dim"))
        text.append(f"→{_share(prediction.probability)}")
        if wide:
            text.append(f" {change:+.2f}".replace("0.", ".")[:5], "bold" if abs(change) >= 0.01 else "dim")
        lines.append(text)
    return tuple(lines)


def _cut(label: str, width: int) -> str:
    name = printable(label)
    return f"{name if len(name) <= width else name[: width - 1] + '…':<{width}}"


def _share(probability: float) -> str:
    return f"{probability:.2f}".replace("0.", ".")[:3].rjust(3)


def bar(share: float, width: int) -> str:
    """Return a bar of at most `width` cells for a `share` in 0 .. 1, to an eighth of a cell."""
    full, eighth = divmod(round(share * width * 8), 8)
    return ("█" * full + EIGHTHS[eighth]).rstrip() if full < width else "█" * width

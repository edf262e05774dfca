"""The selected unit's relations: its receptive field, the units that feed it and those it feeds, its classes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.reactive import var
from textual.widget import Widget

from tuivis.engine.events import Frame, Relations
from tuivis.engine.values import Box, Share
from tuivis.errors import printable
from tuivis.render.overlay import fit
from tuivis.render.picture import Picture
from tuivis.state import State
from tuivis.widgets.picture import PicturePane

CLASSES = 2
"""Classes named of each kind."""


class RelationsText(Widget):
    """Draws `state.relations`; there only while they are asked for."""

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Come and go with the wish, and draw what is new."""
        self.set_class(new.look.relations, "-shown")
        if _current(old) is not _current(new) or old.playback.live != new.playback.live:
            self.refresh()

    def render(self) -> Text:
        """Return the lines."""
        found = _current(self.state)
        if found is None and self.state.playback.live:
            return Text("It takes too long for every frame: pause (space) or freeze (f) the picture.", "dim")
        if found is None:
            return Text("tracing what drives it …", "dim")
        width, height = self.content_size
        lines = _lines(found, width, self.state.frame, CLASSES)
        if len(lines) > height:
            lines = _lines(found, width, self.state.frame, 1)
        return Text("\n").join(lines)


class Crop(PicturePane):
    """The part of the input that the strongest position can see."""

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw when the field is another."""
        self.set_class(new.look.relations, "-shown")
        if _current(old) is not _current(new) or old.frame is not new.frame:
            self.draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw at the new size."""
        self.draw()

    def draw(self) -> None:
        """Fit the crop into the pane."""
        found, frame = _current(self.state), self.state.frame
        width, height = self.canvas
        if found is None or found.field is None or frame is None or not width or not height:
            self.picture = None
            return
        box = found.field
        crop = frame.pixels.numpy()[box.top : box.top + box.height, box.left : box.left + box.width]
        self.picture = Picture(fit(crop, width, height))


def _current(state: State) -> Relations | None:
    """Return the relations of the selected unit on the picture at hand, if they are known."""
    found, view = state.relations, state.view
    if found is None or not state.look.relations:
        return None
    same = (found.layer, found.unit, found.picture) == (view.layer, view.unit, view.picture)
    return found if same else None


def _lines(found: Relations, width: int, frame: Frame | None, classes: int) -> list[Text]:
    lines = []
    if found.field is not None:
        cut = ", cut" if frame is not None and _reaches_border(found.field, frame) else ""
        lines.append(Text(f"sees {_size(found.field.width, found.field.height)}{cut}"))
        if found.effective is not None:
            inside = f"95% in {_size(found.effective.width, found.effective.height)}"
            joined = f"{lines[0]}, {inside}"
            lines = [Text(joined)] if len(joined) <= width else [*lines, Text(inside)]
    lines += _units("fed by", found.below, found.feeding, 1, width)
    lines += _units("feeds", found.above, found.fed, 5, width)
    for sign, shares in (("▲", found.up), ("▼", found.down)):
        for share in shares[:classes]:
            value = f"{share.value:+.2f}"
            room = width - len(value) - 3
            name = printable(share.label)
            name = name if len(name) <= room else name[: room - 1] + "…"
            lines.append(Text.assemble(f"{sign} {name:<{room}} ", (value, "dim")))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    lines += [Text(printable(note), "dim") for note in found.notes]
    return lines or [Text("The input has no influence on it, and it has none.", "dim")]


def _reaches_border(field: Box, frame: Frame) -> bool:
    """Say whether the field ends where the picture does, and would go on beyond it."""
    height, width = frame.pixels.shape[:2]
    return not (field.top and field.left and field.top + field.height < height and field.left + field.width < width)


def _units(title: str, layer: str, shares: Sequence[Share], key: int, width: int) -> list[Text]:
    """Return a layer's units: with the key that visits each, as many as fit on a line."""
    if not layer:
        return []
    name, room = printable(layer), max(1, width - len(title) - 1)
    # Layers of one block differ in the end of their names.
    heading = Text.assemble((f"{title} ", "dim"), name if len(name) <= room else "…" + name[1 - room :])
    line = Text()
    for number, share in enumerate(shares, key):
        part = Text.assemble((f"{number}", "reverse"), f" {share.unit}{'' if share.value > 0 else '−'}")
        if len(line) + len(part) + 2 <= width:
            line = Text.assemble(line, "  " if line else "", part)
    return [heading, line]


def _size(width: int, height: int) -> str:
    return f"{width}×{height}"

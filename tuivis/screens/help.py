"""The help: every key, as it is bound now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.keys import format_key
from textual.screen import ModalScreen
from textual.widgets import Static

TITLES = {
    "unit": "Units",
    "layer": "Layers",
    "pane": "Panes",
    "picture": "Pictures",
    "play": "What moves",
    "record": "What moves",
    "program": "Program",
    "view": "View",
    "backward": "Backward",
    "off": "What if",
    "optimise": "What a unit wants to see",
    "job": "In the list of jobs",
    "layers": "In the list of layers",
    "position": "Position in the unit's map: tab, or a click",
}


WIDE = 120
"""Columns from which the keys stand in two columns."""


class Help(ModalScreen[None]):
    """Lists `bindings`, by the first word of their ids."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._listed = list(bindings)

    def compose(self) -> ComposeResult:
        """Yield the list."""
        with VerticalScroll(id="help") as box:
            box.border_title = "keys"
            box.border_subtitle = "esc closes"
            wide = self.app.size.width >= WIDE
            box.set_class(wide, "-wide")
            yield Static(help_text(self._listed, 2 if wide else 1))

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#help").scroll_relative(y=by, animate=False)


def help_text(bindings: Iterable[Binding], columns: int = 1) -> Table:
    """Return a heading for each group, and a line for each action with all its keys, in one or two columns."""
    groups: dict[str, dict[str, list[str]]] = {title: {} for title in TITLES.values()}
    for binding in bindings:
        title = TITLES.get((binding.id or "").partition(".")[0])
        if title is not None:
            groups[title].setdefault(binding.description, []).append(key_name(binding.key))
    parts = [Group(Text(f"\n{title}", "bold"), _table(actions)) for title, actions in groups.items() if actions]
    grid = Table.grid(padding=(0, 3))
    if columns == 1:
        grid.add_row(Group(*parts))
        return grid
    heights = [len(actions) + 2 for actions in groups.values() if actions]
    first = min(range(1, len(parts)), key=lambda count: max(sum(heights[:count]), sum(heights[count:])))
    grid.add_row(Group(*parts[:first]), Group(*parts[first:]))
    return grid


def _table(actions: dict[str, list[str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=20)
    table.add_column()
    for description, keys in actions.items():
        named = keys if len(keys) <= 4 else [keys[0], "…", keys[-1]]
        table.add_row("  " + "  ".join(named), description)
    return table


def key_name(key: str) -> str:
    """Return a key as people write it."""
    named = {"pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc", "left": "←", "right": "→", "up": "↑", "down": "↓"}
    modifiers, _, last = key.rpartition("+")
    shown = named.get(last) or format_key(last)
    return f"{modifiers}+{shown}".lstrip("+")

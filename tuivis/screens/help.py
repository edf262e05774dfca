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
    "picture": "Pictures",
    "view": "View",
    "backward": "Backward",
    "position": "Position in the unit's map (tab, or a click)",
    "off": "What if",
    "program": "Program",
}


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
        self._text = help_text(bindings)

    def compose(self) -> ComposeResult:
        """Yield the list."""
        with VerticalScroll(id="help") as box:
            box.border_title = "keys"
            box.border_subtitle = "esc closes"
            yield Static(self._text)

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#help").scroll_relative(y=by, animate=False)


def help_text(bindings: Iterable[Binding]) -> Group:
    """Return a heading for each group, and a line for each action with all its keys."""
    groups: dict[str, dict[str, list[str]]] = {title: {} for title in TITLES.values()}
    for binding in bindings:
        title = TITLES.get((binding.id or "").partition(".")[0])
        if title is not None:
            groups[title].setdefault(binding.description, []).append(key_name(binding.key))
    return Group(*(part for title, actions in groups.items() for part in (Text(f"\n{title}", "bold"), _table(actions))))


def _table(actions: dict[str, list[str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=18)
    table.add_column()
    for description, keys in actions.items():
        table.add_row("  " + "  ".join(keys), description)
    return table


def key_name(key: str) -> str:
    """Return a key as people write it."""
    named = {"pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc", "left": "←", "right": "→", "up": "↑", "down": "↓"}
    modifiers, _, last = key.rpartition("+")
    shown = named.get(last) or format_key(last)
    return f"{modifiers}+{shown}".lstrip("+")

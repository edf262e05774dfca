"""The form that starts a job: which recipes, how many seeds."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from tuivis.engine.optimise.recipes import BUILT_IN

NAMES = tuple(BUILT_IN)
MOST_SEEDS = 9


Choice = tuple[tuple[str, ...], int, bool]
"""Recipes' names, the number of seeds, and whether to look for what is liked least."""


class RecipeForm(ModalScreen[Choice | None]):
    """Its result is the choice, or None after escape."""

    CSS_PATH = "recipes.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "cancel", show=False),
        Binding("enter", "start", "start", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("space", "mark", show=False),
        Binding("left,h", "seeds(-1)", show=False),
        Binding("right,l", "seeds(1)", show=False),
        Binding("m", "turn", show=False),
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._at, self._seeds = NAMES.index("distill"), 1
        self._marked: frozenset[str] = frozenset()
        self._least = False

    def compose(self) -> ComposeResult:
        """Yield the form."""
        form = Static(self._text(), id="form")
        form.border_title = Text(self._title)
        form.border_subtitle = "enter starts · esc cancels"
        yield form

    def action_move(self, by: int) -> None:
        """Take the next recipe, or the one before."""
        self._at = max(0, min(self._at + by, len(NAMES) - 1))
        self._draw()

    def action_mark(self) -> None:
        """Take one more recipe, or one less: they run side by side."""
        self._marked = self._marked ^ {NAMES[self._at]}
        self._draw()

    def action_seeds(self, by: int) -> None:
        """Change the number of seeds."""
        self._seeds = max(1, min(self._seeds + by, MOST_SEEDS))
        self._draw()

    def action_turn(self) -> None:
        """Look for what is liked least in place of most, and back."""
        self._least = not self._least
        self._draw()

    def action_start(self) -> None:
        """Give the choice to whoever asked."""
        chosen = tuple(name for name in NAMES if name in self._marked) or (NAMES[self._at],)
        self.dismiss((chosen, self._seeds, self._least))

    def _draw(self) -> None:
        self.query_one("#form", Static).update(self._text())

    def _text(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, name in enumerate(NAMES):
            mark = "●" if name in self._marked else "○"
            text.append(f" {mark} {name:<16} ", "reverse" if number == self._at else "")
            text.append(f" {BUILT_IN[name].about}\n", "dim")
        text.append(f"\n seeds  ◂ {self._seeds} ▸   what is liked {'least' if self._least else 'most'}\n", "bold")
        return text.append("\n ↑↓ recipe · space several side by side · ←→ seeds · m least", "dim")

"""The form that starts a job: which recipes, how many seeds."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from tuivis.engine.optimise.recipes import BUILT_IN
from tuivis.errors import printable

NAMES = tuple(BUILT_IN)
MOST_SEEDS = 9


Choice = tuple[tuple[str, ...], int, bool, str]
"""Recipes' names, the number of seeds, whether to look for what is liked least, and the input to be like, or ""."""


class RecipeForm(ModalScreen[Choice | None]):
    """Its result is the choice, or None after escape.

    Parameters
    ----------
    layer, what
        What pictures are made of.
    seen
        The name of the input, for more of what is seen there in place of `what`; "" does not offer it.
    moves
        Whether that input moves: then it is no picture that could be named.
    """

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
        Binding("i", "see", show=False),
    ]

    def __init__(self, layer: str, what: str, seen: str = "", moves: bool = False) -> None:
        super().__init__()
        self._layer, self._what, self._seen, self._moves = layer, what, seen, moves
        self._at, self._seeds = NAMES.index("distill"), 1
        self._marked: frozenset[str] = frozenset()
        self._least = self._like = False

    def compose(self) -> ComposeResult:
        """Yield the form."""
        form = Static(self._text(), id="form")
        form.border_title = Text(f"{self._layer}: {self._what}")
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

    def action_see(self) -> None:
        """Look for more of what is seen in place of what is liked, and back."""
        self._like = not self._like and bool(self._seen) and not self._moves
        self._draw()

    def action_start(self) -> None:
        """Give the choice to whoever asked."""
        chosen = tuple(name for name in NAMES if name in self._marked) or (NAMES[self._at],)
        self.dismiss((chosen, self._seeds, self._least, self._seen if self._like else ""))

    def _draw(self) -> None:
        form = self.query_one("#form", Static)
        form.border_title = Text(f"{self._layer}: {self._aim if self._like else self._what}")
        form.update(self._text())

    @property
    def _aim(self) -> str:
        if self._like:
            return f"{'less' if self._least else 'more'} of what {printable(self._seen)} shows"
        return f"what is liked {'least' if self._least else 'most'}"

    def _text(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, name in enumerate(NAMES):
            mark = "●" if name in self._marked else "○"
            text.append(f" {mark} {name:<16} ", "reverse" if number == self._at else "")
            text.append(f" {BUILT_IN[name].about}\n", "dim")
        text.append(f"\n seeds  ◂ {self._seeds} ▸   {self._aim}\n", "bold")
        text.append("\n ↑↓ recipe · space several side by side · ←→ seeds · m least", "dim")
        if self._seen:
            text.append("\n i more of what I see" + (": needs a still picture" if self._moves else ""), "dim")
        return text

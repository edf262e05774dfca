"""A line to type in, over the screen."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.widgets import Input


def type_ahead(line: Input, event: events.Key) -> None:
    """Write a key's character into a line that has not got the focus yet."""
    if event.character is not None and event.is_printable:
        line.insert_text_at_cursor(event.character)
        event.stop()


class Prompt(ModalScreen[str | None]):
    """Asks for one line; its result is the text, or None after escape."""

    CSS_PATH = "prompt.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", show=False)]

    def __init__(self, title: str, value: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._title, self._value, self._placeholder = title, value, placeholder

    def compose(self) -> ComposeResult:
        """Yield the line."""
        line = Input(self._value, self._placeholder, select_on_focus=False)
        # A blinking cursor would send bytes for ever.
        line.cursor_blink = False
        box = Container(line, id="prompt")
        box.border_title = self._title
        yield box

    def on_key(self, event: events.Key) -> None:
        """Take what came before the line had the focus."""
        if event.key == "enter":
            self._answer(self.query_one(Input).value)
        else:
            type_ahead(self.query_one(Input), event)

    @on(Input.Submitted)
    def submit(self, event: Input.Submitted) -> None:
        """Give the text to whoever asked."""
        self._answer(event.value)

    def action_cancel(self) -> None:
        """Give nothing."""
        self._answer(None)

    def _answer(self, text: str | None) -> None:
        # A second enter may have come along with the first.
        if self.is_current:
            self.dismiss(text)

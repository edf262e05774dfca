"""The messages: what loading the model and opening the pictures had to say, to be read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tuivis.errors import printable


class Messages(ModalScreen[None]):
    """Lists `messages`, a paragraph each."""

    CSS_PATH = "messages.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,N,q", "dismiss", "close", show=False)]

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__()
        self._messages = messages

    def compose(self) -> ComposeResult:
        """Yield the list."""
        with VerticalScroll(id="messages") as box:
            box.border_title = "messages"
            box.border_subtitle = "esc closes"
            for message in self._messages or ("Loading had nothing to say.",):
                yield Static(Text(printable(message)))

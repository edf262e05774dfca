"""The one message that widgets post: an intent, on its way to the App."""

from __future__ import annotations

from textual.message import Message


class Intent(Message):
    """Carries an intent (see `tuivis.intents`) to the App."""

    def __init__(self, intent: object) -> None:
        super().__init__()
        self.intent = intent

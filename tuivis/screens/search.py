"""Fuzzy search over layers and classes, in the command palette."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from textual import events
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider, SearchIcon
from textual.widgets import Input

from tuivis.errors import printable
from tuivis.intents import ClassChosen, LayerChosen
from tuivis.screens.explore import ExploreScreen
from tuivis.screens.prompt import type_ahead
from tuivis.widgets.intent import Intent


class Search(Provider):
    """Finds layers by name and classes by label."""

    def _entries(self) -> Iterator[tuple[str, str, object]]:
        """Yield (text, help, intent) for everything that can be found."""
        screen = self.screen
        if not isinstance(screen, ExploreScreen) or screen.state.loaded is None:
            return
        for info in screen.state.loaded.layers:
            if info.units:
                yield printable(info.name), f"{info.module}, {info.units} units", LayerChosen(info.name)
        for index, label in enumerate(screen.state.loaded.labels):
            yield printable(label), f"class {index}", ClassChosen(index)

    async def discover(self) -> Hits:
        """Yield the layers, before anything is typed."""
        for text, help_text, intent in self._entries():
            if isinstance(intent, LayerChosen):
                yield DiscoveryHit(text, partial(self._post, intent), help=help_text)

    async def search(self, query: str) -> Hits:
        """Yield what `query` matches."""
        matcher = self.matcher(query)
        for text, help_text, intent in self._entries():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), partial(self._post, intent), help=help_text)

    def _post(self, intent: object) -> None:
        self.screen.post_message(Intent(intent))


class Palette(CommandPalette):
    """The command palette, with a mark that every terminal's font has."""

    def on_key(self, event: events.Key) -> None:
        """Take what came before the line had the focus."""
        type_ahead(self.query_one(Input), event)

    def _action_command_list(self, action: str) -> None:
        # Textual looks up the lines of a list that it may not have laid out since it changed.
        with suppress(KeyError, IndexError):
            super()._action_command_list(action)

    def on_mount(self) -> None:
        """Change the mark, and keep the cursor still: it would blink over the link for ever."""
        self.query_one(SearchIcon).icon = "/"
        self.query_one(Input).cursor_blink = False

"""One-shot commands talk to an engine: ask, wait for the answer, and end it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from tuivis import config
from tuivis.engine.client import Engine
from tuivis.engine.events import Failed, Progress
from tuivis.engine.protocol import Command, Event
from tuivis.errors import UserError, printable

Answer = TypeVar("Answer", bound=Event)
Result = TypeVar("Result")


class DiedError(UserError):
    """The engine has ended without having been asked to."""


class Conversation:
    """Questions to an engine, one at a time; `tell` hears of its progress."""

    def __init__(self, engine: Engine, log: Path, tell: Callable[[Progress], None]) -> None:
        self._engine = engine
        self._events = engine.events()
        self._log = log
        self._tell = tell

    async def ask(self, command: Command, answer: type[Answer]) -> Answer:
        """Send `command` and return the event that answers it.

        Raises
        ------
        UserError
            If the engine cannot do it, or has ended.
        """
        self._engine.send(command)
        async for event in self._events:
            if isinstance(event, answer):
                return event
            if isinstance(event, Failed):
                raise UserError(event.message)
            if isinstance(event, Progress):
                self._tell(event)
        raise DiedError(f"the engine {await self._engine.ending()}: its log is {printable(self._log)}")

    async def follow(self, command: Command) -> AsyncGenerator[Event, None]:
        """Send `command` and yield all events until the caller has enough.

        Raises
        ------
        DiedError
            If the engine ends.
        UserError
            If it cannot do it.
        """
        self._engine.send(command)
        async for event in self._events:
            if isinstance(event, Failed):
                raise UserError(event.message)
            yield event
        raise DiedError(f"the engine {await self._engine.ending()}: its log is {printable(self._log)}")


@asynccontextmanager
async def conversation(tell: Callable[[Progress], None]) -> AsyncIterator[Conversation]:
    """Start an engine and end it afterwards; `tell` hears of its progress.

    Raises
    ------
    UserError
        If it does not start.
    """
    log = config.log_path()
    engine = await Engine.start(log)
    try:
        yield Conversation(engine, log, tell)
    finally:
        await engine.close()


def converse(talk: Callable[[Conversation], Awaitable[Result]]) -> Result:
    """Start an engine, let `talk` ask it, end it, and return what `talk` returns.

    Progress shows on stderr, if that is a terminal.

    Raises
    ------
    UserError
        If the engine does not start, or from `talk`.
    """

    async def main(tell: Callable[[Progress], None]) -> Result:
        async with conversation(tell) as partner:
            return await talk(partner)

    console = Console(stderr=True)
    if not console.is_terminal:
        return asyncio.run(main(lambda progress: None))
    with console.status("starting the engine") as status:
        return asyncio.run(main(lambda progress: status.update(_line(progress))))


def _line(progress: Progress) -> Text:
    share = "" if progress.fraction is None else f" {progress.fraction:.0%}"
    return Text(printable(progress.text) + share)

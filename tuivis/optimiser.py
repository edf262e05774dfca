"""One device's engine that makes pictures for the explorer: started with its first job, and again when it dies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tuivis import config, gallery
from tuivis.engine.client import ARGUMENTS, Engine
from tuivis.engine.commands import Cancel, Load, Open, Optimise, Pause, Unpause
from tuivis.engine.events import Failed, Finished, JobEnded, JobPaused, JobStarted, Loaded, Opened, Preview, Stepped
from tuivis.engine.protocol import Event
from tuivis.errors import UserError, printable
from tuivis.intents import Noted
from tuivis.jobstate import PicturesFound, pictures_of

RESTARTS = 3
"""Deaths of the engine in a row, without a picture in between, after which its jobs are given up."""
POLITE = ("nice", "-n", "10", sys.executable, *ARGUMENTS)
"""Whoever browses goes first."""


Apply = Callable[[object], None]
"""Takes an intent or an event into the state."""
Launch = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine until it ends, or the program does."""


class Optimiser:
    """Owns the engine of one device, and knows the jobs that it has.

    Parameters
    ----------
    load
        Which network, on which device.
    sources
        The photographs.
    """

    def __init__(self, load: Load, sources: tuple[str, ...], apply: Apply, launch: Launch) -> None:
        self.load = load
        self.engine: Engine | None = None
        self._sources, self._apply, self._launch = sources, apply, launch
        self._open: dict[int, Optimise] = {}
        self._left: dict[int, int] = {}
        self._paused: set[int] = set()
        self._running = self._ready = self._in_the_way = False

    @property
    def waiting(self) -> int:
        """The pictures that all its jobs have still to make."""
        return sum(self._left.values())

    def has(self, job: int) -> bool:
        """Say whether a job is here."""
        return job in self._open

    def overlaps(self, command: Optimise) -> bool:
        """Say whether a job makes pictures of the same: two engines would write the same files."""
        same = (each for each in self._open.values() if each.layer == command.layer)
        return any({*each.targets} & {*command.targets} for each in same)

    def queue(self, command: Optimise) -> None:
        """Take a job."""
        self._open[command.job], self._left[command.job] = command, pictures_of(command)
        if self._ready and self.engine is not None:
            self.engine.send(command)
        elif not self._running:
            self._running = True
            self._launch(self._run())

    def cancel(self, job: int) -> None:
        """Cancel a job."""
        if self._ready and self.engine is not None:
            self.engine.send(Cancel(job))
        else:
            self._end(JobEnded(job, "cancelled"))

    def pause(self, job: int, paused: bool) -> None:
        """Pause a job, or let it go on, once the engine is there."""
        if self._ready and self.engine is not None:
            self.engine.send(Pause(job) if paused else Unpause(job))

    def hold(self) -> None:
        """Let the engine stand still if it works on the processor: its cores are for who browses."""
        if self.engine is not None and self._in_the_way:
            self.engine.hold()

    def release(self) -> None:
        """Let an engine that stands still go on."""
        if self.engine is not None:
            self.engine.release()

    async def close(self) -> None:
        """End the engine."""
        self._open.clear()
        if self.engine is not None:
            await self.engine.close()

    async def _run(self) -> None:
        """Keep an engine at work until the jobs are done and it ends, or it dies too often."""
        log, deaths = config.log_path().with_name("optimiser.log"), 0
        while self._open:
            try:
                engine = self.engine = await Engine.start(log, POLITE)
            except UserError as error:
                self._fail(f"the optimiser did not start: {error}")
                break
            engine.send(self.load)
            engine.send(Open(self._sources))
            async for event in engine.events():
                deaths = 0 if isinstance(event, Finished) else deaths
                await self._hear(event)
            self._ready = self._in_the_way = False
            deaths += 1
            ending = f"the optimiser {await engine.ending()}"
            if deaths > RESTARTS:
                self._fail(f"{ending}; its log: {printable(log)}")
            elif self._open:
                self._apply(Noted(f"{ending}; it starts again where it was"))
        self.engine, self._running = None, False

    def _fail(self, message: str) -> None:
        for number in list(self._open):
            self._end(JobEnded(number, "failed", message))

    def _end(self, event: JobEnded) -> None:
        self._open.pop(event.job, None)
        self._left.pop(event.job, None)
        self._paused.discard(event.job)
        self._apply(event)

    async def _hear(self, event: Event) -> None:
        match event:
            case Loaded():
                self._in_the_way = event.device.name == "cpu" and sys.platform == "linux"
            case Opened():
                self._ready = True
                for number, command in self._open.items():
                    self._send(number, command)
            case Failed(during="Load" | "Open"):
                self._fail(event.message)
                if self.engine is not None:
                    await self.engine.close()
            case Failed(during="Optimise"):
                self._end(JobEnded(event.generation, "failed", event.message))
            case JobEnded():
                self._end(event)
            case Finished():
                self._left[event.job] -= 1
                made = await asyncio.to_thread(gallery.picture, Path(event.sidecar))
                self._apply(PicturesFound((made,) if made else ()))
                self._apply(event)
            case JobPaused():
                (self._paused.add if event.paused else self._paused.discard)(event.job)
                self._apply(event)
            case JobStarted():
                self._left[event.job] = len(event.runs) - len(event.done)
                self._apply(event)
            case Stepped() | Preview():
                self._apply(event)

    def _send(self, number: int, command: Optimise) -> None:
        """Give a job to a new engine, paused if it was."""
        assert self.engine is not None
        self.engine.send(command)
        if number in self._paused:
            self.engine.send(Pause(number))

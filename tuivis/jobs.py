"""The explorer's jobs: an engine of their own makes pictures, which go to a folder of the network's own."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tuivis import config
from tuivis.config import Settings
from tuivis.engine.client import ARGUMENTS, Engine
from tuivis.engine.commands import Cancel, Load, Open, Optimise, Pause, Unpause
from tuivis.engine.events import Failed, Finished, JobEnded, JobPaused, JobStarted, Loaded, Opened, Preview, Stepped
from tuivis.engine.optimise.manifest import Manifest, unfinished
from tuivis.engine.optimise.recipes import BUILT_IN, least
from tuivis.engine.optimise.results import Result, Verdict, read
from tuivis.engine.protocol import Event
from tuivis.errors import UserError, printable
from tuivis.files import expanded, harmless_name
from tuivis.intents import Noted
from tuivis.jobstate import OPEN, JobCommanded, JobQueued, JobWanted, Made, PicturesFound, shortened
from tuivis.state import State

RESTARTS = 3
"""Deaths of the engine in a row, without a picture in between, after which its jobs are given up."""
WAY = 0.2
"""Seconds for which the engine stands still after a key."""
LARGEST = 224
"""Pixels of the longer side of a picture that is kept in memory."""
POLITE = ("nice", "-n", "10", sys.executable, *ARGUMENTS)
"""Whoever browses goes first."""


class Jobs:
    """Owns the engine that optimises, from the first job on.

    Parameters
    ----------
    settings
        Which network, on which device, and the photographs.
    apply
        Takes an intent or an event into the state.
    launch
        Runs a coroutine until it ends, or the program does.
    """

    def __init__(
        self,
        settings: Settings,
        apply: Callable[[object], None],
        launch: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._apply, self._launch = apply, launch
        self._load = Load(settings.model, settings.weights, settings.device)
        self._sources = tuple(map(_lasting, settings.input))
        self._open: dict[int, Optimise] = {}
        self._paused: set[int] = set()
        self._engine: Engine | None = None
        self._running = self._ready = self._looked = self._in_the_way = False
        self._way: asyncio.TimerHandle | None = None

    @property
    def folder(self) -> Path:
        """Where this network's pictures go; other weights have another one."""
        model, weights = Path(self._load.model.partition(":")[0]), Path(self._load.weights or "")
        changed = [path.stat().st_mtime_ns for path in (model, weights) if path.is_file()]
        digest = hashlib.sha256(repr((self._load.model, self._load.weights, changed)).encode()).hexdigest()
        name = harmless_name(Path(self._load.model).name, Path(self._load.weights or "").name)
        return config.pictures_path() / f"{name}-{digest[:8]}"

    async def look(self) -> None:
        """Find the pictures that are there already, and the jobs that were left unfinished."""
        if self._looked:
            return
        self._looked = True
        left = await asyncio.to_thread(unfinished, self.folder)
        for number, manifest in enumerate(left, 1):
            # Its pictures are measured against the photographs that it began with.
            command = msgspec.structs.replace(manifest.optimise, job=number, sources=manifest.sources)
            self._apply(JobQueued(command, "unfinished"))
        if left:
            self._apply(Noted(f"{len(left)} unfinished: O lists the jobs, r goes on with one"))
        self._apply(PicturesFound(await asyncio.to_thread(_pictures, self.folder)))

    def make_way(self) -> None:
        """Let the engine stand still for a moment if it works on the processor: its cores are for who browses."""
        if self._engine is None or not self._in_the_way:
            return
        if self._way is None:
            self._engine.hold()
        else:
            self._way.cancel()
        self._way = asyncio.get_running_loop().call_later(WAY, self.go_on)

    def go_on(self) -> None:
        """Let an engine that stands still go on."""
        if self._way is not None and self._engine is not None:
            self._way.cancel()
            self._engine.release()
        self._way = None

    def take(self, intent: object, state: State) -> None:
        """Do what an intent asks of jobs."""
        try:
            match intent:
                case JobWanted() if state.layer is not None:
                    self._queue(self._command(intent, state))
                case JobCommanded() if state.jobs.job is not None:
                    self._obey(intent, state)
        except (OSError, UserError) as error:
            self._apply(Noted(str(error)))

    def _command(self, wanted: JobWanted, state: State) -> Optimise:
        assert state.layer is not None
        return Optimise(
            1 + max((job.command.job for job in state.jobs.jobs), default=0),
            state.layer.name,
            wanted.targets(state.view.unit, state.layer.units),
            tuple(least(BUILT_IN[name]) if wanted.least else BUILT_IN[name] for name in wanted.recipes),
            tuple(range(wanted.seeds)),
            str(self.folder),
            "resume",
            preview=128,
        )

    def _queue(self, command: Optimise) -> None:
        """Send a job to the engine; it is on disk first, so that quitting before its turn does not lose it."""
        Path(command.folder).mkdir(parents=True, exist_ok=True)
        self._manifest(command).write()
        self._open[command.job] = command
        self._apply(JobQueued(command))
        if self._ready and self._engine is not None:
            self._engine.send(command)
        elif not self._running:
            self._running = True
            self._launch(self._run())

    def _manifest(self, command: Optimise) -> Manifest:
        return Manifest(self._load, command.sources or self._sources, command)

    def _obey(self, intent: JobCommanded, state: State) -> None:
        job = state.jobs.job
        assert job is not None
        number = job.command.job
        match intent.what:
            case "retry" if job.status not in (*OPEN, "done"):
                self._queue(job.command)
            case "cancel" if job.status == "unfinished" or (job.status in OPEN and not self._ready):
                self._open.pop(number, None)
                self._manifest(job.command).path.unlink(missing_ok=True)
                self._apply(JobEnded(number, "cancelled"))
            case "cancel" if job.status in OPEN and self._engine is not None:
                self._engine.send(Cancel(number))
            case "pause" if job.status in OPEN and self._engine is not None and self._ready:
                self._engine.send(Unpause(number) if job.status == "paused" else Pause(number))

    async def _run(self) -> None:
        """Keep an engine at work until the jobs are done and it ends, or it dies too often."""
        log, deaths = config.log_path().with_name("optimiser.log"), 0
        while self._open:
            try:
                engine = self._engine = await Engine.start(log, POLITE)
            except UserError as error:
                self._fail(f"the optimiser did not start: {error}")
                break
            engine.send(self._load)
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
        self._engine, self._running = None, False

    def _fail(self, message: str) -> None:
        for number in list(self._open):
            self._end(JobEnded(number, "failed", message))

    def _end(self, event: JobEnded) -> None:
        self._open.pop(event.job, None)
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
                if self._engine is not None:
                    await self._engine.close()
            case Failed(during="Optimise"):
                self._end(JobEnded(event.generation, "failed", event.message))
            case JobEnded():
                self._end(event)
            case Finished():
                made = await asyncio.to_thread(_made, Path(event.sidecar))
                self._apply(PicturesFound((made,) if made else ()))
                self._apply(event)
            case JobPaused():
                (self._paused.add if event.paused else self._paused.discard)(event.job)
                self._apply(event)
            case JobStarted() | Stepped() | Preview():
                self._apply(event)

    def _send(self, number: int, command: Optimise) -> None:
        """Give a job to a new engine, paused if it was."""
        assert self._engine is not None
        self._engine.send(command)
        if number in self._paused:
            self._engine.send(Pause(number))

    async def close(self) -> None:
        """End the engine."""
        self._open.clear()
        if self._engine is not None:
            await self._engine.close()


def _lasting(source: str) -> str:
    """Return a source that is the same from any folder."""
    path = expanded(source)
    return str(path.absolute()) if source != "demo" and path.exists() else source


def _pictures(folder: Path) -> tuple[Made, ...]:
    found = (_made(path) for path in sorted(folder.glob("*.json")) if not path.name.startswith("unfinished-"))
    return tuple(made for made in found if made is not None)


def _made(sidecar: Path) -> Made | None:
    """Return the picture of a sidecar, None where it cannot be read or is of several units, or of a vector."""
    from PIL import Image

    try:
        result = read(sidecar)
        if len(result.run.target.units) != 1 and not result.run.target.picture:
            return None
        with Image.open(sidecar.with_name(result.picture)) as image:
            picture = image.convert("RGB")
    except (OSError, UserError):
        return None
    picture.thumbnail((LARGEST, LARGEST))
    channel = result.parameters.objective == "channel"
    curve = shortened(tuple(value for value in result.record.objective if value is not None))
    return Made(
        run=result.run,
        path=str(sidecar.with_name(result.picture)),
        pixels=np.asarray(picture),
        curve=curve,
        value=result.quality.objective,
        strongest=result.quality.strongest,
        verdict=_verdict(result),
        majority=result.record.majority,
        channel=channel,
        robustness=1.0 if result.quality.robustness is None else result.quality.robustness,
        seen=result.quality.mean if channel else result.quality.maximum,
        ratio=result.quality.ratio,
        rank=result.quality.rank,
        least=result.parameters.minimise,
    )


def _verdict(result: Result) -> str:
    return (result.record.verdict or Verdict.none).value

"""The explorer's jobs: one optimiser a device makes pictures, which go to a folder of the network's own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tuivis import config, gallery
from tuivis.config import Settings
from tuivis.engine.commands import Load, Optimise
from tuivis.engine.events import JobEnded
from tuivis.engine.optimise.manifest import Manifest, unfinished
from tuivis.engine.optimise.recipes import BUILT_IN, least
from tuivis.errors import UserError
from tuivis.files import expanded, harmless_name
from tuivis.intents import Noted
from tuivis.jobstate import OPEN, JobCommanded, JobQueued, JobWanted, PicturesFound
from tuivis.optimiser import Apply, Launch, Optimiser
from tuivis.state import State

WAY = 0.2
"""Seconds for which engines stand still after a key."""


class Jobs:
    """Gives each job to the device with the least to do; where there are as few, the first goes last: it is browsed on.

    Parameters
    ----------
    settings
        Which network, on which devices, and the photographs.
    """

    def __init__(self, settings: Settings, apply: Apply, launch: Launch) -> None:
        self._apply = apply
        self._model, self._weights = settings.model, settings.weights
        self._sources = tuple(map(_lasting, settings.input))
        loads = [Load(settings.model, settings.weights, device) for device in settings.devices]
        self.optimisers = [Optimiser(load, self._sources, apply, launch) for load in loads]
        self._looked = False
        self._way: asyncio.TimerHandle | None = None

    @property
    def folder(self) -> Path:
        """Where this network's pictures go; other weights have another one."""
        model, weights = Path(self._model.partition(":")[0]), Path(self._weights or "")
        changed = [path.stat().st_mtime_ns for path in (model, weights) if path.is_file()]
        digest = hashlib.sha256(repr((self._model, self._weights, changed)).encode()).hexdigest()
        name = harmless_name(Path(self._model).name, Path(self._weights or "").name)
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
        self._apply(PicturesFound(await asyncio.to_thread(gallery.pictures, self.folder)))

    def make_way(self) -> None:
        """Let engines on the processor stand still for a moment."""
        if self._way is None:
            for optimiser in self.optimisers:
                optimiser.hold()
        else:
            self._way.cancel()
        self._way = asyncio.get_running_loop().call_later(WAY, self.go_on)

    def go_on(self) -> None:
        """Let engines that stand still go on."""
        if self._way is not None:
            self._way.cancel()
            for optimiser in self.optimisers:
                optimiser.release()
        self._way = None

    def take(self, intent: object, state: State) -> None:
        """Do what an intent asks of jobs."""
        try:
            match intent:
                case JobWanted() if state.layer is not None:
                    for command in self._commands(intent, state):
                        self._queue(command)
                case JobCommanded() if state.jobs.job is not None:
                    self._obey(intent, state)
        except (OSError, UserError) as error:
            self._apply(Noted(str(error)))

    def _commands(self, wanted: JobWanted, state: State) -> Iterator[Optimise]:
        """Yield what is wanted, shared out to the devices."""
        assert state.layer is not None
        targets = wanted.targets(state.view.unit, state.layer.units)
        number = 1 + max((job.command.job for job in state.jobs.jobs), default=0)
        for share in range(min(len(self.optimisers), len(targets))):
            yield Optimise(
                number + share,
                state.layer.name,
                targets[share :: len(self.optimisers)],
                tuple(least(BUILT_IN[name]) if wanted.least else BUILT_IN[name] for name in wanted.recipes),
                tuple(range(wanted.seeds)),
                str(self.folder),
                "resume",
                preview=128,
            )

    def _queue(self, command: Optimise) -> None:
        """Give a job to a device; it is on disk first, so that quitting before its turn does not lose it."""
        optimiser = min(reversed(self.optimisers), key=lambda each: (not each.overlaps(command), each.waiting))
        Path(command.folder).mkdir(parents=True, exist_ok=True)
        self._manifest(command, optimiser.load).write()
        self._apply(JobQueued(command, "waiting" if optimiser.waiting else "starting"))
        optimiser.queue(command)

    def _manifest(self, command: Optimise, load: Load) -> Manifest:
        return Manifest(load, command.sources or self._sources, command)

    def _obey(self, intent: JobCommanded, state: State) -> None:
        job = state.jobs.job
        assert job is not None
        number = job.command.job
        optimiser = next((each for each in self.optimisers if each.has(number)), None)
        match intent.what:
            case "retry" if job.status not in (*OPEN, "done"):
                self._queue(job.command)
            case "cancel" if optimiser is not None:
                optimiser.cancel(number)
                self._forget(job.command)
            case "cancel" if job.status == "unfinished":
                self._apply(JobEnded(number, "cancelled"))
                self._forget(job.command)
            case "pause" if optimiser is not None:
                optimiser.pause(number, job.status != "paused")

    def _forget(self, command: Optimise) -> None:
        self._manifest(command, self.optimisers[0].load).path.unlink(missing_ok=True)

    async def close(self) -> None:
        """End the engines."""
        await asyncio.gather(*(optimiser.close() for optimiser in self.optimisers))


def _lasting(source: str) -> str:
    """Return a source that is the same from any folder."""
    path = expanded(source)
    return str(path.absolute()) if source != "demo" and path.exists() else source

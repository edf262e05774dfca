"""Making pictures from the command line: one engine a device, restarted when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tuivis import devices
from tuivis.config import Settings
from tuivis.conversation import Conversation, DiedError, conversation
from tuivis.engine.commands import Load, Open, Optimise
from tuivis.engine.events import Finished, JobEnded, JobStarted, Loaded, Opened, Stepped
from tuivis.engine.optimise.existing import refuse_existing
from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.results import Result, Run, Target, read, runs_of, sidecar
from tuivis.engine.protocol import Event
from tuivis.errors import UserError, nearest, printable

RESTARTS = 3
"""Deaths of an engine in a row, without a picture in between, after which it is given up."""

Existing = Literal["refuse", "overwrite", "resume"]


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line. `classes` are names or numbers of the model's output."""

    settings: Settings
    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...]
    folder: Path
    units: str = ""
    classes: str = ""
    towards: tuple[str, ...] = ()
    existing: Existing = "refuse"
    film: bool = False

    def targets(self, loaded: Loaded, pictures: Sequence[str]) -> tuple[str, tuple[Target, ...]]:
        """Return the layer and what to make of it.

        Raises
        ------
        UserError
            If a unit, a class or a picture is not there.
        """
        layer = self.settings.layer or loaded.output
        if self.classes and layer != loaded.output:
            raise UserError(f"classes are units of {printable(loaded.output)}: leave --layer out")
        count = next((info.units for info in loaded.layers if info.name == layer), 0)
        found = [Target(units=units) for units in parse_units(self.units, count)]
        names = _names(self.classes, loaded.labels)
        found += [Target(units=(_class(name.strip(), loaded.labels, count),)) for name in names]
        found += [_direction(name, pictures) for name in self.towards]
        if not found:
            raise UserError("nothing to do: name --units, --classes or --towards")
        return layer, tuple(dict.fromkeys(found))


@dataclass
class Outcome:
    """What was made: all results of the request, and what was noted on the way."""

    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse_units(text: str, count: int) -> list[tuple[int, ...]]:
    """Return the groups of units in "0-15,130,3+7"; those that are joined by + are made together. "all" is every one.

    Raises
    ------
    UserError
        If the text is something else.
    """
    if text.strip() == "all":
        return [(unit,) for unit in range(count)]
    found: list[tuple[int, ...]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = part.partition("-")
        try:
            if dash:
                if int(last) >= max(count, 1):
                    raise UserError(f"there is no unit {int(last)}: choose from 0 to {count - 1}")
                if int(first) > int(last):
                    raise UserError(f"no units {printable(part)}: write {int(last)}-{int(first)}")
                found += [(unit,) for unit in range(int(first), int(last) + 1)]
            else:
                found.append(tuple(int(unit) for unit in part.split("+")))
        except ValueError:
            raise UserError(f"no units {printable(part)}: write 0-15,130 or 3+7 or all") from None
    return found


def make(request: Request) -> Outcome:
    """Make the pictures.

    Raises
    ------
    UserError
        If something is impossible, or the engine dies again and again.
    """
    places = devices.named(request.settings).devices
    outcome = Outcome()
    console = Console(stderr=True)
    count = TextColumn("{task.fields[count]}", justify="right")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bars = [_Bars(progress, device or "") for device in places]

        async def all_devices() -> None:
            checked = asyncio.Barrier(len(places))
            async with asyncio.TaskGroup() as group:
                for number, device in enumerate(places):
                    place = _Place(device, number, len(places), checked)
                    group.create_task(_work(request, place, bars[number], outcome))

        try:
            asyncio.run(all_devices())
        except* UserError as errors:
            raise _first(errors) from None
    order = {recipe.name: place for place, recipe in enumerate(request.recipes)}
    outcome.results.sort(key=lambda each: (order[each.run.recipe], each.run.target.units, each.run.seed))
    return outcome


@dataclass(frozen=True)
class _Place:
    """One device of several; all begin once `checked` by each that nothing is in the way."""

    device: str | None
    number: int
    of: int
    checked: asyncio.Barrier

    def share(
        self, targets: tuple[Target, ...], recipes: tuple[Recipe, ...]
    ) -> tuple[tuple[Target, ...], tuple[Recipe, ...]]:
        """Return what this device makes: each target is one device's, or each recipe where those are more."""
        mine = slice(self.number, None, self.of)
        if len(targets) >= min(self.of, len(recipes)):
            return targets[mine], recipes
        return targets, recipes[mine]


class _Bars:
    """Progress of one device: pictures, and the steps of those at work, which count in part."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._done = self._at_work = self._total = 0
        self._share = 0.0
        self.pictures: TaskID = progress.add_task(f"{title} starting".strip(), total=None, count="")
        self._steps: TaskID = progress.add_task("steps", total=None, visible=False, count="")

    def say(self, text: str) -> None:
        self._progress.update(self.pictures, description=printable(text))

    def hear(self, event: Event) -> None:
        match event:
            case JobStarted():
                self._done, self._at_work, self._total = len(event.done), 0, len(event.runs)
                self._progress.update(self.pictures, description=f"{self._title} pictures".strip(), total=self._total)
            case Stepped():
                self._at_work, self._share = len(event.runs), event.step / event.steps
                title, count = f"step of {len(event.runs)}", f"{event.step}/{event.steps}"
                steps: dict[str, Any] = {"total": event.steps, "completed": event.step, "count": count}
                self._progress.update(self._steps, description=title, visible=True, **steps)
            case Finished():
                self._done, self._at_work = self._done + 1, self._at_work - 1
            case _:
                return
        completed = self._done + self._at_work * self._share
        self._progress.update(self.pictures, completed=completed, count=f"{self._done}/{self._total}")


async def _work(request: Request, place: _Place, bars: _Bars, outcome: Outcome) -> None:
    """Let one device do its share; start its engine again when it dies."""
    existing, deaths = request.existing, 0
    while True:
        try:
            async with conversation(lambda progress: bars.say(progress.text)) as engine:
                command = await _command(engine, request, place, existing)
                if command is None:
                    return
                async for event in _events(engine, command, outcome):
                    bars.hear(event)
                    # What this engine has begun, the next one goes on with.
                    existing = "resume"
                    deaths = 0 if isinstance(event, Finished) else deaths
                return
        except DiedError as error:
            deaths += 1
            if deaths > RESTARTS or existing != "resume":
                raise
            outcome.notes.append(f"{error}; started again where it was")


async def _command(engine: Conversation, request: Request, place: _Place, existing: Existing) -> Optimise | None:
    """Return what one device has to do, None if that is nothing."""
    settings, seeds = request.settings, request.seeds
    loaded = await engine.ask(Load(settings.model, settings.weights, place.device), Loaded)
    opened = await engine.ask(Open(settings.input), Opened)
    layer, targets = request.targets(loaded, opened.pictures)
    folder, film = str(request.folder.absolute()), request.film
    if existing == "refuse":
        refuse_existing(request.folder, runs_of(layer, targets, request.recipes, seeds))
        # What another device writes from now on is in nobody's way.
        await place.checked.wait()
    targets, recipes = place.share(targets, request.recipes)
    if not targets or not recipes:
        return None
    return Optimise(1, layer, targets, recipes, seeds, folder, existing, film, preview=0)


async def _events(engine: Conversation, command: Optimise, outcome: Outcome) -> AsyncIterator[Event]:
    """Yield what a job sends, and gather its results in the end."""
    runs: tuple[Run, ...] = ()
    async for event in engine.follow(command):
        yield event
        if isinstance(event, JobStarted):
            runs = event.runs
        if isinstance(event, JobEnded):
            if event.how != "done":
                raise UserError(f"{event.message}; --resume goes on where it was")
            break
    outcome.results += [read(sidecar(Path(command.folder), run)) for run in runs]


def _names(text: str, labels: Sequence[str]) -> list[str]:
    """Return the names between commas; a single name may hold commas itself."""
    whole = text.strip().lower() in {label.lower() for label in labels}
    return [text] if whole else [name for name in text.split(",") if name.strip()]


def _class(name: str, labels: Sequence[str], count: int) -> int:
    """Return the number of one of `count` classes, by its number or its name; where two share one, the first's."""
    if name.isdecimal() and int(name) < count:
        return int(name)
    if name.removeprefix("-").isdecimal() or not labels:
        raise UserError(f"no class {printable(name)}: choose from 0 to {count - 1}")
    known = [label.lower() for label in labels]
    if name.lower() not in known:
        raise UserError(f"no class {printable(name)}{nearest(name, labels) or ': tuivis lists them under /'}")
    return known.index(name.lower())


def _direction(name: str, pictures: Sequence[str]) -> Target:
    if name.endswith(".npy"):
        return Target(vector=str(Path(name).absolute()), name=Path(name).stem)
    if name in pictures:
        return Target.like(name)
    raise UserError(f"no picture {printable(name)} among the inputs{nearest(name, pictures)}")


def _first(errors: BaseExceptionGroup[UserError]) -> UserError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UserError)
    return error

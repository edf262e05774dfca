"""Recording without a terminal: a video goes through the network, input and mosaic side by side, frame by frame."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from tuivis import film
from tuivis.config import Settings
from tuivis.conversation import Conversation, conversation
from tuivis.engine.commands import Append, EndRecording, Load, Open, Record
from tuivis.engine.events import Frame, Loaded, Opened, Progress, Recorded, Shown, SourceState
from tuivis.engine.values import Array
from tuivis.errors import UserError, printable
from tuivis.files import entries, expanded
from tuivis.intents import PictureStepped
from tuivis.playback import Ticked
from tuivis.recording import extent
from tuivis.reduce import reduce
from tuivis.render.film import MOSAIC, Stage
from tuivis.snapshot import check_unit
from tuivis.state import State, View

RATE = 25.0
"""Frames per second of what has no rate of its own."""
RATES = (0.1, 240.0)
"""Frames per second that a video may say it has."""
PATIENCE = 30.0
"""Seconds without a frame after which none is waited for any longer."""
SILENCE = 1.0
"""Seconds without a frame that are worth a word."""


class Report(msgspec.Struct, frozen=True):
    """A recording in numbers; `complete` unless ctrl+c ended it. `dropped` frames of the source are not in it."""

    file: str
    source: str
    model: str
    weights: str
    random_weights: bool
    device: str
    layer: str
    unit: int | None
    width: int
    height: int
    rate: float
    frames: int
    seconds: float
    bytes: int
    complete: bool
    notes: tuple[str, ...] = ()
    dropped: int = 0


@dataclass(frozen=True)
class Request:
    """What was asked for: the file to write, the unit that fills the picture, and for how many seconds."""

    settings: Settings
    path: Path
    unit: int | None = None
    seconds: float | None = None


def record(request: Request) -> Report:
    """Record the first source of the settings that moves; ctrl+c ends a recording that has begun.

    Raises
    ------
    UserError
        If something is not there, no frame comes, or the film cannot be written. Then nothing is left of it.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        return asyncio.run(_record(request, _Bar(bars)))


class _Bar:
    """What is going on, and how far it is."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("starting", total=None)

    def say(self, progress: Progress) -> None:
        self._bars.update(self._task, description=printable(progress.text))

    def expect(self, frames: float | None) -> None:
        self._bars.update(self._task, total=None if frames is None else max(1, round(frames)))

    def note(self, text: str) -> None:
        self._bars.console.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)

    def show(self, done: Recorded) -> None:
        self._bars.update(self._task, description=extent(done.seconds, done.bytes), completed=done.frames)


async def _record(request: Request, bar: _Bar) -> Report:
    stop, stage = asyncio.Event(), Stage.around(MOSAIC)
    size = stage.width, stage.height
    async with conversation(bar.say) as engine:
        loaded, opened, state = await _begin(engine, request)
        async with aclosing(_frames(engine, state, stop, bar.note)) as frames:
            state = await anext(frames)
            assert state.frame is not None
            rate = _rate(state.frame)
            clock = _Clock(state.playback.kind == "video", rate, request.seconds)
            bar.expect(clock.expected(state.frame))
            command = Record(str(request.path.absolute()), *size, rate, replace=True)
            with _interrupting(stop):
                async with film.filmed(command) as encoder:
                    done, state = await _write(encoder, state, frames, clock, partial(film.picture, stage=stage), bar)
    return _report(request, loaded, opened, state, command, done, complete=not stop.is_set())


async def _begin(engine: Conversation, request: Request) -> tuple[Loaded, Opened, State]:
    """Load and open what is asked for; return the state that asks for its first frame next."""
    settings, unit = request.settings, request.unit
    loaded = await engine.ask(Load(settings.model, settings.weights, settings.devices[0]), Loaded)
    view = View(unit=unit or 0, wish=unit or 0, zoom=unit is not None, colours=settings.colours)
    state = reduce(State(view=view, wanted=settings.layer, canvas=MOSAIC), loaded)
    if settings.layer and state.view.layer != settings.layer:
        raise UserError(state.note)
    check_unit(unit, state.view.layer, loaded.layers)
    opened = await engine.ask(Open(settings.input, every_frame=True), Opened)
    moving = _moving(opened, request.seconds)
    _check_target(request, opened.pictures[moving])
    return loaded, opened, reduce(reduce(state, opened), PictureStepped(moving))


def _check_target(request: Request, name: str) -> None:
    """Refuse to write the film over what it is made of, which has that `name`, or over another input."""
    for source in _files(request.settings.input, name):
        with suppress(OSError):
            if source.samefile(request.path):
                raise UserError(
                    f"cannot write {printable(request.path)}: it is a source of the film; name another file"
                )


def _files(inputs: Iterable[str], name: str) -> Iterator[Path]:
    """Yield what may be the file of that `name`: the inputs, what is in their folders, and what their lists say."""
    for given in map(expanded, inputs):
        places = [given]
        if given.suffix.lower() == ".txt":
            with suppress(OSError):
                places += [given.parent / expanded(entry) for entry in entries(given)]
        for place in places:
            yield from (place, place / name)


def _moving(opened: Opened, seconds: float | None) -> int:
    """Return the first source that moves."""
    for index, kind in enumerate(opened.kinds):
        if kind != "picture":
            if kind != "video" and seconds is None:
                raise UserError(f"{printable(opened.pictures[index])} has no end: say how long with --seconds S")
            return index
    raise UserError(f"{printable(opened.pictures[0])} does not move: give a video, a stream or a camera with --input")


async def _frames(
    engine: Conversation, state: State, stop: asyncio.Event, note: Callable[[str], None]
) -> AsyncGenerator[State, None]:
    """Yield the state with each new frame, until a video has ended or none has come for too long.

    `note` takes what is said about a long wait.

    Raises
    ------
    UserError
        If a video cannot be read, or nothing comes at all.
    """
    wait = _Wait(note)
    for generation in count(1):
        state = reduce(state, Ticked())
        show = state.request()
        assert show is not None
        fresh = False
        async with aclosing(engine.follow(msgspec.structs.replace(show, generation=generation))) as events:
            async for event in events:
                state = reduce(state, event)
                if isinstance(event, SourceState):
                    wait.source = event
                if isinstance(event, Shown):
                    fresh = event.fresh
                    break
        if stop.is_set() or (state.frame is not None and state.frame.lap > 0):
            return
        if fresh:
            wait.end()
            yield state
        elif wait.is_over(state):
            return


class _Wait:
    """For the first frame, or the next one. `source` is what is said about the source; the user is told once."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.source: SourceState | None = None
        self._note = note
        self._since, self._first, self._noted = time.monotonic(), True, False

    def end(self) -> None:
        """Take note of a frame."""
        self._since, self._first, self._noted = time.monotonic(), False, False

    def is_over(self, state: State) -> bool:
        """Say whether no other frame will come.

        Raises
        ------
        UserError
            If a video cannot be read, or nothing comes at all.
        """
        seconds, message, reason = time.monotonic() - self._since, state.playback.message, ""
        if message and state.playback.kind == "video":
            raise UserError(message)
        is_over = seconds > PATIENCE
        if self.source is not None:
            reason, is_over = self.source.reason, is_over or (self._first and self.source.final)
        if is_over and self._first:
            name = printable(state.pictures[state.view.picture])
            raise UserError(": ".join(filter(None, (f"no frame comes from {name}", reason))))
        if message and seconds > SILENCE and not self._noted:
            self._noted = True
            self._note(f"{message}; ctrl+c ends it")
        return is_over


def _rate(frame: Frame) -> float:
    return frame.rate if frame.rate is not None and RATES[0] <= frame.rate <= RATES[1] else RATE


class _Clock:
    """When each frame is to be seen: at its place in a video, one after the other where it has none, or when it came.

    `end` is the second with which the last of them ends.
    """

    def __init__(self, video: bool, rate: float, seconds: float | None) -> None:
        self._video, self._rate, self._seconds = video, rate, seconds
        self._first: float | None = None
        self.end = 0.0

    def at(self, frame: Frame) -> float | None:
        """Return the second of the next frame, None if it comes after the end."""
        came = frame.seconds if self._video else time.monotonic() - frame.age
        if self._first is None:
            self._first = came
        at = self.end if came is None or self._first is None else max(0.0, came - self._first)
        # In the film's frames: one that comes just before the end would last beyond it.
        if self._seconds is not None and round(at * self._rate) >= round(self._seconds * self._rate):
            self.end = self._seconds
            return None
        self.end = at + 1 / self._rate
        return at

    def expected(self, frame: Frame) -> float | None:
        """Return how many frames there will be, given the first one."""
        lengths = [length for length in (frame.length, self._seconds) if length is not None]
        return min(lengths) * self._rate if lengths else None


async def _write(
    encoder: Conversation,
    first: State,
    frames: AsyncIterator[State],
    clock: _Clock,
    picture: Callable[..., Array],
    bar: _Bar,
) -> tuple[Recorded, State]:
    """Write frame after frame, and end the film; return the state of its last frame, too."""
    last, state = first, first
    while state.frame is not None and (at := clock.at(state.frame)) is not None:
        pixels = await asyncio.to_thread(picture, _unmarked(state), chrome="dark")
        bar.show(await encoder.ask(Append(pixels, at), Recorded))
        last, state = state, await anext(frames, State())
    return await encoder.ask(EndRecording(clock.end), Recorded), last


def _unmarked(state: State) -> State:
    """Return the state without a selected tile: nobody selects one here."""
    return state if state.view.zoom else replace(state, view=replace(state.view, unit=-1))


@contextmanager
def _interrupting(stop: asyncio.Event) -> Iterator[None]:
    """Let ctrl+c set `stop` in place of ending the program."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _report(
    request: Request, loaded: Loaded, opened: Opened, state: State, command: Record, done: Recorded, complete: bool
) -> Report:
    return Report(
        file=str(request.path),
        source=opened.pictures[state.view.picture],
        model=loaded.model,
        weights=loaded.weights,
        random_weights=loaded.random_weights,
        device=loaded.device.name,
        layer=state.view.layer,
        unit=request.unit,
        width=command.width,
        height=command.height,
        rate=command.rate,
        frames=done.frames,
        seconds=done.seconds,
        bytes=done.bytes,
        complete=complete,
        notes=(*loaded.notes, *opened.notes),
        dropped=done.dropped + (state.frame.dropped if state.frame else 0),
    )


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the report for people: pairs of what and which, safe on a terminal."""
    unit = "" if report.unit is None else f", unit {report.unit}"
    size = f"{report.width}×{report.height}, {report.rate:g} frames per second"
    dropped = f", {report.dropped} frames of the source dropped" if report.dropped else ""
    lines = [
        ("model", f"{report.model}, weights: {report.weights}"),
        ("device", report.device),
        ("source", report.source),
        ("layer", f"{report.layer}{unit}"),
        ("film", f"{report.frames} frames, {extent(report.seconds, report.bytes)}, {size}{dropped}"),
        ("written", report.file if report.complete else f"{report.file}, up to where it was stopped"),
    ]
    return [(name, printable(text)) for name, text in lines]

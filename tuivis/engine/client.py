"""The UI's end of the pipe: start an engine, send commands, receive events, and say how it ended. No torch."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from tuivis import __version__
from tuivis.engine import protocol
from tuivis.engine.commands import Hello
from tuivis.engine.events import Failed, Welcome
from tuivis.engine.protocol import Command, Event
from tuivis.errors import UserError, printable

GRACE = (1.5, 0.5)
"""Seconds after each step of an engine's end: stdin closed (it may save its work), then SIGTERM; then SIGKILL."""

ARGUMENTS = ("-P", "-m", "tuivis.engine")
"""Files in the current folder must not stand in for modules: hence `-P`."""
LONGEST_LOG = 1 << 20
"""Bytes. A longer log starts anew with the next engine."""


class Engine:
    """A running engine process. Make one with `Engine.start`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, log: Path, command: tuple[str, ...] = ()) -> Engine:
        """Start an engine that writes its log to the file `log`, and shake hands.

        `command` is the program to run in place of the engine.

        Raises
        ------
        UserError
            If its log cannot be written, it does not start, or it speaks another version of the protocol.
        """
        with _opened(log) as stderr:
            process = await _spawn(command or (sys.executable, *ARGUMENTS), stderr)
        engine = cls(process)
        engine.send(Hello(protocol.VERSION, f"tuivis {__version__}"))
        answer = await engine._receive()
        if not isinstance(answer, Welcome):
            await engine.close()
            raise UserError(answer.message if isinstance(answer, Failed) else f"the engine did not start: see {log}")
        return engine

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Send `command`; a command to an engine that has ended is dropped."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(protocol.encode(command))

    async def events(self) -> AsyncIterator[Event]:
        """Yield the engine's events until it ends."""
        while (event := await self._receive()) is not None:
            yield event

    async def _receive(self) -> Event | None:
        assert self._process.stdout is not None
        try:
            length = int.from_bytes(await self._process.stdout.readexactly(4), "little")
            return protocol.decode_event(await self._process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except msgspec.DecodeError:
            # Whatever writes there is not an engine of ours.
            self._process.kill()
            return None

    async def ending(self) -> str:
        """Wait for the end of the process and say how it ended, in a few words."""
        code = await self._process.wait()
        if code == -signal.SIGKILL:
            return "was killed (signal 9: perhaps the machine ran out of memory)"
        if code < 0:
            return f"crashed ({signal.Signals(-code).name})"
        if code == protocol.OUT_OF_MEMORY:
            return "ran out of memory"
        return f"ended (exit code {code})"

    def hold(self) -> None:
        """Let the process stand still until `release`, or until this one ends: see `engine.orphan`."""
        self._signal(signal.SIGSTOP)

    def release(self) -> None:
        """Let the process go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def close(self) -> None:
        """End the process: close its stdin, then terminate, then kill."""
        self.release()
        assert self._process.stdin is not None
        self._process.stdin.close()
        reading = asyncio.create_task(self._read_rest())
        for seconds, end in zip(GRACE, (signal.SIGTERM, signal.SIGKILL), strict=True):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), seconds)
                break
            self._signal(end)
        await self._process.wait()
        await reading

    async def _read_rest(self) -> None:
        """Read what nobody wants any more: asyncio knows of a process's end only when all has been read."""
        assert self._process.stdout is not None
        with contextlib.suppress(RuntimeError):  # somebody reads it still
            while await self._process.stdout.read(1 << 16):
                pass


async def _spawn(command: tuple[str, ...], stderr: BinaryIO) -> asyncio.subprocess.Process:
    """Start `command` with a pipe at each of its other ends."""
    pipe = asyncio.subprocess.PIPE
    try:
        # A ctrl+c in the terminal is for the UI, which then ends its engines.
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=stderr, start_new_session=True
        )
    except OSError as error:
        raise UserError(f"cannot start the engine, {printable(command[0])}: {printable(error.strerror)}") from error


def _opened(log: Path) -> BinaryIO:
    """Open `log` to append to, or anew if it is long; make its folder."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        long = log.exists() and log.stat().st_size > LONGEST_LOG
        return log.open("wb" if long else "ab")
    except OSError as error:
        raise UserError(
            f"cannot write the log into the folder {printable(log.parent)} ({printable(error.strerror)}): "
            "let it be written, or set XDG_STATE_HOME to a folder that can be"
        ) from error

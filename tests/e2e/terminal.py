"""A pty with a program on it and a modelled terminal at its other end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tests.e2e.model import KITTY, Kind, Model

PATIENCE = 120.0
"""Seconds that anything may take on a busy machine."""
TUIVIS = (sys.executable, "-m", "tuivis")


class Terminal:
    """Runs `command` on a pty of `size` (columns, rows), in a session of its own; `delay` seconds hold answers back.

    Attributes
    ----------
    screen
        What the terminal shows.
    sent
        Every byte that the program wrote.
    """

    def __init__(
        self, command: Sequence[str], kind: Kind = KITTY, size: tuple[int, int] = (120, 40), delay: float = 0.0
    ) -> None:
        self.screen = Model(*size, kind=kind)
        self.sent = b""
        self.delay = delay
        self._answers: list[tuple[float, bytes]] = []
        self.master, slave = pty.openpty()
        self._tell_size()
        self.modes_before = termios.tcgetattr(self.master)
        environ = {name: value for name, value in os.environ.items() if name not in ("COLORTERM", "TMUX", "LC_ALL")}
        environ |= {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
        # setsid makes the pty the terminal of the new session; the process stays the same.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave, env=environ
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pids = tree(self.process.pid)
        self.close()
        for pid in pids:
            if alive(pid):
                os.kill(pid, 9)
        self.process.wait(10)

    def close(self) -> None:
        """Close the terminal's window."""
        if self.master >= 0:
            os.close(self.master)
        self.master = -1

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self.screen.resize(columns, rows)
        self._tell_size()

    def listen(self, seconds: float) -> bool:
        """Take in what comes next, at most for so long; say whether anything came."""
        due = [answer for at, answer in self._answers if at <= time.monotonic()]
        if due:
            os.write(self.master, b"".join(due))
            del self._answers[: len(due)]
        if not select.select([self.master], [], [], min(seconds, 0.05))[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            data = b""
        if not data:
            time.sleep(0.01)
        self.sent += data
        self.screen.feed(data)
        if self.screen.answers:
            self._answers.append((time.monotonic() + self.delay, self.screen.answers))
            self.screen.answers = b""
        return bool(data)

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Take in what comes until it is quiet and `condition` holds."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if not self.listen(0.05) and condition():
                return
        raise AssertionError("never came true; the screen says\n" + "\n".join(self.screen.lines()))

    def until_text(self, pattern: str) -> re.Match[str]:
        """Take in what comes until the regular expression `pattern` is on the screen; return where."""
        self.until(lambda: self.find(pattern) is not None)
        found = self.find(pattern)
        assert found is not None
        return found

    def find(self, pattern: str) -> re.Match[str] | None:
        """Return the first match of a regular expression in the screen's lines."""
        return re.search(pattern, "\n".join(self.screen.lines()), re.MULTILINE)

    def settle(self, seconds: float = 0.6) -> None:
        """Take in what comes until nothing has come for so long."""
        quiet_since = time.monotonic()
        end = quiet_since + PATIENCE
        while time.monotonic() < end:
            if self.listen(0.05):
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > seconds:
                return
        raise AssertionError("never quiet")

    def drain(self) -> int:
        """Take in the rest, until the program has ended; return its exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self.listen(0.05)
        while self.listen(0.05):
            pass
        return self.process.wait(0)

    def _tell_size(self) -> None:
        columns, rows, cell = self.screen.columns, self.screen.rows, self.screen.cell
        size = struct.pack("4H", rows, columns, columns * cell.width, rows * cell.height)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not ended."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]


def tree(pid: int) -> list[int]:
    """Return a process, its children, and theirs."""
    return [pid, *(each for child in children(pid) for each in tree(child))]


def alive(pid: int) -> bool:
    """Say whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def engine_of(pid: int) -> int:
    """Return the id of the engine of the program `pid`."""
    engines = [child for child in tree(pid) if b"tuivis.engine" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert len(engines) == 1
    return engines[0]


def gone_within(
    seconds: float, pids: Sequence[int], meanwhile: Callable[[], object] = lambda: time.sleep(0.02)
) -> bool:
    """Say whether all the processes end in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(alive(pid) for pid in pids):
            return True
        meanwhile()
    return False

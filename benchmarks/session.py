"""A program on a pty, at whose other end a terminal answers its questions as kitty 0.41 does.

The terminal draws nothing: what it takes is counted and kept with the time of its arrival, and that must not take long.
It takes any sequence, as kitty does; so programs can be compared that are not as careful as tuivis.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tuivis.render.picture import CellSize

COLUMNS, ROWS = 122, 32
"""Cells. The mosaic's pane then has 60 x 29, and there is room for the input."""
CELL = CellSize(9, 20)
PATIENCE = 120.0
"""Seconds that anything may take."""
TUIVIS = (sys.executable, "-m", "tuivis")

_QUESTION = re.compile(
    rb"""\x1b_G(?P<kitty>[^;\x1b]*)(?:;[^\x1b]*)?\x1b\\
    | \x1b\[>0?(?P<name>q)
    | \x1b\[(?P<pixels>1[46])t
    | \x1b\[\?(?P<mode>\d+)\$p
    | (?P<rendition>\x1bP\$qm\x1b\\)
    | \x1b\[(?P<row>\d+);(?P<column>\d+)H\x1b\[6n
    | (?P<attributes>\x1b\[0?c)""",
    re.VERBOSE,
)
_LONGEST_QUESTION = 5000
"""Bytes: that of a graphics sequence, which may be cut in two."""


class Session:
    """Runs `command` until the end of the `with` block.

    Attributes
    ----------
    heard
        Every byte that the program wrote.
    pid
        The program's process.
    started
        When the program was started, in seconds of `time.perf_counter`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.heard = bytearray()
        self._command = command
        self._arrivals: list[tuple[int, float]] = []
        self._searched = 0
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

    def __enter__(self) -> Session:
        self.started = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, COLUMNS * CELL[0], ROWS * CELL[1]))
            os.execvpe(self._command[0], list(self._command), self._environ())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A terminal whose window is closed: the program and its engine end.
        os.close(self._fd)
        end = time.monotonic() + 5
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.02)
        self._home.cleanup()

    def _environ(self) -> dict[str, str]:
        """Return the environment of a local kitty, and a configuration of the session's own."""
        others = ("TMUX", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "LC_ALL")
        kept = {name: value for name, value in os.environ.items() if name not in others}
        homes = {f"XDG_{each}_HOME": str(Path(self._home.name) / each) for each in ("CONFIG", "STATE", "DATA")}
        return kept | homes | {"TERM": "xterm-kitty", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def forget(self) -> None:
        """Keep no longer what was heard so far, but for what may be the start of a question."""
        del self.heard[: max(0, len(self.heard) - _LONGEST_QUESTION)]
        self._arrivals.clear()
        self._searched = 0

    def when(self, end: int) -> float:
        """Return when the first `end` bytes had come, in seconds after the start."""
        return self._arrivals[bisect_left(self._arrivals, (end, 0.0))][1] - self.started

    def listen(self, seconds: float) -> bool:
        """Take what comes next, wait at most so long for it, and say whether anything came."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            self.heard += os.read(self._fd, 1 << 16)
        except OSError as error:
            raise RuntimeError(f"the program has ended: {bytes(self.heard[-2000:])!r}") from error
        self._arrivals.append((len(self.heard), time.perf_counter()))
        answers = b""
        for question in _QUESTION.finditer(self.heard, self._searched):
            answers += _answer(question)
            self._searched = question.end()
        self._searched = max(self._searched, len(self.heard) - _LONGEST_QUESTION)
        if answers:
            os.write(self._fd, answers)
        return True

    def until(self, condition: Callable[[], bool]) -> None:
        """Take what comes until `condition` holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"waited {PATIENCE} s in vain: {bytes(self.heard[-2000:])!r}")
            self.listen(0.5)

    def rest(self, quiet: float = 0.8) -> None:
        """Take what comes until nothing has come for `quiet` seconds."""
        while self.listen(quiet):
            pass

    def press(self, key: str, quiet: float = 0.8) -> int:
        """Press `key`, take what comes until the screen is at rest, and return how much was heard before."""
        before = len(self.heard)
        self.type(key)
        self.until(lambda: len(self.heard) > before)
        self.rest(quiet)
        return before


def _answer(question: re.Match[bytes]) -> bytes:
    """Return what kitty 0.41 says."""
    match question.lastgroup:
        case "kitty":
            keys = dict(pair.split(b"=") for pair in question["kitty"].split(b",") if b"=" in pair)
            silent = b"q" in keys or b"i" not in keys or keys.get(b"m") == b"1" or keys.get(b"a") == b"d"
            return b"" if silent else b"\x1b_Gi=%b;OK\x1b\\" % keys[b"i"]
        case "name":
            return b"\x1bP>|kitty(0.41.1)\x1b\\"
        case "pixels":
            width, height = CELL if question["pixels"] == b"16" else (COLUMNS * CELL[0], ROWS * CELL[1])
            return b"\x1b[%d;%d;%dt" % (6 if question["pixels"] == b"16" else 4, height, width)
        case "mode":
            return b"\x1b[?%b;%d$y" % (question["mode"], 2 if question["mode"] == b"2026" else 0)
        case "rendition":
            return b"\x1bP1$r48:2:1:2:3m\x1b\\"
        case "column":
            return b"\x1b[%b;%bR" % (question["row"], question["column"])
        case _:
            return b"\x1b[?62;c"

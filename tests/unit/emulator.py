"""Terminals at the other end of a pty, which answer the questions of the probe."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from fcntl import ioctl
from struct import pack

from tuivis.render.probe import FRAMES, PLAIN, ZLIB, Terminal, probe

VERSION, CELL, WINDOW, SYNC, REGISTERS, COLOURS, DA1 = (
    rb"\x1b\[>0?q",
    rb"\x1b\[16t",
    rb"\x1b\[14t",
    rb"\x1b\[\?2026\$p",
    rb"\x1b\[\?1;1;0S",
    rb"\x1bP\$qm\x1b\\",
    rb"\x1b\[c",
)
KITTY_41 = {
    VERSION: b"\x1bP>|kitty(0.41.1)\x1b\\",
    rb"\x1b_Ga=q,i=(\d+),s=1,v=1,f=24;AAAA\x1b\\": b"\x1b_Gi=%d;OK\x1b\\" % PLAIN,
    rb"\x1b_Ga=q,i=(\d+),s=1,v=1,f=24,o=z;[^\x1b]+\x1b\\": b"\x1b_Gi=%d;OK\x1b\\" % ZLIB,
    rb"\x1b_Ga=f,i=(\d+),r=1,s=1,v=1,f=24;AAAA\x1b\\": b"\x1b_Gi=%d,r=1;OK\x1b\\" % FRAMES,
    CELL: b"\x1b[6;17;8t",
    WINDOW: b"\x1b[4;986;1584t",
    SYNC: b"\x1b[?2026;2$y",
    COLOURS: b"\x1bP1$r48:2:1:2:3m\x1b\\",
    DA1: b"\x1b[?62;c",
}
XTERM_SIXEL = {
    VERSION: b"\x1bP>|XTerm(379)\x1b\\",
    CELL: b"\x1b[6;17;8t",
    WINDOW: b"\x1b[4;986;1520t",
    SYNC: b"\x1b[?2026;0$y",
    REGISTERS: b"\x1b[?1;0;256S",
    COLOURS: b"\x1bP1$r0;48:2::1:2:3m\x1b\\",
    DA1: b"\x1b[?63;1;2;4;6;9;15;16;22;28c",
}
BARE = {SYNC: b"\x1b[?2026;2$y", DA1: b"\x1b[?6c"}
TMUX = {VERSION: b"\x1bP>|tmux 3.4\x1b\\", DA1: b"\x1b[?1;2;4c"}
SILENT: dict[bytes, bytes] = {}

Send = Callable[[bytes], None]


def answers(terminal: Mapping[bytes, bytes], questions: bytes) -> list[bytes]:
    """The replies of a terminal to the questions that it knows, in their order."""
    found = [
        (match.start(), reply) for question, reply in terminal.items() for match in re.finditer(question, questions)
    ]
    return [reply for _, reply in sorted(found)]


@contextlib.contextmanager
def emulator(
    terminal: Mapping[bytes, bytes], speak: Callable[[Send, list[bytes]], None], outer: Mapping[bytes, bytes] = SILENT
) -> Iterator[tuple[int, bytearray]]:
    """A terminal at the other end of a pty: reads the questions up to DA1 and lets `speak` send its replies.

    `outer` is the terminal around it, where `terminal` is a tmux that hands on what is wrapped.
    """
    master, slave = pty.openpty()
    seen = bytearray()

    def send(data: bytes) -> None:
        os.write(master, data)

    def run() -> None:
        start = 0
        with contextlib.suppress(OSError):  # the other end was closed
            while data := os.read(master, 65536):
                seen.extend(data)
                asked = bytes(seen[start:])
                if re.search(DA1, asked):
                    start = len(seen)
                    wrapped = b"".join(re.findall(rb"\x1bPtmux;((?:[^\x1b]|\x1b\x1b)*)\x1b\\", asked))
                    speak(
                        send,
                        answers(outer, wrapped.replace(b"\x1b\x1b", b"\x1b")) if wrapped else answers(terminal, asked),
                    )

    thread = threading.Thread(target=run, daemon=True)
    ioctl(slave, termios.TIOCSWINSZ, pack("4H", 58, 198, 0, 0))
    thread.start()
    try:
        yield slave, seen
    finally:
        os.close(slave)
        thread.join(5)
        os.close(master)


def at_once(send: Send, replies: list[bytes]) -> None:
    send(b"".join(replies))


def ask(
    terminal: Mapping[bytes, bytes],
    speak: Callable[[Send, list[bytes]], None] = at_once,
    environ: Mapping[str, str] | None = None,
    timeout: float = 5.0,
    outer: Mapping[bytes, bytes] = SILENT,
) -> tuple[Terminal, str]:
    with emulator(terminal, speak, outer) as (tty_fd, _):
        return probe(tty_fd, tty_fd, environ or {}, timeout)

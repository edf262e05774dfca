import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from struct import pack

import pytest

from tests.unit.emulator import (
    BARE,
    CELL,
    COLOURS,
    DA1,
    KITTY_41,
    REGISTERS,
    SILENT,
    VERSION,
    XTERM_SIXEL,
    Send,
    ask,
    at_once,
    emulator,
)
from tuivis.render.picture import CellSize
from tuivis.render.probe import FRAMES, Terminal, probe


def test_kitty() -> None:
    terminal, keys = ask(KITTY_41)
    assert terminal.round_trip is not None
    assert terminal == Terminal(
        name="kitty(0.41.1)",
        version=(0, 41, 1),
        cell=CellSize(8, 17),
        kitty=True,
        kitty_zlib=True,
        kitty_frames=True,
        synchronized=True,
        round_trip=terminal.round_trip,
        answered=True,
        true_colour=True,
    )
    assert keys == ""


def test_xterm_with_sixel() -> None:
    terminal, _ = ask(XTERM_SIXEL)
    assert (terminal.name, terminal.version) == ("XTerm(379)", (379,))
    assert (terminal.sixel, terminal.sixel_colours) == (True, 256)
    assert (terminal.kitty, terminal.synchronized, terminal.true_colour) == (False, False, True)


def test_terminal_that_answers_hardly_anything() -> None:
    terminal, _ = ask(BARE, environ={"TERM": "alacritty", "SSH_TTY": "/dev/pts/3"})
    assert (terminal.name, terminal.version, terminal.cell) == ("", (), None)
    assert (terminal.answered, terminal.kitty, terminal.sixel) == (True, False, False)
    assert (terminal.synchronized, terminal.true_colour, terminal.ssh) == (True, True, True)


def test_errors_are_no_support() -> None:
    refusing = {
        key: reply.replace(b";OK", b";EINVAL:no").replace(b"2026;2", b"2026;4") for key, reply in KITTY_41.items()
    } | {COLOURS: b"\x1bP1$r48:5:16m\x1b\\", VERSION: b"\x1bP>|plain\x1b\\", REGISTERS: b"\x1b[?1;3S"}
    terminal, keys = ask(refusing)
    assert (terminal.kitty, terminal.kitty_zlib, terminal.kitty_frames) == (False, False, False)
    assert (terminal.synchronized, terminal.true_colour, terminal.sixel_colours) == (False, False, 0)
    assert keys == ""


def test_silent_terminal_keeps_the_keys() -> None:
    def only_keys(send: Send, replies: list[bytes]) -> None:
        send("é\x1b[Bq".encode())

    assert ask(SILENT, only_keys, timeout=0.2) == (Terminal(), "é\x1b[Bq")


@pytest.mark.parametrize("colorterm", ["truecolor", "24bit"])
def test_colorterm_is_believed(colorterm: str) -> None:
    assert ask(BARE, environ={"COLORTERM": colorterm})[0].true_colour
    assert not ask(BARE, environ={"TERM": "xterm-256color"})[0].true_colour


def test_name_cannot_carry_control_characters() -> None:
    terminal, _ = ask(BARE | {VERSION: b"\x1bP>|evil\x07\x9b31m\r\n(1.2)\x1b\\"})
    assert terminal.name.isprintable()
    assert terminal.version == (1, 2)


@pytest.mark.parametrize(
    ("terminal", "version"),
    [("iTerm2 3.5.4", (3, 5, 4)), ("tmux 3.5a", (3, 5)), ("xterm.js(5.6.0-beta)", (5, 6, 0)), ("XTerm", ())],
)
def test_version_is_the_number_behind_the_name(terminal: str, version: tuple[int, ...]) -> None:
    assert ask(BARE | {VERSION: b"\x1bP>|%b\x1b\\" % terminal.encode()})[0].version == version


def test_cell_size_from_the_window_where_the_cell_is_not_told() -> None:
    no_cell = {question: reply for question, reply in KITTY_41.items() if question != CELL}
    assert ask(no_cell)[0].cell == CellSize(1584 // 198, 986 // 58)
    with emulator(BARE, at_once) as (tty_fd, _):
        ioctl(tty_fd, termios.TIOCSWINSZ, pack("4H", 50, 100, 1000, 900))
        assert probe(tty_fd, tty_fd, {})[0].cell == CellSize(10, 18)


def test_everything_is_asked_in_one_write_and_taken_back() -> None:
    with emulator(KITTY_41, at_once) as (tty_fd, seen):
        probe(tty_fd, tty_fd, {})
    asked = bytes(seen)
    assert asked.endswith(b"\x1b8\x1b[J\x1b[c")
    stored = re.findall(rb"\x1b_Ga=t,i=(\d+)", asked)
    assert stored == re.findall(rb"\x1b_Ga=d,d=I,i=(\d+)", asked) == [b"%d" % FRAMES]


def test_long_round_trip() -> None:
    def late(send: Send, replies: list[bytes]) -> None:
        time.sleep(0.3)
        send(b"j")
        at_once(send, replies)

    terminal, keys = ask(KITTY_41, late, timeout=2)
    assert terminal.answered
    assert terminal.kitty_frames
    assert terminal.round_trip is not None
    assert terminal.round_trip >= 0.3
    assert keys == "j"


def test_replies_cut_anywhere_with_keys_before_and_behind() -> None:
    whole = b"".join(KITTY_41.values())

    def cut_at(place: int) -> Callable[[Send, list[bytes]], None]:
        def speak(send: Send, replies: list[bytes]) -> None:
            send(b"\x1b[A" + whole[:place])
            time.sleep(0.002)
            send(whole[place:] + "é".encode())

        return speak

    expected, _ = ask(KITTY_41)
    for place in range(1, len(whole)):
        terminal, keys = ask(KITTY_41, cut_at(place))
        assert (terminal.name, terminal.cell, terminal.kitty_frames) == (expected.name, expected.cell, True), place
        assert keys == "\x1b[Aé", place


def test_reply_cut_by_a_long_pause() -> None:
    def slowly(send: Send, replies: list[bytes]) -> None:
        send(b"q" + b"".join(replies)[:-6])
        for byte in b"".join(replies)[-6:]:
            time.sleep(0.15)
            send(bytes([byte]))

    terminal, keys = ask(KITTY_41, slowly)
    assert terminal.answered
    assert keys == "q"


KEYS = [
    b"x",
    "é€😀".encode(),
    b"\x1b[A",
    b"\x1bOP",
    b"\x1bx",
    b"\x1b[1;5C",
    b"\x1b[<0;12;7M\x1b[<0;12;7m",
    b"\x1b[M !!",
    b"\x1b[200~pasted\rtext \x1b[?62;c and more\x1b[201~",
    b"\x03\r\x7f\t",
    b"\x1b[97;5u",
    b"\x1b\x1b[B",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_between_replies_come_through(key: bytes) -> None:
    def typing(send: Send, replies: list[bytes]) -> None:
        send(key + key.join(replies) + key)

    terminal, keys = ask(KITTY_41, typing)
    assert terminal.kitty_frames
    assert terminal.cell == CellSize(8, 17)
    assert keys.encode() == key * (len(KITTY_41) + 1)


@pytest.mark.parametrize(("typed", "key"), [(b"\x1b", "\x1b[27u"), (b"\x1b[", "\x1b[91;3u"), (b"\x1bO", "\x1b[79;3u")])
def test_escape_alone_never_joins_the_next_key(typed: bytes, key: str) -> None:
    def typing(send: Send, replies: list[bytes]) -> None:
        send(typed)
        time.sleep(0.2)
        send(b"A" + typed + b"".join(replies) + typed)

    terminal, keys = ask(KITTY_41, typing)
    assert terminal.name == "kitty(0.41.1)"
    assert keys == f"{key}A{key}{key}"


@pytest.mark.parametrize("key", [b"\x1b[1;5C", "😀".encode(), b"\x1b[200~pasted\x1b[201~"])
def test_key_cut_by_the_last_read_is_awaited(key: bytes) -> None:
    def typing(send: Send, replies: list[bytes]) -> None:
        send(b"".join(replies) + key[:-1])
        time.sleep(0.02)
        send(key[-1:])

    assert ask(BARE, typing)[1].encode() == key


def test_what_was_typed_ahead_is_kept() -> None:
    master, slave = pty.openpty()
    os.write(master, b"jj\x1b[B")
    assert probe(slave, slave, {}, 0.1)[1] == "jj\x1b[B"
    os.close(master)
    os.close(slave)


def test_terminal_mode_is_restored_also_after_an_error() -> None:
    with emulator(KITTY_41, at_once) as (tty_fd, _):
        before = termios.tcgetattr(tty_fd)
        probe(tty_fd, tty_fd, {})
        assert termios.tcgetattr(tty_fd) == before
        read_only = os.open(os.ttyname(tty_fd), os.O_RDONLY | os.O_NOCTTY)
        with pytest.raises(OSError, match="Bad file descriptor"):
            probe(tty_fd, read_only, {})
        os.close(read_only)
        assert termios.tcgetattr(tty_fd) == before


@pytest.mark.parametrize("term", ["dumb", "linux"])
def test_a_terminal_that_would_print_the_questions_is_not_asked(term: str) -> None:
    with emulator(KITTY_41, at_once) as (tty_fd, seen):
        assert not probe(tty_fd, tty_fd, {"TERM": term})[0].answered
    assert seen == b""


def test_no_terminal_is_not_asked(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        assert probe(file.fileno(), file.fileno(), {})[0] == Terminal()
        assert file.seek(0, os.SEEK_END) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_terminal_is_asked_leaves_it_as_it_was(number: signal.Signals) -> None:
    program = "from tuivis.render.probe import probe; probe(0, 0, {}, 60)"
    with emulator(SILENT, at_once) as (tty_fd, seen):
        before = termios.tcgetattr(tty_fd)
        with subprocess.Popen([sys.executable, "-c", program], stdin=tty_fd, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 30
            while not re.search(DA1, seen) and time.monotonic() < until:
                time.sleep(0.01)
            assert termios.tcgetattr(tty_fd) != before
            process.send_signal(number)
            assert process.wait(30) == 128 + number
        assert termios.tcgetattr(tty_fd) == before


def test_handlers_of_signals_are_put_back_and_ignored_signals_stay_so() -> None:
    during: list[object] = []

    def speak(send: Send, replies: list[bytes]) -> None:
        during.extend(signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP))
        at_once(send, replies)

    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ask(BARE, speak)
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == (mine, signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
    assert (during[0] in (mine, signal.SIG_DFL), during[1]) == (False, signal.SIG_IGN)

"""However the program ends: no process is left, and the terminal is as it was."""

from __future__ import annotations

import os
import signal
import termios
from pathlib import Path

import pytest

from tests.e2e.model import OPTIONS, PROTOCOLS
from tests.e2e.ssh import Sshd, program_id
from tests.e2e.terminal import TUIVIS, Terminal, alive, engine_of, gone_within

pytestmark = pytest.mark.e2e

SOON = 3.0
"""Seconds within which everything has to be gone."""


def started(terminal: Terminal, ui: int = 0) -> list[int]:
    """Wait for the first picture; return the ids of the program and of its engine."""
    terminal.until_text("espresso")
    terminal.settle()
    ui = ui or terminal.process.pid
    return [ui, engine_of(ui)]


def is_as_before(terminal: Terminal) -> bool:
    blank = not any(line.strip() for line in terminal.screen.lines())
    return blank and terminal.screen.is_restored and termios.tcgetattr(terminal.master) == terminal.modes_before


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_q_leaves_nothing_behind(folder: Path, protocol: str) -> None:
    with Terminal((*TUIVIS, *OPTIONS.get(protocol, ())), PROTOCOLS[protocol]) as terminal:
        pids = started(terminal)
        assert terminal.find(rf"· {protocol} ·")
        assert bool(terminal.screen.images) == protocol.startswith("kitty")
        assert not is_as_before(terminal)
        terminal.type("q")
        assert gone_within(SOON, pids, lambda: terminal.process.poll() or terminal.listen(0.02))
        assert terminal.drain() == 0
        assert is_as_before(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_like_q(folder: Path, number: signal.Signals) -> None:
    with Terminal(TUIVIS) as terminal:
        pids = started(terminal)
        os.kill(pids[0], number)
        assert gone_within(SOON, pids, lambda: terminal.process.poll() or terminal.listen(0.02))
        assert terminal.drain() == 128 + number
        assert is_as_before(terminal)


def test_q_while_the_network_loads(folder: Path) -> None:
    with Terminal(TUIVIS) as terminal:
        terminal.until_text("layers")
        terminal.type("q")
        assert terminal.drain() == 0
        assert is_as_before(terminal)


def test_a_closed_window_ends_it(folder: Path) -> None:
    with Terminal(TUIVIS) as terminal:
        pids = started(terminal)
        terminal.close()
        assert gone_within(SOON, pids, terminal.process.poll)


def test_a_closed_window_ends_it_while_the_network_loads(folder: Path) -> None:
    with Terminal(TUIVIS) as terminal:
        terminal.until_text("importing|loading|finding")
        pids = [terminal.process.pid, engine_of(terminal.process.pid)]
        terminal.close()
        assert gone_within(SOON, pids, terminal.process.poll)


def test_a_dropped_connection_ends_it(sshd: Sshd, folder: Path) -> None:
    with Terminal(sshd.command(folder=folder)) as terminal:
        pids = started(terminal, program_id(folder))
        terminal.process.kill()
        assert gone_within(SOON, pids)


def test_an_ssh_server_that_dies_ends_it(sshd: Sshd, folder: Path) -> None:
    with Terminal(sshd.command(folder=folder)) as terminal:
        pids = started(terminal, program_id(folder))
        server = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(server, signal.SIGKILL)
        assert gone_within(SOON, pids, lambda: terminal.listen(0.02))


def test_an_engine_whose_program_was_killed_ends_too(folder: Path) -> None:
    with Terminal(TUIVIS) as terminal:
        pids = started(terminal)
        os.kill(pids[0], signal.SIGKILL)
        assert gone_within(SOON, pids, terminal.process.poll)
        assert not alive(pids[1])

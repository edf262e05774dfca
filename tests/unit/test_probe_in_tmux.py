"""What is found out about a terminal through tmux, and about tmux itself."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.emulator import (
    KITTY_41,
    TMUX,
    XTERM_SIXEL,
    ask,
    at_once,
    emulator,
)
from tuivis.render.picture import CellSize
from tuivis.render.probe import probe


def tmux_that_says(answer: str, folder: Path) -> dict[str, str]:
    """An environment inside tmux, with a `tmux` command that answers so."""
    command = folder / "tmux"
    command.write_text(f"#!/bin/sh\necho '{answer}'\n")
    command.chmod(0o755)
    return {"TMUX": "/tmp/tmux-0/default,1,0", "TERM": "tmux-256color", "PATH": str(folder)}


def test_tmux_that_lets_kitty_through(tmp_path: Path) -> None:
    terminal, keys = ask(TMUX, environ=tmux_that_says("on;xterm-256color;RGB,title", tmp_path), outer=KITTY_41)
    assert (terminal.name, terminal.version) == ("kitty(0.41.1)", (0, 41, 1))
    assert (terminal.tmux, terminal.kitty, terminal.kitty_frames, terminal.true_colour) == (True, True, True, True)
    assert not terminal.sixel, "tmux was built with Sixel, but kitty has none"
    assert (terminal.cell, keys) == (CellSize(8, 17), "")


def test_tmux_itself_is_sent_none_of_kittys_questions(tmp_path: Path) -> None:
    # It would take them for the title of its window.
    environ = tmux_that_says("on;xterm-256color;RGB,title", tmp_path)
    with emulator(TMUX, at_once, KITTY_41) as (tty_fd, seen):
        assert probe(tty_fd, tty_fd, environ, 5.0)[0].kitty
    wrapped = rb"\x1bPtmux;(?:[^\x1b]|\x1b\x1b)*\x1b\\"
    assert re.search(wrapped, seen)
    assert b"\x1b_G" not in re.sub(wrapped, b"", seen)


def test_tmux_that_lets_nothing_through(tmp_path: Path) -> None:
    terminal, _ = ask(TMUX, environ=tmux_that_says("off;xterm-256color;title", tmp_path), outer=KITTY_41)
    assert (terminal.name, terminal.tmux, terminal.answered) == ("tmux 3.4", True, True)
    assert (terminal.kitty, terminal.sixel, terminal.true_colour) == (False, False, False)


def test_tmux_without_the_feature_knows_true_colour_of_kitty_by_its_terminfo(tmp_path: Path) -> None:
    for term, true_colour in [("xterm-kitty", True), ("xterm-256color", False)]:
        environ = tmux_that_says(f"1;{term};title", tmp_path)
        assert ask(TMUX, environ=environ, outer=KITTY_41)[0].true_colour == true_colour


def test_tmux_and_the_terminal_around_it_both_show_sixel(tmp_path: Path) -> None:
    assert ask(TMUX, environ=tmux_that_says("off;xterm;sixel", tmp_path))[0].sixel
    assert ask(TMUX, environ=tmux_that_says("on;xterm;title", tmp_path), outer=XTERM_SIXEL)[0].sixel


def test_tmux_on_the_near_side_of_ssh() -> None:
    terminal, _ = ask(TMUX, outer=KITTY_41)
    assert (terminal.tmux, terminal.kitty) == (True, True)

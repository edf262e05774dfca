from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tuivis.errors import UserError
from tuivis.render.picture import Box, CellSize, Picture, Rect
from tuivis.render.probe import Terminal
from tuivis.render.protocols import ASSUMED_CELL, Choice, Protocol, advice, answers, choose, encoder, pacing

UTF8 = {"LANG": "en_GB.UTF-8", "TERM": "xterm-256color"}


def terminal(
    name: str = "", version: tuple[int, ...] = (), *, kitty: bool = False, sixel: bool = False, true: bool = True
) -> Terminal:
    return Terminal(
        name,
        version,
        CellSize(8, 16),
        kitty=kitty,
        kitty_frames=kitty,
        sixel=sixel,
        round_trip=0.01,
        answered=True,
        true_colour=true,
    )


KITTY = terminal("kitty(0.41.1)", (0, 41, 1), kitty=True)
XTERM = terminal("XTerm(398)", (398,), sixel=True)
PLAIN = terminal()
IN_TMUX = replace(KITTY, tmux=True)
TMUX_ALONE = replace(terminal("tmux 3.4", (3, 4)), tmux=True)

TABLE: list[tuple[Terminal, Mapping[str, str], Protocol]] = [
    (KITTY, UTF8, "kitty"),
    (terminal("kitty(0.28.0)", (0, 28, 0), kitty=True), UTF8, "kitty"),
    (terminal("kitty(0.26.5)", (0, 26, 5), kitty=True), UTF8, "kitty-placed"),
    (terminal("ghostty 1.1.3", (1, 1, 3), kitty=True), UTF8, "kitty"),
    (terminal("Rio 0.2.2", (0, 2, 2), kitty=True, sixel=True), UTF8, "kitty"),
    (terminal("Konsole 25.04.2", (25, 4, 2), kitty=True, sixel=True), UTF8, "kitty-placed"),
    (terminal("WezTerm 20240203", (20240203,), sixel=True), UTF8, "iterm"),
    (terminal("WezTerm 20240203", (20240203,), kitty=True, sixel=True), UTF8, "kitty-placed"),
    (terminal("iTerm2 3.6.0", (3, 6, 0), kitty=True, sixel=True), UTF8, "iterm"),
    (terminal("xterm.js(5.6.0)", (5, 6, 0), sixel=True), UTF8, "iterm"),
    (terminal("xterm.js(5.6.0)", (5, 6, 0)), UTF8, "halfblock"),
    (terminal("mintty 3.7.0", (3, 7, 0), sixel=True), UTF8, "iterm"),
    (terminal("Warp(v0.2024)", (0, 2024), kitty=True), UTF8, "iterm"),
    (PLAIN, UTF8 | {"LC_TERMINAL": "iTerm2"}, "iterm"),
    (PLAIN, UTF8 | {"TERM_PROGRAM": "vscode"}, "halfblock"),
    (XTERM, UTF8, "sixel"),
    (terminal("foot(1.21.0)", (1, 21, 0), sixel=True), UTF8, "sixel"),
    (terminal(kitty=True, sixel=True), UTF8 | {"ZELLIJ": "0"}, "sixel"),
    (PLAIN, UTF8 | {"TERM": "alacritty"}, "halfblock"),
    (terminal(true=False), UTF8, "halfblock-256"),
    (terminal(true=False), UTF8 | {"TERM": "linux"}, "ascii"),
    (Terminal(), {"TERM": "dumb"}, "ascii"),
    (PLAIN, {"LC_ALL": "en_GB.ISO-8859-1", "LANG": "en_GB.UTF-8"}, "ascii"),
    (terminal(true=False), {}, "ascii"),
    (terminal("VTE(7600)", (7600,)), {}, "halfblock"),
    (KITTY, {"LANG": "C"}, "kitty"),
    (IN_TMUX, UTF8, "kitty"),
    (replace(IN_TMUX, true_colour=False), UTF8, "halfblock-256"),
    (replace(IN_TMUX, name="Konsole 25.04.2", sixel=True), UTF8, "sixel"),
    (replace(XTERM, tmux=True, sixel=False), UTF8, "halfblock"),
    (TMUX_ALONE, UTF8 | {"LC_TERMINAL": "iTerm2"}, "halfblock"),
]


@pytest.mark.parametrize(("found", "environ", "protocol"), TABLE)
def test_each_terminal_gets_the_protocol_that_it_shows(
    found: Terminal, environ: Mapping[str, str], protocol: Protocol
) -> None:
    choice = choose(found, environ)
    assert choice.protocol == protocol
    assert choice.why.endswith(".")


@pytest.mark.parametrize(
    ("override", "found", "protocol"),
    [
        ("auto", KITTY, "kitty"),
        ("kitty", KITTY, "kitty"),
        ("kitty", PLAIN, "kitty-placed"),
        ("kitty", TMUX_ALONE, "kitty"),
        ("sixel", PLAIN, "sixel"),
        ("iterm", KITTY, "iterm"),
        ("halfblock", KITTY, "halfblock"),
        ("halfblock", terminal(true=False), "halfblock-256"),
        ("ascii", KITTY, "ascii"),
    ],
)
def test_the_user_overrides(override: str, found: Terminal, protocol: Protocol) -> None:
    assert choose(found, UTF8, override).protocol == protocol


@pytest.mark.parametrize(("typed", "nearest"), [("kity", "kitty"), ("Sixels", "sixel"), ("half-block", "halfblock")])
def test_unknown_protocol_names_the_nearest(typed: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"{typed!r}.*{nearest!r}"):
        choose(KITTY, UTF8, typed)


def test_hopeless_protocol_names_all() -> None:
    with pytest.raises(UserError, match="auto, kitty, sixel, iterm, halfblock, ascii"):
        choose(KITTY, UTF8, "\x1b[31m")


def advised(found: Terminal, environ: Mapping[str, str] = UTF8) -> str:
    return "\n".join(advice(found, choose(found, environ)))


def test_nothing_to_mend() -> None:
    assert advised(KITTY) == ""


@pytest.mark.parametrize(
    ("found", "environ", "remedy"),
    [
        (TMUX_ALONE, UTF8, "set -g allow-passthrough on"),
        (replace(IN_TMUX, true_colour=False), UTF8, "set -as terminal-features ',*:RGB'"),
        (replace(XTERM, tmux=True, sixel=False), UTF8, "leave tmux"),
        (terminal(true=False), UTF8, "COLORTERM=truecolor"),
        (PLAIN, UTF8, "kitty, Ghostty"),
        (terminal(true=False), {"LC_ALL": "C"}, "LC_ALL=C.UTF-8"),
        (replace(KITTY, round_trip=0.312), UTF8, "312 ms"),
        (replace(XTERM, ssh=True), UTF8, "ssh -C"),
        (replace(PLAIN, ssh=True), UTF8, "ssh -C"),
        (replace(XTERM, cell=None), UTF8, "allowWindowOps"),
        (Terminal(), UTF8, "--protocol"),
    ],
)
def test_each_weakness_has_a_remedy(found: Terminal, environ: Mapping[str, str], remedy: str) -> None:
    assert remedy in advised(found, environ)


def test_compression_is_not_advised_where_it_gains_little() -> None:
    assert "ssh -C" not in advised(replace(KITTY, ssh=True))


@pytest.mark.parametrize(
    ("found", "protocol", "told", "words"),
    [
        (KITTY, "kitty", True, "the terminal answers each frame that it has drawn"),
        (PLAIN, "halfblock", True, "the terminal answers each frame that it has drawn"),
        (IN_TMUX, "kitty", True, "tmux hands questions on to the terminal, which answers each frame"),
        (IN_TMUX, "sixel", False, "tmux answers in the terminal's place: 1000 kbit/s at most, or what --max-kbit says"),
        (TMUX_ALONE, "halfblock", False, "tmux answers in the terminal's place"),
    ],
)
def test_only_in_tmux_and_without_kitty_s_pictures_nobody_tells_what_is_drawn(
    found: Terminal, protocol: Protocol, told: bool, words: str
) -> None:
    choice = Choice(protocol, "for a test")
    assert answers(found, choice) == told
    assert pacing(found, choice).startswith(words)


PICTURE = Picture(np.arange(64, dtype=np.uint8).reshape(8, 8), np.full((64, 3), 90, np.uint8))
MARKS: dict[Protocol, bytes] = {
    "kitty": b"\x1b_Ga=T,U=1,i=77,",
    "kitty-placed": b"\x1b_Ga=T,i=77,p=1,",
    "iterm": b"\x1b]1337;File=",
    "sixel": b"\x1bP",
    "halfblock": b"48;2;90;90;90",
    "halfblock-256": b"48;5;",
}


@pytest.mark.parametrize("protocol", MARKS)
def test_the_encoder_speaks_the_protocol(protocol: Protocol) -> None:
    drawn = encoder(protocol, KITTY, 77).draw(PICTURE, Box(0, 0, 20, 20))
    assert MARKS[protocol] in drawn


def test_ascii_draws_plain_characters() -> None:
    drawn = encoder("ascii", PLAIN, 77).draw(PICTURE, Box(0, 0, 20, 20))
    assert drawn.isascii()


def test_kitty_in_tmux_is_wrapped() -> None:
    drawn = encoder("kitty", IN_TMUX, 77).draw(PICTURE, Box(0, 0, 20, 20))
    assert drawn.startswith(b"\x1bPtmux;\x1b\x1b_Ga=T,U=1,i=77,")


def test_kitty_without_frame_edits_transmits_anew() -> None:
    shows = encoder("kitty", replace(KITTY, kitty_frames=False), 77)
    shows.draw(PICTURE, Box(0, 0, 20, 20))
    assert b"a=T" in shows.update(PICTURE, Box(0, 0, 20, 20), [Rect(0, 0, 1, 1)])


def test_canvas_follows_the_cell() -> None:
    assert encoder("kitty", replace(KITTY, cell=CellSize(10, 20)), 2).canvas(30, 10) == (300, 200)
    assert encoder("kitty", replace(KITTY, cell=None), 2).canvas(1, 1) == ASSUMED_CELL

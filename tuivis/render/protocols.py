"""Which way of showing pictures suits the terminal, why, and what would suit it better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, cast

from tuivis.errors import UserError
from tuivis.render.picture import CellSize, Encoder
from tuivis.render.probe import Terminal

Protocol = Literal["kitty", "kitty-placed", "iterm", "sixel", "halfblock", "halfblock-256", "ascii"]

NAMES = ("auto", "kitty", "sixel", "iterm", "halfblock", "ascii")
"""What the user may ask for."""

ASSUMED_CELL = CellSize(8, 16)
"""Pixels of a cell where the terminal does not tell."""

UNANSWERED = 1000
"""Kilobits per second for a terminal in whose place tmux answers."""
COMPRESSIBLE = ("sixel", "halfblock", "halfblock-256")
"""Protocols whose bytes ssh can make much fewer."""
COMPRESS = "Connect with ssh -C: compressed, these pictures take a quarter to a half of the bytes."

SLOW = 0.15
"""Seconds. A longer round trip is felt at every key."""

_PLACEHOLDERS = re.compile("kitty|ghostty|rio", re.IGNORECASE)
_FIRST_KITTY = (0, 28)
_ITERM = re.compile("iTerm|WezTerm|xterm.js|vscode|mintty|Tabby|Warp", re.IGNORECASE)
_XTERM_JS = re.compile("xterm.js|vscode|Tabby", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """A protocol, and one sentence that says why."""

    protocol: Protocol
    why: str


def choose(terminal: Terminal, environ: Mapping[str, str], override: str | None = None) -> Choice:
    """Choose the protocol for `terminal`.

    Parameters
    ----------
    terminal
        What the probe found.
    environ
        The environment: TERM, TERM_PROGRAM, LC_TERMINAL, ZELLIJ and the locale.
    override
        One of `NAMES`, as the user asked; None is "auto".

    Raises
    ------
    UserError
        If `override` is none of `NAMES`.
    """
    asked = override or "auto"
    if asked not in NAMES:
        nearest = get_close_matches(asked.lower(), NAMES, 1, 0.5)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"use one of {', '.join(NAMES)}."
        raise UserError(f"There is no protocol {asked!r}: {hint}")
    if asked == "auto":
        return _graphics(terminal, environ) or _text(terminal, environ)
    protocol = asked
    if asked == "kitty" and not (terminal.tmux or _has_placeholders(terminal)):
        protocol = "kitty-placed"
    if asked == "halfblock" and not terminal.true_colour:
        protocol = "halfblock-256"
    return Choice(cast(Protocol, protocol), f"You asked for {asked}.")


def _has_placeholders(terminal: Terminal) -> bool:
    """Tell by the name: the protocol has no question for it."""
    if not _PLACEHOLDERS.match(terminal.name):
        return False
    return not terminal.name.lower().startswith("kitty") or terminal.version >= _FIRST_KITTY


def _graphics(terminal: Terminal, environ: Mapping[str, str]) -> Choice | None:
    who = terminal.name or "the terminal"
    if terminal.tmux:
        return _graphics_in_tmux(terminal)
    if terminal.kitty and _has_placeholders(terminal):
        return Choice("kitty", f"{who} shows Kitty graphics, and keeps them in place with placeholders.")
    program = terminal.name or environ.get("TERM_PROGRAM") or environ.get("LC_TERMINAL") or ""
    # xterm.js has pictures only where its image add-on is on, which then offers Sixel too.
    inline = _ITERM.match(program) and (terminal.sixel or not _XTERM_JS.match(program))
    wezterm_kitty = terminal.kitty and program.startswith("WezTerm")
    if inline and not wezterm_kitty:
        return Choice("iterm", f"{program} shows iTerm2's inline images.")
    if terminal.kitty and "ZELLIJ" not in environ:
        return Choice("kitty-placed", f"{who} shows Kitty graphics, but has no placeholders to keep them in place.")
    if terminal.sixel:
        return Choice("sixel", f"{who} says that it shows Sixel.")
    return None


def _graphics_in_tmux(terminal: Terminal) -> Choice | None:
    # The picture's id travels as a 24-bit colour, which tmux rounds where it knows of no true colour.
    if terminal.kitty and terminal.true_colour and _has_placeholders(terminal):
        return Choice("kitty", f"tmux hands Kitty graphics on to {terminal.name}, and placeholders keep them in place.")
    if terminal.sixel:
        return Choice("sixel", "tmux shows Sixel, and so does the terminal around it.")
    return None


def _text(terminal: Terminal, environ: Mapping[str, str]) -> Choice:
    term = environ.get("TERM", "")
    if term in ("dumb", "linux"):
        return Choice("ascii", f"TERM is {term!r}: such a terminal shows plain characters only.")
    if not _utf8(terminal, environ):
        return Choice("ascii", "The locale is not UTF-8, so block characters may not come out.")
    lack = "No picture protocol works here"
    if terminal.true_colour:
        return Choice("halfblock", f"{lack}, but true colour does.")
    return Choice("halfblock-256", f"{lack}, and nothing tells that the terminal has more than 256 colours.")


def _utf8(terminal: Terminal, environ: Mapping[str, str]) -> bool:
    """Tell whether the terminal reads UTF-8; containers often have no locale, but modern terminals all do."""
    locale = next(filter(None, (environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))), "C")
    if locale in ("C", "POSIX"):
        return bool(terminal.name) or terminal.true_colour
    return re.search(r"utf-?8", locale, re.IGNORECASE) is not None


def answers(terminal: Terminal, choice: Choice) -> bool:
    """Say whether the terminal itself tells when it has drawn a frame; tmux tells it at once, in its place."""
    return not terminal.tmux or choice.protocol == "kitty"


def pacing(terminal: Terminal, choice: Choice) -> str:
    """Return how frames of what moves keep to what the link carries, in a sentence."""
    if terminal.tmux and answers(terminal, choice):
        return "tmux hands questions on to the terminal, which answers each frame that it has drawn"
    if terminal.tmux:
        return f"tmux answers in the terminal's place: {UNANSWERED} kbit/s at most, or what --max-kbit says"
    return "the terminal answers each frame that it has drawn"


def advice(terminal: Terminal, choice: Choice) -> list[str]:
    """Return what to do about each weakness of the terminal and the link, a sentence each."""
    text = choice.protocol in ("halfblock", "halfblock-256", "ascii")
    lines = []
    if not terminal.answered:
        lines.append("The terminal did not answer any question: if it shows pictures, say how with --protocol.")
    if terminal.tmux and text:
        lines.append(_advice_in_tmux(terminal))
    elif text:
        lines.append("For sharp pictures use a terminal with graphics: kitty, Ghostty, WezTerm, iTerm2, foot, Konsole.")
    if choice.protocol == "halfblock-256" and not terminal.tmux:
        lines.append("If the terminal shows true colour, say so: export COLORTERM=truecolor.")
    if choice.protocol == "ascii":
        lines.append("For block characters and colour set a UTF-8 locale: export LC_ALL=C.UTF-8.")
    if not text and terminal.cell is None:
        size = f"{ASSUMED_CELL.width} x {ASSUMED_CELL.height}"
        lines.append(
            f"Cells are taken for {size} pixels; for sharp pictures let the terminal tell (xterm: allowWindowOps)."
        )
    if terminal.ssh and choice.protocol in COMPRESSIBLE:
        lines.append(COMPRESS)
    if terminal.round_trip is not None and terminal.round_trip > SLOW:
        trip = f"{terminal.round_trip * 1000:.0f} ms"
        lines.append(f"Every key takes {trip} there and back: connect without a detour (VPN, jump host) if you can.")
    return lines


def _advice_in_tmux(terminal: Terminal) -> str:
    if terminal.kitty and not terminal.true_colour:
        return "tmux rounds colours, and pictures are told apart by colour: set -as terminal-features ',*:RGB'."
    if terminal.name.startswith("tmux"):
        return "tmux keeps pictures to itself; in kitty or Ghostty (tmux 3.3 or newer) set -g allow-passthrough on."
    return "In tmux only kitty and Ghostty show pictures, and from tmux 3.4 on Sixel terminals; or leave tmux."


def encoder(protocol: Protocol, terminal: Terminal, image_id: int) -> Encoder:
    """Return the encoder of `protocol` for one pane; `image_id`, 2 .. 2^24 - 2 and even, and the next are its own."""
    cell = terminal.cell or ASSUMED_CELL
    match protocol:
        case "kitty":
            from tuivis.render.kitty import KittyPlaceholders
            from tuivis.render.tmux import ThroughTmux

            placeholders = KittyPlaceholders(image_id, cell, edits=terminal.kitty_frames)
            return ThroughTmux(placeholders) if terminal.tmux else placeholders
        case "kitty-placed":
            from tuivis.render.kitty_placed import KittyPlaced

            return KittyPlaced(image_id, cell)
        case "iterm":
            from tuivis.render.iterm import ITerm

            return ITerm(cell)
        case "sixel":
            from tuivis.render.sixel import Sixel

            return Sixel(cell, max(16, terminal.sixel_colours or 256))
        case "halfblock" | "halfblock-256":
            from tuivis.render.blocks import HalfBlocks

            return HalfBlocks("256" if protocol == "halfblock-256" else "true")
        case "ascii":
            from tuivis.render.ascii import Ascii

            return Ascii()

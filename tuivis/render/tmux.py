"""tmux between the program and the terminal: what it lets through, and how."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuivis.render.picture import Box, Encoder, Picture, Rect

_GRAPHICS = re.compile(rb"\x1b_G[^\x1b]*\x1b\\")
_REPETITION = re.compile(rb"([\xf0-\xf4][\x80-\xbf]{3})\x1b\[(\d+)b")


@dataclass(frozen=True)
class Tmux:
    """What tmux says: whether it hands sequences on; TERM and the features (its man page) of the terminal around it."""

    passthrough: bool
    term: str = ""
    features: frozenset[str] = frozenset()

    @property
    def true_colour(self) -> bool:
        """Whether tmux sends true colours on; it knows by a feature, or by the terminfo entry, as of kitty's own."""
        return "RGB" in self.features or self.term.endswith(("-kitty", "-ghostty", "-direct"))


def ask(environ: Mapping[str, str]) -> Tmux:
    """Ask the tmux server of this session; where it runs on another machine, all that is left is to try."""
    if "TMUX" not in environ:
        return Tmux(passthrough=True)
    command = ["tmux", "display-message", "-p", "#{allow-passthrough};#{client_termname};#{client_termfeatures}"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=2, env=dict(environ), check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return Tmux(passthrough=False)
    passthrough, term, features = (answer.strip() + ";;").split(";")[:3]
    # tmux before 3.3 knows no such option, and always lets through.
    return Tmux(passthrough not in {"off", "0"}, term, frozenset(features.split(",")))


def wrap(sequence: bytes) -> bytes:
    """Return `sequence` as tmux hands it on to the terminal around it."""
    return b"\x1bPtmux;%b\x1b\\" % sequence.replace(b"\x1b", b"\x1b\x1b")


class ThroughTmux:
    """An encoder whose Kitty graphics reach the terminal around tmux; its placeholders are text, which tmux keeps."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.canvas = encoder.canvas
        self.forget = encoder.forget
        self.cells = encoder.cells

    @property
    def paper(self) -> bytes:
        """The SGR parameters of the background of the pane's blank cells."""
        return self._encoder.paper

    @paper.setter
    def paper(self, paper: bytes) -> None:
        self._encoder.paper = paper

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Show `picture`."""
        return _hand_on(self._encoder.draw(picture, box))

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Show what changed."""
        return _hand_on(self._encoder.update(picture, box, damage))

    def erase(self, room: Box | None = None) -> bytes:
        """Remove the picture."""
        return _hand_on(self._encoder.erase(room))


def _hand_on(data: bytes) -> bytes:
    # tmux 3.3 repeats another character, the one before with its combining characters.
    data = _REPETITION.sub(lambda found: found[1] * (int(found[2]) + 1), data)
    return _GRAPHICS.sub(lambda sequence: wrap(sequence[0]), data)

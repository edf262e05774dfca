"""What the terminal can do: asked once, before Textual starts.

All questions go out in one write, DA1 last: every terminal answers DA1, and answers in order, so that reply ends the
wait after one round trip. Replies are looked for in everything that has come, not byte by byte, so it does not matter
how the network cuts them; what is left are the keys that the user typed.

The sequences are those of xterm's "Control Sequences" (ctlseqs) and of Kitty's "Terminal graphics protocol".
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import termios
import threading
import time
import tty
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import FrameType

from tuivis.render import tmux
from tuivis.render.picture import CellSize

PLAIN, ZLIB, FRAMES = 0x7A1F01, 0x7A1F02, 0x7A1F03
"""The image ids of the questions; below 2^24, and unlikely to be anybody's picture."""

_PAUSE = 0.1
"""Seconds. An ESC that nothing follows for so long is the escape key: the limit that Textual has, too."""

_UNASKED = ("dumb", "linux")
"""Values of TERM: such terminals have no graphics, and print the questions."""

_TRUE_COLOUR = re.compile("kitty|ghostty|foot|wezterm|konsole|iterm2|xterm.js|rio|contour|mintty|vte", re.IGNORECASE)
"""What terminals with true colour call themselves; not all of them answer the question about it."""

_TRUE_COLOUR_TERM = re.compile("alacritty|xterm-kitty|xterm-ghostty|foot|wezterm|contour|rio|.*-direct$")
"""Their values of TERM, for those that do not say their name."""

_REPLY = re.compile(
    rb"""\x1b\[200~.*?\x1b\[201~                              # pasted text is the user's, whatever it holds
    | \x1bP>\|(?P<name>[^\x1b]*)\x1b\\                        # XTVERSION
    | \x1b_G(?P<kitty>[^\x1b]*)\x1b\\                         # Kitty graphics
    | \x1bP[01]\$r(?P<rendition>[^\x1b]*)\x1b\\               # DECRQSS: the colours in force
    | \x1b\[\?2026;(?P<synchronized>\d)\$y                    # DECRQM
    | \x1b\[\?1;(?P<registers>[\d;]*)S                        # XTSMGRAPHICS
    | \x1b\[(?P<pixels>[46];\d+;\d+)t                         # window (4) or cell (6) in pixels
    | \x1b\[\?(?P<attributes>[\d;]*)c                         # DA1
    """,
    re.VERBOSE | re.DOTALL,
)


_PARTIAL_KEY = re.compile(
    rb"""( \x1b ( \[[0-9;<?]* | O | \[M.{0,2} | [P_][^\x1b]*\x1b? )?   # ESC, the start of a sequence, of a string
    | [\xc2-\xdf] | [\xe0-\xef][\x80-\xbf]? | [\xf0-\xf4][\x80-\xbf]{0,2}
    | \x1b\[200~ ((?!\x1b\[201~).)*
    )\Z""",
    re.VERBOSE | re.DOTALL,
)


_ALONE = re.compile(rb"\x1b([\[O]?)\Z")
"""Escape, alt-[ or alt-O at the end of a piece: with the next key behind it, it would be another key."""


@dataclass(frozen=True)
class Terminal:
    """What was found out about the terminal.

    `name` is what it calls itself (XTVERSION; "" if it does not say), `version` the number in it; inside tmux
    they are those of the terminal around it, as far as tmux lets it speak. `cell` is in pixels. `kitty_zlib` and
    `kitty_frames` tell whether Kitty's o=z and a=f are accepted. `sixel_colours` is the number of colour registers, 0
    if unknown. `round_trip` is in seconds, and None unless `answered`: all the questions were, within the timeout.
    """

    name: str = ""
    version: tuple[int, ...] = ()
    cell: CellSize | None = None
    kitty: bool = False
    kitty_zlib: bool = False
    kitty_frames: bool = False
    sixel: bool = False
    sixel_colours: int = 0
    synchronized: bool = False
    round_trip: float | None = None
    answered: bool = False
    true_colour: bool = False
    tmux: bool = False
    ssh: bool = False


@dataclass
class _Replies:
    """The newest reply to each question, as it came; of DA1, all."""

    name: str = ""
    kitty: set[int] = field(default_factory=set)
    true_colour: bool = False
    synchronized: bool = False
    registers: int = 0
    pixels: dict[int, tuple[int, int]] = field(default_factory=dict)
    attributes: list[list[int]] = field(default_factory=list)

    def take(self, question: str, text: str) -> None:
        """Note the reply `text` to `question`, one of the groups of `_REPLY`."""
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        match question:
            case "name":
                self.name = "".join(character for character in text if character.isprintable())[:64]
            case "kitty":
                self.kitty |= {number for number in numbers[:1] if text.endswith(";OK")}
            case "rendition":
                self.true_colour = re.search("48[:;]2[:;].*1[:;]2[:;]3", text) is not None
            case "synchronized":
                self.synchronized = numbers[0] not in (0, 4)
            case "registers":
                self.registers = numbers[1] if len(numbers) == 2 and numbers[0] == 0 else 0
            case "pixels":
                self.pixels[numbers[0]] = numbers[1], numbers[2]
            case "attributes":
                self.attributes.append(numbers[1:])


def probe(fd_in: int, fd_out: int, environ: Mapping[str, str], timeout: float = 2.0) -> tuple[Terminal, str]:
    r"""Ask the terminal what it can do.

    The terminal is in raw mode meanwhile, and afterwards as before; nothing stays on its screen or in its memory.

    Parameters
    ----------
    fd_in, fd_out
        Descriptors of the terminal, to read and to write.
    environ
        The environment: TERM, COLORTERM, TMUX, SSH_*.
    timeout
        Seconds to wait for the replies.

    Returns
    -------
    terminal
        The findings; `answered` is False if the descriptors are no terminal, or if it kept silent.
    keys
        What the user typed meanwhile. The escape key is written `\x1b[27u`, alt with [ or O `\x1b[91;3u` and
        `\x1b[79;3u` (Kitty's keyboard protocol), where they would run together with the next key.
    """
    replies, talk = _Replies(), _Talk(fd_in, fd_out)
    around, round_trip = None, None
    if os.isatty(fd_in) and os.isatty(fd_out) and environ.get("TERM") not in _UNASKED:
        with _ending_in_order(), _raw(fd_in):
            round_trip = talk.ask(_questions("TMUX" in environ), timeout)
            replies, _ = _read(talk.heard)
            if round_trip is not None and ("TMUX" in environ or replies.name.startswith("tmux")):
                around = tmux.ask(environ)
                if around.passthrough:
                    patience = timeout if "TMUX" in environ else round_trip + 0.5
                    round_trip = talk.ask(_through_tmux(), patience) or round_trip
            talk.finish_key()
    replies, keys = _read(talk.heard, talk.pauses)
    return _conclude(replies, around, round_trip, _window(fd_out), environ), keys


class _Talk:
    """Questions asked and bytes heard on one terminal; `pauses` are places in `heard` where time went by."""

    def __init__(self, fd_in: int, fd_out: int) -> None:
        self.fd_in, self.fd_out = fd_in, fd_out
        self.heard = b""
        self.pauses: list[int] = []
        self.asked = 0

    def ask(self, questions: bytes, timeout: float) -> float | None:
        """Write `questions`, wait for the DA1 reply, and return how many seconds it took; None if it never came."""
        self.asked += 1
        start = time.monotonic()
        while questions:
            questions = questions[os.write(self.fd_out, questions) :]
        while len(_read(self.heard)[0].attributes) < self.asked:
            if not self._listen(start + timeout - time.monotonic()):
                return None
        return time.monotonic() - start

    def finish_key(self) -> None:
        """Read on while the last key is not whole."""
        while _PARTIAL_KEY.search(self.heard) and self._listen(_PAUSE):
            pass

    def _listen(self, seconds: float) -> bool:
        """Read what comes within `seconds`; False if nothing does, or if the terminal has gone."""
        start = time.monotonic()
        if seconds <= 0 or not select.select([self.fd_in], [], [], seconds)[0]:
            return False
        if time.monotonic() - start > _PAUSE:
            self.pauses.append(len(self.heard))
        try:
            data = os.read(self.fd_in, 65536)
        except OSError:
            return False
        self.heard += data
        return bool(data)


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    # TCSADRAIN, not Python's default TCSAFLUSH, which throws away what has been typed.
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit: their default would leave the terminal as it is, raw and mute."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    # None is a handler that Python could not put back; only the main thread may set any.
    taken = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():
        taken = []

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:  # both often come, and the second must not disturb the end
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    try:
        for number in taken:
            signal.signal(number, end)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _kitty_questions() -> list[bytes]:
    pixel = b"\0\0\0"
    plain, packed = base64.b64encode(pixel), base64.b64encode(zlib.compress(pixel))
    one = b"s=1,v=1,f=24"
    return [
        b"\x1b_Ga=q,i=%d,%b;%b\x1b\\" % (PLAIN, one, plain),
        b"\x1b_Ga=q,i=%d,%b,o=z;%b\x1b\\" % (ZLIB, one, packed),
        b"\x1b_Ga=t,i=%d,%b,q=2;%b\x1b\\" % (FRAMES, one, plain),
        b"\x1b_Ga=f,i=%d,r=1,%b;%b\x1b\\" % (FRAMES, one, plain),
        b"\x1b_Ga=d,d=I,i=%d,q=2\x1b\\" % FRAMES,
    ]


def _questions(in_tmux: bool) -> bytes:
    return b"".join(
        [
            b"\x1b7\x1b[>0q",
            # tmux would take Kitty's questions for the title of the window; they go through it later.
            *([] if in_tmux else _kitty_questions()),
            b"\x1b[16t\x1b[14t\x1b[?2026$p\x1b[?1;1;0S",
            # A true colour is set and asked back: COLORTERM does not come along over SSH.
            b"\x1b[48;2;1;2;3m\x1bP$qm\x1b\\",
            # Should a terminal have printed a question, back to where the cursor was and wipe it.
            b"\x1b[m\x1b8\x1b[J",
            b"\x1b[c",
        ]
    )


def _through_tmux() -> bytes:
    """Return the questions for the terminal around tmux."""
    return b"".join(map(tmux.wrap, [b"\x1b[>0q", *_kitty_questions(), b"\x1b[16t\x1b[c"]))


def _read(heard: bytes, pauses: Sequence[int] = ()) -> tuple[_Replies, str]:
    """Part what was heard into replies and keys."""
    replies, keys, start = _Replies(), [], 0
    for match in _REPLY.finditer(heard):
        if match.lastgroup:
            replies.take(match.lastgroup, match[match.lastgroup].decode("utf-8", "replace"))
            keys += _keys(heard, start, match.start(), pauses)
            start = match.end()
    keys += _keys(heard, start, len(heard), pauses)
    return replies, b"".join(keys).decode("utf-8", "replace")


def _keys(heard: bytes, start: int, end: int, pauses: Sequence[int]) -> list[bytes]:
    """Return the keys in `heard[start:end]`, cut at the pauses, so that none runs together with the one after it."""
    cuts = [start, *(pause for pause in pauses if start < pause < end), end]
    return [_ALONE.sub(_unmistakable, heard[a:b]) for a, b in pairwise(cuts)]


def _unmistakable(key: re.Match[bytes]) -> bytes:
    return b"\x1b[%d;3u" % ord(key[1]) if key[1] else b"\x1b[27u"


def _window(fd: int) -> tuple[int, int, int, int]:
    """Return the terminal's rows, columns, width and height in pixels, 0 where unknown."""
    try:
        rows, columns, width, height = struct.unpack("4H", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 0, 0, 0, 0
    return rows, columns, width, height


def _cell(pixels: Mapping[int, tuple[int, int]], window: tuple[int, int, int, int]) -> CellSize | None:
    """Return the size of a cell from the best source: the cell itself, the window by terminal, the window by kernel."""
    rows, columns, width, height = window
    if min(pixels.get(6, (0, 0))) > 0:
        height, width = pixels[6]
        return CellSize(width, height)
    height, width = pixels.get(4, (height, width))
    if min(rows, columns) and min(width // columns, height // rows):
        return CellSize(width // columns, height // rows)
    return None


def _conclude(
    replies: _Replies,
    around: tmux.Tmux | None,
    round_trip: float | None,
    window: tuple[int, int, int, int],
    environ: Mapping[str, str],
) -> Terminal:
    sixel = [4 in attributes for attributes in replies.attributes]
    if around:
        # tmux claims Sixel whenever it was built with it; the terminal around it must have it too.
        sixel = [sixel[0] and ("sixel" in around.features or any(sixel[1:]))]
    number = re.search(r"[( ]v?(\d+(\.\d+)*)", replies.name)
    return Terminal(
        name=replies.name,
        version=tuple(int(part) for part in number[1].split(".")) if number else (),
        cell=_cell(replies.pixels, window),
        kitty=PLAIN in replies.kitty,
        kitty_zlib=ZLIB in replies.kitty,
        kitty_frames=FRAMES in replies.kitty,
        sixel=any(sixel),
        sixel_colours=replies.registers,
        synchronized=replies.synchronized,
        round_trip=round_trip,
        answered=round_trip is not None,
        true_colour=_true_colour(replies, around, environ),
        tmux=around is not None or "TMUX" in environ,
        ssh=any(name in environ for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")),
    )


def _true_colour(replies: _Replies, around: tmux.Tmux | None, environ: Mapping[str, str]) -> bool:
    if around and around.term:
        return around.true_colour
    return (
        replies.true_colour
        or environ.get("COLORTERM") in ("truecolor", "24bit")
        or _TRUE_COLOUR.match(replies.name) is not None
        or _TRUE_COLOUR_TERM.match(environ.get("TERM", "")) is not None
    )

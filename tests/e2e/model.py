"""A model of a whole terminal: it shows what a program writes, and answers what it asks."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode
from dataclasses import dataclass, field, replace

import numpy as np

from tests.decoders import Colour, Screen, Style, xterm_colour
from tuivis.render.kitty import PLACEHOLDER
from tuivis.render.picture import CellSize

_SEQUENCE = re.compile(
    rb"\x1b_G(?P<kitty>[^;\x1b]*);?(?P<payload>[^\x1b]*)\x1b\\"
    rb"|\x1b\]1337;File=(?P<iterm>[^:\x1b]*):(?P<file>[^\x1b]*)\x1b\\"
    rb"|\x1b\](?P<command>[^\x07\x1b]*)(\x07|\x1b\\)"
    rb"|\x1bP(?P<macro>[\d;]*)q(?P<sixel>[^\x1b]*)\x1b\\"
    rb"|\x1bP(?P<request>[^\x1b]*)\x1b\\"
    rb"|\x1b\[(?P<private>[?<=>]?)(?P<parameters>[\d;:]*)(?P<intermediate>[ !$]?)(?P<final>[@-~])"
    rb"|\x1b(?P<short>[78=>])"
    rb"|(?P<control>[\x07\x08\t\n\r])"
    rb"|(?P<text>([\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+)"
)
_BEGINNING = re.compile(rb"(\x1b([_\]P][^\x1b\x07]*\x1b?|\[[ -?]*)?|[\xc2-\xf4][\x80-\xbf]*)?\Z")
"""What the start of a sequence may look like whose rest has not come yet."""

_ANSI: tuple[Colour, ...] = (
    *((0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229)),
    *((127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255)),
    (255, 255, 255),
)
ALTERNATE, CURSOR, MOUSE = 1049, 25, frozenset({1000, 1002, 1003, 1006, 1015, 1016})
"""Numbers of private modes."""
CELL = CellSize(8, 16)
PLAIN_STYLE = Style()


@dataclass(frozen=True)
class Kind:
    """What tells terminals apart: the name that they give, and what they say that they can do."""

    name: str = ""
    kitty: bool = False
    sixel: bool = False
    true_colour: bool = False


KITTY = Kind("kitty(0.41.1)", kitty=True, true_colour=True)
OLD_KITTY = Kind("kitty(0.26.5)", kitty=True, true_colour=True)
SIXEL = Kind("XTerm(379)", sixel=True, true_colour=True)
ITERM = Kind("iTerm2 3.5.0", true_colour=True)
TRUE_COLOUR = Kind(true_colour=True)
PLAIN = Kind()
PROTOCOLS = {
    "kitty": KITTY,
    "kitty-placed": OLD_KITTY,
    "sixel": SIXEL,
    "iterm": ITERM,
    "halfblock": TRUE_COLOUR,
    "ascii": PLAIN,
}
"""A terminal for each way of showing pictures."""
OPTIONS = {"ascii": ("--protocol", "ascii")}
"""Of the command line, for what is never chosen where characters can have colours."""


@dataclass
class Model(Screen):
    """A terminal of one `kind`. `answers` are bytes that it has to say; `modes` are the private modes that are on."""

    kind: Kind = KITTY
    cell: CellSize = CELL
    background: Colour = (0, 0, 0)
    style: Style = PLAIN_STYLE
    answers: bytes = b""
    modes: set[int] = field(default_factory=lambda: {7, CURSOR})
    keyboards: int = 0
    clipboard: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _main: tuple[object, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clear()

    def clear(self) -> None:
        """Blank the screen."""
        self.glyphs = [[(" ", Style())] * self.columns for _ in range(self.rows)]
        self._paint = np.zeros((self.rows * self.cell.height, self.columns * self.cell.width, 4), np.uint8)

    def resize(self, columns: int, rows: int) -> None:
        """Take another size; what lies in both stays."""
        glyphs, paint = self.glyphs, self._paint
        self.columns, self.rows = columns, rows
        self.clear()
        for row, line in zip(self.glyphs, glyphs, strict=False):
            row[: len(line)] = line[: len(row)]
        height, width = (min(lengths) for lengths in zip(paint.shape[:2], self._paint.shape[:2], strict=True))
        self._paint[:height, :width] = paint[:height, :width]

    def feed(self, data: bytes) -> None:
        """Do what `data` says, as far as its sequences are whole."""
        data, at = self._rest + data, 0
        while match := _SEQUENCE.match(data, at):
            at = match.end()
            self._do(match)
        self._rest = data[at:]
        assert _BEGINNING.match(self._rest), f"not a sequence: {self._rest[:40]!r}"

    def lines(self) -> list[str]:
        """Return the characters of every row; a blank stands for each placeholder of a picture."""
        rows = ("".join(text[0] for text, _ in line) for line in self.glyphs)
        return [row.replace(PLACEHOLDER, " ") for row in rows]

    @property
    def is_restored(self) -> bool:
        """Whether a program left the terminal as a shell needs it, with no picture in its memory."""
        modes_off = not self.modes & {ALTERNATE, 1004, 2004, 2026, 2048, *MOUSE}
        return modes_off and {7, CURSOR} <= self.modes and not self.images and self.keyboards == 0

    def _do(self, match: re.Match[bytes]) -> None:
        parts = match.groupdict()
        if parts["kitty"] is not None:
            self._graphics(match)
        elif parts["command"] is not None:
            number, _, rest = parts["command"].decode().partition(";")
            if number == "52":
                self.clipboard.append(b64decode(rest.partition(";")[2]).decode())
        elif parts["request"] is not None:
            # DECRQSS: the colours in force.
            self._answer("\x1bP1$r48:2:1:2:3m\x1b\\" if self.kind.true_colour else "\x1bP1$r0m\x1b\\")
        elif parts["control"] is not None:
            self._move(parts["control"])
        elif parts["final"] is not None:
            numbers = [int(n or 0) for n in re.split(b"[;:]", parts["parameters"])]
            self._sequence((parts["private"] + parts["intermediate"]).decode(), parts["final"].decode(), numbers)
        elif parts["short"] not in (b"=", b">"):
            super()._do(match)

    def _answer(self, text: str) -> None:
        self.answers += text.encode()

    def _graphics(self, match: re.Match[bytes]) -> None:
        keys = dict(part.split("=") for part in match["kitty"].decode().split(","))
        if self.kind.kitty and keys.get("a") not in (None, "q") and int(keys.get("i", 0)) >> 8 != 0x7A1F:
            self._kitty(match["kitty"].decode(), match["payload"])
        elif self.kind.kitty and keys.get("q") != "2" and "i" in keys:
            self._answer(f"\x1b_Gi={keys['i']};OK\x1b\\")
        elif self._loading is not None:
            self._kitty(match["kitty"].decode(), match["payload"])

    def _sequence(self, kind: str, final: str, numbers: list[int]) -> None:
        number = numbers[0]
        match kind + final:
            case "c":
                self._answer("\x1b[?62;4;22c" if self.kind.sixel else "\x1b[?62;22c")
            case ">q" if self.kind.name:
                self._answer(f"\x1bP>|{self.kind.name}\x1b\\")
            case "n" if number == 6:
                self._answer(f"\x1b[{self.cursor[0] + 1};{self.cursor[1] + 1}R")
            case "t" if number == 16:
                self._answer(f"\x1b[6;{self.cell.height};{self.cell.width}t")
            case "t" if number == 14:
                self._answer(f"\x1b[4;{self.rows * self.cell.height};{self.columns * self.cell.width}t")
            case "?S":
                self._answer("\x1b[?1;0;256S" if self.kind.sixel else "\x1b[?1;3;0S")
            case "?$p":
                self._answer(f"\x1b[?{number};{2 if number == 2026 else 0}$y")
            case "?h" | "?l":
                for mode in numbers:
                    self._set_mode(mode, final == "h")
            case ">u" | "<u":
                self.keyboards += 1 if kind == ">" else -1
            case "m":
                self._rendition(numbers)
            case "b":
                row, column = self.cursor
                self._write(self.glyphs[row][column - 1][0] * number)
            case "H" | "J" | "K" | "A" | "B" | "C" | "D" | "G" | "d" | "r":
                self._control(final.encode(), numbers)

    def _set_mode(self, mode: int, on: bool) -> None:
        if mode == ALTERNATE and on != (mode in self.modes):
            if on:
                self._main = self.glyphs, self._paint, self.cursor
                self.clear()
                self.images.clear()
            elif self._main is not None:
                self.glyphs, self._paint, self.cursor = self._main  # type: ignore[assignment]
        (self.modes.add if on else self.modes.discard)(mode)

    def _control(self, final: bytes, numbers: list[int]) -> None:
        row, column = self.cursor
        step = max(1, numbers[0])
        match final:
            case b"H":
                row, column = (max(1, n) - 1 for n in (*numbers, 1, 1)[:2])
            case b"J" | b"K":
                self._wipe(final == b"J", numbers[0])
            case b"A" | b"B":
                row += step if final == b"B" else -step
            case b"C" | b"D":
                column += step if final == b"C" else -step
            case b"G":
                column = step - 1
            case b"d":
                row = step - 1
        self.cursor = min(max(row, 0), self.rows - 1), min(max(column, 0), self.columns - 1)

    def _wipe(self, display: bool, what: int) -> None:
        row, column = self.cursor
        at = row * self.columns + column
        first, last = (0, self.rows * self.columns) if display else (row * self.columns, (row + 1) * self.columns)
        first, last = {0: (at, last), 1: (first, at + 1)}.get(what, (first, last))
        for place in range(first, last):
            self._put(*divmod(place, self.columns), " ")

    def _put(self, row: int, column: int, text: str) -> None:
        self.glyphs[row][column] = (text, self.style)
        self._cell(self._paint, row, column)[:] = 0

    def _write(self, text: str) -> None:
        for letter in text:
            row, column = self.cursor
            if unicodedata.combining(letter):
                before, style = self.glyphs[row][column - 1]
                self.glyphs[row][column - 1] = (before + letter, style)
                continue
            if column == self.columns and 7 in self.modes:
                self._move(b"\r")
                self._move(b"\n")
                row, column = self.cursor
            column = min(column, self.columns - 1)
            self._put(row, column, letter)
            self.cursor = row, column + 1

    def _move(self, control: bytes) -> None:
        row, column = self.cursor
        if control == b"\r":
            column = 0
        elif control == b"\b":
            column = max(0, column - 1)
        elif control == b"\n" and row < self.rows - 1:
            row += 1
        elif control == b"\n":
            self.glyphs = [*self.glyphs[1:], [(" ", Style())] * self.columns]
            self._paint = np.roll(self._paint, -self.cell.height, axis=0)
            self._paint[-self.cell.height :] = 0
        self.cursor = row, column

    def _rendition(self, numbers: list[int]) -> None:
        rest = iter(numbers)
        for number in rest:
            if number in (38, 48):
                colour = (next(rest), next(rest), next(rest)) if next(rest) == 2 else _palette(next(rest))
                self.style = replace(self.style, **{"ink" if number == 38 else "paper": colour})
            elif number in (39, 49):
                self.style = replace(self.style, **{"ink" if number == 39 else "paper": None})
            elif 30 <= number % 60 <= 47:
                light = 8 if number >= 90 else 0
                ground = "ink" if number % 60 < 40 else "paper"
                self.style = replace(self.style, **{ground: _ANSI[number % 10 + light]})
            elif number == 0:
                self.style = Style()


def _palette(number: int) -> Colour:
    return _ANSI[number] if number < 16 else xterm_colour(number)

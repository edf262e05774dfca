"""A small model of a terminal: it reads the bytes that encoders write and gives back the pixels that they show."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tuivis.render.kitty import NUMBERS, PLACEHOLDER
from tuivis.render.picture import CellSize

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

CELL = CellSize(8, 17)

_SEQUENCE = re.compile(
    rb"\x1b_G(?P<kitty>[^;\x1b]*);?(?P<payload>[^\x1b]*)\x1b\\"
    rb"|\x1b\]1337;File=(?P<iterm>[^:\x1b]*):(?P<file>[^\x1b]*)\x1b\\"
    rb"|\x1bP(?P<macro>[\d;]*)q(?P<sixel>[^\x1b]*)\x1b\\"
    rb"|\x1b\[(?P<parameters>[\d;?]*)(?P<final>[A-Za-z])"
    rb"|\x1b(?P<short>[78])"
    rb"|(?P<text>[^\x00-\x1f]+)",
)
_SIXEL = re.compile(rb'"([\d;]+)|#(\d+)((?:;\d+)*)|!(\d+)([?-~])|([?-~])|([$-])')


def decode_png(data: bytes) -> Pixels:
    """Return the (H, W, 4) pixels of a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def xterm_colour(number: int) -> Colour:
    """Return colour 16 .. 255 of xterm's palette."""
    assert 16 <= number <= 255
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return grey, grey, grey
    steps = (0, 95, 135, 175, 215, 255)
    red, rest = divmod(number - 16, 36)
    return steps[red], steps[rest // 6], steps[rest % 6]


@dataclass(frozen=True)
class Style:
    """What SGR sets; None is the default colour."""

    ink: Colour | None = None
    paper: Colour | None = None


@dataclass
class KittyImage:
    """An image in the terminal's memory, of which the first frame is shown.

    `at` is (row, column) where it is placed, None for placeholders.
    """

    frames: list[Pixels]
    columns: int
    rows: int
    at: tuple[int, int] | None

    @property
    def pixels(self) -> Pixels:
        """(H, W, 4): what is shown."""
        return self.frames[0]


@dataclass
class Screen:
    """A terminal of `columns` x `rows` cells. It fails on what a real one would misread."""

    columns: int = 80
    rows: int = 24
    cell: CellSize = CELL
    background: Colour = (1, 2, 3)
    cursor: tuple[int, int] = (0, 0)
    style: Style = Style((9, 9, 9), (200, 0, 0))
    images: dict[int, KittyImage] = field(default_factory=dict)
    largest_chunk: int = 0
    _saved: tuple[tuple[int, int], Style] | None = None
    _loading: tuple[dict[str, str], bytes] | None = None

    def __post_init__(self) -> None:
        self.glyphs = [[("x", Style())] * self.columns for _ in range(self.rows)]
        shape = (self.rows * self.cell.height, self.columns * self.cell.width)
        self._paint = np.zeros((*shape, 4), np.uint8)

    def feed(self, data: bytes) -> None:
        """Do what `data` says; it must leave the cursor and the style alone."""
        for _ in self.steps(data):
            pass

    def steps(self, data: bytes) -> Iterator[bytes]:
        """Do what `data` says, a sequence at a time; yield each."""
        before = (self.cursor, self.style)
        at = 0
        while at < len(data):
            match = _SEQUENCE.match(data, at)
            assert match, f"not a sequence: {data[at : at + 20]!r}"
            at = match.end()
            self._do(match)
            yield match[0]
        assert self._loading is None
        assert self._saved is None
        assert (self.cursor, self.style) == before

    def pixels(self) -> Pixels:
        """Return (H, W, 3): the whole screen. Letters are blank cells."""
        shown = np.zeros((*self._paint.shape[:2], 3), np.uint8)
        stretched = {number: self._stretched(image) for number, image in self.images.items()}
        for row, line in enumerate(self.glyphs):
            left = None
            for column, (text, style) in enumerate(line):
                shows = _numbered(text, style, left)
                self._glyph(self._cell(shown, row, column), text, style, shows, stretched)
                left = style.ink, shows
        _over(shown, self._paint)
        for number, image in self.images.items():
            if image.at:
                _over(self._from(shown, *image.at), stretched[number])
        return shown

    def text(self, row: int) -> str:
        """Return the characters of a row."""
        return "".join(text for text, _ in self.glyphs[row])

    def _cell(self, pixels: Pixels, row: int, column: int) -> Pixels:
        height, width = self.cell.height, self.cell.width
        return pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]

    def _from(self, pixels: Pixels, row: int, column: int) -> Pixels:
        return pixels[row * self.cell.height :, column * self.cell.width :]

    def _glyph(
        self, shown: Pixels, text: str, style: Style, place: tuple[int, int] | None, stretched: dict[int, Pixels]
    ) -> None:
        shown[:] = style.paper or self.background
        half = self.cell.height // 2
        if text in "▀▄":
            assert style.ink
            (shown[:half] if text == "▀" else shown[half:])[:] = style.ink
        if place:
            assert style.ink
            number, (row, column) = style.ink[0] << 16 | style.ink[1] << 8 | style.ink[2], place
            image = self.images.get(number)
            if image and image.at is None and row < image.rows and column < image.columns:
                _over(shown, self._cell(stretched[number], row, column))

    def _stretched(self, image: KittyImage) -> Pixels:
        """Return the image at its place's size, which it must fill: a placeholder's keeps its proportions."""
        width, height = image.columns * self.cell.width, image.rows * self.cell.height
        factor = width / image.pixels.shape[1]
        assert image.at or abs(image.pixels.shape[0] * factor - height) <= factor
        return np.asarray(Image.fromarray(image.pixels).resize((width, height), Image.Resampling.NEAREST))

    def _do(self, match: re.Match[bytes]) -> None:
        parts = match.groupdict()
        if parts["kitty"] is not None:
            self._kitty(parts["kitty"].decode(), parts["payload"])
        elif parts["iterm"] is not None:
            self._iterm(dict(part.split("=") for part in parts["iterm"].decode().split(";")), b64decode(parts["file"]))
        elif parts["sixel"] is not None:
            assert parts["macro"].split(b";")[1] == b"1", "pixels that are not set would be cleared"
            self._sixel(parts["sixel"])
        elif parts["final"] is not None:
            self._control(parts["final"], [int(n or 0) for n in parts["parameters"].split(b";")])
        elif parts["short"] == b"7":
            self._saved = (self.cursor, self.style)
        elif parts["short"] == b"8":
            assert self._saved
            (self.cursor, self.style), self._saved = self._saved, None
        else:
            self._write(parts["text"].decode())

    def _control(self, final: bytes, numbers: list[int]) -> None:
        if final == b"H":
            row, column = numbers[0] - 1, numbers[1] - 1
            assert 0 <= row < self.rows
            assert 0 <= column < self.columns
            self.cursor = (row, column)
        elif final == b"b":
            row, column = self.cursor
            self._write(self.glyphs[row][column - 1][0] * numbers[0])
        else:
            assert final == b"m", final
            self._rendition(numbers)

    def _rendition(self, numbers: list[int]) -> None:
        rest = iter(numbers)
        for number in rest:
            if number in (38, 48):
                colour = (next(rest), next(rest), next(rest)) if next(rest) == 2 else xterm_colour(next(rest))
                self.style = replace(self.style, **{"ink" if number == 38 else "paper": colour})
            elif number == 49:
                self.style = replace(self.style, paper=None)
            else:
                assert number == 0, number
                self.style = Style()

    def _write(self, text: str) -> None:
        row, column = self.cursor
        for letter in text:
            if letter in NUMBERS:
                before, style = self.glyphs[row][column - 1]
                self.glyphs[row][column - 1] = (before + letter, style)
                continue
            assert column < self.columns, "the line would wrap"
            self.glyphs[row][column] = (letter, self.style)
            self._cell(self._paint, row, column)[:] = 0
            column += 1
        self.cursor = (row, column)

    def _kitty(self, control: str, payload: bytes) -> None:
        keys = dict(part.split("=") for part in control.split(","))
        assert keys.get("q") == "2", "the terminal would answer"
        if keys.get("a") == "d":
            assert keys["d"] == "I", "the image would stay in the terminal's memory"
            del self.images[int(keys["i"])]
            return
        if keys.get("a") == "c":
            assert keys.keys() == {"a", "i", "r", "c", "C", "q"} and keys["C"] == "1"
            frames = self.images[int(keys["i"])].frames
            frames[int(keys["c"]) - 1][:] = frames[int(keys["r"]) - 1]
            return
        self.largest_chunk = max(self.largest_chunk, len(payload))
        if self._loading:
            first, data = self._loading
            again = {key: first[key] for key in (first if first["a"] == "f" else "q") if key != "m"}
            assert {key: value for key, value in keys.items() if key != "m"} == again
            assert len(data) % 4 == 0
            payload = data + payload
        else:
            first = keys
            if first["a"] == "T":
                # A terminal forgets what it had as soon as another picture begins.
                self.images.pop(int(first["i"]), None)
        self._loading = (first, payload) if keys.get("m") == "1" else None
        if self._loading is None:
            self._load(first, b64decode(payload))

    def _load(self, keys: dict[str, str], data: bytes) -> None:
        number = int(keys["i"])
        if keys.get("f") == "100":
            pixels = decode_png(data)
        else:
            pixels = np.frombuffer(data, np.uint8).reshape(int(keys["v"]), int(keys["s"]), 4)
        if keys["a"] == "T":
            at = None if keys.get("U") == "1" else self.cursor
            assert at is None or keys["C"] == "1", "the cursor would move"
            self.images[number] = KittyImage([pixels.copy()], int(keys["c"]), int(keys["r"]), at)
            return
        assert keys["a"] == "f"
        assert keys.get("X") != "1"
        frames = self.images[number].frames
        assert "c" not in keys, "the new frame would change with the one that it was made from"
        if "r" not in keys:
            frames.append(np.zeros_like(frames[0]))
        x, y, width, height = (int(keys.get(key, 0)) for key in "xysv")
        target = frames[int(keys.get("r", 0)) - 1][y : y + height, x : x + width]
        assert pixels.shape == target.shape == (height, width, 4)
        _blend(target, pixels)

    def _iterm(self, keys: dict[str, str], data: bytes) -> None:
        assert int(keys["size"]) == len(data)
        assert (keys["inline"], keys["preserveAspectRatio"], keys["doNotMoveCursor"]) == ("1", "0", "1")
        image = KittyImage([decode_png(data)], int(keys["width"]), int(keys["height"]), self.cursor)
        stretched = self._stretched(image)
        self._from(self._paint, *self.cursor)[: stretched.shape[0], : stretched.shape[1]] = stretched

    def _sixel(self, data: bytes) -> None:
        origin = self._from(self._paint, *self.cursor)
        registers: dict[int, Colour] = {}
        x = y = colour = width = height = 0
        for match in _SIXEL.finditer(data):
            raster, number, definition, times, repeated, single, move = match.groups()
            if raster:
                width, height = (int(n) for n in raster.split(b";")[2:])
            elif number:
                colour = int(number)
                if definition:
                    _, model, *rgb = definition.split(b";")
                    assert model == b"2"
                    registers[colour] = tuple(round(int(n) * 2.55) for n in rgb)  # type: ignore[assignment]
            elif move:
                x, y = 0, y + 6 * (move == b"-")
            else:
                count = int(times or 1)
                for bit in range(6):
                    if (repeated or single)[0] - 63 >> bit & 1:
                        assert y + bit < height
                        assert x + count <= width
                        origin[y + bit, x : x + count] = (*registers[colour], 255)
                x += count
        assert sum(len(match[0]) for match in _SIXEL.finditer(data)) == len(data)


def _numbered(
    text: str, style: Style, left: tuple[Colour | None, tuple[int, int] | None] | None
) -> tuple[int, int] | None:
    """Return the (row, column) of the image that a cell shows, None if it is no placeholder.

    A bare one counts on from its left neighbour, if that is of the same image.
    """
    if text[0] != PLACEHOLDER:
        return None
    if len(text) > 1:
        assert len(text) == 4
        assert text[3] == NUMBERS[0], "the highest byte of the image's number"
        return NUMBERS.index(text[1]), NUMBERS.index(text[2])
    assert left is not None and left[1] is not None and left[0] == style.ink, "nothing to count on from"
    row, column = left[1]
    return row, column + 1


def _blend(target: Pixels, pixels: Pixels) -> None:
    """Lay `pixels`, (h, w, 4), over `target`; where one of both is opaque or clear, that is exact."""
    alpha = pixels[..., 3:] / 255
    assert ((target[..., 3] == 255) | (pixels[..., 3] == 0)).all(), "kitty blends with what is not opaque, too"
    target[..., :3] = np.rint(target[..., :3] * (1 - alpha) + pixels[..., :3] * alpha)


def _over(pixels: Pixels, paint: Pixels) -> None:
    """Put the opaque pixels of `paint`, (h, w, 4), over the corner of `pixels`."""
    target = pixels[: paint.shape[0], : paint.shape[1]]
    opaque = paint[: target.shape[0], : target.shape[1]]
    np.copyto(target, opaque[..., :3], where=opaque[..., 3:] > 0)

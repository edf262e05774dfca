"""Kitty's graphics protocol, shown by placeholder characters: the picture follows the text that stands for it.

The protocol: https://sw.kovidgoyal.net/kitty/graphics-protocol/. The picture is transmitted once per size; then `a=f`
replaces pixels of the frame on screen, which kitty shows four times sooner than a new transmission. An image that is
transmitted again vanishes until that is complete, so a picture of another size or palette comes as an image of its own,
and the text then turns to that.

A picture with heat has two more frames, which are never shown: one keeps the picture without its heat, and on the other
both are put together, for the frame on screen to change only once.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuivis.render import png
from tuivis.render.picture import Box, CellSize, Picture, Rect

CHUNK = 4096
"""Most bytes of base64 in one escape sequence."""

PLACEHOLDER = "\U0010eeee"

SCREEN, BARE, BENCH = 1, 2, 3
"""The frames of an image: what is shown, the picture without its heat, and where heat is laid over it."""

_CLEAR_PIXEL = bytes(4)


def _numbers() -> Iterator[str]:
    """Give the combining characters that stand for 0, 1, ... 296 after a placeholder.

    They are the characters of combining class 230 in Unicode 6.0 without a decomposition, but for those that
    normalisation could fuse with a letter (rowcolumn-diacritics.txt in kitty's documentation).
    """
    ranges = (
        "305 30d-30e 310 312 33d-33f 346 34a-34c 350-352 357 35b 363-36f 483-487 592-595 597-599 59c-5a1 5a8-5a9 "
        "5ab-5ac 5af 5c4 610-617 657-65b 65d-65e 6d6-6dc 6df-6e2 6e4 6e7-6e8 6eb-6ec 730 732-733 735-736 73a 73d "
        "73f-741 743 745 747 749-74a 7eb-7f1 7f3 816-819 81b-823 825-827 829-82d 951 953-954 f82-f83 f86-f87 135d-135f "
        "17dd 193a 1a17 1a75-1a7c 1b6b 1b6d-1b73 1cd0-1cd2 1cda-1cdb 1ce0 1dc0-1dc1 1dc3-1dc9 1dcb-1dcc 1dd1-1de6 1dfe "
        "20d0-20d1 20d4-20d7 20db-20dc 20e1 20e7 20e9 20f0 2cef-2cf1 2de0-2dff a66f a67c-a67d a6f0-a6f1 a8e0-a8f1 aab0 "
        "aab2-aab3 aab7-aab8 aabe-aabf aac1 fe20-fe26 10a0f 10a38 1d185-1d189 1d1aa-1d1ad 1d242-1d244"
    )
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from map(chr, range(int(first, 16), int(last or first, 16) + 1))


NUMBERS = tuple(_numbers())
"""The combining characters for 0, 1, ...: as many rows and columns as a picture can have."""


def transmission(keys: str, data: bytes) -> bytes:
    """Return the escape sequences that carry `data` under the command `keys`, in chunks.

    The later chunks of `a=T` have `m` alone (`q` is allowed). Those of a frame edit have all keys again: kitty 0.41
    shows nothing after `a=f` alone, and adds a frame where `r` is missing.
    """
    text = b64encode(data)
    again = keys if keys.startswith("a=f,") else "q=2"
    chunks = []
    for start in range(0, len(text), CHUNK):
        more = ",m=1" * (start + CHUNK < len(text))
        control = f"{again if start else keys}{more}"
        chunks.append(b"\x1b_G%b;%b\x1b\\" % (control.encode(), text[start : start + CHUNK]))
    return b"".join(chunks)


def deletion(image_id: int) -> bytes:
    """Return the command that takes the image from the screen and from the terminal's memory."""
    return b"\x1b_Ga=d,d=I,i=%d,q=2\x1b\\" % image_id


class KittyPlaceholders:
    """An encoder for kitty >= 0.28 and Ghostty (`edits`), and for terminals that know placeholders but not `a=f`.

    `image_id`, 2 .. 2^24 - 1, and its neighbour, with which it makes a pair of an even and an odd number, are this
    pane's alone. The one in use travels in the placeholders' foreground colour.
    """

    paper = b""

    def __init__(self, image_id: int, cell: CellSize, edits: bool = True) -> None:
        assert 1 < image_id < 1 << 24
        self._id = image_id
        self._held: set[int] = set()
        self._cell = cell
        self._edits = edits
        self._box: Box | None = None
        self._bare: NDArray[np.uint8] | None = None

    def canvas(self, columns: int, rows: int) -> tuple[int, int]:
        """Return the pixels of so many cells, as many as there are diacritics for."""
        return min(columns, len(NUMBERS)) * self._cell.width, min(rows, len(NUMBERS)) * self._cell.height

    def draw(self, picture: Picture, box: Box) -> bytes:
        """Transmit the picture on a transparent sheet of the box's size, so that the text depends on the box only.

        The sheet before stays until this one is complete. If it was in the same place, the text then turns to this one.
        """
        columns, rows = min(box.columns, len(NUMBERS)), min(box.rows, len(NUMBERS))
        assert picture.cover(self._cell)[0] <= columns and picture.cover(self._cell)[1] <= rows
        again, self._id = self._box == box, self._id ^ (self._box is not None)
        self._box = box
        self._held.add(self._id)
        self._bare = picture.pixels if self._edits and picture.heat else None
        bare = picture if self._bare is None else replace(picture, heat=None)
        keys = f"a=T,U=1,i={self._id},c={columns},r={rows},q=2,f=100"
        image = transmission(keys, png.sheet(bare, self._cell, columns, rows))
        if self._bare is not None:
            image += self._frames() + self._warm(picture)
        return image + (self._text(box, columns, rows) if again else b"")

    def update(self, picture: Picture, box: Box, damage: Sequence[Rect]) -> bytes:
        """Replace the damaged pixels of the frame, or all of the heat."""
        if self._box is not None and not damage:
            return b""
        if self._box is None or not self._edits:
            return self.draw(picture, box)
        if picture.heat is None:
            return self._edit(picture, damage)
        same = self._bare is not None and np.array_equal(self._bare, picture.pixels)
        return self._warm(picture) if same else self.draw(picture, box)

    def _edit(self, picture: Picture, damage: Sequence[Rect]) -> bytes:
        """Send all of the damage as one part of the picture, whose other pixels are transparent: they stay.

        A sequence and a file of its own for each rectangle is what costs, not the pixels between them.
        """
        part = Rect.around(damage)
        shown = np.zeros((part.height, part.width), np.bool_)
        for x, y, width, height in damage:
            shown[y - part.y : y - part.y + height, x - part.x : x - part.x + width] = True
        scale = png.detail(picture)
        x, y, width, height = (n * scale for n in part)
        keys = f"a=f,i={self._id},r={SCREEN},x={x},y={y},s={width},v={height},q=2,f=100"
        return transmission(keys, png.encode(picture.crop(part), scale, shown=None if shown.all() else shown))

    def _frames(self) -> bytes:
        """Return the commands that make the other two frames, and keep the picture on one.

        They begin empty: kitty redraws a frame that was made from another (`c`) whenever that other changes.
        """
        empty = transmission(f"a=f,i={self._id},s=1,v=1,q=2", _CLEAR_PIXEL)
        return empty * 2 + self._overwrite(SCREEN, BARE)

    def _text(self, box: Box, columns: int, rows: int) -> bytes:
        """Write the placeholders: the first two of every row, and REP for the others, which are like the second."""
        ink = b"38;2;%d;%d;%d" % (self._id >> 16, self._id >> 8 & 255, self._id & 255)
        style = b"\x1b[%bm" % b";".join(filter(None, (b"0", self.paper, ink)))
        others = PLACEHOLDER * (columns > 1) + f"\x1b[{columns - 2}b" * (columns > 2)
        cells = (f"\x1b[{box.row + row + 1};{box.column + 1}H{self._first_cell(row)}{others}" for row in range(rows))
        return b"\x1b7" + style + "".join(cells).encode() + b"\x1b8"

    @staticmethod
    def _first_cell(row: int) -> str:
        return PLACEHOLDER + NUMBERS[row] + NUMBERS[0] * 2

    def _warm(self, picture: Picture) -> bytes:
        """Lay the heat over the picture, and show both."""
        assert picture.heat is not None
        scale = png.detail(picture)
        width, height = picture.width * scale, picture.height * scale
        keys = f"a=f,i={self._id},r={BENCH},s={width},v={height},q=2,f=100"
        heat = transmission(keys, png.encode_heat(picture.heat, scale))
        return self._overwrite(BARE, BENCH) + heat + self._overwrite(BENCH, SCREEN)

    def _overwrite(self, source: int, target: int) -> bytes:
        """Return the command that copies one frame's pixels to another."""
        return b"\x1b_Ga=c,i=%d,r=%d,c=%d,C=1,q=2\x1b\\" % (self._id, source, target)

    def erase(self, room: Box | None = None) -> bytes:
        """Delete both images: their placeholders show nothing from now on."""
        held = sorted(self._held)
        self.forget()
        return b"".join(map(deletion, held))

    def forget(self) -> None:
        """Let the next picture be transmitted anew."""
        self._box = None
        self._held.clear()

    def cells(self, row: int) -> tuple[str, int] | None:
        """Return the placeholders of a row.

        Only the first tells its row, its column and the id's highest byte, which is 0: the terminal counts on from
        the left neighbour. So nothing may ever lie over a part of a row.
        """
        if self._box is None or not 0 <= row < min(self._box.rows, len(NUMBERS)):
            return None
        columns = min(self._box.columns, len(NUMBERS))
        text = self._first_cell(row) + PLACEHOLDER * (columns - 1)
        return text + " " * (self._box.columns - columns), self._id

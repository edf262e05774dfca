"""The pictures of a film: the network's input and the mosaic side by side, always in the same places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuivis.render import colormap
from tuivis.render.mosaic import Layout
from tuivis.render.mosaic import fit as lay_out
from tuivis.render.overlay import fit
from tuivis.render.picture import Rect

INPUT = 448
"""Pixels, in width and height, that the input has room in."""
MOSAIC = (1120, 960)
"""Pixels of width and height that a mosaic has room in at least."""
LARGEST = (1920, 1440)
"""The same, at most."""
MARGIN = 16
CAPTION = 24
"""Pixels of the line over each picture."""
_TEXT = 16
_LIGHT, _DARK = (232, 232, 230), (24, 24, 28)

Pixels = NDArray[np.uint8]


class Panel(NamedTuple):
    """A picture, (H, W, 3) uint8, and the line over it."""

    pixels: Pixels
    caption: str


@dataclass(frozen=True)
class Stage:
    """Where the two pictures have room in a film of `width` x `height` pixels. All numbers are even."""

    width: int
    height: int
    input: Rect
    mosaic: Rect

    @classmethod
    def around(cls, canvas: tuple[int, int]) -> Stage:
        """Return the stage for mosaics that fit on a canvas of (width, height) pixels."""
        lengths = zip(canvas, MOSAIC, LARGEST, strict=True)
        width, height = (_even(min(max(length, least), most)) for length, least, most in lengths)
        top, right = MARGIN + CAPTION, 2 * MARGIN + INPUT
        room = Rect(MARGIN, top, INPUT, INPUT), Rect(right, top, width, height)
        return cls(right + width + MARGIN, top + max(INPUT, height) + MARGIN, *room)

    def layout(self, tiles: tuple[int, ...], canvas: tuple[int, int]) -> Layout:
        """Lay out `tiles` (count, height, width), which fit on a canvas of (width, height) pixels, in the room here."""
        count, height, width = tiles
        room = max(self.mosaic.width, canvas[0]), max(self.mosaic.height, canvas[1])
        return lay_out(count, (height, width), room, max(height, width))

    def draw(self, seen: Panel, tiles: Panel, chrome: str) -> Pixels:
        """Return a picture of the film, (height, width, 3) uint8.

        A picture that is smaller than its room grows by a whole factor, a larger one is averaged; `chrome` names the
        colours around them.
        """
        ground = colormap.CHROMES[chrome].gutter
        film = np.empty((self.height, self.width, 3), np.uint8)
        film[...] = ground
        for panel, room in ((seen, self.input), (tiles, self.mosaic)):
            picture = fit(panel.pixels, room.width, room.height)
            height, width = picture.shape[:2]
            # The film has one colour for two by two pixels: pixels that grow to such squares keep theirs.
            x, y = room.x + _even((room.width - width) // 2), room.y + _even((room.height - height) // 2)
            film[y : y + height, x : x + width] = picture
            line = _line(panel.caption, room.width, ground)
            film[room.y - CAPTION : room.y, room.x : room.x + room.width] = line
        return film


def _even(length: int) -> int:
    return length // 2 * 2


@lru_cache(maxsize=16)
def _line(text: str, width: int, ground: tuple[int, int, int]) -> Pixels:
    """Return a line of text, (CAPTION, width, 3)."""
    from PIL import Image

    from tuivis.render import sheet

    line = Image.new("RGB", (width, CAPTION), ground)
    # The font has no multiplication sign.
    sheet.write(line, (0, 0), text.replace("×", "x"), _TEXT, _LIGHT if max(ground) < 128 else _DARK)
    return np.asarray(line)

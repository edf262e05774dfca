"""ASCII: the characters on a terminal that reads the bytes stand for the picture."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.decoders import Screen
from tests.unit.pictures import mosaic, palette, photograph
from tuivis.render.ascii import Ascii
from tuivis.render.picture import Box, Picture, Rect

BOX = Box(2, 1, 60, 20)


def lines(screen: Screen, picture: Picture) -> list[str]:
    """Return the text where the picture should be, and see that nothing else changed."""
    height, width = picture.height * picture.scale, picture.width * picture.scale
    for row in range(screen.rows):
        text = screen.text(row)
        inside = BOX.row <= row < BOX.row + height
        assert text[: BOX.column] + text[BOX.column + width :] == "x" * (80 - width) or not inside
        assert inside or text == "x" * 80
    return [screen.text(BOX.row + row)[BOX.column : BOX.column + width] for row in range(height)]


@pytest.mark.parametrize("size", [16, 32, 256])
def test_what_is_no_level_has_a_character_of_its_own(size: int) -> None:
    screen = Screen()
    picture = Picture(np.arange(size - 6, size, dtype=np.uint8)[None], palette(size))
    screen.feed(Ascii().draw(picture, BOX))
    assert lines(screen, picture) == ["& #+!?"]


def test_brighter_levels_have_denser_characters() -> None:
    screen = Screen()
    grey = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    picture = Picture(np.linspace(0, 250, 50).astype(np.uint8)[None], grey)
    screen.feed(Ascii().draw(picture, BOX))
    (line,) = lines(screen, picture)
    assert re.fullmatch(r"\.{5,6}:{5,6}-{5,6}={5,6}\*{5,6}o{5,6}O{5,6}8{5,6}&{5,6}@{4,5}", line)


def test_a_photograph_is_drawn_by_its_luminance() -> None:
    screen, pixels = Screen(), np.zeros((2, 3, 3), np.uint8)
    pixels[0] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    pixels[1] = [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    picture = Picture(pixels, scale=2)
    screen.feed(Ascii().draw(picture, BOX))
    # 0.21, 0.72 and 0.07 of ten steps; then 0, 0.5 and all of them.
    assert lines(screen, picture) == ["--88..", "--88..", "..oo@@", "..oo@@"]


def test_only_ascii_and_no_colour() -> None:
    box = Box(0, 0, 210, 120)
    data = Ascii().draw(mosaic(16), box) + Ascii().draw(photograph(), box)
    assert max(data) < 127
    assert data.count(b"m") == data.count(b"\x1b[m") == 2
    assert b"\n" not in data


def test_update_writes_the_characters_that_changed() -> None:
    screen, encoder = Screen(), Ascii()
    before = Picture(mosaic(16).pixels[:14, :40], palette(16))
    screen.feed(encoder.draw(before, BOX))
    pixels = before.pixels.copy()
    pixels[3, 5:8] = 12
    after = replace(before, pixels=pixels)
    data = encoder.update(after, BOX, [Rect(0, 0, 40, 14)])
    assert data == b"\x1b7\x1b[m\x1b[5;8H###\x1b8"
    screen.feed(data)
    assert lines(screen, after)[3][5:8] == "###"
    assert encoder.update(after, BOX, []) == b""


def test_erase_and_forget() -> None:
    screen, encoder = Screen(), Ascii()
    picture = Picture(mosaic(16).pixels[:4, :10], palette(16))
    screen.feed(encoder.draw(picture, BOX))
    screen.feed(encoder.erase())
    assert lines(screen, picture) == [" " * 10] * 4
    assert encoder.erase() == b""
    encoder.draw(picture, BOX)
    encoder.forget()
    assert encoder.update(picture, BOX, []) == Ascii().draw(picture, BOX)
    assert encoder.canvas(80, 24) == (80, 24)

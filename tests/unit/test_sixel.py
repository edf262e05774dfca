"""Sixel: a terminal that reads the bytes shows the picture."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.decoders import CELL, Screen
from tests.unit.pictures import BOX, expected, mosaic, palette, photograph
from tuivis.render.picture import Box, CellSize, Picture, Rect
from tuivis.render.sixel import Sixel

# A register holds percents, so a colour is off by 1.3 at most, and rounding twice.
OFF = 2


def differs(screen: Screen, picture: Picture) -> bool:
    return bool((np.abs(screen.pixels().astype(int) - expected(screen, picture)) > OFF).any())


@pytest.mark.parametrize(("colours", "scale"), [(16, 1), (16, 2), (32, 2), (256, 2)])
def test_draw_shows_the_picture_and_nothing_else(colours: int, scale: int) -> None:
    screen, picture = Screen(), mosaic(colours, scale)
    data = Sixel(CELL).draw(picture, BOX)
    screen.feed(data)
    assert not differs(screen, picture)
    assert b"\n" not in data


@pytest.mark.parametrize("height", [1, 5, 6, 7, 11, 12, 13])
def test_nothing_is_painted_below_the_last_row(height: int) -> None:
    screen = Screen()
    picture = Picture(mosaic(16).pixels[:height], palette(16))
    screen.feed(Sixel(CELL).draw(picture, BOX))
    assert not differs(screen, picture)


def test_update_sends_the_cells_of_the_damage_only() -> None:
    screen, encoder, before = Screen(), Sixel(CELL), mosaic(32, 2)
    whole = encoder.draw(before, BOX)
    screen.feed(whole)
    pixels = before.pixels.copy()
    pixels[15:30, 30:45] = 28
    pixels[119, 209] = 31
    after = replace(before, pixels=pixels)
    data = encoder.update(after, BOX, [Rect(30, 15, 15, 15), Rect(209, 119, 1, 1)])
    screen.feed(data)
    assert not differs(screen, after)
    assert len(data) < len(whole) / 20
    # Pixels 60 .. 90 by 30 .. 60 touch columns 7 .. 11 and rows 1 .. 3; the last pixel is in column 52, row 14.
    assert re.findall(rb"\x1b\[(\d+);(\d+)H", data) == [(b"4", b"11"), (b"17", b"56")]
    assert re.findall(rb'"1;1;(\d+);(\d+)', data) == [(b"40", b"51"), (b"4", b"2")]
    assert encoder.update(after, BOX, []) == b""


def test_a_smaller_picture_leaves_nothing_of_the_first() -> None:
    screen, encoder = Screen(), Sixel(CELL)
    screen.feed(encoder.draw(mosaic(16, 2), BOX))
    for small in (Picture(mosaic(16).pixels[:, :209], palette(16), 2), Picture(mosaic(16).pixels[:40], palette(16))):
        screen.feed(encoder.draw(small, BOX))
        assert not differs(screen, small)


def test_erase_leaves_alone_what_is_no_longer_the_panes() -> None:
    screen, encoder, picture = Screen(), Sixel(CELL), mosaic(16)
    screen.feed(encoder.draw(picture, BOX))
    before, room = screen.pixels(), BOX._replace(column=BOX.column + 10, row=BOX.row + 2)
    screen.feed(encoder.erase(room))
    after, left, top = screen.pixels(), room.column * CELL.width, room.row * CELL.height
    assert (after[top:, left:] == Screen().pixels()[top:, left:]).all()
    assert (after[:top] == before[:top]).all() and (after[:, :left] == before[:, :left]).all()
    encoder.draw(picture, BOX)
    assert encoder.erase(Box(0, 0, 1, 1)) == b""


def test_erase_and_forget() -> None:
    screen, encoder, picture = Screen(), Sixel(CELL), mosaic(16)
    screen.feed(encoder.draw(picture, BOX))
    screen.feed(encoder.erase())
    assert (screen.pixels() == Screen().pixels()).all()
    assert encoder.erase() == b""
    encoder.draw(picture, BOX)
    encoder.forget()
    screen.feed(encoder.update(picture, BOX, [Rect(0, 0, 1, 1)]))
    assert not differs(screen, picture)


@pytest.mark.parametrize(("colours", "most", "error"), [(256, 252, 4), (64, 64, 6), (16, 16, 16), (8, 8, 24)])
def test_a_photograph_is_dithered_to_the_registers_there_are(colours: int, most: int, error: float) -> None:
    screen, picture = Screen(), photograph()
    data = Sixel(CELL, colours).draw(picture, BOX)
    screen.feed(data)
    assert len(set(re.findall(rb"#(\d+);2;", data))) <= most
    # Dithering keeps the mean of every 4 x 4 pixels.
    shown = screen.pixels()[BOX.row * 17 :, BOX.column * 8 :][:100, :148].astype(float)
    means = [p.reshape(25, 4, 37, 4, 3).mean((1, 3)) for p in (shown, picture.pixels[:, :148].astype(float))]
    assert np.abs(means[0] - means[1]).mean() < error


def test_a_coarse_photograph_has_each_pixels_nearest_colour_in_fewer_bytes() -> None:
    pixels = photograph().pixels[::4, ::4]
    sizes = {}
    for coarse in (False, True):
        screen, picture = Screen(), Picture(np.ascontiguousarray(pixels), scale=4, coarse=coarse)
        data = Sixel(CELL).draw(picture, BOX)
        screen.feed(data)
        sizes[coarse] = len(data)
        error = np.abs(screen.pixels().astype(int) - expected(screen, picture)).max((0, 1))
        # Half of a step between six levels of red, seven of green and six of blue.
        assert (error <= np.array([25, 21, 25]) + OFF).all() == coarse
    assert sizes[True] < 0.8 * sizes[False]


def test_a_palette_larger_than_the_registers_is_dithered_too() -> None:
    data = Sixel(CELL, 16).draw(mosaic(256), BOX)
    assert {int(n) for n in re.findall(rb"#(\d+)", data)} <= set(range(16))


def test_the_bytes_of_a_mosaic() -> None:
    sizes = [len(Sixel(CellSize(9, 18)).draw(mosaic(32, scale), Box(0, 0, 200, 60))) for scale in (1, 2, 3)]
    assert sizes[0] < 50_000
    assert sizes[1] < 76_000
    assert sizes[2] < 110_000

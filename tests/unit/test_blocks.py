"""Half blocks: the cells of a terminal that reads the bytes have the picture's colours."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.decoders import Screen, xterm_colour
from tests.unit.pictures import expected, mosaic, palette, photograph
from tuivis.render.blocks import HalfBlocks
from tuivis.render.picture import Box, CellSize, Picture, Rect

CELL = CellSize(1, 2)
"""A cell is two pixels."""
BOX = Box(3, 2, 220, 62)


def screen_of_half_blocks() -> Screen:
    return Screen(columns=230, rows=70, cell=CELL)


@pytest.mark.parametrize("picture", [mosaic(16), mosaic(256), photograph()])
def test_draw_shows_the_picture_and_nothing_else(picture: Picture) -> None:
    screen = screen_of_half_blocks()
    data = HalfBlocks().draw(picture, BOX)
    screen.feed(data)
    assert (screen.pixels() == expected(screen, picture, BOX)).all()
    assert b"\n" not in data


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_last_row_of_an_odd_picture_leaves_the_background(scale: int) -> None:
    screen, picture = screen_of_half_blocks(), Picture(mosaic(16).pixels[:13, :50], palette(16), scale)
    screen.feed(HalfBlocks().draw(picture, BOX))
    assert (screen.pixels() == expected(screen, picture, BOX)).all()


def test_update_writes_the_cells_that_changed() -> None:
    screen, encoder, before = screen_of_half_blocks(), HalfBlocks(), mosaic(256)
    screen.feed(encoder.draw(before, BOX))
    pixels = before.pixels.copy()
    pixels[15, 30:45] = 252
    pixels[100, 7] = 255
    after = replace(before, pixels=pixels)
    data = encoder.update(after, BOX, [Rect(0, 0, before.width, before.height)])
    screen.feed(data)
    assert (screen.pixels() == expected(screen, after, BOX)).all()
    assert re.findall(rb"\x1b\[(\d+);(\d+)H", data) == [(b"10", b"34"), (b"53", b"11")]
    assert len(re.findall("[▀▄ ]", data.decode())) == 16
    assert encoder.update(after, BOX, [Rect(0, 0, 9, 9)]) == b""


def test_runs_of_one_colour_are_written_once() -> None:
    pixels = np.zeros((4, 30), np.uint8)
    pixels[2] = 1
    table = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    data = HalfBlocks().draw(Picture(pixels, table), Box(0, 0, 30, 2))
    flat, mixed = b" " * 30, "▀".encode() * 30
    assert data == (
        b"\x1b7\x1b[m\x1b[1;1H\x1b[48;2;10;20;30m" + flat + b"\x1b[2;1H\x1b[38;2;40;50;60m" + mixed + b"\x1b8"
    )


def test_a_cell_keeps_the_colours_in_force_whichever_half_they_are_in() -> None:
    pixels = np.array([[0, 1, 0, 2], [1, 0, 1, 0]], np.uint8)
    table = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)
    picture = Picture(pixels, table)
    data = HalfBlocks().draw(picture, Box(0, 0, 4, 1))
    assert data.decode() == ("\x1b7\x1b[m\x1b[1;1H\x1b[38;2;10;20;30;48;2;40;50;60m▀▄▀\x1b[48;2;70;80;90m▄\x1b8")
    screen = Screen(4, 1, cell=CELL)
    screen.feed(data)
    assert (screen.pixels() == picture.rgb()).all()


@pytest.mark.parametrize("picture", [mosaic(256), photograph()])
def test_256_colours_are_the_nearest_there_are(picture: Picture) -> None:
    screen = screen_of_half_blocks()
    data = HalfBlocks("256").draw(picture, BOX)
    screen.feed(data)
    assert b";2;" not in data
    shown = screen.pixels()[BOX.row * 2 :, BOX.column :][: picture.height, : picture.width].astype(int)
    table = np.array([xterm_colour(n) for n in range(16, 256)])
    wanted = picture.rgb().reshape(-1, 3).astype(int)
    nearest = ((wanted[:, None] - table) ** 2).sum(2).min(1)
    assert (((shown.reshape(-1, 3) - wanted) ** 2).sum(1) == nearest).all()


def test_a_smaller_picture_leaves_nothing_of_the_first() -> None:
    screen, encoder = screen_of_half_blocks(), HalfBlocks()
    screen.feed(encoder.draw(mosaic(16), BOX))
    small = Picture(mosaic(16).pixels[:40, :60], palette(16))
    screen.feed(encoder.draw(small, BOX))
    assert (screen.pixels() == expected(screen, small, BOX)).all()


def test_erase_and_forget() -> None:
    screen, encoder, picture = screen_of_half_blocks(), HalfBlocks(), mosaic(16)
    screen.feed(encoder.draw(picture, BOX))
    screen.feed(encoder.erase())
    assert (screen.pixels() == screen_of_half_blocks().pixels()).all()
    assert encoder.erase() == b""
    encoder.draw(picture, BOX)
    encoder.forget()
    screen.feed(encoder.update(picture, BOX, []))
    assert (screen.pixels() == expected(screen, picture, BOX)).all()
    assert encoder.canvas(80, 24) == (80, 48)

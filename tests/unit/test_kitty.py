"""Kitty's protocol, with placeholders and placed: a terminal that reads the bytes shows the picture."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.decoders import CELL, Screen
from tests.unit.pictures import BOX, expected, mosaic, palette, photograph, show
from tuivis.render.kitty import NUMBERS, PLACEHOLDER, KittyPlaceholders
from tuivis.render.kitty_placed import KittyPlaced
from tuivis.render.picture import Box, Encoder, Picture, Rect

ID = 0x0A0B0C
BIG = Box(0, 0, 100, 40)


def encoders() -> list[Encoder]:
    return [KittyPlaceholders(ID, CELL), KittyPlaceholders(ID, CELL, edits=False), KittyPlaced(ID, CELL)]


every = pytest.mark.parametrize("encoder", encoders(), ids=["edits", "no edits", "placed"])


def fresh(encoder: Encoder) -> Encoder:
    encoder.forget()
    return encoder


@every
@pytest.mark.parametrize(("colours", "scale"), [(256, 1), (256, 2), (16, 1), (16, 2)])
def test_draw_shows_the_picture_and_nothing_else(encoder: Encoder, colours: int, scale: int) -> None:
    screen, picture = Screen(), mosaic(colours, scale)
    show(screen, fresh(encoder), encoder.draw(picture, BOX))
    assert (screen.pixels() == expected(screen, picture)).all()
    assert screen.images.keys() == {ID}


@every
def test_update_shows_the_damage(encoder: Encoder) -> None:
    screen, before = Screen(), mosaic(256, 2)
    show(screen, fresh(encoder), encoder.draw(before, BOX))
    pixels = before.pixels.copy()
    pixels[15:30, 30:45] = 252
    pixels[100:119, 5] = 255
    after = replace(before, pixels=pixels)
    screen.feed(encoder.update(after, BOX, [Rect(30, 15, 15, 15), Rect(5, 100, 1, 19)]))
    assert (screen.pixels() == expected(screen, after)).all()
    assert encoder.update(after, BOX, []) == b""


@every
def test_a_picture_of_another_size_replaces_the_first(encoder: Encoder) -> None:
    screen = Screen()
    show(screen, fresh(encoder), encoder.draw(mosaic(256, 2), BOX))
    small = Picture(mosaic(256).pixels[:40, :70], palette(256), 3)
    show(screen, encoder, encoder.draw(small, BOX))
    assert (screen.pixels() == expected(screen, small)).all()
    assert screen.images.keys() == {ID}


@every
def test_erase_frees_the_terminal(encoder: Encoder) -> None:
    screen = Screen()
    show(screen, fresh(encoder), encoder.draw(mosaic(16), BOX))
    screen.feed(encoder.erase())
    assert not screen.images
    assert (screen.pixels() == Screen().pixels()).all()
    assert encoder.erase() == b""
    assert encoder.cells(0) is None


@every
def test_after_forget_an_update_transmits_everything(encoder: Encoder) -> None:
    picture = mosaic(16)
    fresh(encoder).draw(picture, BOX)
    encoder.forget()
    screen = Screen()
    show(screen, encoder, encoder.update(picture, BOX, [Rect(0, 0, 1, 1)]))
    assert (screen.pixels() == expected(screen, picture)).all()


@every
def test_chunks_are_within_the_protocol(encoder: Encoder) -> None:
    screen, picture = Screen(), mosaic(256, 2)
    data = fresh(encoder).draw(picture, BOX)
    data += encoder.update(picture, BOX, [Rect(0, 0, picture.width, picture.height)])
    screen.feed(data)
    assert screen.largest_chunk == 4096
    assert b"\n" not in data


def test_frame_edits_of_16_colours_fit_a_slow_link() -> None:
    encoder, picture = KittyPlaceholders(ID, CELL), mosaic(16, 2)
    encoder.draw(picture, BOX)
    edit = encoder.update(picture, BOX, [Rect(0, 0, picture.width, picture.height)])
    assert edit.startswith(b"\x1b_Ga=f,i=658188,r=1,x=0,y=0,s=420,v=240,q=2,f=100,m=1;")
    assert len(edit) < 15_500


def test_a_moved_selection_costs_a_few_bytes() -> None:
    encoder, picture = KittyPlaceholders(ID, CELL), mosaic(256, 3)
    encoder.draw(picture, BIG)
    pixels = picture.pixels.copy()
    pixels[0:15, 0] = 252
    assert len(encoder.update(replace(picture, pixels=pixels), BIG, [Rect(0, 0, 1, 15)])) < 250


def test_every_placeholder_tells_its_place() -> None:
    encoder = KittyPlaceholders(0x10203, CELL)
    encoder.draw(mosaic(16), BOX)
    for row in range(BOX.rows):
        cells = encoder.cells(row)
        assert cells
        text, colour = cells
        assert colour == 0x10203
        found = re.findall(f"{PLACEHOLDER}([^{PLACEHOLDER} ]+)", text)
        assert found == [NUMBERS[row] + NUMBERS[column] + NUMBERS[0] * (column == 0) for column in range(60)]
        assert " " not in text
    assert encoder.cells(BOX.rows) is None
    assert encoder.cells(-1) is None


def test_the_numbers_are_those_of_the_protocol() -> None:
    """Some lines of kitty's rowcolumn-diacritics.txt."""
    assert [ord(NUMBERS[n]) for n in (0, 1, 4, 100, 200, 296)] == [0x305, 0x30D, 0x312, 0x7EB, 0x20D4, 0x1D244]
    assert len(set(NUMBERS)) == 297


def test_a_pane_wider_than_the_numbers_reach_ends_in_blanks() -> None:
    encoder = KittyPlaceholders(1, CELL)
    assert encoder.canvas(400, 10) == (297 * 8, 170)
    data = encoder.draw(mosaic(16), Box(0, 0, 300, 9))
    cells = encoder.cells(0)
    assert b",c=297,r=9," in data
    assert cells
    assert cells[0].count(PLACEHOLDER) == 297
    assert cells[0].endswith(NUMBERS[296] + "   ")


def test_a_photograph_is_sent_small_and_shown_large() -> None:
    picture = replace(photograph(), scale=2)
    screen, encoder = Screen(), KittyPlaceholders(ID, CELL)
    data = encoder.draw(picture, BOX)
    show(screen, encoder, data)
    error = np.abs(screen.pixels().astype(int) - expected(screen, picture))
    assert error.mean() < 3
    assert len(data) < 16_000


def test_a_picture_larger_than_its_box_is_refused() -> None:
    for encoder in encoders():
        with pytest.raises(AssertionError):
            encoder.draw(mosaic(16, 4), BOX)

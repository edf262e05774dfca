"""Kitty's protocol, with placeholders and placed: a terminal that reads the bytes shows the picture."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.decoders import CELL, Screen
from tests.unit.pictures import BOX, activations, expected, mosaic, palette, photograph, show
from tuivis.render import colormap
from tuivis.render.damage import difference
from tuivis.render.kitty import NUMBERS, PLACEHOLDER, KittyPlaceholders
from tuivis.render.kitty_placed import KittyPlaced
from tuivis.render.mosaic import mark
from tuivis.render.overlay import layered
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
    assert screen.images.keys() <= {ID, ID + 1}


@every
def test_a_picture_stays_until_another_one_is_there(encoder: Encoder) -> None:
    screen, pictures = Screen(), [mosaic(16, 2), mosaic(256, 2), mosaic(16), mosaic(32, 2)]
    show(screen, fresh(encoder), encoder.draw(pictures[0], BOX))
    for before, after in pairwise(pictures):
        old, new = expected(screen, before), expected(screen, after)
        for done in screen.steps(encoder.draw(after, BOX)):
            # A row of text is of one picture once it has been repeated to its end.
            if done.startswith(b"\x1b_G") or done.endswith(b"b"):
                shown = screen.pixels()
                assert ((shown == old) | (shown == new)).all()
        # Its text is there, too, though nobody else has written any.
        assert (shown == new).all()
    screen.feed(encoder.erase())
    assert not screen.images


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


@pytest.mark.parametrize(("columns", "rows", "most"), [(1, 0, 300), (0, 1, 300), (-2, 3, 400), (9, 6, 600)])
def test_a_moved_selection_costs_a_few_bytes(columns: int, rows: int, most: int) -> None:
    encoder, plain, screen = KittyPlaceholders(ID, CELL), mosaic(256, 3), Screen(120, 50)
    before, after = plain.pixels.copy(), plain.pixels.copy()
    mark(before, Rect(44, 14, 16, 16), 252)
    mark(after, Rect(44 + 15 * columns, 14 + 15 * rows, 16, 16), 252)
    show(screen, encoder, encoder.draw(replace(plain, pixels=before), BIG), BIG)
    moved = replace(plain, pixels=after)
    data = encoder.update(moved, BIG, difference(replace(plain, pixels=before), moved) or [])
    screen.feed(data)
    assert (screen.pixels() == expected(screen, moved, BIG)).all()
    assert len(data) < most


def heated(unit: int, base: Picture | None = None) -> Picture:
    """Return the map of a unit, normalised by itself, over a photograph of 224 x 224 (or `base`)."""
    levels = activations()[unit].astype(int)
    levels = (levels - levels.min()) * 250 // np.ptp(levels)
    palette = colormap.palette("ember", 16, 1.0, colormap.CHROMES["dark"])
    pixels = np.pad(photograph().pixels, ((62, 62), (37, 37), (0, 0)), "wrap") if base is None else base.pixels
    return layered(pixels, colormap.coarsen(levels.astype(np.uint8), 16), palette)


def near(screen: Screen, picture: Picture) -> bool:
    """Say whether the screen shows the picture, but for the colours that a PNG of a photograph reduces."""
    error = np.abs(screen.pixels().astype(int) - expected(screen, picture))
    return bool(error.mean() < 1 and error.max() < 40)


@every
def test_heat_follows_the_unit(encoder: Encoder) -> None:
    screen = Screen()
    show(screen, fresh(encoder), encoder.draw(heated(0), BOX))
    assert near(screen, heated(0))
    for unit in (5, 100, 7):
        screen.feed(encoder.update(heated(unit), BOX, [Rect(0, 0, 224, 224)]))
        assert near(screen, heated(unit))
        assert not near(screen, heated(unit + 1))


def test_heat_is_sent_without_what_lies_under_it() -> None:
    encoder = KittyPlaceholders(ID, CELL)
    encoder.draw(heated(0), BOX)
    for unit in range(1, 112, 10):
        assert len(encoder.update(heated(unit), BOX, [Rect(0, 0, 224, 224)])) < 900


def test_the_shown_frame_changes_once_for_new_heat() -> None:
    encoder = KittyPlaceholders(ID, CELL)
    encoder.draw(heated(0), BOX)
    data = encoder.update(heated(1), BOX, [Rect(0, 0, 224, 224)])
    commands = [
        dict(pair.split("=") for pair in keys.split(",")) for keys in re.findall(r"_G([^;\x1b]*)", data.decode())
    ]
    shown = [keys for keys in commands if (keys["r"] if keys["a"] == "f" else keys["c"]) == "1"]
    assert shown == commands[-1:]


@every
def test_heat_over_another_picture(encoder: Encoder) -> None:
    screen, other = Screen(), heated(3, Picture(np.full((224, 224, 3), 200, np.uint8)))
    show(screen, fresh(encoder), encoder.draw(heated(3), BOX))
    screen.feed(encoder.update(other, BOX, [Rect(0, 0, 224, 224)]))
    assert near(screen, other)
    again = replace(other, heat=heated(9).heat)
    screen.feed(encoder.update(again, BOX, [Rect(0, 0, 224, 224)]))
    assert near(screen, again)


@every
def test_heat_goes_and_comes(encoder: Encoder) -> None:
    screen, bare = Screen(), replace(heated(3), heat=None)
    show(screen, fresh(encoder), encoder.draw(heated(3), BOX))
    show(screen, encoder, encoder.draw(bare, BOX))
    assert near(screen, bare)
    show(screen, encoder, encoder.draw(heated(4), BOX))
    assert near(screen, heated(4))
    assert screen.images.keys() <= {ID, ID + 1}


def test_the_first_placeholder_of_a_row_tells_the_place_of_all() -> None:
    encoder = KittyPlaceholders(0x10203, CELL)
    encoder.draw(mosaic(16), BOX)
    for row in range(BOX.rows):
        assert encoder.cells(row) == (PLACEHOLDER + NUMBERS[row] + NUMBERS[0] * 2 + PLACEHOLDER * 59, 0x10203)
    assert encoder.cells(BOX.rows) is None
    assert encoder.cells(-1) is None


def test_the_numbers_are_those_of_the_protocol() -> None:
    """Some lines of kitty's rowcolumn-diacritics.txt."""
    assert [ord(NUMBERS[n]) for n in (0, 1, 4, 100, 200, 296)] == [0x305, 0x30D, 0x312, 0x7EB, 0x20D4, 0x1D244]
    assert len(set(NUMBERS)) == 297


def test_a_pane_wider_than_the_numbers_reach_ends_in_blanks() -> None:
    encoder = KittyPlaceholders(2, CELL)
    assert encoder.canvas(400, 10) == (297 * 8, 170)
    data = encoder.draw(mosaic(16), Box(0, 0, 300, 9))
    cells = encoder.cells(0)
    assert b",c=297,r=9," in data
    assert cells
    assert cells[0].count(PLACEHOLDER) == 297
    assert cells[0].endswith(PLACEHOLDER + "   ")


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

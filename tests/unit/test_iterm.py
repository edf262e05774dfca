"""iTerm2's inline images: a terminal that reads the bytes shows the picture."""

from dataclasses import replace

import pytest

from tests.decoders import CELL, Screen
from tests.unit.pictures import BOX, expected, mosaic, palette
from tuivis.render.iterm import ITerm
from tuivis.render.picture import Picture, Rect


@pytest.mark.parametrize(("colours", "scale"), [(256, 1), (256, 2), (16, 2)])
def test_draw_shows_the_picture_and_nothing_else(colours: int, scale: int) -> None:
    screen, picture = Screen(), mosaic(colours, scale)
    data = ITerm(CELL).draw(picture, BOX)
    screen.feed(data)
    assert (screen.pixels() == expected(screen, picture)).all()
    assert b"\n" not in data


def test_update_shows_the_new_picture() -> None:
    screen, encoder, before = Screen(), ITerm(CELL), mosaic(256, 2)
    screen.feed(encoder.draw(before, BOX))
    after = replace(before, pixels=before.pixels[::-1].copy())
    screen.feed(encoder.update(after, BOX, [Rect(0, 0, after.width, after.height)]))
    assert (screen.pixels() == expected(screen, after)).all()
    assert encoder.update(after, BOX, []) == b""


def test_a_smaller_picture_leaves_nothing_of_the_first() -> None:
    screen, encoder = Screen(), ITerm(CELL)
    screen.feed(encoder.draw(mosaic(256, 2), BOX))
    # The second covers as many cells as the first, but three pixels less.
    for small in (
        Picture(mosaic(256).pixels[:, :209], palette(256), 2),
        Picture(mosaic(256).pixels[:40], palette(256)),
    ):
        screen.feed(encoder.draw(small, BOX))
        assert (screen.pixels() == expected(screen, small)).all()


def test_erase_writes_blanks_over_the_cells_of_the_picture_only() -> None:
    screen, encoder, picture = Screen(), ITerm(CELL), mosaic(256, 2)
    screen.feed(encoder.draw(picture, BOX))
    screen.feed(encoder.erase())
    assert (screen.pixels() == Screen().pixels()).all()
    columns, rows = picture.cover(CELL)
    for row in range(screen.rows):
        blanks = columns if BOX.row <= row < BOX.row + rows else 0
        assert screen.text(row) == "x" * BOX.column + " " * blanks + "x" * (screen.columns - BOX.column - blanks)
    assert encoder.erase() == b""


def test_a_pane_that_moved_clears_nothing_outside() -> None:
    screen, encoder, small = Screen(), ITerm(CELL), Picture(mosaic(256).pixels[:40, :60], palette(256))
    screen.feed(encoder.draw(small, BOX))
    data = encoder.draw(small, BOX._replace(column=BOX.column + 4, row=BOX.row + 1))
    # The first picture covers columns 3 .. 10 and rows 2 .. 4, the box begins at column 7 and row 3.
    assert data.startswith(b"\x1b7\x1b[m\x1b[4;8H    \x1b[5;8H    \x1b8\x1b7")
    assert b" " not in encoder.draw(small, BOX._replace(row=12))

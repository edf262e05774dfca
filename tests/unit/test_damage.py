"""Few rectangles that hold every changed pixel."""

from dataclasses import replace

import numpy as np
import pytest

from tuivis.render.damage import difference
from tuivis.render.mosaic import mark
from tuivis.render.picture import Heat, Picture, Rect

PALETTE = np.arange(768, dtype=np.uint8).reshape(256, 3)


def picture(pixels: np.ndarray) -> Picture:
    return Picture(pixels, PALETTE)


def patched(before: np.ndarray, after: np.ndarray, rects: list[Rect]) -> np.ndarray:
    result = before.copy()
    for x, y, width, height in rects:
        result[y : y + height, x : x + width] = after[y : y + height, x : x + width]
    return result


@pytest.mark.parametrize("seed", range(20))
def test_the_rectangles_hold_every_change(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 250, (60, 90), dtype=np.uint8)
    after = before.copy()
    for _ in range(rng.integers(1, 4)):
        y, x = rng.integers(0, 50), rng.integers(0, 80)
        after[y : y + rng.integers(1, 10), x : x + rng.integers(1, 10)] ^= 1
    rects = difference(picture(before), picture(after))
    assert rects is not None
    assert (patched(before, after, rects) == after).all()


def test_equal_pictures_differ_nowhere() -> None:
    pixels = np.zeros((10, 10), np.uint8)
    assert difference(picture(pixels), picture(pixels.copy())) == []


def test_a_moved_frame_is_thin_sides() -> None:
    plain = np.zeros((60, 60), np.uint8)
    before, after = plain.copy(), plain.copy()
    mark(before, Rect(0, 0, 16, 16), 252)
    mark(after, Rect(30, 30, 16, 16), 252)
    rects = difference(picture(before), picture(after))
    assert rects is not None
    assert (patched(before, after, rects) == after).all()
    assert sum(rect.width * rect.height for rect in rects) == 2 * 60


@pytest.mark.parametrize(("dx", "dy"), [(15, 0), (0, 15)])
def test_a_frame_that_moves_to_the_next_tile_is_its_lines_and_nothing_inside(dx: int, dy: int) -> None:
    plain = np.random.default_rng(0).integers(0, 250, (60, 60), np.uint8)
    before, after = plain.copy(), plain.copy()
    mark(before, Rect(10, 10, 16, 16), 252)
    mark(after, Rect(10 + dx, 10 + dy, 16, 16), 252)
    rects = difference(picture(before), picture(after))
    assert rects is not None
    assert (patched(before, after, rects) == after).all()
    # The side that both frames share stays.
    assert sum(rect.width * rect.height for rect in rects) == 2 * (60 - 16)


def test_everything_changed_is_one_rectangle() -> None:
    before = np.zeros((20, 30), np.uint8)
    assert difference(picture(before), picture(before + 1)) == [Rect(0, 0, 30, 20)]


def test_heat_differs_where_it_shows_differently() -> None:
    heat = Heat(np.zeros((20, 30), np.uint8), np.array([[255, 0, 0, 0], [255, 0, 0, 90], [0, 0, 0, 0]], np.uint8))
    photograph = np.full((20, 30, 3), 100, np.uint8)
    before = Picture(photograph, heat=heat)
    levels = heat.levels.copy()
    levels[4:9, 7:10] = 1
    levels[15:18, 20:26] = 2
    after = Picture(photograph.copy(), heat=replace(heat, levels=levels))
    assert difference(before, after) == [Rect(7, 4, 3, 5)]
    assert difference(before, Picture(photograph)) is None
    assert difference(Picture(photograph), after) is None


def test_another_palette_or_size_is_another_picture() -> None:
    pixels = np.zeros((4, 4), np.uint8)
    assert difference(picture(pixels), Picture(pixels, PALETTE[::-1].copy())) is None
    assert difference(picture(pixels), picture(np.zeros((4, 5), np.uint8))) is None
    assert difference(picture(pixels), Picture(pixels, PALETTE, scale=2)) is None

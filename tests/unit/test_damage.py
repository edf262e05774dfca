"""Few rectangles that hold every changed pixel."""

import numpy as np
import pytest

from tuivis.render.damage import difference
from tuivis.render.mosaic import mark
from tuivis.render.picture import Picture, Rect

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


def test_everything_changed_means_the_whole_picture() -> None:
    before = np.zeros((20, 20), np.uint8)
    assert difference(picture(before), picture(before + 1)) is None


def test_another_palette_or_size_means_the_whole_picture() -> None:
    pixels = np.zeros((4, 4), np.uint8)
    assert difference(picture(pixels), Picture(pixels, PALETTE[::-1].copy())) is None
    assert difference(picture(pixels), picture(np.zeros((4, 5), np.uint8))) is None
    assert difference(picture(pixels), Picture(pixels, PALETTE, scale=2)) is None

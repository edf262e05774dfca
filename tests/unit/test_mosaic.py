"""Where the tiles lie, and what the composed picture holds."""

import numpy as np
import pytest

from tuivis.render.colormap import GUTTER, SELECTED
from tuivis.render.mosaic import Layout, compose, fit, mark


@pytest.mark.parametrize("units", [1, 2, 7, 64, 112, 1000, 2048])
@pytest.mark.parametrize("map_size", [(1, 1), (1, 7), (7, 7), (14, 14), (14, 28), (56, 56), (112, 112), (500, 300)])
@pytest.mark.parametrize("canvas", [(34, 28), (110, 70), (340, 420), (1000, 540), (1600, 1100)])
def test_every_tile_lies_inside_the_canvas_and_on_its_own(
    units: int, map_size: tuple[int, int], canvas: tuple[int, int]
) -> None:
    layout = fit(units, map_size, canvas, smallest=6)
    assert layout.size[0] * layout.scale <= canvas[0]
    assert layout.size[1] * layout.scale <= canvas[1]
    assert layout.page >= 1
    assert layout.height <= map_size[0] and layout.width <= map_size[1]
    last = layout.frame(min(layout.page, units) - 1)
    assert last.x + last.width <= layout.size[0]
    assert last.y + last.height <= layout.size[1]
    assert layout.total_rows * layout.columns >= units


def test_tiles_grow_by_whole_numbers_while_all_fit() -> None:
    layout = fit(112, (14, 14), (1000, 540), smallest=24)
    assert (layout.height, layout.width, layout.scale) == (14, 14, 4)
    assert layout.page >= 112


def test_what_crosses_the_pipe_is_bounded_by_the_canvas() -> None:
    for units, map_size in ((64, (112, 112)), (2048, (7, 7)), (1000, (1, 1)), (4096, (56, 56))):
        layout = fit(units, map_size, (400, 300), smallest=24)
        assert layout.page * layout.height * layout.width <= 400 * 300


def test_a_part_of_a_page_has_fewer_rows_of_the_same_tiles_where_they_were() -> None:
    layout = fit(112, (14, 14), (450, 540), 6)
    for parts in (2, 4):
        part = layout.part(parts)
        assert part.rows == -(-layout.rows // parts)
        assert part.page < layout.page and part.units == layout.units
        assert [part.frame(slot) for slot in range(part.page)] == [layout.frame(slot) for slot in range(part.page)]
    assert layout.part(1) == layout
    assert fit(1, (14, 14), (450, 540), 6).part(4).page == 1


def test_large_maps_shrink_and_keep_their_aspect() -> None:
    layout = fit(64, (112, 224), (900, 700), smallest=24)
    assert layout.page >= 64
    assert layout.width == pytest.approx(2 * layout.height, abs=2)


def test_a_vector_is_drawn_as_three_by_three() -> None:
    assert fit(1000, (1, 1), (110, 70), smallest=6).zoom == 3


def test_a_layer_that_does_not_fit_has_pages_of_the_smallest_tiles() -> None:
    layout = fit(256, (56, 56), (110, 70), smallest=6)
    assert layout.page < 256
    assert layout.height == 6
    assert layout.total_rows > layout.rows


def example(count: int) -> tuple[np.ndarray, Layout]:
    layout = Layout(columns=3, rows=2, height=2, width=2, zoom=1, scale=1, left=1, top=0, size=(12, 8), units=6)
    levels = np.arange(1, count + 1, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2)
    return levels, layout


def test_compose_puts_each_tile_in_its_slot() -> None:
    levels, layout = example(5)
    picture = compose(levels, layout)
    assert picture.shape == (8, 12)
    for slot in range(5):
        frame = layout.frame(slot)
        inside = picture[frame.y + 1 : frame.y + 3, frame.x + 1 : frame.x + 3]
        assert (inside == slot + 1).all()
    tiles = picture < GUTTER
    assert tiles.sum() == 5 * 4
    assert (picture[~tiles] == GUTTER).all()


def test_zoom_repeats_values() -> None:
    layout = fit(4, (1, 1), (40, 40), smallest=3)
    picture = compose(np.array([[[1]], [[2]], [[3]], [[4]]], np.uint8), layout)
    assert [(picture == value).sum() for value in (1, 2, 3, 4)] == [9, 9, 9, 9]


def test_mark_draws_the_border_of_one_tile() -> None:
    levels, layout = example(6)
    before = compose(levels, layout)
    picture = before.copy()
    mark(picture, layout.frame(4), SELECTED)
    assert (picture == SELECTED).sum() == 12
    assert (picture[picture != SELECTED] == before[picture != SELECTED]).all()
    frame = layout.frame(4)
    assert (picture[frame.y + 1 : frame.y + 3, frame.x + 1 : frame.x + 3] == 5).all()


def test_slot_at_is_the_inverse_of_frame() -> None:
    layout = fit(112, (14, 14), (1000, 540), smallest=24)
    for slot in range(112):
        frame = layout.frame(slot)
        x, y = (frame.x + frame.width // 2) * layout.scale, (frame.y + frame.height // 2) * layout.scale
        assert layout.slot_at(x, y) == slot
    assert layout.slot_at(999, 539) is None or layout.left == 0

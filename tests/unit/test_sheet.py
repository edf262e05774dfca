from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tuivis.render import colormap, sheet

PALETTE = colormap.palette("ember", 256, 1.0, colormap.CHROMES["dark"])
HEADING = ["net  layer", "2 units of 1 x 2"]


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


def blocks_of(image: Image.Image, level: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the image has the colour of `level`."""
    rows, columns = np.nonzero((pixels(image) == PALETTE[level]).all(2))
    return rows, columns


def test_levels_are_linear_over_the_whole_layer() -> None:
    values = np.array([[[-1.0, 0.0]], [[1.5, 4.0]]], np.float32)
    quantised = sheet.quantise(values)
    assert quantised.levels.tolist() == [[[0, 50]], [[125, 250]]]
    assert (quantised.low, quantised.high) == (-1.0, 4.0)


def test_what_is_not_finite_has_its_own_level_and_does_not_stretch_the_range() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf, 2.0, 4.0]]], np.float32)
    quantised = sheet.quantise(values)
    assert quantised.levels.tolist() == [[[colormap.NAN, colormap.INFINITE, colormap.INFINITE, 0, 250]]]
    assert (quantised.low, quantised.high) == (2.0, 4.0)


def test_a_layer_without_a_finite_value_has_no_range() -> None:
    quantised = sheet.quantise(np.full((2, 1, 1), np.nan, np.float32))
    assert (quantised.low, quantised.high) == (None, None)
    image = sheet.mosaic_sheet(quantised, "ember", HEADING)
    assert len(blocks_of(image, colormap.NAN)[0]) > 100


def test_a_constant_layer_has_the_lowest_level() -> None:
    assert sheet.quantise(np.full((1, 2, 2), 3.0, np.float32)).levels.tolist() == [[[0, 0], [0, 0]]]


def test_tiles_lie_row_by_row_at_a_whole_number_scale() -> None:
    # Four tiles of 2 x 2; every pixel of every tile has a level that is found nowhere else but in the colour bar.
    levels = (np.arange(16, dtype=np.uint8) * 15 + 7).reshape(4, 2, 2)
    image = sheet.mosaic_sheet(sheet.Quantised(levels, 0.0, 1.0), "ember", HEADING)
    corners, sizes = {}, set()
    for level in levels.flat:
        ys, xs = blocks_of(image, int(level))
        above_the_bar = ys < image.height - 70
        ys, xs = ys[above_the_bar], xs[above_the_bar]
        corners[int(level)] = int(ys.min()), int(xs.min())
        sizes.add((int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1))
        assert len(ys) == (np.ptp(ys) + 1) * (np.ptp(xs) + 1)
    assert len(sizes) == 1
    side = sizes.pop()[0]
    assert side > 100
    for tile in levels:
        top, left = corners[int(tile[0, 0])]
        assert corners[int(tile[0, 1])] == (top, left + side)
        assert corners[int(tile[1, 0])] == (top + side, left)
    firsts = [corners[int(tile[0, 0])] for tile in levels]
    assert firsts == sorted(firsts)
    assert len(set(firsts)) == 4


@pytest.mark.parametrize(
    ("shape", "most"),
    [((1000, 1, 1), 1800), ((112, 14, 14), 1800), ((32, 112, 112), 1800), ((1, 1, 1), 1800), ((64, 150, 300), 3200)],
)
def test_every_unit_has_its_tile_and_the_sheet_a_sensible_size(shape: tuple[int, int, int], most: int) -> None:
    units = shape[0]
    # One pixel of each tile is not finite, and not black on the sheet: as many blocks as units, all of one size.
    levels = np.zeros(shape, np.uint8)
    levels[:, 0, 0] = colormap.NAN
    image = sheet.mosaic_sheet(sheet.Quantised(levels, 0.0, 1.0), "ember", HEADING)
    ys, _ = blocks_of(image, colormap.NAN)
    in_tiles = np.count_nonzero(ys < image.height - 70)
    area, rest = divmod(in_tiles, units)
    assert rest == 0
    assert area >= 1
    assert round(area**0.5) ** 2 == area
    assert 480 < max(image.size) <= most


def test_large_maps_keep_a_pixel_for_each_value() -> None:
    levels = np.random.default_rng(0).integers(0, 251, (20, 500, 500), np.uint8)
    image = sheet.mosaic_sheet(sheet.Quantised(levels, 0.0, 1.0), "ember", HEADING)
    expected = PALETTE[levels[0]]
    found = pixels(image)
    ys, xs = np.nonzero((found[:200, :200] == expected[0, 0]).all(2))
    assert any(np.array_equal(found[y : y + 500, x : x + 500], expected) for y, x in zip(ys, xs, strict=True))


def test_units_are_numbered_where_the_number_fits() -> None:
    few = sheet.mosaic_sheet(sheet.Quantised(np.zeros((9, 8, 8), np.uint8), 0.0, 1.0), "ember", HEADING)
    many = sheet.mosaic_sheet(sheet.Quantised(np.zeros((10_000, 3, 3), np.uint8), 0.0, 1.0), "ember", HEADING)

    def ink_over_the_first_tile(image: Image.Image) -> bool:
        ys, xs = blocks_of(image, 0)
        top, left = ys.min(), xs[ys == ys.min()].min()
        strip = pixels(image)[top - 14 : top, left : left + 12]
        return bool((strip.max(2) > 100).any())

    assert ink_over_the_first_tile(few)
    assert not ink_over_the_first_tile(many)


def test_the_colour_bar_runs_from_the_lowest_to_the_highest_colour() -> None:
    image = sheet.mosaic_sheet(sheet.Quantised(np.full((4, 2, 2), 100, np.uint8), -2.0, 3.0), "ember", HEADING)
    lowest, highest = blocks_of(image, 0), blocks_of(image, 250)
    assert len(lowest[0]) >= 16
    assert len(highest[0]) >= 16
    assert lowest[1].max() < highest[1].min()


def test_a_long_heading_is_cut_at_the_edge() -> None:
    quantised = sheet.Quantised(np.zeros((2, 2, 2), np.uint8), 0.0, 1.0)
    short = sheet.mosaic_sheet(quantised, "ember", HEADING)
    long = sheet.mosaic_sheet(quantised, "ember", ["m" * 500, "n" * 500])
    assert long.size == short.size
    assert (pixels(long)[:40].max(2) > 200).sum() > 3 * (pixels(short)[:40].max(2) > 200).sum()


def test_a_units_sheet_shows_input_map_and_overlay() -> None:
    seen = np.full((100, 100, 3), (10, 200, 30), np.uint8)
    levels = np.array([[[0, 250], [125, 125]]], np.uint8)
    image = sheet.unit_sheet(seen, sheet.Quantised(levels, 0.0, 2.0), "ember", HEADING)
    assert (pixels(image) == (10, 200, 30)).all(2).sum() == 400 * 400
    for level, cells in ((0, 1), (250, 1), (125, 2)):
        ys, _ = blocks_of(image, level)
        assert np.count_nonzero(ys < image.height - 70) == cells * 200 * 200
    grey = 0.55 * (0.2126 * 10 + 0.7152 * 200 + 0.0722 * 30)
    assert (pixels(image) == round(grey)).all(2).sum() == 200 * 200


def test_a_unit_of_a_vector_shows_the_input_alone() -> None:
    seen = np.full((100, 100, 3), (10, 200, 30), np.uint8)
    image = sheet.unit_sheet(seen, sheet.Quantised(np.full((1, 1, 1), 250, np.uint8), 0.0, 2.0), "ember", HEADING)
    assert (pixels(image) == (10, 200, 30)).all(2).sum() == 400 * 400
    assert len(blocks_of(image, 250)[0]) == 0

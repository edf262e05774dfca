from collections.abc import Callable

import numpy as np
import pytest

from tests.decoders import CELL
from tuivis.render.ascii import Ascii
from tuivis.render.blocks import HalfBlocks
from tuivis.render.colormap import CHROMES, INFINITE, NAN, coarsen, palette
from tuivis.render.iterm import ITerm
from tuivis.render.kitty import KittyPlaceholders
from tuivis.render.kitty_placed import KittyPlaced
from tuivis.render.overlay import fit, layered, overlay
from tuivis.render.picture import Box, Encoder, Picture, Rect
from tuivis.render.sixel import Sixel

EMBER = palette("ember", 256, 1.0, CHROMES["dark"])
NOISE = np.random.default_rng(5).integers(0, 256, (30, 45, 3), np.uint8)


def test_a_cell_is_a_block() -> None:
    levels = np.array([[250, 0], [0, 250]], np.uint8)
    flat = np.full((6, 8, 3), 200, np.uint8)
    laid = overlay(flat, levels, EMBER)
    for rows, columns in [(slice(0, 3), slice(0, 4)), (slice(3, 6), slice(4, 8))]:
        assert (laid[rows, columns] == laid[0, 0]).all()
        assert (laid[rows, columns] != laid[0, 7]).any()
    assert (laid[0:3, 4:8] == laid[5, 0]).all()


def test_borders_where_the_ratio_is_not_whole() -> None:
    levels = np.array([[NAN, INFINITE, NAN]], np.uint8)
    laid = overlay(np.zeros((1, 10, 3), np.uint8), levels, EMBER)[0]
    # The centres .5 ... 9.5 of ten pixels, among three cells of 10 / 3 pixels.
    cells = [int((x + 0.5) * 3 / 10) for x in range(10)]
    assert [tuple(pixel) for pixel in laid] == [tuple(EMBER[levels[0, cell]]) for cell in cells]
    assert cells == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_a_map_finer_than_the_picture() -> None:
    levels = np.full((100, 100), NAN, np.uint8)
    assert (overlay(NOISE, levels, EMBER) == EMBER[NAN]).all()


def test_level_zero_shows_the_input_grey_and_dimmed() -> None:
    laid = overlay(NOISE, np.zeros((3, 3), np.uint8), EMBER).astype(int)
    assert (laid[..., 0] == laid[..., 1]).all()
    assert (laid[..., 1] == laid[..., 2]).all()
    luma = NOISE @ np.array([0.2126, 0.7152, 0.0722])
    assert np.corrcoef(laid[..., 0].ravel(), luma.ravel())[0, 1] > 0.999
    assert (laid[..., 0] <= luma * 0.6 + 1).all()


def test_the_map_is_kept_apart_from_the_picture() -> None:
    """Whoever lays the heat over the pixels gets the overlay, to half a level of rounding."""
    levels = np.random.default_rng(1).integers(0, 256, (7, 9), np.uint8)
    picture = layered(NOISE, levels, EMBER)
    other = layered(NOISE, levels[::-1], EMBER)
    assert picture.heat
    colours = picture.heat.palette[picture.heat.levels].astype(float)
    share = colours[..., 3:] / 255
    mixed = picture.pixels * (1 - share) + colours[..., :3] * share
    assert np.abs(overlay(NOISE, levels, EMBER) - mixed).max() <= 0.501
    assert (picture.pixels == other.pixels).all()
    assert (picture.rgb() != other.rgb()).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sixel(CELL),
        lambda: ITerm(CELL),
        lambda: KittyPlaced(2, CELL),
        lambda: KittyPlaceholders(2, CELL, edits=False),
        HalfBlocks,
        Ascii,
    ],
)
def test_a_terminal_without_layers_gets_the_overlay(make: Callable[[], Encoder]) -> None:
    picture, box = layered(NOISE, np.arange(63, dtype=np.uint8).reshape(7, 9) * 4, EMBER), Box(0, 0, 60, 40)
    assert make().draw(picture, box) == make().draw(Picture(picture.rgb()), box)


def test_a_part_of_a_picture_has_its_part_of_the_heat() -> None:
    picture = layered(NOISE, np.arange(63, dtype=np.uint8).reshape(7, 9) * 4, EMBER)
    assert (picture.crop(Rect(11, 3, 20, 9)).rgb() == picture.rgb()[3:12, 11:31]).all()


def test_opacity_grows_with_the_level() -> None:
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    seen_through = []
    for level in range(251):
        levels = np.array([[level]], np.uint8)
        seen_through.append(int(overlay(white, levels, EMBER)[0, 0, 0]) - int(overlay(black, levels, EMBER)[0, 0, 0]))
    assert (np.diff(seen_through) <= 1).all()
    assert seen_through[0] > 6 * seen_through[-1] > 0


@pytest.mark.parametrize("size", [256, 32, 16])
def test_no_value_covers_the_picture_in_its_own_colour(size: int) -> None:
    colours = palette("dusk", size, 1.0, CHROMES["dark"])
    levels = coarsen(np.array([[NAN, INFINITE]], np.uint8), size)
    laid = overlay(NOISE[:, :44], levels, colours)
    assert (laid[:, :22] == CHROMES["dark"].nan).all()
    assert (laid[:, 22:] == CHROMES["dark"].infinite).all()


def test_fit_averages_areas() -> None:
    small = fit(NOISE, 15, 100)
    assert small.shape == (10, 15, 3)
    assert np.abs(small - NOISE.reshape(10, 3, 15, 3, 3).mean(axis=(1, 3))).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(44, 99), (45, 29), (7, 7), (1, 1), (3, 1000)])
def test_fit_stays_inside_and_keeps_the_aspect(width: int, height: int) -> None:
    h, w, _ = fit(NOISE, width, height).shape
    assert 1 <= h <= height
    assert 1 <= w <= width
    assert w == width or h == height
    assert abs(h - w * 30 / 45) <= 1


@pytest.mark.parametrize(("width", "height", "factor"), [(45, 30, 1), (89, 300, 1), (90, 60, 2), (200, 95, 3)])
def test_fit_grows_by_a_whole_factor(width: int, height: int, factor: int) -> None:
    large = fit(NOISE, width, height)
    assert large.shape == (30 * factor, 45 * factor, 3)
    assert (large[::factor, ::factor] == NOISE).all()
    assert (large[factor - 1 :: factor, factor - 1 :: factor] == NOISE).all()

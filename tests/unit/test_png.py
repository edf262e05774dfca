"""PNG files: what Pillow reads in them is what was meant, and they are small."""

import numpy as np
import pytest

from tests.decoders import decode_png
from tests.unit.pictures import activations, mosaic, palette, photograph, scaled
from tuivis.render import png
from tuivis.render.picture import CellSize, Heat, Picture


def base64_size(data: bytes) -> int:
    return -(-len(data) // 3) * 4


def noise(colours: int, height: int = 23, width: int = 31) -> Picture:
    rng = np.random.default_rng(colours)
    table = rng.permutation(256)[:colours, None] * np.array([[1, 0, 0]]) + rng.integers(0, 256, (colours, 3)) * [
        0,
        1,
        1,
    ]
    return Picture(rng.integers(0, colours, (height, width)).astype(np.uint8), table.astype(np.uint8))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("colours", [1, 2, 3, 4, 11, 16, 17, 100, 255, 256])
def test_pixels_survive(colours: int, scale: int) -> None:
    picture = noise(colours)
    meant = picture.rgb().repeat(scale, axis=0).repeat(scale, axis=1)
    read = decode_png(png.encode(picture, scale))
    assert (read[..., :3] == meant).all()
    assert (read[..., 3] == 255).all()


@pytest.mark.parametrize(("colours", "bits"), [(2, 1), (4, 2), (16, 4), (17, 8), (256, 8)])
def test_as_few_bits_as_the_colours_need(colours: int, bits: int) -> None:
    picture = Picture(np.arange(colours, dtype=np.uint8).repeat(3).reshape(1, -1), noise(colours).palette)
    header = png.encode(picture, 1)[8:33]
    assert header[4:8] == b"IHDR"
    assert header[16:18] == bytes([bits, 3])


def test_colours_that_are_not_used_cost_nothing() -> None:
    few = Picture(np.eye(20, dtype=np.uint8) * 200, palette(256))
    assert png.encode(few, 1)[24] == 1
    assert (decode_png(png.encode(few, 2))[..., :3] == scaled(Picture(few.pixels, few.palette, 2))).all()


@pytest.mark.parametrize("colours", [2, 16, 200])
def test_the_rest_of_a_larger_file_is_transparent(colours: int) -> None:
    picture = noise(colours)
    read = decode_png(png.encode(picture, 3, (100, 90)))
    assert read.shape == (90, 100, 4)
    assert (read[:69, :93, :3] == picture.rgb().repeat(3, axis=0).repeat(3, axis=1)).all()
    assert (read[:69, :93, 3] == 255).all()
    assert not read[69:, :, 3].any()
    assert not read[:, 93:, 3].any()


def test_with_all_colours_in_use_the_rest_is_opaque() -> None:
    picture = Picture(np.arange(256, dtype=np.uint8).reshape(16, 16), palette(256))
    read = decode_png(png.encode(picture, 1, (20, 18)))
    assert (read[:16, :16, :3] == picture.rgb()).all()
    assert (read[..., 3] == 255).all()


@pytest.mark.parametrize("colours", [1, 3, 15, 16, 255])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_what_is_not_shown_is_transparent(colours: int, scale: int) -> None:
    picture = noise(colours)
    shown = np.random.default_rng(9).random((23, 31)) < 0.1
    read = decode_png(png.encode(picture, scale, shown=shown))[::scale, ::scale]
    assert (read[shown, :3] == picture.rgb()[shown]).all()
    assert (read[..., 3] == np.where(shown, 255, 0)).all()


def test_with_all_colours_shown_the_others_are_the_pictures() -> None:
    picture = Picture(np.arange(320).astype(np.uint8).reshape(16, 20), palette(256))
    shown = np.arange(320).reshape(16, 20) < 256
    read = decode_png(png.encode(picture, 1, shown=shown))
    assert (read[..., :3] == picture.rgb()).all()
    assert (read[..., 3] == 255).all()


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("size", [3, 16, 32, 256])
def test_heat_keeps_its_colours_and_opacity(size: int, scale: int) -> None:
    rng = np.random.default_rng(size)
    heat = Heat(rng.integers(0, size, (19, 26)).astype(np.uint8), rng.integers(0, 256, (size, 4), np.uint8))
    read = decode_png(png.encode_heat(heat, scale))
    assert (read == heat.palette[heat.levels].repeat(scale, axis=0).repeat(scale, axis=1)).all()


def test_a_photograph_keeps_its_looks_in_a_quarter_of_the_bytes() -> None:
    picture = photograph()
    data = png.encode(picture, 1)
    error = np.abs(decode_png(data)[..., :3].astype(int) - picture.pixels)
    assert error.mean() < 4
    assert len(data) < picture.pixels.nbytes / 4


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 6])
def test_at_most_16_colours_fit_a_slow_link(scale: int) -> None:
    picture = mosaic(16, scale)
    assert base64_size(png.encode(picture, png.detail(picture))) < 15_500


@pytest.mark.parametrize(("scale", "most"), [(1, 28_000), (2, 38_000), (3, 44_000), (4, 44_000), (6, 46_000)])
def test_256_levels_are_crisp_at_every_size(scale: int, most: int) -> None:
    picture = mosaic(256, scale)
    data = png.encode(picture, png.detail(picture))
    assert base64_size(data) < most
    assert (decode_png(data)[..., :3] == scaled(picture)).all()


def test_256_levels_of_units_normalised_one_by_one_stay_under_54_kilobytes() -> None:
    levels = activations().astype(float)
    low, high = levels.min((1, 2), keepdims=True), levels.max((1, 2), keepdims=True)
    tiles = np.round((levels - low) / (high - low) * 250).astype(np.uint8).reshape(-1, 14 * 14)
    for scale in (2, 3, 4):
        picture = Picture(tiles.reshape(8, 14, 14, 14).swapaxes(1, 2).reshape(112, 196), palette(256), scale)
        assert base64_size(png.encode(picture, png.detail(picture))) < 54_000


def test_a_sheet_has_the_shape_of_its_cells() -> None:
    cell = CellSize(9, 18)
    picture = mosaic(256, 2)
    assert picture.cover(cell) == (47, 14)
    read = decode_png(png.sheet(picture, cell, 47, 14))
    assert read.shape == (14 * 18, 47 * 9, 4)
    assert (read[:240, :420, :3] == scaled(picture)).all()
    assert not read[240:, :, 3].any()

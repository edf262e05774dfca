"""Pictures for files: a layer's mosaic or one unit, with their labels, on one sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tuivis.render import colormap
from tuivis.render.overlay import fit, overlay

SIDE = 1600
"""Pixels that a mosaic aims at; a value is never less than one pixel, so that large layers take more."""

_MARGIN, _GAP = 24, 4
_NARROWEST = 720
_LARGEST_TILE = 480
_ASPECT = 1.25
_TITLE, _TEXT, _NUMBER, _CAPTION = 26, 18, 12, 14
_BAR = (300, 16)
INK, _FAINT = (232, 232, 230), (150, 150, 155)
_CHROME = colormap.CHROMES["dark"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Quantised:
    """Levels of maps, (n, h, w) uint8, and the values of the lowest and the highest; None without any."""

    levels: Pixels
    low: float | None
    high: float | None


def quantise(values: NDArray[np.float32]) -> Quantised:
    """Return `values` (n, h, w) as levels, linear between their least and their greatest finite value."""
    finite = np.isfinite(values)
    levels = np.where(np.isnan(values), colormap.NAN, colormap.INFINITE).astype(np.uint8)
    if not finite.any():
        return Quantised(levels, None, None)
    known = values[finite].astype(np.float64)
    low, high = float(known.min()), float(known.max())
    levels[finite] = np.rint((known - low) / ((high - low) or 1.0) * (colormap.LEVELS - 1))
    return Quantised(levels, low, high)


def mosaic_sheet(layer: Quantised, colours: colormap.Name, heading: Sequence[str]) -> Image.Image:
    """Return all units of a layer as tiles of a whole-number scale, each under its number where that fits.

    Parameters
    ----------
    layer
        The levels.
    colours
        The colour map.
    heading
        The title, then smaller lines.
    """
    palette = colormap.palette(colours, 256, 1.0, _CHROME)
    tiles = _tiles(layer.levels, palette)
    sheet, top = _headed(tiles.size, heading)
    sheet.paste(tiles, (_MARGIN, top))
    _draw_bar(sheet, top + tiles.height + _MARGIN, palette, layer)
    return sheet


def unit_sheet(
    pixels: Pixels,
    unit: Quantised,
    colours: colormap.Name,
    heading: Sequence[str],
    more: Mapping[str, Pixels] | None = None,
) -> Image.Image:
    """Return the input, one unit's map, and the map laid over the input; a 1 x 1 map leaves only the input.

    Parameters
    ----------
    pixels
        The input, (H, W, 3) uint8.
    unit
        The levels of one map.
    colours
        The colour map.
    heading
        The title, then smaller lines.
    more
        Further pictures of the input's size, (H, W, 3) uint8, each by its caption.
    """
    palette = colormap.palette(colours, 256, 1.0, _CHROME)
    levels = unit.levels[0]
    seen = fit(pixels, _LARGEST_TILE, _LARGEST_TILE)
    panels = {"input": seen}
    if levels.size > 1:
        flat = Image.fromarray(palette[levels]).resize(seen.shape[1::-1], Image.Resampling.NEAREST)
        panels |= {"map": np.asarray(flat), "overlay": overlay(seen, levels, palette)}
    panels |= {caption: fit(panel, _LARGEST_TILE, _LARGEST_TILE) for caption, panel in (more or {}).items()}
    height, width = seen.shape[:2]
    room = len(panels) * (width + _MARGIN) - _MARGIN, height + _TEXT + _GAP
    sheet, top = _headed(room, heading)
    for column, (caption, panel) in enumerate(panels.items()):
        left = _MARGIN + column * (width + _MARGIN)
        write(sheet, (left, top), caption, _TEXT, _FAINT)
        sheet.paste(Image.fromarray(panel), (left, top + _TEXT + _GAP))
    if levels.size > 1:
        _draw_bar(sheet, top + room[1] + _MARGIN, palette, unit)
    return sheet


def contact_sheet(
    pictures: Sequence[Pixels], captions: Sequence[str], heading: Sequence[str], columns: int
) -> Image.Image:
    """Return pictures, (H, W, 3) each, in rows of `columns`, each under its caption; without a heading, only those."""
    height, width = pictures[0].shape[:2]
    caption = _CAPTION + _GAP if any(captions) else 0
    dx, dy = width + _GAP, height + caption + _GAP
    grid = Image.new("RGB", (columns * dx - _GAP, ceil(len(pictures) / columns) * dy - _GAP), _CHROME.gutter)
    for place, (picture, text) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(place, columns)
        cell = Image.new("RGB", (width, height + caption), _CHROME.gutter)
        write(cell, (0, 0), text, _NUMBER, _FAINT)
        cell.paste(Image.fromarray(np.ascontiguousarray(picture)), (0, caption))
        grid.paste(cell, (column * dx, row * dy))
    if not heading:
        return grid
    sheet, top = _headed(grid.size, heading)
    sheet.paste(grid, (_MARGIN, top))
    return sheet.crop((0, 0, sheet.width, top + grid.height + _MARGIN))


def _tiles(levels: Pixels, palette: Pixels) -> Image.Image:
    units, height, width = levels.shape
    columns = min(units, ceil(sqrt(units * _ASPECT * height / width)))
    rows = ceil(units / columns)
    across, down = SIDE // columns - _GAP, SIDE // rows - _GAP - _CAPTION
    scale = max(1, min(across // width, down // height, _LARGEST_TILE // max(height, width)))
    numbered = _font(_NUMBER).getlength(str(units - 1)) <= width * scale
    caption = _CAPTION if numbered else 0
    dx, dy = width * scale + _GAP, height * scale + caption + _GAP
    grid = Image.new("RGB", (columns * dx - _GAP, rows * dy - _GAP), _CHROME.gutter)
    for unit, tile in enumerate(palette[levels]):
        row, column = divmod(unit, columns)
        pixels = Image.fromarray(tile.repeat(scale, 0).repeat(scale, 1))
        grid.paste(pixels, (column * dx, row * dy + caption))
        if numbered:
            write(grid, (column * dx, row * dy), str(unit), _NUMBER, _FAINT)
    return grid


def _headed(room: tuple[int, int], heading: Sequence[str]) -> tuple[Image.Image, int]:
    """Return an empty sheet with its heading, and where the `room` (width, height) for its content begins."""
    title, *lines = heading
    top = _MARGIN + _TITLE + len(lines) * (_TEXT + 6) + _MARGIN
    width = max(room[0], _NARROWEST) + 2 * _MARGIN
    sheet = Image.new("RGB", (width, top + room[1] + _BAR[1] + 3 * _MARGIN), _CHROME.gutter)
    write(sheet, (_MARGIN, _MARGIN - 4), title, _TITLE, INK)
    for number, line in enumerate(lines):
        write(sheet, (_MARGIN, _MARGIN + _TITLE + 6 + number * (_TEXT + 6)), line, _TEXT, _FAINT)
    return sheet, top


def _draw_bar(sheet: Image.Image, y: int, palette: Pixels, shown: Quantised) -> None:
    """Draw the colours from the lowest to the highest value, and those of what is no finite value if there is any."""
    x = _MARGIN
    if shown.low is not None and shown.high is not None:
        x = write(sheet, (x, y), f"{shown.low:.4g}", _TEXT, INK) + 8
        ramp = palette[: colormap.LEVELS][None].repeat(_BAR[1], 0)
        sheet.paste(Image.fromarray(ramp).resize(_BAR, Image.Resampling.NEAREST), (x, y + 3))
        x = write(sheet, (x + _BAR[0] + 8, y), f"{shown.high:.4g}", _TEXT, INK)
    for level, name in ((colormap.NAN, "NaN"), (colormap.INFINITE, "infinite")):
        if (shown.levels == level).any():
            x += _MARGIN
            sheet.paste(tuple(palette[level].tolist()), (x, y + 3, x + _BAR[1], y + 3 + _BAR[1]))
            x = write(sheet, (x + _BAR[1] + 8, y), name, _TEXT, INK)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def write(sheet: Image.Image, at: tuple[int, int], text: str, size: int, ink: tuple[int, int, int]) -> int:
    """Write one line, cut short where the sheet ends, and return where it ends."""
    font = _font(size)
    room = sheet.width - at[0]
    if font.getlength(text) > room:
        while text and font.getlength(text + "...") > room:
            text = text[:-1]
        text += "..."
    ImageDraw.Draw(sheet).text(at, text, ink, font)
    return at[0] + ceil(font.getlength(text))

"""Pictures for the eye: a unit's map laid over the input, and pictures made to fit a pane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuivis.render.colormap import RESERVED
from tuivis.render.picture import Heat, Picture

_DIM = 0.55
"""Brightness of the input under the map."""
_STRONGEST = 0.85
"""Opacity of the highest level: a little of the input stays visible everywhere."""

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of red, green and blue in the luma of Rec. 709."""


def overlay(pixels: NDArray[np.uint8], levels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels, (H, W, 3) uint8, of a map laid over a picture by `layered`."""
    return layered(pixels, levels, palette).rgb()


def layered(pixels: NDArray[np.uint8], levels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Picture:
    """Lay a map over the picture: the higher the level, the less of the picture shines through.

    A pixel shows the cell of the map that its centre lies in, so a cell is a block of pixels; where the ratio is not
    whole, blocks differ by one pixel in width. The picture underneath is grey and dimmed, so that colour always
    means level. Reserved entries (NaN, infinite) cover the picture.

    Parameters
    ----------
    pixels
        The input, (H, W, 3) uint8.
    levels
        The map, (h, w) uint8: entries of `palette`.
    palette
        From `colormap.palette`, (n, 3) uint8.

    Returns
    -------
    Picture
        (H, W), RGB, with the map as its heat.
    """
    top = len(palette) - RESERVED - 1
    entries = np.arange(len(palette))
    opacity = np.where(entries > top, 1, entries / top * _STRONGEST)
    alpha = np.rint(opacity * 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    rows, columns = _cells(height, levels.shape[0]), _cells(width, levels.shape[1])
    heat = Heat(levels[rows[:, None], columns], np.column_stack([palette, alpha]))
    grey = np.rint(pixels @ _LUMA * _DIM).astype(np.uint8)
    return Picture(grey[..., None].repeat(3, axis=2), heat=heat)


def _cells(pixels: int, cells: int) -> NDArray[np.intp]:
    """Return for each of `pixels` in a row which of the `cells` its centre lies in."""
    return (2 * np.arange(pixels) + 1) * cells // (2 * pixels)


def framed(pixels: NDArray[np.uint8], width: int, height: int, shrink: int = 1) -> Picture:
    """Return a picture, (H, W, 3), fitted into `width` x `height` pixels; every `shrink` of a side are sent as one."""
    fitted = fit(pixels, width, height)
    if shrink == 1:
        return Picture(fitted)
    from PIL import Image

    size = max(1, fitted.shape[1] // shrink), max(1, fitted.shape[0] // shrink)
    return Picture(np.asarray(Image.fromarray(fitted).resize(size, Image.Resampling.BOX)), scale=shrink, coarse=True)


def fit(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Make a picture fit into `width` x `height` pixels, aspect kept.

    A larger picture is averaged over areas; a smaller one grows by a whole factor, so that its pixels stay square.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8.
    width, height
        The room, in pixels, at least 1 x 1.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
        h <= `height`, w <= `width`.
    """
    factor = min(width / pixels.shape[1], height / pixels.shape[0])
    if factor >= 1:
        return pixels.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    from PIL import Image

    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))

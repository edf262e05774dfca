"""Colours for levels: palettes with equal steps to the eye, and the colours of everything that is no value.

The maps are curves in OKLab, walked at constant speed: equal steps of a value are equal differences of colour. OKLab
and its matrices: B. Ottosson, "A perceptual color space for image processing", 2020.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Points = tuple[tuple[float, float, float], ...]
Name = Literal["ember", "dusk", "gray", "polar", "polar-light"]

LEVELS = 251
"""Values of the levels that the engine sends: 0 .. 250."""
GUTTER, SELECTED, FROZEN, INFINITE, NAN = range(LEVELS, 256)
"""Levels that stand for no value, in the order in which they end every palette."""
RESERVED = 5

SIZES = (256, 64, 32, 16, 12)
"""Entries of a palette. Without the reserved ones they are odd, so that zero has the middle one to itself."""
GAMMAS = (1.0, 0.7, 0.5, 0.3)

DEFAULTS: dict[str, Name] = {"layer": "ember", "unit": "ember", "diverging": "polar"}
"""The map for each normalisation."""


class Chrome(NamedTuple):
    """The colours, sRGB, of the reserved entries: around the tiles, two frames, and what is no finite value."""

    gutter: Colour
    selected: Colour
    frozen: Colour
    infinite: Colour
    nan: Colour


# Lime, cyan, white and violet lie off every map, also for eyes without red, green or blue cones.
_SIGNALS: tuple[Colour, Colour, Colour, Colour] = (136, 255, 0), (0, 255, 255), (255, 255, 255), (187, 0, 255)

CHROMES = {
    "dark": Chrome((30, 30, 34), *_SIGNALS),
    "light": Chrome((222, 222, 226), *_SIGNALS),
    "high-contrast": Chrome((0, 0, 0), *_SIGNALS),
}
"""By theme."""

# Control points (lightness, chroma, hue in degrees) of Bezier curves in OKLab.
_SEQUENTIAL: dict[str, Points] = {
    "ember": ((0.16, 0.04, 300), (0.31, 0.20, 300), (0.54, 0.24, 12), (0.74, 0.20, 60), (0.90, 0.05, 90)),
    "dusk": ((0.22, 0.10, 264), (0.42, 0.05, 264), (0.65, 0.02, 100), (0.77, 0.10, 95), (0.90, 0.10, 100)),
    "gray": ((0.16, 0.0, 0), (0.90, 0.0, 0)),
}
# From the middle outwards: the curve of the negative values, that of the positive ones.
_DIVERGING: dict[str, tuple[Points, Points]] = {
    "polar": (
        ((0.16, 0.0, 0), (0.40, 0.16, 262), (0.62, 0.15, 255), (0.82, 0.08, 240)),
        ((0.16, 0.0, 0), (0.40, 0.11, 45), (0.62, 0.17, 54), (0.82, 0.12, 78)),
    ),
    "polar-light": (
        ((0.88, 0.0, 0), (0.72, 0.12, 250), (0.53, 0.17, 258), (0.34, 0.12, 264)),
        ((0.88, 0.0, 0), (0.75, 0.14, 70), (0.55, 0.16, 48), (0.34, 0.085, 42)),
    ),
}

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_SAMPLES = 2049


def palette(name: Name, size: int, gamma: float, chrome: Chrome) -> NDArray[np.uint8]:
    """Return the colours of the levels, then those of `chrome`.

    Parameters
    ----------
    name
        The map.
    size
        Entries, one of `SIZES`.
    gamma
        The exponent g of v ** g, where a value v runs over 0 .. 1; in a diverging map sign(v) |v| ** g over -1 .. 1.
    chrome
        The colours of the `RESERVED` last entries.

    Returns
    -------
    ndarray of shape (size, 3), uint8
        sRGB.
    """
    levels = size - RESERVED
    if name in _DIVERGING:
        middle = levels // 2
        value = np.arange(-middle, levels - middle) / middle
        below, above = (_walk(curve, np.abs(value) ** gamma) for curve in _DIVERGING[name])
        colours = np.where(value[:, None] < 0, below, above)
    else:
        colours = _walk(_SEQUENTIAL[name], np.linspace(0, 1, levels) ** gamma)
    return np.concatenate([_srgb(colours), np.array(chrome, np.uint8)])


def coarsen(levels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return `levels` (any shape, 0 .. 250 and the reserved ones) as entries of a palette of `size`, one of `SIZES`."""
    return _coarsening(size).take(levels)


@lru_cache(maxsize=len(SIZES))
def _coarsening(size: int) -> NDArray[np.uint8]:
    top = size - RESERVED - 1
    values = np.rint(np.arange(LEVELS) * (top / (LEVELS - 1)))
    return np.concatenate([values, np.arange(top + 1, size)]).astype(np.uint8)


def _walk(curve: Points, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the OKLab colours (n, 3) at the shares `at` (n,), 0 .. 1, of a curve's length."""
    points, length = _measured(curve)
    return np.stack([np.interp(at, length, points[:, axis]) for axis in range(3)], axis=1)


@lru_cache
def _measured(curve: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points along the Bezier curve, and the share of its length up to each."""
    controls = np.array([(light, c * np.cos(np.radians(hue)), c * np.sin(np.radians(hue))) for light, c, hue in curve])
    degree = len(controls) - 1
    t = np.linspace(0, 1, _SAMPLES)[:, None]
    weights = [comb(degree, i) * t**i * (1 - t) ** (degree - i) for i in range(degree + 1)]
    points = np.hstack(weights) @ controls
    length = np.cumsum(np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=1))
    return points, length / length[-1]


def _srgb(lab: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return OKLab colours (n, 3) in 8-bit sRGB (IEC 61966-2-1)."""
    lms = (lab @ np.linalg.inv(_LMS_TO_LAB).T) ** 3
    linear = np.clip(lms @ np.linalg.inv(_RGB_TO_LMS).T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours: NDArray[np.uint8] = np.rint(255 * encoded).astype(np.uint8)
    return colours

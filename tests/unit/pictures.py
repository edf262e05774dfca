"""Pictures for the encoders' tests: real activations and a real photograph."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import data

from tests.decoders import Screen
from tuivis.render.picture import Box, Encoder, Picture

BOX = Box(3, 2, 60, 20)


@cache
def activations() -> NDArray[np.uint8]:
    """Return (112, 14, 14) levels 0 .. 250, one minimum and maximum for the layer.

    efficientnet_lite0 with its ImageNet weights, the output of `_blocks.10` for the centre square of scikit-image's
    coffee at 224 x 224 (area interpolation), of which the network gets `(pixels - 127) / 128`.
    """
    levels: NDArray[np.uint8] = np.load(Path(__file__).parents[1] / "data" / "activations.npy")
    return levels


def palette(size: int) -> NDArray[np.uint8]:
    """Return `size` colours, all different, the last five (gutter, selected, ...) unlike any other."""
    ramp = np.linspace(0, 250, size - 5)
    colours = np.stack([ramp, 255 * (ramp / 255) ** 2, 60 - ramp / 5], axis=1)
    reserved = [(40, 40, 90), (0, 255, 0), (60, 120, 255), (255, 0, 255), (255, 0, 0)]
    return np.concatenate([colours, reserved]).round().astype(np.uint8)


def mosaic(size: int, scale: int = 1, columns: int = 14) -> Picture:
    """Return the activations as tiles with a gutter, under a palette of `size` colours."""
    levels = np.round(activations() / 250 * (size - 6)).astype(np.uint8)
    tiles = np.pad(levels, ((0, 0), (0, 1), (0, 1)), constant_values=size - 5)
    grid = tiles.reshape(-1, columns, 15, 15).swapaxes(1, 2).reshape(-1, columns * 15)
    return Picture(grid, palette(size), scale)


def photograph() -> Picture:
    """Return (100, 150, 3) RGB."""
    pixels: NDArray[np.uint8] = data.coffee()[::4, ::4]  # type: ignore[no-untyped-call]
    return Picture(np.ascontiguousarray(pixels))


def scaled(picture: Picture) -> NDArray[np.uint8]:
    """Return what is meant: (H * scale, W * scale, 3)."""
    return picture.rgb().repeat(picture.scale, axis=0).repeat(picture.scale, axis=1)


def expected(screen: Screen, picture: Picture, box: Box = BOX) -> NDArray[np.uint8]:
    """Return the whole screen with the picture at the box's corner and nothing else on it."""
    pixels = Screen(screen.columns, screen.rows, screen.cell, screen.background).pixels()
    meant = scaled(picture)
    top, left = box.row * screen.cell.height, box.column * screen.cell.width
    pixels[top : top + meant.shape[0], left : left + meant.shape[1]] = meant
    return pixels


def show(screen: Screen, encoder: Encoder, data: bytes, box: Box = BOX) -> None:
    """Write `data` to the terminal, and the text that goes with it."""
    screen.feed(data)
    for row in range(box.rows):
        if cells := encoder.cells(row):
            text, colour = cells
            sgr = f"\x1b[38;2;{colour >> 16};{colour >> 8 & 255};{colour & 255}m"
            screen.feed(f"\x1b7\x1b[{box.row + row + 1};{box.column + 1}H{sgr}\x1b[49m{text}\x1b8".encode())

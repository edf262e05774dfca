"""Pattern mode: the mosaic with each unit's picture in place of its activation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tuivis.jobstate import Made
from tuivis.render.mosaic import Layout
from tuivis.render.overlay import fit
from tuivis.render.picture import Picture
from tuivis.state import State

DIM = 0.35
"""Brightness of activations whose units have no picture yet: pictures stand out, units can still be told apart."""


def with_patterns(mosaic: Picture, state: State, layout: Layout) -> Picture:
    """Return the mosaic with the finished pictures in their tiles; the gutter and the frames stay as they are."""
    scale = mosaic.scale
    flat = mosaic.rgb()
    for slot, made in _in_slots(state, layout):
        if made is None:
            frame = layout.frame(slot)
            inside = flat[frame.y + 1 : frame.y + frame.height - 1, frame.x + 1 : frame.x + frame.width - 1]
            inside[...] = inside * DIM
    pixels = flat.repeat(scale, 0).repeat(scale, 1)
    for slot, made in _in_slots(state, layout):
        frame = layout.frame(slot)
        top, left = (frame.y + 1) * scale, (frame.x + 1) * scale
        tile = pixels[top : top + (frame.height - 2) * scale, left : left + (frame.width - 2) * scale]
        if made is not None and tile.size:
            tile[...] = _tile(made, tile.shape[1], tile.shape[0])
    return Picture(pixels)


def _in_slots(state: State, layout: Layout) -> list[tuple[int, Made | None]]:
    """Return the slots on screen, each with its unit's best picture if there is one."""
    layer = state.layer
    if layer is None:
        return []
    count = min(layout.page, layer.units - state.first)
    found = []
    for slot in range(count):
        made = state.jobs.made.get((layer.name, state.unit_at(state.first + slot)), ())
        found.append((slot, max(made, key=lambda each: each.standing, default=None)))
    return found


@lru_cache(maxsize=4096)
def _tile(made: Made, width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture in the middle of a black tile, (height, width, 3)."""
    from PIL import Image

    pixels = made.pixels
    factor = min(width / pixels.shape[1], height / pixels.shape[0])
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    small = fit(pixels, *size) if factor < 1 else np.asarray(Image.fromarray(pixels).resize(size))
    tile = np.zeros((height, width, 3), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile

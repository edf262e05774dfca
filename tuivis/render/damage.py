"""Where two pictures of one size differ: few rectangles that hold every changed pixel and little else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuivis.render.picture import Picture, Rect

Mask = NDArray[np.bool_]

MOST = 24
"""More rectangles than this cost more than they save."""


def difference(before: Picture, after: Picture) -> list[Rect] | None:
    """Return the rectangles in which `after` differs from `before`, none if they are equal.

    Where much differs that is one rectangle, the whole. None means that these are pictures of another kind: size,
    scale, palette, with heat or without. A changed frame (a border around pixels that did not change) is thin
    rectangles, so that moving a selection costs a few bytes.
    """
    if before.pixels.shape != after.pixels.shape or not _same_kind(before, after):
        return None
    changed = before.rgb() != after.rgb() if after.heat else before.pixels != after.pixels
    mask = changed.any(axis=2) if changed.ndim == 3 else changed
    whole = [Rect(0, 0, after.width, after.height)]
    if np.count_nonzero(mask) > mask.size // 3:
        return whole
    rects = _cut(mask, 0, 0, MOST)
    return whole if len(rects) > MOST else rects


def _same_kind(before: Picture, after: Picture) -> bool:
    if before.scale != after.scale or before.coarse != after.coarse or (before.heat is None) != (after.heat is None):
        return False
    if before.palette is None or after.palette is None:
        return before.palette is after.palette
    return np.array_equal(before.palette, after.palette)


def _cut(mask: Mask, x: int, y: int, most: int) -> list[Rect]:
    """Split `mask`, whose corner is (x, y), at its empty rows and columns until nothing splits."""
    rows, columns = _runs(np.any(mask, axis=1)), _runs(np.any(mask, axis=0))
    if len(rows) * len(columns) == 1:
        return _hollow(mask, rows[0], columns[0], x, y)
    rects: list[Rect] = []
    for top, bottom in rows:
        for left, right in _runs(np.any(mask[top:bottom], axis=0)):
            if len(rects) > most:
                return rects
            rects += _cut(mask[top:bottom, left:right], x + left, y + top, most)
    return rects


def _hollow(mask: Mask, rows: tuple[int, int], columns: tuple[int, int], x: int, y: int) -> list[Rect]:
    """Return the rectangle, or what changed of its sides if only its border did."""
    (top, bottom), (left, right) = rows, columns
    height, width = bottom - top, right - left
    if min(height, width) < 5 or mask[top + 1 : bottom - 1, left + 1 : right - 1].any():
        return [Rect(x + left, y + top, width, height)]
    sides = [
        Rect(left, top, width, 1),
        Rect(left, bottom - 1, width, 1),
        Rect(left, top + 1, 1, height - 2),
        Rect(right - 1, top + 1, 1, height - 2),
    ]
    strips = ((mask[side.y : side.y + side.height, side.x : side.x + side.width], side) for side in sides)
    return [rect for strip, side in strips for rect in _cut(strip, x + side.x, y + side.y, MOST)]


def _runs(flags: Mask) -> list[tuple[int, int]]:
    """Return (start, stop) of every run of true values."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]

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

    None means: send the whole picture. A changed frame (a border around pixels that did not change) is four thin
    rectangles, so that moving a selection costs a few bytes.
    """
    if before.pixels.shape != after.pixels.shape or before.scale != after.scale or not _same_palette(before, after):
        return None
    changed = before.pixels != after.pixels
    mask = changed.any(axis=2) if changed.ndim == 3 else changed
    if np.count_nonzero(mask) > mask.size // 3:
        return None
    rects = _cut(mask, 0, 0, MOST)
    return None if len(rects) > MOST else rects


def _same_palette(before: Picture, after: Picture) -> bool:
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
    """Return the rectangle, or the four sides of it if only its border changed."""
    (top, bottom), (left, right) = rows, columns
    height, width = bottom - top, right - left
    if min(height, width) < 5 or mask[top + 1 : bottom - 1, left + 1 : right - 1].any():
        return [Rect(x + left, y + top, width, height)]
    return [
        Rect(x + left, y + top, width, 1),
        Rect(x + left, y + bottom - 1, width, 1),
        Rect(x + left, y + top + 1, 1, height - 2),
        Rect(x + right - 1, y + top + 1, 1, height - 2),
    ]


def _runs(flags: Mask) -> list[tuple[int, int]]:
    """Return (start, stop) of every run of true values."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]

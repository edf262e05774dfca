"""Which cells Textual has just written: pictures that lie there are gone, and must be drawn again."""

from __future__ import annotations

from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region


def covers(update: object, region: Region) -> bool:
    """Say whether `update`, what Textual wrote, reaches into `region`. Textual has no public word for it."""
    match update:
        case None:
            return False
        case LayoutUpdate():
            return update.region.overlaps(region)
        case ChopsUpdate():
            rows = range(region.y, region.bottom)
            return any(y in rows and left < region.right and right > region.x for y, left, right in update.spans)
    return True

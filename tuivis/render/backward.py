"""The picture of a backward pass, in colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuivis.render.overlay import overlay

Pixels = NDArray[np.uint8]


def coloured(shown: Pixels, seen: Pixels, over: bool, palette: Pixels) -> Pixels:
    """Return a backward pass in RGB, (H, W, 3) uint8.

    Parameters
    ----------
    shown
        (H, W, 3) RGB, which stays as it is, or (H, W) levels.
    seen
        The input, (H, W, 3) uint8.
    over
        Whether levels are laid over the input.
    palette
        Of the levels, from `colormap.palette` with 256 entries.
    """
    if shown.ndim == 3:
        return shown
    return overlay(seen, shown, palette) if over else palette[shown]

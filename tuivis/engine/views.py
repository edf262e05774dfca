"""Pictures of a gradient at the input: the filters of the Deep Visualization Toolbox (Yosinski et al. 2015).

Raw and gray are pictures in colours; the others are levels, 0 .. LEVELS - 1, that the screen gives its colour map.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tuivis.engine.values import LEVELS, BackwardView

BLUR = 4.0
"""Pixels: the standard deviation of the Gaussian of the blurred norm."""

Values = NDArray[np.float32]


def picture(gradient: Values, view: BackwardView) -> NDArray[np.uint8]:
    """Return `gradient`, (C, H, W), as a picture.

    - "raw": g / (max(2 max, -2 min) + 1e-10) + 1/2: zero is grey. Gradients of other than three channels are "gray".
    - "gray": the mean over the channels, then the same.
    - "norm": the L2 norm over the channels, from its least to its greatest value.
    - "blur": the L2 norm, a Gaussian of 4 pixels, then the same.
    - "overlay": as "blur", to be laid over the input.

    Returns
    -------
    ndarray, uint8
        (H, W, 3) sRGB for "raw" and "gray"; (H, W) levels for the others.
    """
    if view == "raw" and len(gradient) == 3:
        return _around_grey(gradient).transpose(1, 2, 0)
    if view in ("raw", "gray"):
        return _around_grey(gradient.mean(0))[..., None].repeat(3, 2)
    norm = np.sqrt((gradient.astype(np.float64) ** 2).sum(0))
    if view != "norm":
        norm = cv2.GaussianBlur(norm, (0, 0), BLUR)
    return levels(norm)


def levels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return `values` (H, W) as levels, from their least to their greatest; constant values have level 0."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.asarray(np.rint(scaled * (LEVELS - 1)), np.uint8)


def _around_grey(gradient: Values) -> NDArray[np.uint8]:
    scaled = gradient / (max(2 * float(gradient.max()), -2 * float(gradient.min())) + 1e-10) + 0.5
    return np.asarray(np.rint(scaled * 255), np.uint8)

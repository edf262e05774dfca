"""Where on the input a unit looks: its receptive field, and the part of it that counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuivis.engine.backward import Position, Recording
from tuivis.engine.values import Box

EFFECTIVE = 0.95
"""The share of the gradient that the effective field holds."""


def receptive_field(recording: Recording, unit: int, position: Position) -> Box | None:
    """Return the pixels that can influence the unit at a position, as far as they lie in the picture.

    It is the support of a gradient in which nothing that picks or gates holds anything back, so it is exact for any
    graph: branches, skips and attention included. None if the input has no influence.
    """
    gradient = recording.backward(unit, position, "support").input
    return around((gradient != 0).any(0).cpu().numpy())


def effective_field(recording: Recording, unit: int, position: Position) -> Box | None:
    """Return a small box that holds 95 % of the gradient's magnitude on the picture at hand.

    The magnitude of a pixel is the sum over channels of |d unit / d pixel|, after Luo et al., *Understanding the
    Effective Receptive Field*, 2016. The box starts from the whole picture and gives up the edge that holds least, as
    long as what is left is enough. None if the gradient is zero, or not finite.
    """
    return shrunk(recording.backward(unit, position).input.abs().sum(0).double().cpu().numpy())


def around(marked: NDArray[np.bool_]) -> Box | None:
    """Return the smallest box around what is marked, (H, W)."""
    rows, columns = (np.flatnonzero(marked.any(axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return Box(int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


def shrunk(mass: NDArray[np.float64]) -> Box | None:
    """Return a small box that holds `EFFECTIVE` of `mass`, (H, W), by giving up the lightest edge again and again.

    None if there is nothing, or something that is not finite.
    """
    spare = float(mass.sum()) * (1 - EFFECTIVE)
    top, left, (bottom, right) = 0, 0, mass.shape
    if not mass.any() or not np.isfinite(mass).all():
        return None
    while True:
        inside = mass[top:bottom, left:right]
        edges = [float(edge.sum()) for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1])]
        lightest = int(np.argmin(edges))
        if edges[lightest] > spare or inside.size == 1:
            return Box(top, left, bottom - top, right - left)
        spare -= edges[lightest]
        top, bottom = top + (lightest == 0), bottom - (lightest == 1)
        left, right = left + (lightest == 2), right - (lightest == 3)

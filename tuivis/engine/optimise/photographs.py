"""The photographs at hand: what the network makes of them, against which pictures are measured."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tuivis.engine.models import Model
from tuivis.engine.optimise.parametrisations import Space
from tuivis.engine.sources import Pictures
from tuivis.engine.truncation import Truncated
from tuivis.errors import UserError

MOST = 64
"""Photographs that are looked at."""


def space(model: Model) -> Space:
    """Return how the model's preprocessing maps pixels: from what it makes of a black and of a white picture."""
    channels, height, width = model.input_shape
    black = np.zeros((height, width, channels), np.uint8)
    low, high = (model.preprocess(picture).mean((1, 2), keepdim=True) for picture in (black, black + np.uint8(255)))
    span = high - low
    if not bool((span > 1e-6).all()):
        # A preprocessing that standardises each picture by itself: two deviations to either side.
        low, span = torch.full_like(low, -2.0), torch.full_like(span, 4.0)
    return Space(low.to(model.device), span.to(model.device))


@dataclass(frozen=True)
class Photographs:
    """`images` is (N, C, H, W) in 0 .. 1 and `activations` (N, units, h, w), both on the CPU."""

    images: Tensor
    activations: Tensor

    @property
    def scale(self) -> float:
        """The standard deviation of the layer over all photographs, units and positions."""
        deviation = float(self.activations.float().std())
        return deviation if deviation > 0 else 1.0


def look(model: Model, pictures: Pictures, network: Truncated, pixels: Space) -> Photographs:
    """Return the first photographs that can be read, and the layer of `network` for each; of a video the first frame.

    Streams and cameras are looked at where there is nothing else: they show something else each time, and mostly have
    no place for a second one who looks.

    Raises
    ------
    UserError
        If none can be read.
    """
    inputs = []
    lasting = [index for index, kind in enumerate(pictures.kinds) if kind in ("picture", "video")]
    for index in (lasting or range(len(pictures)))[:MOST]:
        with contextlib.suppress(UserError):
            inputs.append(model.preprocess(pictures.read(index)))
    if not inputs:
        raise UserError("no photograph can be read: name some with --input")
    with torch.no_grad():
        activations = [network(each[None].to(model.device)).float().cpu() for each in inputs]
    low, span = pixels.low.cpu(), pixels.span.cpu()
    images = torch.stack([((each - low) / span).clamp(0, 1) for each in inputs])
    return Photographs(images, torch.cat(activations))

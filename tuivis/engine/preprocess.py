"""From a picture to a network's input, and back to what the network saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tuivis.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Red, green and blue, of values in 0 .. 1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Red, green and blue, of values in 0 .. 1."""

MAX_RESIZED = 50_000_000
"""Pixels. A picture of a very long and thin shape would grow past all memory when its short side is scaled up."""


class Preprocessing(Protocol):
    """How one network sees pictures."""

    def __call__(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        """Return the network's input, (C, h, w) float32, for a picture, (H, W, any number of channels) uint8."""

    def pixels(self, values: torch.Tensor) -> NDArray[np.uint8]:
        """Return what an input (C, h, w) looks like: (h, w, 3) uint8."""


@dataclass(frozen=True)
class Normalisation:
    """Subtract `mean`, divide by `std`: one of each per channel, for values in 0 .. 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values`, (C, h, w) in 0 .. 1, normalised."""
        return (values - self._column(self.mean, values)) / self._column(self.std, values)

    def pixels(self, values: torch.Tensor) -> NDArray[np.uint8]:
        """Undo `apply`: (C, h, w) to (h, w, 3) uint8."""
        values = values.detach().float().cpu()
        return _on_screen((values * self._column(self.std, values)).add_(self._column(self.mean, values)))

    @staticmethod
    def _column(numbers: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
        return torch.tensor(numbers, dtype=like.dtype).view(-1, 1, 1)


@dataclass(frozen=True)
class ResizeAndCrop:
    """Scale the picture until it just covers `cover`, cut out the centre, normalise.

    The evaluation transform of ImageNet's classifiers: with a square `cover` the shorter side takes its length.
    Equal to torchvision's `ImageClassification` to the last bit.

    Parameters
    ----------
    cover
        (height, width) that the scaled picture covers, its aspect kept; no less than `crop`.
    crop
        (height, width) of the network's input.
    normalisation
        Its length is the network's number of channels.
    resample
        Pillow's filter, always with antialiasing.
    """

    cover: tuple[int, int]
    crop: tuple[int, int]
    normalisation: Normalisation
    resample: Image.Resampling = Image.Resampling.BILINEAR

    @property
    def margin(self) -> float:
        """How many times larger than what is cut out the scaled picture is."""
        return max(self.cover[0] / self.crop[0], self.cover[1] / self.crop[1])

    def __call__(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        """Return the network's input, (C, h, w) float32, for a picture, (H, W, any number of channels) uint8."""
        picture = with_channels(picture, len(self.normalisation.mean))
        height, width = self._scaled(*picture.shape[:2])
        top, left = round((height - self.crop[0]) / 2), round((width - self.crop[1]) / 2)
        box = (left, top, left + self.crop[1], top + self.crop[0])
        # Three channels at once take two thirds of the time of three planes; other numbers Pillow does not know.
        parts = [picture] if picture.shape[2] == 3 else np.ascontiguousarray(picture.transpose(2, 0, 1))
        scaled = [np.asarray(Image.fromarray(part).resize((width, height), self.resample).crop(box)) for part in parts]
        planes = np.ascontiguousarray(np.dstack(scaled).transpose(2, 0, 1))
        return self.normalisation.apply(torch.from_numpy(planes).float() / 255)

    def pixels(self, values: torch.Tensor) -> NDArray[np.uint8]:
        """Return what an input (C, h, w) looks like: (h, w, 3) uint8."""
        return self.normalisation.pixels(values)

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = self.cover
        if rows * width >= columns * height:
            size = rows, rows * width // height
        else:
            size = columns * height // width, columns
        if size[0] * size[1] > MAX_RESIZED:
            raise UserError(f"a picture of {width} x {height} is too long and thin: crop it")
        return size


@dataclass(frozen=True)
class Transform:
    """Somebody else's transform, such as torchvision's, timm's or one of the user's own.

    It is called with a PIL picture (RGB, or gray for a network of one channel), else with the (H, W, C) uint8 array.
    Without a `normalisation` that could be undone, the screen shows the input's range as black .. white.
    """

    function: Callable[[Any], Any]
    channels: int
    normalisation: Normalisation | None = None

    def __call__(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        """Return the network's input, (C, h, w) float32, for a picture, (H, W, any number of channels) uint8."""
        picture = with_channels(picture, self.channels)
        if self.channels in (1, 3):
            result = self.function(Image.fromarray(picture[..., 0] if self.channels == 1 else picture))
        else:
            result = self.function(picture)
        if not isinstance(result, (torch.Tensor, np.ndarray)):
            raise UserError(f"preprocess returns a {type(result).__name__}: return a tensor (C, H, W)")
        values = torch.as_tensor(result).detach().cpu().float()
        values = values[0] if values.ndim == 4 and len(values) == 1 else values
        if values.ndim != 3 or values.shape[0] != self.channels:
            shape = tuple(values.shape)
            raise UserError(f"preprocess returns shape {shape}: the network takes ({self.channels}, H, W)")
        return values

    def pixels(self, values: torch.Tensor) -> NDArray[np.uint8]:
        """Return what an input (C, h, w) looks like: (h, w, 3) uint8."""
        if self.normalisation:
            return self.normalisation.pixels(values)
        values = values.detach().float().cpu()
        low, high = values.min(), values.max()
        return _on_screen((values - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny))


def with_channels(picture: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return `picture`, (H, W, C), with `channels` channels.

    RGB becomes luminance (ITU-R BT.601) for a network of one channel; otherwise the channels repeat in a circle.
    """
    there = picture.shape[2]
    if there == channels:
        return picture
    if (there, channels) == (3, 1):
        return np.asarray(Image.fromarray(picture).convert("L"))[..., None]
    return picture[..., np.arange(channels) % there]


def _on_screen(values: torch.Tensor) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8 for (C, h, w) in 0 .. 1: the first three channels, or the first one as gray."""
    # In place: new memory costs more than the arithmetic.
    levels = values[: 3 if len(values) >= 3 else 1].nan_to_num().mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    array: NDArray[np.uint8] = levels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return array

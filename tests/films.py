"""Films and videos for tests: writing videos of known levels, and reading what was recorded of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tuivis.engine.values import LEVELS
from tuivis.render import colormap
from tuivis.render.film import Stage

CODEC = 8
"""Levels that two codecs, one after the other, may be off in a flat picture."""
GRAYS = (20, 60, 100, 140, 180, 220)
"""The middle bands of a video's frames, further apart than codecs are off."""

NETWORK = """
import torch
from torch import nn

def red():
    conv = nn.Conv2d(3, 1, 1, bias=False)
    conv.weight.data = torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1)
    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
"""Its only unit, of layer "0", is the input's red: in a picture with black and white, a level is a gray."""


def write_bands(path: Path, grays: Sequence[int] = GRAYS, rate: float = 10.0) -> None:
    """Write a video of a frame for each gray: a band of it between a black and a white one."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, (224, 224))
    for gray in grays:
        frame = np.zeros((224, 224, 3), np.uint8)
        frame[:, 75:149], frame[:, 149:] = gray, 255
        writer.write(frame)
    writer.release()


def decoded(path: Path) -> tuple[list[NDArray[np.uint8]], float]:
    """Return the frames of a film, (H, W, 3) RGB, and its rate."""
    capture = cv2.VideoCapture(str(path))
    frames: list[NDArray[np.uint8]] = []
    while True:
        read, pixels = capture.read()
        if not read:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(np.asarray(pixels, np.uint8)[..., ::-1])


def middle_bands(frame: NDArray[np.uint8], stage: Stage) -> tuple[float, float]:
    """Return the gray in the middle of the input, and the level in the middle of the only tile as a gray."""
    seen, room = stage.input, stage.mosaic
    gray = _patch(frame, seen.x + seen.width // 2, seen.y + seen.height // 2).mean()
    x, y = room.x + room.width // 2, room.y + room.height // 2
    colour = _patch(frame, x, y).mean((0, 1))
    palette = colormap.palette("ember", 256, 1.0, colormap.CHROMES["dark"])[:LEVELS].astype(float)
    return float(gray), int(np.abs(palette - colour).sum(1).argmin()) / (LEVELS - 1) * 255


def _patch(frame: NDArray[np.uint8], x: int, y: int) -> NDArray[np.uint8]:
    return frame[y - 4 : y + 4, x - 4 : x + 4]

"""Real videos in which every frame tells its number."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

SIZE = (96, 64)
"""Width and height."""
ROWS, COLUMNS = 2, 4

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def numbered(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Return a picture, (height, width, 3), whose blocks are the bits of `number`, 0 .. 255."""
    bits = np.array([number >> bit & 1 for bit in range(ROWS * COLUMNS)], np.uint8).reshape(ROWS, COLUMNS)
    rows = np.arange(size[1]) * ROWS // size[1]
    columns = np.arange(size[0]) * COLUMNS // size[0]
    return np.repeat((bits[rows][:, columns] * 200 + 20)[..., None], 3, axis=2)


def number_in(pixels: NDArray[np.uint8]) -> int:
    """Return the number that a picture tells, however it was compressed or scaled."""
    height, width = pixels.shape[:2]
    number = 0
    for bit in range(ROWS * COLUMNS):
        row, column = divmod(bit, COLUMNS)
        y, x = (2 * row + 1) * height // (2 * ROWS), (2 * column + 1) * width // (2 * COLUMNS)
        number |= int(pixels[y - 2 : y + 3, x - 2 : x + 3].mean() > 120) << bit
    return number


def write_clip(
    path: Path, numbers: Sequence[int], rate: float = 10.0, size: tuple[int, int] = SIZE, codec: str = "mp4v"
) -> Path:
    """Write a video of the `numbers`, a frame each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size)
    assert writer.isOpened()
    for number in numbers:
        writer.write(numbered(number, size))
    writer.release()
    return path


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg to its end."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True, timeout=120)

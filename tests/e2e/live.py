"""A video of photographs, and what the network makes of each of its frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.e2e.expected import activation_of

PHOTOGRAPHS = ("coffee.png", "camera.png", "chelsea.png", "rocket.jpg")
SIZE = 320, 240


def clip(path: Path, rate: int = 1) -> list[NDArray[np.float32]]:
    """Write a video that shows each photograph for a second, which is so many frames.

    Returns the activations for each photograph, (units, h, w).
    """
    from skimage.data import data_dir

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, SIZE)
    for name in PHOTOGRAPHS:
        photograph = Image.open(Path(data_dir) / name).convert("RGB").resize(SIZE)
        for _ in range(rate):
            writer.write(cv2.cvtColor(np.asarray(photograph), cv2.COLOR_RGB2BGR))
    writer.release()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(rate * len(PHOTOGRAPHS))]
    capture.release()
    return [activation_of(Image.fromarray(np.asarray(frame, np.uint8))) for frame in frames[::rate]]

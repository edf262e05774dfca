"""The files of a job: pictures, films and checkpoints."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tuivis.errors import UserError, printable
from tuivis.files import write_whole

FRAMES_PER_SECOND = 20
LONGEST_FILM = 240
"""Frames."""


def levels(picture: Tensor) -> NDArray[np.uint8]:
    """Return a picture (C, H, W) in 0 .. 1 as (H, W, C) uint8."""
    array: NDArray[np.uint8] = (picture.detach().cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return array


def shown(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, C) as (H, W, 3): the first three channels, or the first one as gray."""
    return array[..., :3] if array.shape[2] >= 3 else array[..., :1].repeat(3, 2)


def write_picture(path: Path, array: NDArray[np.uint8]) -> None:
    """Write (H, W, C) as a PNG; what has neither one nor three channels also goes whole into a .npy beside it."""
    data = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else np.ascontiguousarray(shown(array))).save(data, "PNG")
    if array.shape[2] not in (1, 3):
        whole = io.BytesIO()
        np.save(whole, array)
        write_whole(path.with_suffix(".npy"), whole.getvalue())
    write_whole(path, data.getvalue())


def read_levels(path: Path) -> Tensor:
    """Return what `write_picture` wrote, (C, H, W) in 0 .. 1."""
    whole = path.with_suffix(".npy")
    array = np.load(whole) if whole.exists() else np.asarray(Image.open(path))
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255


def compressed(array: NDArray[np.uint8]) -> Tensor:
    """Return one frame of a film as JPEG, a uint8 tensor."""
    _, data = cv2.imencode(".jpg", shown(array)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return torch.from_numpy(data)


def write_film(path: Path, frames: list[Tensor]) -> None:
    """Write compressed frames as an MP4.

    Raises
    ------
    UserError
        If OpenCV cannot write it, or the disk is full.
    """
    images = [np.asarray(cv2.imdecode(frame.numpy(), cv2.IMREAD_COLOR)) for frame in frames]
    height, width = images[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder, "film.mp4"))
        writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), FRAMES_PER_SECOND, (width, height))
        for image in images:
            writer.write(image)
        writer.release()
        # The writer itself does not say that it failed.
        written = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        if not written.isOpened() or written.get(cv2.CAP_PROP_FRAME_COUNT) != len(images):
            raise UserError(f"cannot write {printable(path)}: {folder} is full, or this OpenCV writes no MP4")
        write_whole(path, Path(name).read_bytes())


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint whole."""
    data = io.BytesIO()
    torch.save(content, data)
    write_whole(path, data.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint, or None where there is none that can be read."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # damaged files make torch raise nearly anything; then the work is done anew
        return None
    return content

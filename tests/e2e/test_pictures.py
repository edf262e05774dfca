"""The mosaic over SSH in every protocol, against the network's activations computed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.decoders import Pixels, xterm_colour
from tests.e2e.expected import LAYER, activation, drawn, ember, is_shown, layout_in, levels, mosaic, pane
from tests.e2e.model import ITERM, KITTY, OLD_KITTY, PLAIN, SIXEL, TRUE_COLOUR, Kind, Model
from tests.e2e.ssh import Sshd
from tests.e2e.terminal import Terminal
from tuivis.render.colormap import GUTTER, SELECTED

pytestmark = pytest.mark.e2e


def shown_in_cells(screen: Model, down: int, size: tuple[int, int]) -> Pixels:
    """Return the mosaic's pixels where each cell shows one pixel across and `down` of them."""
    box, (width, height) = pane(screen, LAYER), screen.cell
    pixels = screen.pixels()[:: height // down, ::width][box.row * down :, box.column :]
    x = (box.columns - size[0]) // 2
    y = (box.rows - -(-size[1] // down)) // 2 * down
    return pixels[y : y + size[1], x : x + size[0]]


def in_cells(screen: Model, down: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return the levels that a mosaic in cells has to show, and its (width, height)."""
    layout = layout_in(pane(screen, LAYER), (1, down), activation(), 6)
    wanted = mosaic(levels(activation(), (layout.height, layout.width)), layout)
    return wanted, (wanted.shape[1], wanted.shape[0])


@pytest.mark.parametrize(
    ("kind", "size", "tolerance"),
    [(KITTY, 256, 0), (OLD_KITTY, 256, 0), (ITERM, 256, 0), (SIXEL, 32, 2)],
    ids=["kitty", "kitty-placed", "iterm", "sixel"],
)
def test_pixels_are_the_activations(sshd: Sshd, folder: Path, kind: Kind, size: int, tolerance: int) -> None:
    with Terminal(sshd.command(folder=folder), kind) as terminal:
        terminal.until_text("espresso")
        layout = layout_in(pane(terminal.screen, LAYER), terminal.screen.cell, activation(), 24)
        wanted = mosaic(levels(activation(), (layout.height, layout.width)), layout)
        # Sixel's registers are in percent.
        terminal.until(lambda: is_shown(drawn(terminal.screen, LAYER, layout), wanted, ember(size), tolerance))
        assert layout.page >= 112

        # A larger picture in the same pane leaves nothing behind, not even in another shade.
        terminal.settle()
        before = terminal.screen.pixels()
        terminal.type("z")
        terminal.until_text("unit 0 of 112")
        terminal.settle()
        assert not np.array_equal(terminal.screen.pixels(), before)
        terminal.type("z")
        terminal.until(lambda: np.array_equal(terminal.screen.pixels(), before), patience=20)


def test_half_blocks_are_the_activations(sshd: Sshd, folder: Path) -> None:
    with Terminal(sshd.command(folder=folder), TRUE_COLOUR) as terminal:
        terminal.until_text("espresso")
        wanted, size = in_cells(terminal.screen, 2)
        terminal.until(lambda: is_shown(shown_in_cells(terminal.screen, 2, size), wanted, ember(32)))


def test_half_blocks_of_256_colours_are_the_nearest(sshd: Sshd, folder: Path) -> None:
    colours = np.array([xterm_colour(number) for number in range(16, 256)])
    distances = ((ember(32)[:, None].astype(int) - colours) ** 2).sum(axis=2)
    nearest = colours[distances.argmin(axis=1)].astype(np.uint8)
    with Terminal(sshd.command(folder=folder), PLAIN) as terminal:
        terminal.until_text("espresso")
        wanted, size = in_cells(terminal.screen, 2)
        terminal.until(lambda: is_shown(shown_in_cells(terminal.screen, 2, size), wanted, nearest))
        assert b"38;2;" not in terminal.sent


def test_characters_are_darker_and_brighter_like_the_activations(sshd: Sshd, folder: Path) -> None:
    with Terminal(sshd.command("--protocol", "ascii", folder=folder), PLAIN) as terminal:
        terminal.until_text("espresso")
        wanted, (width, height) = in_cells(terminal.screen, 1)
        box = pane(terminal.screen, LAYER)
        luminance = ember() @ [0.2126, 0.7152, 0.0722]
        steps = np.floor(luminance[wanted] * 10 / 256).astype(int)
        characters = np.array(list(".:-=*oO8&@"))[steps]
        characters[wanted == GUTTER] = " "
        characters[wanted == SELECTED] = "#"

        def is_right() -> bool:
            x = box.column + (box.columns - width) // 2
            y = box.row + (box.rows - height) // 2
            rows = terminal.screen.lines()[y : y + height]
            shown = np.array([list(row[x : x + width]) for row in rows])
            return bool((shown == characters).mean() > 0.99)

        terminal.until(is_right)

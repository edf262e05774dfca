"""The themes: their colours reach the cells and the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.decoders import Colour, Style
from tests.e2e.expected import LAYER, activation, drawn, is_shown, layout_in, levels, mosaic, pane
from tests.e2e.terminal import TUIVIS, Terminal
from tuivis.render import colormap

pytestmark = pytest.mark.e2e

BLACK, WHITE, YELLOW = (0, 0, 0), (255, 255, 255), (255, 212, 0)


def is_near(style: Style, ink: Colour, paper: Colour) -> bool:
    """Say whether the colours are these; the toolkit rounds."""
    assert style.ink and style.paper
    return all(abs(a - b) <= 1 for a, b in zip((*style.ink, *style.paper), (*ink, *paper), strict=True))


def test_high_contrast_is_black_white_and_yellow(folder: Path) -> None:
    with Terminal((*TUIVIS, "--theme", "tuivis-high-contrast")) as terminal:
        screen = terminal.screen
        terminal.until_text("espresso")
        box = pane(screen, LAYER)
        layout = layout_in(box, screen.cell, activation(), 24)
        palette = colormap.palette("ember", 256, 1.0, colormap.CHROMES["high-contrast"])
        assert tuple(palette[colormap.GUTTER]) == BLACK
        wanted = mosaic(levels(activation()), layout)
        terminal.until(lambda: is_shown(drawn(screen, LAYER, layout), wanted, palette))

        corner = screen.glyphs[box.row - 1][box.column - 1]
        assert corner[0] == "╭" and is_near(corner[1], YELLOW, BLACK)
        row = next(number for number, line in enumerate(screen.lines()) if "espresso" in line)
        assert is_near(screen.glyphs[row][screen.lines()[row].index("espresso")][1], WHITE, BLACK)

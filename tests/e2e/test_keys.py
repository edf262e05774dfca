"""Every key, typed at the program on a pty: what it changes on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.decoders import Pixels
from tests.e2e.expected import (
    LAYER,
    activation,
    drawn,
    ember,
    is_shown,
    layout_in,
    levels,
    mosaic,
    pane,
)
from tests.e2e.terminal import TUIVIS, Terminal
from tuivis.render import colormap
from tuivis.render.mosaic import Layout

pytestmark = pytest.mark.e2e


@dataclass
class Program:
    """The explorer on its first layer; `folder` is where it stands."""

    terminal: Terminal
    layout: Layout
    folder: Path

    def press(self, keys: str) -> None:
        """Type one key after another, as people do: an escape is not the start of the next key."""
        for key in keys:
            self.terminal.type(key)
            if key == "\x1b":
                self.terminal.settle(0.3)

    def ask(self, key: str, prompt: str, text: str) -> None:
        """Press `key`, wait for its `prompt`, and answer `text`."""
        self.press(key)
        self.terminal.until_text(prompt)
        self.terminal.settle(0.3)
        self.press(text)

    def pixels(self, layout: Layout | None = None, title: str = LAYER) -> Pixels:
        return drawn(self.terminal.screen, title, layout or self.layout)

    def shows(
        self,
        tiles: NDArray[np.uint8],
        selected: int | None = 0,
        palette: Pixels | None = None,
        layout: Layout | None = None,
    ) -> None:
        """Wait until the mosaic shows `tiles`."""
        wanted = mosaic(tiles, layout or self.layout, selected)
        colours = ember() if palette is None else palette
        self.terminal.until(lambda: is_shown(self.pixels(layout), wanted, colours))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        terminal = Terminal(TUIVIS)
    with terminal:
        terminal.until_text("espresso")
        layout = layout_in(pane(terminal.screen, LAYER), terminal.screen.cell, activation(), 24)
        yield Program(terminal, layout, folder)


@pytest.fixture
def program(running: Program) -> Iterator[Program]:
    """Give the program with its first screen, and leave it so."""
    running.shows(levels(activation()))
    yield running
    running.press("\x1b\x1bg")


def test_hjkl_and_g_move_the_frame(program: Program) -> None:
    tiles, columns = levels(activation()), program.layout.columns
    for keys, unit in (("l", 1), ("j", columns + 1), ("h", columns), ("k", 0), ("G", 111), ("g", 0)):
        program.press(keys)
        program.terminal.until_text(rf"\bunit {unit}\s")
        program.shows(tiles, unit)


def test_the_numbers_are_those_of_the_unit(program: Program) -> None:
    program.ask(":", "number", "57\r")
    values = activation()[57]
    row, column = np.unravel_index(values.argmax(), values.shape)
    program.terminal.until_text(f"max {values.max():.4g} at {row},{column}\\b")
    program.terminal.until_text(f"mean {values.mean():.4g}")
    program.terminal.until_text(f"active {(values > 0).mean():.0%}")
    program.terminal.until_text(f"rank {1 + (activation().max((1, 2)) > values.max()).sum()} of 112")
    program.shows(levels(activation()), 57)
    program.ask(":", "number", "112\r")
    program.terminal.until_text("_blocks.8 has no unit 112")
    program.shows(levels(activation()), 57)


def test_what_is_typed_ahead_of_a_prompt_reaches_it(program: Program) -> None:
    # Over a slow link several keys arrive in one piece.
    program.terminal.type(":57\r")
    program.terminal.until(lambda: program.terminal.find(r"\bunit 57\s") is not None, patience=10)


def test_what_is_typed_ahead_of_a_search_reaches_it(program: Program) -> None:
    program.terminal.type("/tripod")
    program.terminal.until_text("class 872")
    program.terminal.type("\x1b")


def test_o_and_u_step_through_the_layers(program: Program) -> None:
    program.press("o")
    title = program.terminal.until_text(r"─ (_blocks\.8\.\S+) · (\d+) units")
    name, units = title[1], int(title[2])
    values = activation(name)
    assert len(values) == units
    layout = layout_in(pane(program.terminal.screen, name), program.terminal.screen.cell, values, 24)
    wanted = mosaic(levels(values, (layout.height, layout.width)), layout)
    program.terminal.until(lambda: is_shown(program.pixels(layout, name), wanted, ember()))
    program.press("u")
    program.shows(levels(activation()))


def test_e_and_w_step_through_the_pictures(program: Program) -> None:
    program.press("e")
    program.terminal.until_text(r"─ camera\.png ")
    program.shows(levels(activation(photograph="camera.png")))
    program.press("w")
    program.shows(levels(activation()))
    program.terminal.until_text("espresso")
    program.press("w")
    program.terminal.until_text("13/13")
    program.press("e")


def test_z_zooms_into_a_unit(program: Program) -> None:
    program.press("lz")
    layout = layout_in(pane(program.terminal.screen, LAYER), program.terminal.screen.cell, activation(), 24, units=1)
    assert layout.scale > program.layout.scale
    program.shows(levels(activation())[1:2], None, layout=layout)
    program.press("z")
    program.shows(levels(activation()), 1)


def test_v_cycles_what_the_colours_span(program: Program) -> None:
    program.press("v")
    program.terminal.until_text("per unit")
    program.shows(levels(activation(), each=True))
    program.press("v")
    program.terminal.until_text("around zero")
    values = activation()
    around = np.round((values / np.abs(values).max() + 1) * 125).astype(np.uint8)
    program.shows(around, palette=colormap.palette("polar", 256, 1.0, colormap.CHROMES["dark"]))
    program.press("v")
    program.shows(levels(activation()))


def test_t_changes_the_gamma(program: Program) -> None:
    program.press("t")
    program.terminal.until_text("gamma 0.7")
    program.shows(levels(activation()), palette=ember(gamma=0.7))
    program.press("\x1b")
    program.shows(levels(activation()))
    assert program.terminal.find("gamma") is None


def test_boost_lifts_weak_units(program: Program) -> None:
    program.press("T")
    program.terminal.until_text("boost 0.3")
    high = activation().max((1, 2), keepdims=True)
    assert (high > 0).all()
    program.shows(levels(activation() * high**-0.3))


def test_i_orders_by_strength(program: Program) -> None:
    program.press("i")
    order = np.argsort(-activation().max((1, 2)), kind="stable")
    program.shows(levels(activation())[order], int(np.flatnonzero(order == 0)[0]))
    program.press("g")
    program.terminal.until_text(rf"\bunit {order[0]}\s")


def test_all_layers_are_listed_on_demand(program: Program) -> None:
    assert program.terminal.find("_depthwise_conv") is not None
    assert program.terminal.find("_bn[012]") is None
    program.press("A")
    program.terminal.until_text("_bn[012]")
    program.press("A")
    program.terminal.until(lambda: program.terminal.find("_bn[012]") is None)


def test_the_search_finds_a_class(program: Program) -> None:
    program.ask("/", "Search layers", "espresso")
    program.terminal.until_text("class 967")
    program.press("\r")
    program.terminal.until_text(r"─ output · 1000 units")
    program.terminal.until_text(r"\bunit 967\s")
    program.terminal.until_text(f"max {activation('_fc')[967]:.4g}")
    program.terminal.until_text("rank 1 of 1000")
    program.ask("/", "Search layers", "_blocks.8")
    program.terminal.until_text("MBConvBlock, 112 units")
    program.press("\r")
    program.terminal.until_text(r"─ _blocks\.8 · ")


def test_y_copies_the_address(program: Program) -> None:
    program.press("l")
    program.shows(levels(activation()), 1)
    program.press("y")
    program.terminal.until(lambda: program.terminal.screen.clipboard == ["_blocks.8/1"])
    program.terminal.until_text("copied _blocks.8/1")


def test_export_writes_what_is_on_screen(program: Program) -> None:
    program.press("E")
    program.terminal.until_text("efficientnet_lite0-_blocks.8-coffee.png")
    program.press("\r")
    program.terminal.until_text("wrote efficientnet_lite0-_blocks.8-coffee.png")
    written = np.asarray(Image.open(program.folder / "efficientnet_lite0-_blocks.8-coffee.png").convert("RGB"))
    assert is_shown(written, mosaic(levels(activation()), program.layout), ember())
    program.shows(levels(activation()))
    assert np.array_equal(written, program.pixels())


def test_the_help_lies_over_the_pictures_and_goes(program: Program) -> None:
    program.press("?")
    program.terminal.until_text("previous layer")
    program.terminal.until_text("go to a unit by number")
    program.press("\x1b")
    program.terminal.until(lambda: program.terminal.find("previous layer") is None)
    program.shows(levels(activation()))


def test_at_rest_not_a_byte_is_sent(program: Program) -> None:
    program.terminal.settle(1.5)
    before = len(program.terminal.sent)
    program.terminal.until(lambda: True)
    for _ in range(80):
        program.terminal.listen(0.05)
    assert program.terminal.sent[before:] == b""

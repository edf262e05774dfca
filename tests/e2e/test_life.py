"""What happens around the program while it runs: start-up, windows that change, suspension, an engine that dies."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.e2e.expected import LAYER, activation, drawn, ember, is_shown, layout_in, levels, mosaic, pane
from tests.e2e.model import ALTERNATE, OPTIONS, PROTOCOLS
from tests.e2e.ssh import needs
from tests.e2e.terminal import TUIVIS, Terminal, engine_of, tree

pytestmark = pytest.mark.e2e


def shows(terminal: Terminal, values: NDArray[np.float32], selected: int | None = 0) -> bool:
    """Say whether the mosaic on screen, whatever its size, is the first page of `values`."""
    try:
        box = pane(terminal.screen, LAYER)
    except LookupError:
        return False
    layout = layout_in(box, terminal.screen.cell, values, 24)
    wanted = mosaic(levels(values, (layout.height, layout.width)), layout, selected)
    return is_shown(drawn(terminal.screen, LAYER, layout), wanted, ember())


@pytest.mark.parametrize(("keys", "said"), [("", "per layer ─"), ("v", "per unit ─"), ("vt", "per unit · gamma 0.7 ─")])
def test_keys_typed_before_the_first_paint_count_once(folder: Path, keys: str, said: str) -> None:
    with Terminal(TUIVIS, delay=0.3) as terminal:
        terminal.until(lambda: b"\x1b[c" in terminal.sent)
        terminal.type(keys)
        terminal.until_text("espresso")
        terminal.until_text(said)
        terminal.settle()
        terminal.until_text(said)
        assert terminal.find(r"· kitty ·")
        assert not terminal.find("Units|search")


def test_the_picture_follows_the_window(folder: Path) -> None:
    with Terminal(TUIVIS, size=(80, 24)) as terminal:
        terminal.until_text("_blocks")
        for columns, rows in ((80, 24), (120, 40), (200, 60)):
            terminal.resize(columns, rows)
            terminal.until(lambda: shows(terminal, activation()))
            assert terminal.find("too small") is None
        for columns, rows in ((79, 24), (80, 23)):
            terminal.resize(columns, rows)
            terminal.until_text(f"too small: {columns}×{rows}")
            terminal.until(lambda: not terminal.screen.pixels()[:, :, 0].std() > 60 and not terminal.find("units"))
        terminal.resize(120, 40)
        terminal.until(lambda: shows(terminal, activation()))
        terminal.until_text("espresso")


def seen(terminal: Terminal, title: str) -> bytes:
    """Return what the pane whose title starts with `title` shows, its pixels and its characters, if it is there."""
    try:
        box, (width, height) = pane(terminal.screen, title), terminal.screen.cell
    except LookupError:
        return b""
    rows, columns = slice(box.row, box.row + box.rows), slice(box.column, box.column + box.columns)
    pixels = terminal.screen.pixels()[rows.start * height : rows.stop * height, columns.start * width :]
    characters = [line[columns] for line in terminal.screen.lines()[rows]]
    return pixels[:, : box.columns * width].tobytes() + "\n".join(characters).encode()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ctrl_z_and_fg_bring_back_the_whole_screen(folder: Path, protocol: str) -> None:
    needs("bash")
    panes = (LAYER, "coffee.png", "predictions", "unit", "layers")
    shell = ("env", "PS1=ready ", "bash", "--norc", "--noprofile", "-i")
    with Terminal(shell, PROTOCOLS[protocol]) as terminal:
        terminal.until_text("ready")
        terminal.type(" ".join((*TUIVIS, *OPTIONS.get(protocol, ()))) + "\r")
        terminal.until_text("espresso")
        terminal.until_text("rank .* of 112")
        terminal.settle(1.5)
        assert terminal.find(rf"· {protocol} ·")
        before = [seen(terminal, title) for title in panes]
        assert all(before)
        terminal.type("\x1a")
        terminal.until_text("Stopped")
        assert ALTERNATE not in terminal.screen.modes
        terminal.type("stty -a\r")
        terminal.until_text(r"\s(icanon|echo)\b")
        terminal.type("fg\r")
        terminal.until(lambda: ALTERNATE in terminal.screen.modes and terminal.find("espresso") is not None)
        terminal.until(lambda: [seen(terminal, title) for title in panes] == before)
        terminal.type("l")
        terminal.until_text(r"\bunit 1\s")
        terminal.until(lambda: seen(terminal, LAYER) != before[0])
        terminal.type("q")
        terminal.until(lambda: ALTERNATE not in terminal.screen.modes)
        assert not terminal.screen.images


def test_an_engine_that_dies_is_named_and_restarted(folder: Path, home: Path) -> None:
    with Terminal(TUIVIS) as terminal:
        terminal.until_text("espresso")
        terminal.type("e" + 12 * "l")
        camera = activation(photograph="camera.png")
        terminal.until(lambda: shows(terminal, camera, 12))
        engine = engine_of(terminal.process.pid)
        os.kill(engine, signal.SIGKILL)
        terminal.until_text(r"was killed \(signal 9")
        text = re.sub(r"\s+", "", "".join(terminal.screen.lines()[:4]))
        assert str(home / "state" / "tuivis" / "log" / "engine.log") in text
        assert "Pressrtostartitagain" in text
        terminal.type("r")
        terminal.until(lambda: terminal.find("signal 9") is None and len(tree(terminal.process.pid)) == 2)
        assert engine_of(terminal.process.pid) != engine
        # The new engine serves what the old one did not.
        terminal.type("l")
        terminal.until(lambda: shows(terminal, camera, 13))
        terminal.until_text(r"\bunit 13\s")
        terminal.type("w")
        terminal.until(lambda: shows(terminal, activation(), 13))

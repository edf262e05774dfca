import re
from pathlib import Path

import numpy as np

from tests.decoders import Screen
from tests.unit.pictures import show
from tuivis.render.kitty import KittyPlaceholders
from tuivis.render.picture import Box, CellSize, Encoder, Picture, Rect
from tuivis.render.tmux import ThroughTmux, ask, wrap

BOX = Box(0, 0, 40, 20)


def unwrapped(data: bytes) -> bytes:
    """What tmux hands on; everything but the text of cells must have been wrapped."""
    data, cells = without_cells(data)
    return handed_on(data) + cells


def without_cells(data: bytes) -> tuple[bytes, bytes]:
    cells = re.search(rb"\x1b7.*\x1b8$", data)
    return (data[: cells.start()], cells[0]) if cells else (data, b"")


def handed_on(data: bytes) -> bytes:
    sequence = rb"\x1bPtmux;((?:[^\x1b]|\x1b\x1b)*)\x1b\\"
    assert re.sub(sequence, b"", data) == b""
    return b"".join(re.findall(sequence, data)).replace(b"\x1b\x1b", b"\x1b")


def test_the_text_has_the_colour_of_the_pane() -> None:
    picture = Picture(np.zeros((50, 50, 3), np.uint8))
    wrapped = ThroughTmux(KittyPlaceholders(6, CellSize(8, 16)))
    wrapped.paper = b"48;2;1;2;3"
    wrapped.draw(picture, BOX)
    assert b"\x1b[0;48;2;1;2;3;38;2;0;0;7m" in wrapped.draw(picture, BOX)


def test_the_terminal_gets_what_the_encoder_sends() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    picture = Picture(noise)
    bare = KittyPlaceholders(7, CellSize(8, 16))
    wrapped = ThroughTmux(KittyPlaceholders(7, CellSize(8, 16)))
    damage = [Rect(3, 4, 60, 70)]
    assert unwrapped(wrapped.draw(picture, BOX)) == bare.draw(picture, BOX)
    assert unwrapped(wrapped.update(picture, BOX, damage)) == bare.update(picture, BOX, damage)
    assert wrapped.cells(2) == bare.cells(2) is not None
    assert wrapped.canvas(5, 5) == (40, 80)
    assert unwrapped(wrapped.erase()) == bare.erase() != b""


def test_text_that_turns_to_another_picture_is_written_out() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2, 200, 200, 3), np.uint8)
    shown = []
    for wrapped in (True, False):
        encoder: Encoder = KittyPlaceholders(6, CellSize(8, 17))
        encoder = ThroughTmux(encoder) if wrapped else encoder
        screen = Screen()
        for pixels in noise:
            data = encoder.draw(Picture(pixels), BOX)
            assert not wrapped or not re.search(rb"\x1b\[\d+b", data)
            show(screen, encoder, unwrapped(data) if wrapped else data, BOX)
        shown.append(screen.pixels())
    assert (shown[0] == shown[1]).all()
    assert len(np.unique(shown[0].reshape(-1, 3), axis=0)) > 100


def test_wrapped_escapes_are_doubled() -> None:
    assert wrap(b"\x1b[c") == b"\x1bPtmux;\x1b\x1b[c\x1b\\"


def test_without_the_command_nothing_is_let_through(tmp_path: Path) -> None:
    assert not ask({"TMUX": "x,1,0", "PATH": str(tmp_path)}).passthrough

"""How many bytes go to the terminal: for a frame, for a step, for a move of the selection, and at rest.

The real program on a pty, `_blocks.10` of efficientnet_lite0 (112 units of 14 x 14), the demo's photographs. What is
compared shows the very pixels that tuivis sent, decoded, in the same cells, and is counted in the same way.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import report
from benchmarks.session import CELL, COLUMNS, ROWS, TUIVIS, Session
from benchmarks.traffic import graphics, mosaics, total, transmissions
from tests.decoders import Screen
from tuivis.app import TuivisApp
from tuivis.config import Settings
from tuivis.render.picture import Box, CellSize
from tuivis.render.probe import Terminal
from tuivis.render.protocols import Choice
from tuivis.widgets.display import Display

LAYER = ("--layer", "_blocks.10")
STEPS = 5
MOVES = "llljjhkl"
IDLE = 10.0
"""Seconds."""
TARGETS = {
    "frame_bytes": 16_000,
    "still_bytes": 56_000,
    "frame_to_textual_image": 0.2,
    "move_bytes": 2_000,
    "half_block_to_textual": 0.5,
    "idle_bytes": 0,
}

Pixels = NDArray[np.uint8]

_PAINTED = re.compile(rb"\x1b7\x1b\[m(?:\x1b\[48;[\d;]*m)?\x1b\[(\d+);(\d+)H.*?\x1b8", re.DOTALL)
"""What an encoder of characters writes for one picture, and where it begins."""


def main() -> int:
    """Run the benchmark and return the exit code."""
    kitty, cells, stills = in_kitty()
    image = rival("textual-image", cells, stills)
    half_block, box, pictures = in_half_blocks()
    repaint = rival("half-blocks", (box.columns, box.rows), pictures)
    print(f"  a terminal of {COLUMNS} x {ROWS} cells of {CELL.width} x {CELL.height} pixels")
    print(f"  the mosaic covers {cells[0]} x {cells[1]} of the {box.columns} x {box.rows} cells of its pane")
    figures = {
        **kitty,
        "textual_image_bytes": image,
        "frame_to_textual_image": kitty["frame_bytes"] / image,
        "half_block_bytes": half_block,
        "textual_half_block_bytes": repaint,
        "half_block_to_textual": half_block / repaint,
    }
    return report("wire", figures, TARGETS)


def in_kitty() -> tuple[dict[str, float], tuple[int, int], list[Pixels]]:
    """Return the figures in a terminal like kitty, the mosaic's (columns, rows), and the stills that were shown."""
    with Session((*TUIVIS, *LAYER)) as session:
        session.until(lambda: bool(mosaics(transmissions(session.heard), COLUMNS)))
        session.rest(2)
        shown = mosaics(transmissions(session.heard), COLUMNS)[0]
        mosaic, cells = shown.pane, shown.cells
        seen = [_step(session, mosaic) for _ in range(STEPS)]
        moves = [_move(session, key, mosaic) for key in MOVES]
        before = len(session.heard)
        session.rest(IDLE)
        # On a busy machine a step may take so long that it counts as rest.
        steps = [step for step, _ in seen if step["frame_bytes"]]
        figures = {name: median(step[name] for step in steps) for name in steps[0]}
        figures |= {name: median(move[name] for move in moves) for name in moves[0]}
        return figures | {"idle_bytes": len(session.heard) - before}, cells, [still for _, still in seen]


def _step(session: Session, mosaic: int) -> tuple[dict[str, float], Pixels]:
    """Go on by two pictures, the second as soon as the first is seen: that is drawn as while things move, then refined.

    Return the bytes from the second one until the screen is at rest, and the mosaic's pixels then.
    """
    for _ in range(2):
        before = len(session.heard)
        session.type("e")
        session.until(partial(_has_come, session, mosaic, before))
    session.rest()
    pictures = transmissions(session.heard, before)
    drafts = [each for each in pictures if each.pane == mosaic and each.is_draft]
    stills = [each for each in pictures if each.pane == mosaic and not each.is_draft]
    whole, drawn = len(session.heard) - before, graphics(session.heard, before)
    figures: dict[str, float] = {
        "frame_bytes": total(drafts),
        "still_bytes": total(stills),
        "step_other_pictures_bytes": drawn - total(drafts) - total(stills),
        "step_text_bytes": whole - drawn,
        "step_bytes": whole,
    }
    return figures, stills[-1].rgb()


def _has_come(session: Session, mosaic: int, start: int) -> bool:
    """Say whether the stream holds a picture of the mosaic from `start` on."""
    return any(each.pane == mosaic for each in transmissions(session.heard, start))


def _move(session: Session, key: str, mosaic: int) -> dict[str, float]:
    """Move the selection; return the bytes until the screen is at rest."""
    before = session.press(key)
    frame = total(each for each in transmissions(session.heard, before) if each.pane == mosaic)
    whole, drawn = len(session.heard) - before, graphics(session.heard, before)
    return {
        "move_bytes": whole,
        "move_frame_bytes": frame,
        "move_text_bytes": whole - drawn,
        "move_overlay_bytes": drawn - frame,
    }


def in_half_blocks() -> tuple[float, Box, list[Pixels]]:
    """Return the bytes of the mosaic's frames in half blocks, its pane, and the pictures shown there."""
    box = asyncio.run(_pane())
    screen = Screen(COLUMNS, ROWS, cell=CellSize(1, 2))
    frames, pictures = [], []
    with Session((*TUIVIS, *LAYER, "--protocol", "halfblock")) as session:
        session.until(lambda: bool(_painted(session.heard, 0, box)))
        session.rest(2)
        before = 0
        for _ in range(STEPS):
            painted = _painted(session.heard, before, box)
            for data in painted:
                screen.feed(data)
            pane = screen.pixels()[2 * box.row : 2 * (box.row + box.rows), box.column : box.column + box.columns]
            pictures.append(pane)
            frames.append(sum(map(len, painted)))
            before = session.press("e", 2)
    return median(frames[1:]), box, pictures


def _painted(stream: bytes | bytearray, start: int, box: Box) -> list[bytes]:
    """Return what was painted into `box` in `stream` from `start` on."""
    found = []
    for match in _PAINTED.finditer(stream, start):
        row, column = int(match[1]) - 1 - box.row, int(match[2]) - 1 - box.column
        if 0 <= row < box.rows and 0 <= column < box.columns:
            found.append(bytes(match[0]))
    return found


async def _pane() -> Box:
    """Return where the mosaic's pane lies."""
    display = Display(Terminal(cell=CELL, true_colour=True), Choice("halfblock", "as measured"))
    app = TuivisApp(Settings(), display)
    async with app.run_test(size=(COLUMNS, ROWS)):
        region = app.explore.query_one("#mosaic").content_region
        return Box(region.x, region.y, region.width, region.height)


def rival(way: str, cells: tuple[int, int], pictures: Sequence[Pixels]) -> float:
    """Return the mean bytes for a change from one picture to the next."""
    with tempfile.TemporaryDirectory() as folder:
        for number, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(Path(folder, f"{number}.png"))
        command = (sys.executable, "-m", "benchmarks.rivals", way, *map(str, cells), folder)
        with Session(command) as session:
            session.until(lambda: len(session.heard) > 5000)
            session.rest(1)
            before = len(session.heard)
            for _ in pictures:
                session.press("e")
            return (len(session.heard) - before) / len(pictures)


if __name__ == "__main__":
    sys.exit(main())

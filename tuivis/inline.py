"""Printing one picture among a command's lines, in the terminal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
from PIL.Image import Image
from rich.console import Console

from tuivis.errors import printable
from tuivis.render import protocols
from tuivis.render.picture import CellSize
from tuivis.render.probe import Terminal, probe


def show(picture: Image, override: str) -> None:
    """Print `picture` below the cursor, as large as the terminal allows; nothing where only characters show.

    `override` is the protocol that the user asked for, or "auto".

    Raises
    ------
    UserError
        If `override` is no protocol.
    """
    terminal, _ = probe(sys.stdin.fileno(), sys.stdout.fileno(), os.environ)
    protocol = protocols.choose(terminal, os.environ, override).protocol
    if protocol == "ascii":
        return
    console = Console(color_system="truecolor" if terminal.true_colour else "256")
    cell = terminal.cell or protocols.ASSUMED_CELL
    # One line stays for the prompt: a Sixel picture is drawn upwards from the cursor.
    columns, rows = console.width, console.height - 2
    factor = min(1, columns * cell.width / picture.width, rows * cell.height / picture.height)
    width = max(1, int(picture.width * factor / cell.width))
    height = max(1, int(picture.height * factor / cell.height))
    with _answering_for_the_terminal(cell):
        from textual_image._terminal import get_cell_size
        from textual_image.renderable import HalfcellImage, SixelImage, TGPImage

        get_cell_size()
    if protocol == "kitty" and not terminal.tmux:
        console.print(TGPImage(picture, width, height))
    elif _shows_sixel(protocol, terminal):
        console.print(SixelImage(picture, width, height))
    else:
        console.print(HalfcellImage(picture, width, height))


def show_files(paths: Iterable[Path], override: str) -> None:
    """Print the pictures in files, each under its name; as `show` does."""
    for path in paths:
        print(printable(path))  # noqa: T201
        with PIL.Image.open(path) as picture:
            show(picture.convert("RGB"), override)


def _shows_sixel(protocol: protocols.Protocol, terminal: Terminal) -> bool:
    """Tell whether Sixel will do; terminals with inline images or with Kitty's, placed, mostly have it too."""
    return protocol == "sixel" or (protocol in ("iterm", "kitty-placed") and terminal.sixel)


@contextmanager
def _answering_for_the_terminal(cell: CellSize) -> Iterator[None]:
    """Keep textual-image from asking the terminal, which the probe has done: it asks at its import, and for the cell.

    Its questions wait for a tenth of a second; over a slow link the replies would come as keys for the shell. Where
    stdout is no terminal it asks nothing, and takes the size of a cell from two variables.
    """
    variables = {"TEXTUAL_CELL_WIDTH": str(cell.width), "TEXTUAL_CELL_HEIGHT": str(cell.height)}
    before, sys.__stdout__ = sys.__stdout__, io.StringIO()  # type: ignore[misc, assignment]
    os.environ.update(variables)
    try:
        yield
    finally:
        sys.__stdout__ = before  # type: ignore[misc]
        for name in variables:
            del os.environ[name]

"""Exporting what is on screen."""

from __future__ import annotations

import re
from pathlib import Path

from tuivis.errors import UserError, printable
from tuivis.files import write_whole
from tuivis.render import png
from tuivis.render.picture import Picture
from tuivis.state import State


def export_name(state: State) -> str:
    """Return a file name that says model, layer and picture, of characters that are harmless in a shell."""
    picture = state.pictures[state.view.picture] if state.pictures else ""
    model = state.loaded.model if state.loaded else ""
    parts = [model, state.view.layer, *([str(state.view.unit)] if state.view.zoom else []), Path(picture).stem]
    return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts if part) + ".png"


def export_picture(picture: Picture, path: str) -> str:
    """Write `picture` as a PNG file at its size on screen; return the line that says how it went."""
    try:
        write_whole(Path(path).expanduser(), png.encode(picture, picture.scale))
    except UserError as error:
        return str(error)
    height, width = picture.height * picture.scale, picture.width * picture.scale
    return f"wrote {printable(path)}, {width}×{height}"

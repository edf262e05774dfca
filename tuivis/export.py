"""Exporting what is on screen."""

from __future__ import annotations

from pathlib import Path

from tuivis.errors import UserError, printable
from tuivis.files import check_target, harmless_name, write_whole
from tuivis.render import png
from tuivis.render.picture import Picture
from tuivis.state import State


def export_name(state: State) -> str:
    """Return a file name that says model, layer, the unit if it fills the pane, and picture."""
    picture = state.pictures[state.view.picture] if state.pictures else ""
    model = Path(state.loaded.model).name if state.loaded else ""
    unit = str(state.view.unit) if state.view.zoom else ""
    return harmless_name(model, state.view.layer, unit, Path(picture).stem) + ".png"


def export_picture(picture: Picture, path: str) -> str:
    """Write `picture` as a PNG file at its size on screen; return the line that says how it went."""
    target = Path(path).expanduser()
    try:
        check_target(target, ".png")
        write_whole(target, png.encode(picture, picture.scale))
    except UserError as error:
        return str(error)
    height, width = picture.height * picture.scale, picture.width * picture.scale
    return f"wrote {printable(target)}, {width}×{height}"

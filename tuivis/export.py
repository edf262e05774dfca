"""Exporting what is on screen."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tuivis.engine.events import Activations
from tuivis.errors import UserError, printable
from tuivis.files import check_target, expanded, harmless_name, write_whole
from tuivis.render import colormap, png
from tuivis.render.backward import coloured
from tuivis.render.picture import Picture
from tuivis.state import State


def export_name(state: State) -> str:
    """Return a file name that says model, layer, the unit if it fills the pane, and picture."""
    picture = state.pictures[state.view.picture] if state.pictures else ""
    model = Path(state.loaded.model).name if state.loaded else ""
    layer, unit = state.view.layer, str(state.view.unit) if state.view.zoom else ""
    if state.look.mode is not None:
        layer, number = state.look.source(layer, state.view.unit)
        unit = f"{number}-{state.look.mode}"
    return harmless_name(model, layer, unit, Path(picture).stem) + ".png"


def export_backward(state: State, answer: Activations, path: str) -> str:
    """Write the backward picture that `answer` holds, and its raw arrays beside it; return how it went."""
    target = expanded(path)
    backward = answer.backward
    try:
        check_target(target, ".png")
        if backward is None or not backward.pixels.data:
            raise UserError(backward.reason if backward else "there is no backward pass")
        seen = answer.pixels.numpy()
        palette = colormap.palette(state.view.colours, 256, 1.0, colormap.CHROMES["dark"])
        pixels = coloured(backward.pixels.numpy(), seen, backward.backpass.view == "overlay", palette)
        data = io.BytesIO()
        np.savez(data, allow_pickle=False, **raw_arrays(answer))
        write_whole(target.with_suffix(".npz"), data.getvalue())
        write_whole(target, _exact(pixels))
    except UserError as error:
        return str(error)
    reason = f": {backward.reason}" if backward.reason else ""
    return f"wrote {printable(target)} and {printable(target.with_suffix('.npz').name)}{reason}"


def _exact(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG with every colour as it is; those for terminals have a palette."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def raw_arrays(answer: Activations) -> dict[str, NDArray[Any]]:
    """Return the raw values by name, as `np.savez` takes them.

    `input` (C, H, W) and `activations` (units, H, W); of a backward pass `input_gradient`, of the input's shape, and
    `receptive_field` (top, left, height, width), if it has one.
    """
    arrays = {"input": answer.input.numpy(), "activations": answer.activations.numpy()}
    if answer.input_gradient is not None:
        arrays["input_gradient"] = answer.input_gradient.numpy()
    if answer.field is not None:
        arrays["receptive_field"] = np.array(msgspec.structs.astuple(answer.field))
    return arrays


def export_picture(picture: Picture, path: str) -> str:
    """Write `picture` as a PNG file at its size on screen; return the line that says how it went."""
    target = expanded(path)
    try:
        check_target(target, ".png")
        write_whole(target, png.encode(picture, picture.scale))
    except UserError as error:
        return str(error)
    height, width = picture.height * picture.scale, picture.width * picture.scale
    return f"wrote {printable(target)}, {width}×{height}"

"""`tuivis snapshot --backward`, as a user calls it, against the formulas of the Deep Visualization Toolbox."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.filters import gaussian

from tests.ui.test_backward import LAYER, Reference, raw
from tuivis import cli
from tuivis.render import colormap
from tuivis.render.overlay import overlay

UNIT = ["snapshot", "efficientnet_lite0", "--layer", LAYER, "--unit", "57"]


def expected(view: str, reference: Reference) -> np.ndarray:
    """The picture of a unit's gradient, (224, 224, 3)."""
    gradient = reference.gradient(57)
    if view == "raw":
        return raw(gradient)
    if view == "gray":
        return raw(gradient.mean(0, keepdim=True).expand(3, -1, -1))
    norm = gradient.double().norm(dim=0).numpy()
    if view != "norm":
        norm = gaussian(norm, 4, mode="mirror", truncate=4)  # type: ignore[no-untyped-call]
    levels = np.rint((norm - norm.min()) / (norm.max() - norm.min()) * 250).astype(np.uint8)
    palette = colormap.palette("ember", 256, 1.0, colormap.CHROMES["dark"])
    if view != "overlay":
        return np.asarray(palette[levels])
    return overlay(reference.model.pixels(reference.batch[0]), levels, palette)


@pytest.mark.parametrize("view", [None, "raw", "gray", "norm", "blur", "overlay"])
def test_each_view_is_drawn_by_its_formula(tmp_path: Path, view: str | None) -> None:
    given = [] if view is None else ["--view", view]
    assert cli.run([*UNIT, "--backward", "gradient", *given, "-o", str(tmp_path / "a.png")]) == 0
    with Image.open(tmp_path / "a.png") as image:
        sheet = np.asarray(image.convert("RGB"))
    # Twice as large, as the input and the map beside it.
    panel = expected(view or "raw", Reference()).repeat(2, 0).repeat(2, 1)
    _, _, (left, top), _ = cv2.minMaxLoc(cv2.matchTemplate(sheet, panel, cv2.TM_SQDIFF))
    drawn = sheet[top : top + 448, left : left + 448].astype(int)
    # The next level may be a colour that is a little further away.
    assert np.abs(drawn - panel).max() <= (1 if view in (None, "raw", "gray") else 12)
    assert np.abs(drawn - panel).mean() < 0.5


def test_the_strongest_position_is_where_the_map_is_greatest(tmp_path: Path) -> None:
    npz = tmp_path / "a.npz"
    given = ["--backward", "gradient", "--at", "strongest", "-o", str(tmp_path / "a.png"), "--npz", str(npz)]
    assert cli.run([*UNIT, *given]) == 0
    arrays = np.load(npz)
    values = arrays["activations"][57]
    row, column = np.unravel_index(values.argmax(), values.shape)
    gradient = Reference().gradient(57, (int(row), int(column))).numpy()
    assert np.abs(arrays["input_gradient"] - gradient).max() <= 1e-6 * np.abs(gradient).max()


def test_a_snapshot_holds_the_backward_pass_and_its_raw_values(tmp_path: Path) -> None:
    png, npz = tmp_path / "a.png", tmp_path / "a.npz"
    arguments = ["--layer", LAYER, "--unit", "57", "--backward", "gradient", "--at", "3,12", "--view", "norm"]
    assert cli.run(["snapshot", "efficientnet_lite0", *arguments, "-o", str(png), "--npz", str(npz)]) == 0
    arrays = np.load(npz)
    expected = Reference().gradient(57, (3, 12)).numpy()
    assert np.allclose(arrays["input_gradient"], expected, atol=1e-6)
    assert arrays["receptive_field"].tolist() == [0, 38, 224, 186]
    assert png.stat().st_size > 1000


def test_gradient_times_input_has_the_gradient_itself_in_its_file(tmp_path: Path) -> None:
    png, npz = tmp_path / "a.png", tmp_path / "a.npz"
    arguments = ["--layer", LAYER, "--unit", "57", "--backward", "input"]
    assert cli.run(["snapshot", "efficientnet_lite0", *arguments, "-o", str(png), "--npz", str(npz)]) == 0
    assert np.allclose(np.load(npz)["input_gradient"], Reference().gradient(57).numpy(), atol=1e-6)


def test_a_snapshot_of_grad_cam_needs_a_class_but_no_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = []
    for name, target in (("a.png", []), ("b.png", ["--class", "espresso"]), ("c.png", ["--class", "285"])):
        arguments = ["--layer", "_blocks.14", "--backward", "gradcam", *target, "-o", str(tmp_path / name)]
        assert cli.run(["snapshot", "efficientnet_lite0", *arguments]) == 0
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]

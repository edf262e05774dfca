"""Backward passes that fail, or have nothing to show: the explorer says so in a line and goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from textual.widgets import Static

from tests.ui.explorer import explorer
from tests.ui.test_backward import backward, text
from tuivis import cli
from tuivis.config import Settings
from tuivis.engine.values import Box
from tuivis.widgets.backward import BackwardPane, BackwardPicture
from tuivis.widgets.relations import RelationsText

NETWORK = """
import torch
from torch import nn

class Cut(nn.Module):
    def forward(self, x):
        with torch.no_grad():
            return x * 2

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.cut = Cut()
        self.last = nn.Conv2d(4, 5, 3)
    def forward(self, x):
        return self.last(self.cut(self.first(x))).mean((2, 3))

def make():
    net = Net()
    net.input_size = (3, 16, 16)
    return net
"""


SILENT = """
import torch
from torch import nn

class Zero(nn.Module):
    def forward(self, x):
        return torch.cat([x[:, :1], x[:, 1:] * 0 + 1], 1)

def make():
    torch.manual_seed(0)
    net = {network}
    with torch.no_grad():
        net[0].bias[0], net[0].bias[1] = 100, -100
    net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten())
    net.input_size = (3, 16, 16)
    return net
"""


def put(folder: Path, network: str) -> None:
    """Put the file of a network, and a picture for it, into `folder`."""
    (folder / "net.py").write_text(network)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(folder / "1.png")


async def test_a_backward_pass_that_fails_is_a_line_and_the_explorer_goes_on(tmp_path: Path) -> None:
    put(tmp_path, NETWORK)
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="last")
    async with explorer(settings) as running:
        await running.pilot.press("b")
        await running.until(lambda: "it ends in cut (Cut)" in running.state.note)
        assert running.state.look.mode is None
        while running.state.view.layer != "first":
            await running.press("u")
        await backward(running, "b")


HUNGRY = """
import torch
from torch import nn

class Hungry(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        {backward}

class Call(nn.Module):
    def forward(self, x):
        return Hungry.apply(x)

def make():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Call(), nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.input_size = (3, 16, 16)
    return net
"""


@pytest.mark.parametrize("backward_fails", ["return torch.empty(1 << 60)", "raise torch.OutOfMemoryError('CUDA')"])
async def test_memory_that_runs_out_on_the_way_back_switches_the_view_off(tmp_path: Path, backward_fails: str) -> None:
    put(tmp_path, HUNGRY.format(backward=backward_fails))
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="2")
    async with explorer(settings) as running:
        engine = running.app._engine
        await running.pilot.press("b")
        await running.until(lambda: running.state.note.startswith("out of memory on the backward pass"))
        assert running.state.look.mode is None
        await running.press("l")
        assert running.state.view.unit == 1
        # What else goes back through it says so in its place.
        await running.press("W")
        await running.until(lambda: "out of memory" in text(running, RelationsText))
        while running.state.view.layer != "0":
            await running.press("u")
        assert (await backward(running, "b")).reason == ""
        # The units of this layer can be ranked by nothing that goes back through it.
        await running.press("i", "i")
        await running.until(lambda: running.state.note.startswith("out of memory on the order by gradient"))
        assert running.state.view.order == "index"
        await running.until(lambda: running.state.mosaic is not None and running.state.mosaic.layer == "0")
        assert running.app._engine is engine and running.state.phase == "ready"


async def test_memory_that_runs_out_while_a_picture_is_written_is_a_line_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is memory until a file says that there is none.
    full = f"return torch.empty(1 << 60) if __import__('os').path.exists({str(tmp_path / 'full')!r}) else grad * 2"
    put(tmp_path, HUNGRY.format(backward=full))
    monkeypatch.chdir(tmp_path)
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="2")
    async with explorer(settings) as running:
        engine = running.app._engine
        await backward(running, "b")
        (tmp_path / "full").touch()
        await running.pilot.press("E")
        await running.pilot.pause(0.2)
        await running.pilot.press("enter")
        await running.until(lambda: "out of memory on the backward pass" in running.state.note)
        (tmp_path / "full").unlink()
        assert not list(tmp_path.glob("*.npz")) and [each.name for each in tmp_path.glob("*.png")] == ["1.png"]
        assert running.app._engine is engine and running.state.phase == "ready"
        await backward(running, "l")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (
            "nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())",
            "unit 1 of 1 is silent here: its map is zero, and so is its gradient",
        ),
        ("nn.Sequential(nn.Conv2d(3, 4, 3), Zero())", "zero gradient: the input has no influence on unit 1 of 1 here"),
    ],
)
async def test_a_zero_gradient_is_said_in_place_of_a_black_picture(tmp_path: Path, network: str, reason: str) -> None:
    put(tmp_path, SILENT.format(network=network))
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="1", unit=1)
    async with explorer(settings, size=(200, 60)) as running:
        found = await backward(running, "b")
        assert found.reason == reason
        pane = running.app.explore.query_one(BackwardPane)
        said = pane.query_one("#reason", Static)
        await running.until(lambda: said.region.area > 0)
        assert str(said.render()) == reason
        assert not pane.query_one(BackwardPicture).display
        # The unit beside it is not silent, and has a picture again.
        assert (await backward(running, "h")).reason == ""
        await running.until(lambda: pane.query_one(BackwardPicture).display and not said.display)


INFINITE = """
import torch
from torch import nn

class Root(nn.Module):
    def forward(self, x):
        return torch.cat([(x[:, :, :2] * 0).sqrt(), x[:, :, 2:]], 2)

def make():
    torch.manual_seed(0)
    net = nn.Sequential(Root(), nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.input_size = (3, 16, 16)
    return net
"""


async def test_a_gradient_that_is_not_finite_is_said_and_the_rest_is_drawn(tmp_path: Path) -> None:
    put(tmp_path, INFINITE)
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="1", unit=1)
    async with explorer(settings, size=(200, 60)) as running:
        found = await backward(running, "b")
        assert found.reason == "the gradient is not finite (96 of its 768 values)"
        assert len(np.unique(found.pixels.numpy()[3:])) > 2
        pane = running.app.explore.query_one(BackwardPane)
        await running.until(lambda: pane.query_one("#reason", Static).region.area > 0)
        assert pane.query_one(BackwardPicture).display
        await running.press("W")
        await running.until(lambda: running.state.relations is not None)
        assert running.state.relations is not None and running.state.relations.effective is None


async def test_the_next_mode_comes_after_one_that_failed_up_to_grad_cam(tmp_path: Path) -> None:
    put(tmp_path, NETWORK)
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="last")
    async with explorer(settings) as running:
        for mode in ("gradient", "deconv", "guided", "input"):
            await running.pilot.press("n")
            await running.until(lambda mode=mode: running.state.look.failed == mode)  # type: ignore[misc]
        assert (await backward(running, "n")).backpass.mode == "gradcam"


@pytest.mark.parametrize("backward_fails", ["return torch.empty(1 << 60)", "raise torch.OutOfMemoryError('CUDA')"])
def test_memory_that_runs_out_is_one_line_and_grad_cam_needs_no_way_to_the_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backward_fails: str
) -> None:
    put(tmp_path, HUNGRY.format(backward=backward_fails))
    png, npz = tmp_path / "a.png", tmp_path / "a.npz"
    model = [f"{tmp_path / 'net.py'}:make", "--input", str(tmp_path / "1.png"), "--layer", "2", "-o", str(png)]
    assert cli.run(["snapshot", *model, "--unit", "1", "--backward", "gradient"]) == 2
    error = capsys.readouterr().err
    assert "out of memory on the backward pass" in error and not png.exists()
    assert cli.run(["snapshot", *model, "--npz", str(npz), "--backward", "gradcam", "--class", "3"]) == 0
    arrays = np.load(npz)
    assert arrays["input_gradient"].shape == (1, 16, 16) and "receptive_field" not in arrays
    assert cli.run(["snapshot", *model, "--backward", "gradcam", "--class", "5"]) == 2
    assert "no class 5: choose one from 0 to 4" in capsys.readouterr().err


ODD_OUTPUT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.last = nn.Conv2d(4, 5, 3)
    def forward(self, x):
        y = self.last(self.conv(x)).mean((2, 3))
        return {output}

def make():
    torch.manual_seed(0)
    net = Net()
    net.input_size = (3, 16, 16)
    return net
"""


@pytest.mark.parametrize("output", ["y.argmax(1)", "torch.fft.fft(y)"])
async def test_an_output_of_integers_or_complex_numbers_has_no_classes_and_units_are_traced_still(
    tmp_path: Path, output: str
) -> None:
    put(tmp_path, ODD_OUTPUT.format(output=output))
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="conv")
    async with explorer(settings, size=(200, 60)) as running:
        found = await backward(running, "b")
        assert found.pixels.data and not found.reason
        await running.press("W")
        await running.until(lambda: "feeds last" in text(running, RelationsText))
        relations = running.state.relations
        assert relations is not None and running.state.unit is not None
        assert relations.field == Box(*running.state.unit.at, 3, 3)
        assert relations.up == relations.down == () and relations.notes == ()
        await running.pilot.press(*"nnnn")
        await running.until(lambda: "The model's output has no classes" in running.state.note)
        await running.pilot.press("i", "i")
        await running.until(lambda: running.state.view.order == "index")
        await running.press("x")
        await running.until(lambda: running.state.unit is not None and running.state.unit.maximum == 0)
        assert running.state.phase == "ready" and not running.state.trouble


@pytest.mark.parametrize("output", ["y.argmax(1)", "torch.fft.fft(y)"])
def test_without_classes_the_commands_that_need_them_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    put(tmp_path, ODD_OUTPUT.format(output=output))
    png = tmp_path / "a.png"
    model = [f"{tmp_path / 'net.py'}:make", "--input", str(tmp_path / "1.png"), "--layer", "conv"]
    for arguments in (["rank", *model], ["snapshot", *model, "--backward", "gradcam", "-o", str(png)]):
        assert cli.run(arguments) == 2
        error = capsys.readouterr().err
        assert "The model's output has no classes" in error and error.count("\n") == 1
    assert not png.exists()
    assert cli.run(["snapshot", *model, "--unit", "1", "--backward", "guided", "-o", str(png)]) == 0

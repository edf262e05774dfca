"""Networks and pictures that are not as they should be, and the mouse: the explorer says so and goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image
from textual.events import Key, MouseScrollDown
from textual.widgets import Static

from tests.ui.explorer import explorer
from tuivis.config import Settings
from tuivis.engine.values import INFINITE, NOT_A_NUMBER
from tuivis.render import colormap
from tuivis.screens.messages import Messages
from tuivis.screens.search import Palette
from tuivis.widgets.input import InputPane
from tuivis.widgets.layers import LayerTree
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.predictions import Predictions
from tuivis.widgets.status import StatusLine
from tuivis.widgets.unit import UnitMap

NETWORK = """
import torch
from torch import nn

class Hungry(nn.Module):
    def forward(self, x):
        if x.mean() > 1:
            torch.empty(1 << 60)
        return x

class Odd(nn.Module):
    def forward(self, x):
        x = x.clone()
        x[0, 1, 0, 0] = float("nan")
        x[0, 2, 0, :2] = float("inf")
        return x

class Indices(nn.Module):
    def forward(self, x):
        return x.argmax(1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.odd = Odd()
        self.hungry = Hungry()
        self.indices = Indices()
        self.many = nn.Conv2d(6, 4000, 1)
        self.head = nn.Linear(6, 2)
    def forward(self, x):
        x = self.first(self.hungry(x))
        self.odd(x)
        self.indices(x)
        self.many(x[:, :, :4, :4])
        return self.head(x.mean((2, 3)))

def make():
    net = Net()
    net.input_size = (3, 8, 12)
    return net
"""


@pytest.fixture
def odd(tmp_path: Path) -> Settings:
    """A network with NaN, infinities, indices and very many units, and three pictures, one of them broken."""
    (tmp_path / "net.py").write_text(NETWORK)
    pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    Image.fromarray(pixels[::-1]).save(tmp_path / "3.png")
    return Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path),), layer="first")


async def test_nan_and_infinity_have_their_own_colour_and_are_counted(odd: Settings) -> None:
    async with explorer(odd, protocol="kitty") as running:
        await running.press("A", "o")
        assert running.state.view.layer == "odd"
        status = running.app.explore.query_one(StatusLine).render().plain
        assert "1 NaN, 2 infinite" in status
        assert running.state.mosaic is not None
        levels = running.state.mosaic.levels.numpy()
        assert levels[1, 0, 0] == NOT_A_NUMBER
        assert (levels[2, 0, :2] == INFINITE).all()
        picture = running.app.explore.query_one(MosaicPane).picture
        assert picture is not None and picture.palette is not None
        chrome = colormap.CHROMES["dark"]
        assert tuple(picture.palette[-1]) == chrome.nan and tuple(picture.palette[-2]) == chrome.infinite
        assert (picture.pixels == len(picture.palette) - 1).any()


async def test_an_output_without_units_is_listed_and_says_why(odd: Settings) -> None:
    async with explorer(odd) as running:
        await running.press("A")
        unusable = [info for info in running.state.layers if not info.units]
        assert [info.name for info in unusable] == ["indices"]
        assert unusable[0].reason
        tree = running.app.explore.query_one(LayerTree)
        labels = [tree.get_node_at_line(line) for line in range(10)]
        assert any(node is not None and node.data is unusable[0] for node in labels)
        await running.press("o", "o")
        assert running.state.view.layer == "many"


async def test_a_broken_picture_is_told_and_the_next_one_shown(odd: Settings) -> None:
    async with explorer(odd) as running:
        await running.pilot.press("e")
        await running.until(lambda: "2.png" in running.state.trouble)
        # Nothing of the picture before stands under the name of this one, and the reason outlives the next key.
        await running.pilot.press("t")
        panes = [running.app.explore.query_one(kind) for kind in (InputPane, MosaicPane, UnitMap)]
        await running.until(lambda: all(pane.picture is None for pane in panes))
        assert "2.png" in running.app.explore.query_one(StatusLine).render().plain
        assert running.app.explore.query_one(Predictions).render().plain == ""
        mosaic = running.app.explore.query_one(MosaicPane)
        middle = range(mosaic.content_size.height // 2 - 1, mosaic.content_size.height // 2 + 2)
        assert "2.png" in "".join(mosaic.render_line(y).text.strip() for y in middle)
        await running.press("e")
        assert running.state.frame is not None and running.state.frame.picture == 2
        assert running.state.note == running.state.trouble == ""
        await running.until(lambda: all(pane.picture is not None for pane in panes))
        assert "2.png" not in "".join(mosaic.render_line(y).text.strip() for y in middle)


async def test_what_loading_had_to_say_can_be_read_again(odd: Settings) -> None:
    async with explorer(odd, size=(80, 24)) as running:
        await running.press("l")
        assert running.state.note == ""
        await running.pilot.press("N")
        await running.until(lambda: isinstance(running.app.screen, Messages))
        listed = "\n".join(str(each.render()) for each in running.app.screen.query(Static))
        assert running.state.loaded is not None and running.state.loaded.notes
        assert all(note in listed for note in running.state.loaded.notes)
        # A file in the folder of pictures that is none.
        assert "net.py" in listed
        await running.press("escape")
        assert running.app.screen is running.app.explore


async def test_the_input_pane_shows_what_the_network_sees(odd: Settings, tmp_path: Path) -> None:
    async with explorer(odd, protocol="kitty") as running:
        shown = running.app.explore.query_one(InputPane).picture
        assert shown is not None
        factor = shown.height // 8
        assert shown.pixels.shape == (8 * factor, 12 * factor, 3)
        expected = np.asarray(Image.open(tmp_path / "1.png"))
        assert np.abs(shown.pixels[::factor, ::factor].astype(int) - expected).max() <= 1


async def test_a_layer_of_very_many_units_scrolls_and_says_so(odd: Settings) -> None:
    async with explorer(odd) as running:
        while running.state.view.layer != "many":
            await running.press("o")
        pane = running.app.explore.query_one(MosaicPane)
        assert "of 4000" in str(pane.border_subtitle)
        layout = running.state.layout
        assert layout is not None and layout.page < 4000
        await running.press("G")
        assert running.state.first + layout.page >= 4000
        await running.press("g")
        await running.press("i")
        slot = running.state.slot(0)
        assert slot >= layout.page and running.state.first <= slot < running.state.first + layout.page
        await running.press("escape", "g")
        await running.pilot._post_mouse_events([MouseScrollDown], MosaicPane, offset=(5, 5))
        await running.until(lambda: running.state.view.row == 1 and running.settled())
        assert running.state.view.unit == 0


async def test_a_click_on_a_layer_shows_it(odd: Settings) -> None:
    async with explorer(odd) as running:
        await running.pilot.click(LayerTree, offset=(4, 2))
        await running.until(lambda: running.state.view.layer == "many" and running.settled())


async def test_an_engine_without_memory_ends_is_told_and_starts_again(odd: Settings, tmp_path: Path) -> None:
    Image.new("RGB", (12, 8), (255, 255, 255)).save(tmp_path / "2.png")
    async with explorer(odd) as running:
        await running.pilot.press("e")
        await running.until(lambda: running.state.phase == "lost")
        assert "ran out of memory" in running.state.banner and "engine.log" in running.state.banner
        await running.pilot.press("w", "r")
        await running.until(running.settled)
        assert running.state.banner == ""


async def test_an_engine_that_cannot_be_started_is_told(odd: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/no such python")
        async with explorer(odd) as running:
            assert running.state.phase == "lost"
            assert "did not start: cannot start the engine, /no such python: No such file" in running.state.banner
            patch.undo()
            await running.press("r")
            assert running.state.banner == ""


async def test_random_weights_are_named_as_such() -> None:
    async with explorer(Settings(model="squeezenet1_1", weights="random")) as running:
        assert "random weights" in running.app.explore.query_one(StatusLine).render().plain


@pytest.mark.parametrize("value", ["nan", "inf"])
async def test_an_output_that_is_not_finite_is_said_and_nothing_else_is_lost(tmp_path: Path, value: str) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Bad(nn.Module):\n"
        f"    def forward(self, x):\n        return x.mean((2, 3)) + float('{value}')\n"
        "def make():\n    net = nn.Sequential(nn.Conv2d(3, 4, 3), Bad())\n"
        "    net.input_size = (3, 8, 12)\n    return net\n"
    )
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "1.png")
    settings = Settings(model=f"{tmp_path / 'net.py'}:make", input=(str(tmp_path / "1.png"),), layer="0")
    async with explorer(settings) as running:
        assert "no finite output" in running.app.explore.query_one(Predictions).render().plain
        await running.press("l", "x")
        assert running.state.view.unit == 1 and running.state.phase == "ready"


async def test_a_first_picture_that_cannot_be_shown_is_told_although_loading_had_something_to_say(
    odd: Settings, tmp_path: Path
) -> None:
    async with explorer(replace(odd, input=(str(tmp_path / "2.png"),))) as running:
        await running.until(lambda: "2.png" in running.state.trouble)
        assert running.state.messages
        assert "2.png" in running.app.explore.query_one(StatusLine).render().plain


async def test_what_loading_had_to_say_leaves_room_for_the_facts(odd: Settings) -> None:
    async with explorer(odd, size=(100, 30)) as running:
        assert running.state.note in running.state.messages and len(running.state.note) > 60
        line = running.app.explore.query_one(StatusLine).render().plain
        assert "net.py:make" in line and " ms" in line and running.state.note[:40] in line
        assert len(line) <= 100


@pytest.mark.parametrize("keys", [":5\r\r", ":\r\r", ":1\r:2\r", "E\x15\r\r", "#\r\r", ":\x1b"])
async def test_keys_that_come_together_end_a_prompt_once(
    odd: Settings, keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"\r": "enter", ":": "colon", "#": "number_sign", "\x15": "ctrl+u", "\x1b": "escape"}
    async with explorer(odd) as running:
        for key in keys:
            name = names.get(key, key)
            running.app.post_message(Key(name, key if key.isprintable() else None))
        await running.pilot.pause()
        await running.press("l")
        await running.until(lambda: running.app.screen is running.app.explore)
        assert running.app.is_running


async def test_a_page_key_before_the_search_is_drawn_does_no_harm(odd: Settings) -> None:
    async with explorer(odd) as running:
        for key in ("slash", "o", "pagedown", "pagedown", "pageup"):
            running.app.post_message(Key(key, "o" if key == "o" else "/" if key == "slash" else None))
        await running.until(lambda: isinstance(running.app.screen, Palette))
        await running.pilot.press("pagedown", "escape", "escape")
        await running.until(lambda: running.app.screen is running.app.explore)


async def test_an_export_is_offered_a_name_that_is_free(
    odd: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with explorer(odd) as running:
        for _ in range(2):
            await running.pilot.press("E", "enter")
            await running.until(lambda: running.app.screen is running.app.explore)
    assert len(list(tmp_path.glob("net*first*.png"))) == 2


async def test_escape_brings_the_configured_colours_back(odd: Settings) -> None:
    async with explorer(replace(odd, colours="gray")) as running:
        seen: list[str] = []
        for key in ("h", "C", "escape"):
            await running.press(key)
            seen.append(running.state.view.colours)
        assert seen[0] == seen[2] == "gray" != seen[1]


async def test_a_terminal_of_no_width_shows_nothing_and_comes_back_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    settings = Settings(input=(str(tmp_path / "broken.png"),), device="cpu")
    async with explorer(settings) as running:
        mosaic = running.app.explore.query_one(MosaicPane)
        for width in (30, 6, 2):
            await running.pilot.resize_terminal(width, 24)
            await running.pilot.pause(0.1)
            assert all(mosaic.render_line(y).cell_length == mosaic.content_size.width for y in range(24))
        await running.pilot.resize_terminal(120, 40)
        await running.pilot.pause(0.1)
        assert "broken.png" in "".join(mosaic.render_line(y).text for y in range(mosaic.content_size.height))

"""The explorer driven by keys, against the real engine with real weights on real photographs."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from textual.command import CommandList
from textual.events import MouseScrollDown, MouseScrollUp
from textual.widget import Widget

from tests.decoders import Screen
from tests.ui.explorer import Explorer, explorer
from tuivis.config import Settings
from tuivis.engine import models
from tuivis.engine.events import Mosaic
from tuivis.engine.sources import open_pictures
from tuivis.render import colormap
from tuivis.render.mosaic import compose, mark
from tuivis.render.picture import CellSize
from tuivis.screens.help import Help
from tuivis.screens.prompt import Prompt
from tuivis.screens.search import Palette
from tuivis.widgets.input import InputPane
from tuivis.widgets.layers import LayerTree
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.predictions import Predictions
from tuivis.widgets.status import StatusLine
from tuivis.widgets.unit import UnitMap, UnitNumbers, UnitPanel

ASKED = re.compile(rb"\x1b7\x1b\[\d+;\d+H\x1b\[6n\x1b8|\x1b\[\d\dm")
"""What asks the terminal whether a frame is drawn; and the paper, which has no colour of its own without a terminal."""


def independent(picture: int, layer: str) -> torch.Tensor:
    """Return the layer's activation (units, h, w) by a plain forward pass with a plain hook."""
    model = models.load("efficientnet_lite0", None, "cpu", 0, lambda text, fraction: None)
    kept: list[torch.Tensor] = []
    hook = dict(model.module.named_modules())[layer].register_forward_hook(
        lambda module, inputs, output: kept.append(output.clone())
    )
    with torch.no_grad():
        model.module(model.preprocess(open_pictures(("demo",)).read(picture)).unsqueeze(0))
    hook.remove()
    return kept[0][0]


def text_of(widget: UnitNumbers | Predictions | StatusLine) -> str:
    return widget.render().plain


def shown(running: Explorer) -> Mosaic:
    assert running.state.mosaic is not None
    return running.state.mosaic


async def test_the_first_screen_shows_the_network_looking_at_a_photograph() -> None:
    async with explorer(Settings(layer="_blocks.10", unit=57)) as running:
        app, state = running.app, running.state
        activation = independent(0, "_blocks.10")

        layout = state.layout
        assert layout is not None and state.mosaic is not None
        low, high = activation.min(), activation.max()
        pooled = torch.nn.functional.adaptive_avg_pool2d(activation, (layout.height, layout.width))
        expected = ((pooled - low) / (high - low) * (colormap.LEVELS - 1)).round().to(torch.uint8).numpy()
        expected = expected[state.first : state.first + layout.page]
        levels = state.mosaic.levels.numpy()
        assert levels.shape == expected.shape
        assert np.abs(levels.astype(int) - expected.astype(int)).max() <= 1

        pane = app.explore.query_one(MosaicPane)
        pixels = compose(levels, layout)
        mark(pixels, layout.frame(57 - state.first), colormap.SELECTED)
        assert pane.picture is not None
        assert np.array_equal(pane.picture.pixels, colormap.coarsen(pixels, 32))

        unit = activation[57]
        numbers = text_of(app.explore.query_one(UnitNumbers))
        row, column = divmod(int(unit.argmax()), unit.shape[1])
        assert f"max {float(unit.max()):.4g} at {row},{column}" in numbers
        assert f"mean {float(unit.mean()):.4g}" in numbers
        assert f"active {float((unit > 0).float().mean()):.0%}" in numbers
        rank = 1 + int((activation.amax((1, 2)) > unit.max()).sum())
        assert f"rank {rank} of 112" in numbers

        assert "espresso" in text_of(app.explore.query_one(Predictions)).splitlines()[0]
        await running.until(lambda: "kB" in text_of(app.explore.query_one(StatusLine)))
        status = text_of(app.explore.query_one(StatusLine))
        assert "cpu" in status and "GiB" in status and " ms" in status and "halfblock" in status
        tree = app.explore.query_one(LayerTree)
        assert tree.cursor_node is not None and tree.cursor_node.data is not None
        assert tree.cursor_node.data.name == "_blocks.10"


async def test_keys_change_what_they_say_without_another_forward_pass() -> None:
    async with explorer(Settings(layer="_blocks.10")) as running:
        frame = running.state.frame
        view = running.state.view
        await running.press("l", "l", "j", "h")
        layout = running.state.layout
        assert layout is not None
        assert running.state.view.unit == layout.columns + 1
        await running.press("v")
        assert shown(running).normalisation == "unit"
        await running.press("v")
        levels = shown(running).levels
        assert shown(running).normalisation == "diverging"
        await running.press("T")
        await running.until(lambda: shown(running).levels != levels)
        palette = running.app.explore.query_one(MosaicPane).picture
        await running.press("t")
        after = running.app.explore.query_one(MosaicPane).picture
        assert palette is not None and palette.palette is not None and after is not None and after.palette is not None
        assert not np.array_equal(palette.palette, after.palette)
        assert running.state.frame is frame
        await running.press("escape")
        assert running.state.view.normalisation == "layer" and running.state.view.gamma == 1
        assert running.state.view.layer == view.layer
        await running.press("G")
        assert running.state.view.unit == 111
        await running.press("g")
        assert running.state.view.unit == 0


async def test_the_strongest_units_come_first() -> None:
    async with explorer(Settings(layer="_blocks.10")) as running:
        await running.press("i")
        activation = independent(0, "_blocks.10")
        expected = activation.amax((1, 2)).argsort(descending=True, stable=True)
        assert running.state.mosaic is not None
        assert running.state.mosaic.order.numpy().tolist() == expected.tolist()
        await running.press("g")
        assert running.state.view.unit == int(expected[0])
        assert "rank 1 of" in text_of(running.app.explore.query_one(UnitNumbers))


async def test_layers_and_pictures_step_and_the_unit_stays() -> None:
    async with explorer(Settings(layer="_blocks.10", unit=40)) as running:
        await running.press("o")
        assert running.state.view.layer == "_blocks.10._expand_conv"
        assert running.state.view.unit == 40
        await running.press("u", "pageup", "pagedown")
        assert running.state.view.layer == "_blocks.10"
        await running.press("e")
        assert "tripod" in text_of(running.app.explore.query_one(Predictions))
        await running.press("w")
        assert "espresso" in text_of(running.app.explore.query_one(Predictions))
        await running.press("z")
        assert running.state.mosaic is not None
        assert running.state.mosaic.levels.shape == (1, 14, 14)
        await running.press("l", "z")
        assert running.state.view.unit == 41
        listed = len(running.state.layers)
        await running.press("A")
        assert len(running.state.layers) > listed


async def test_shift_moves_by_three() -> None:
    async with explorer(Settings(layer="_blocks.10")) as running:
        assert running.state.layout is not None
        columns = running.state.layout.columns
        for key, unit in (("shift+right", 3), ("L", 6), ("J", 6 + 3 * columns), ("shift+down", 6 + 6 * columns)):
            await running.press(key)
            assert running.state.view.unit == unit
        for key, unit in (("K", 6 + 3 * columns), ("shift+up", 6), ("H", 3), ("shift+left", 0)):
            await running.press(key)
            assert running.state.view.unit == unit


async def test_the_palette_runs_a_command() -> None:
    async with explorer(Settings(layer="_blocks.10")) as running:
        await running.pilot.press("ctrl+p")
        await running.until(lambda: isinstance(running.app.screen, Palette))
        await running.pilot.press(*"boost")
        found = running.app.screen.query_one(CommandList)
        await running.until(lambda: found.option_count == 1 and "Boost" in str(found.get_option_at_index(0).prompt))
        await running.press("enter", "enter")
        await running.until(lambda: running.app.screen is running.app.explore and running.state.view.boost == 0.3)


async def test_the_wheel_over_the_layers_scrolls_them_and_chooses_none() -> None:
    async with explorer(Settings(layer="_blocks.0")) as running:
        tree = running.app.explore.query_one(LayerTree)
        assert tree.max_scroll_y > 0
        top = tree.scroll_offset.y
        await running.pilot._post_mouse_events([MouseScrollDown] * 3, LayerTree, offset=(5, 5))
        await running.until(lambda: tree.scroll_offset.y > top)
        await running.pilot._post_mouse_events([MouseScrollUp] * 3, LayerTree, offset=(5, 5))
        await running.until(lambda: tree.scroll_offset.y == top)
        assert running.state.view.layer == "_blocks.0"


async def test_the_tree_has_the_focus_by_tab_and_walks_the_layers() -> None:
    async with explorer(Settings(layer="_blocks.10")) as running:
        await running.pilot.press("shift+tab")
        assert running.app.focused is running.app.explore.query_one(LayerTree)
        await running.press("j")
        assert running.state.view.layer == "_blocks.10._expand_conv"
        await running.press("k")
        assert running.state.view.layer == "_blocks.10"


async def test_a_class_is_found_by_its_name() -> None:
    async with explorer() as running:
        await running.pilot.press("slash")
        await running.pilot.pause(0.3)
        await running.pilot.press(*"espresso")
        await running.pilot.pause(1)
        await running.pilot.press("enter")
        await running.until(lambda: running.state.view.layer == "output" and running.settled())
        assert running.state.view.unit == 967
        assert "espresso" in text_of(running.app.explore.query_one(UnitNumbers))


async def test_a_unit_is_chosen_by_number_and_a_wrong_one_is_told() -> None:
    async with explorer(Settings(layer="_blocks.10")) as running:
        await running.press("colon")
        assert isinstance(running.app.screen, Prompt)
        await running.press("6", "1", "enter")
        assert running.state.view.unit == 61
        await running.press("colon", "9", "9", "9", "enter")
        assert running.state.view.unit == 61
        assert "units are 0 to 111" in text_of(running.app.explore.query_one(StatusLine))


async def test_the_help_lists_every_binding_with_its_key() -> None:
    async with explorer(Settings(keys={"view.gamma": "f5"})) as running:
        await running.pilot.press("question_mark")
        assert isinstance(running.app.screen, Help)
        await running.until(lambda: bool(running.app.screen.query("#help Static")))
        await running.pilot.pause()
        shown = "\n".join(strip.text for strip in running.app.screen._compositor.render_strips())
        assert "gamma" in shown and "f5" in shown
        assert "previous layer" in shown
        await running.pilot.press("escape")
        await running.press("f5")
        assert running.state.view.gamma == 0.7


async def test_a_click_selects_a_tile_and_a_layer() -> None:
    async with explorer(Settings(layer="_blocks.10")) as running:
        pane = running.app.explore.query_one(MosaicPane)
        layout = running.state.layout
        assert layout is not None
        slot = layout.columns + 2
        frame = layout.frame(slot)
        width, height = pane.canvas
        x = (frame.x + frame.width // 2) * layout.scale * pane.content_size.width // width
        y = (frame.y + frame.height // 2) * layout.scale * pane.content_size.height // height
        await running.pilot.click(MosaicPane, offset=(x + 1, y + 1))
        await running.until(lambda: running.settled() and running.state.view.unit == slot)


async def test_what_is_on_screen_is_exported(tmp_path: Path) -> None:
    async with explorer(Settings(layer="_blocks.10"), protocol="kitty") as running:
        target = tmp_path / "mosaic.png"
        await export(running, str(target))
        state, layout = running.state, running.state.layout
        assert layout is not None and state.mosaic is not None
        pixels = compose(state.mosaic.levels.numpy(), layout)
        mark(pixels, layout.frame(0), colormap.SELECTED)
        palette = colormap.palette("ember", 256, 1.0, colormap.CHROMES["dark"])
        expected = palette[pixels].repeat(layout.scale, 0).repeat(layout.scale, 1)
        assert np.array_equal(np.asarray(Image.open(target).convert("RGB")), expected)
        assert str(target) in running.state.note


async def test_an_export_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    async with explorer() as running:
        await export(running, str(tmp_path / "missing" / "mosaic.png"))
        assert "no folder" in running.state.note
        await export(running, "/dev/full/x.png")
        assert "no folder" in running.state.note
    assert [path.name for path in tmp_path.iterdir()] == ["engine.log"]


async def export(running: Explorer, path: str) -> None:
    await running.pilot.press("E")
    await running.pilot.press("ctrl+u", "ctrl+k")
    prompt = running.app.screen
    prompt.query_one("Input").value = path  # type: ignore[attr-defined]
    await running.pilot.press("enter")
    await running.pilot.pause()


async def test_the_address_is_copied() -> None:
    async with explorer(Settings(layer="_blocks.10", unit=3)) as running:
        await running.pilot.press("y")
        assert running.app.clipboard == "_blocks.10/3"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_pane_has_room_at_every_size(size: tuple[int, int]) -> None:
    async with explorer(size=size) as running:
        screen = running.app.explore
        for kind in (LayerTree, MosaicPane, Predictions, UnitPanel, UnitNumbers, UnitMap, StatusLine):
            widget = screen.query_one(kind)
            assert widget.region.area > 0, kind
            assert screen.region.contains_region(widget.region), kind
        assert screen.query_one(MosaicPane).content_size.width >= 36
        assert screen.query_one(Predictions).content_size.height >= 5
        assert screen.query_one(InputPane).content_size.height >= 4


async def test_a_terminal_that_is_too_small_says_so_and_recovers() -> None:
    async with explorer(size=(120, 40)) as running:
        await running.pilot.resize_terminal(79, 24)
        await running.pilot.pause()
        assert running.app.explore.query_one("#too-small").region.area > 0
        assert running.app.explore.query_one(MosaicPane).region.area == 0
        await running.pilot.resize_terminal(80, 24)
        await running.until(running.settled)
        assert running.app.explore.query_one(MosaicPane).region.area > 0


async def test_lines_of_text_take_the_width_of_another_terminal() -> None:
    async with explorer(size=(200, 60)) as running:
        predictions = running.app.explore.query_one(Predictions)
        for width in (80, 200):
            await running.pilot.resize_terminal(width, 24)
            await running.until(lambda: painted(predictions) == [str(line) for line in predictions.lines()])
        names = [each.label for each in running.state.frame.top] if running.state.frame else []
        assert names and all(line.startswith(name[:18]) for line, name in zip(painted(predictions), names, strict=True))


async def test_no_pane_blanks_what_another_shows_in_its_old_place() -> None:
    async with explorer(Settings(layer="_conv_stem"), (80, 24), "sixel") as running:
        pane, tree = running.app.explore.query_one(MosaicPane), running.app.explore.query_one(LayerTree)
        await running.until(lambda: pane.picture is not None and pane._is_current())
        old, before = pane._box(), len(running.sent)
        await running.pilot.resize_terminal(120, 40)
        await running.until(lambda: pane.canvas[0] > 400 and pane.picture is not None and pane._is_current())
        place = tree.region
        assert old is not None and old.column < place.right and old.row < place.bottom
        screen = Screen(120, 40, CellSize(8, 16))
        for text in running.sent[before:]:
            screen.feed(ASKED.sub(b"", text.encode()))
        # What Textual has written stands.
        assert all(screen.glyphs[y][x][0] == "x" for x in place.column_range for y in place.line_range)


def painted(widget: Widget) -> list[str]:
    """Return the lines that are on the screen."""
    rows = [widget.render_line(y).text.strip() for y in range(widget.size.height)]
    return [row for row in rows if row]


async def test_a_killed_engine_is_told_and_starts_again_where_it_was() -> None:
    async with explorer(Settings(layer="_blocks.5")) as running:
        await running.press("l", "e", "v")
        before = running.state.view
        engine = running.app._engine
        assert engine is not None
        os.kill(engine.pid, signal.SIGKILL)
        await running.until(lambda: running.state.phase == "lost")
        banner = running.app.explore.query_one("#banner")
        await running.until(lambda: banner.region.area > 0)
        assert "signal 9" in running.state.banner and "engine.log" in running.state.banner
        await running.pilot.press("r")
        await running.until(lambda: running.state.phase == "ready" and running.settled())
        assert running.state.view == before
        assert banner.region.area == 0


async def test_a_model_that_does_not_exist_is_told_with_the_nearest() -> None:
    async with explorer(Settings(model="resnet181")) as running:
        assert "resnet18" in running.state.banner


async def test_the_theme_reaches_the_mosaic() -> None:
    async with explorer(Settings(theme="tuivis-light")) as running:
        picture = running.app.explore.query_one(MosaicPane).picture
        assert picture is not None and picture.palette is not None
        assert tuple(picture.palette[27]) == colormap.CHROMES["light"].gutter

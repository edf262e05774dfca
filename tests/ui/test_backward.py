"""Backward passes, relations and what-if driven by keys, against independent computations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.clips import number_in, write_clip
from tests.ui.explorer import Explorer, explorer
from tuivis.config import Settings
from tuivis.engine import models
from tuivis.engine.decoder import Decoder
from tuivis.engine.events import Backward
from tuivis.engine.sources import open_pictures
from tuivis.intents import PositionPicked, UnitChosen
from tuivis.render import colormap
from tuivis.widgets.backward import BackwardPane, BackwardPicture
from tuivis.widgets.layers import LayerTree
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.off import OffList
from tuivis.widgets.predictions import Predictions
from tuivis.widgets.relations import RelationsText
from tuivis.widgets.status import StatusLine
from tuivis.widgets.unit import UnitMap

LAYER = "_blocks.10"


class Reference:
    """The same network by itself, with plain hooks and autograd."""

    def __init__(self, picture: int = 0) -> None:
        self.model = models.load("efficientnet_lite0", None, "cpu", 0, lambda text, fraction: None)
        self.module = self.model.module
        self.batch = self.model.preprocess(open_pictures(("demo",)).read(picture)).unsqueeze(0)

    def gradient(self, unit: int, at: tuple[int, int] | None = None) -> torch.Tensor:
        kept: list[torch.Tensor] = []
        handle = self.module.get_submodule(LAYER).register_forward_hook(lambda _m, _i, out: kept.append(out))
        leaf = self.batch.clone().requires_grad_()
        self.module(leaf)
        handle.remove()
        values = kept[0][0, unit]
        return torch.autograd.grad((values**2).sum() / 2 if at is None else values[at], leaf)[0][0]


def raw(gradient: torch.Tensor) -> np.ndarray:
    scaled = gradient / (max(2 * float(gradient.max()), -2 * float(gradient.min())) + 1e-10) + 0.5
    return (scaled * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)


async def backward(running: Explorer, *keys: str) -> Backward:
    """Press `keys` and return the backward pass that then is on screen."""
    await running.pilot.press(*keys)

    def answered() -> bool:
        show, found = running.state.request(), running.state.backward
        return show is not None and found is not None and found.backpass == show.backward and running.settled()

    await running.until(answered)
    assert running.state.backward is not None
    return running.state.backward


def text(running: Explorer, widget: type[StatusLine] | type[RelationsText] | type[Predictions]) -> str:
    return running.app.explore.query_one(widget).render().plain


async def test_b_shows_the_gradient_of_the_selected_unit_and_the_status_line_says_so() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        assert not running.app.explore.query_one(BackwardPane).display
        frame = running.state.frame
        found = await backward(running, "b")
        assert np.abs(found.pixels.numpy().astype(int) - raw(reference.gradient(57))).max() <= 1
        assert running.app.explore.query_one(BackwardPane).display
        assert running.app.explore.query_one(BackwardPicture).picture is not None
        assert f"gradient {LAYER}/57 raw" in text(running, StatusLine)
        found = await backward(running, "l")
        assert np.abs(found.pixels.numpy().astype(int) - raw(reference.gradient(58))).max() <= 1
        assert running.state.frame is frame
        await running.press("b", "b", "b", "b", "b")
        assert running.state.backward is None and running.state.look.mode is None
        assert not running.app.explore.query_one(BackwardPane).display


async def test_modes_and_views_take_their_turns() -> None:
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        seen = [(await backward(running, key)).backpass for key in "nnnn"]
        assert [each.mode for each in seen] == ["gradient", "deconv", "guided", "input"]
        views = [(await backward(running, "m")).backpass.view for _ in range(5)]
        assert views == ["gray", "norm", "blur", "overlay", "raw"]
        found = await backward(running, "n")
        assert found.backpass.mode == "gradcam" and found.label == "espresso"
        assert "Grad-CAM" in text(running, StatusLine)


async def test_a_frozen_unit_stays_and_is_marked_while_the_selection_walks() -> None:
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        first = await backward(running, "b", "d")
        second = await backward(running, "l")
        assert first.pixels == second.pixels
        pane = running.app.explore.query_one(MosaicPane).picture
        assert pane is not None and pane.palette is not None
        frozen = colormap.coarsen(np.array([colormap.FROZEN], np.uint8), len(pane.palette))[0]
        assert (pane.pixels == frozen).any()
        third = await backward(running, "u")
        assert running.state.view.layer == "_blocks.9._project_conv"
        assert (third.backpass.layer, third.backpass.unit) == (LAYER, 57)
        assert third.pixels == first.pixels
        tree = running.app.explore.query_one(LayerTree)
        lines = ["".join(segment.text for segment in tree.render_line(y)) for y in range(tree.size.height)]
        assert next(line for line in lines if "◆" in line).strip().startswith("▼ _blocks.10")
        await backward(running, "d")
        assert running.state.look.frozen is None


async def test_a_shows_the_gradients_of_each_layer_and_zero_above_the_unit() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        await backward(running, "b", "d", "a")
        await backward(running, "u")
        mosaic = running.state.mosaic
        assert mosaic is not None and mosaic.normalisation == "diverging"
        kept: list[torch.Tensor] = []
        for layer in ("_blocks.9._project_conv", LAYER):
            reference.module.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.append(out))
        reference.module(reference.batch.clone().requires_grad_())
        expected = torch.autograd.grad((kept[1][0, 57] ** 2).sum() / 2, kept[0])[0][0]
        assert mosaic.high == pytest.approx(float(expected.abs().max()), rel=1e-4)
        layout = running.state.layout
        assert layout is not None
        pooled = torch.nn.functional.adaptive_avg_pool2d(expected, (layout.height, layout.width))
        levels = (pooled / mosaic.high * 125 + 125).round().numpy()[running.state.first :][: layout.page]
        assert np.abs(mosaic.levels.numpy() - levels).max() <= 1
        while running.state.view.layer != "_blocks.11":
            await backward(running, "o")
        mosaic = running.state.mosaic
        assert mosaic is not None and (mosaic.levels.numpy() == 125).all()


async def test_a_position_is_picked_by_mouse_and_moved_by_keys() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        found = await backward(running, "b", "S")
        assert found.backpass.start == "strongest"
        pane = running.app.explore.query_one(UnitMap)
        await running.pilot.click(UnitMap, offset=(pane.size.width // 2, pane.size.height // 2))
        found = await backward(running)
        at = found.backpass.start
        assert isinstance(at, tuple) and abs(at[0] - 7) <= 1 and abs(at[1] - 7) <= 1
        pane.focus()
        found = await backward(running, "left", "up")
        assert found.backpass.start == (at[0] - 1, at[1] - 1)
        expected = raw(reference.gradient(57, (at[0] - 1, at[1] - 1)))
        assert np.abs(found.pixels.numpy().astype(int) - expected).max() <= 1


async def test_a_position_is_named_where_it_counts_and_picked_only_in_the_map_that_it_is_of() -> None:
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        await backward(running, "b")
        running.app.apply(PositionPicked(10, 12))
        assert (await backward(running)).backpass.start == (10, 12)
        assert "at (10, 12)" in text(running, StatusLine)
        while running.state.view.layer != "_blocks.15":
            await running.press("o")
        found = await backward(running)
        assert found.backpass.start == "map" and " at (" not in text(running, StatusLine)
        while running.state.view.layer != LAYER:
            await running.press("u")
        await backward(running, "d")
        pane = running.app.explore.query_one(UnitMap)
        pane.focus()
        assert (await backward(running, "left")).backpass.start == (10, 11)
        running.app.apply(UnitChosen(58))
        await backward(running)
        await running.pilot.press("left")
        await running.until(lambda: running.state.note.startswith(f"a position is one of {LAYER}/57"))
        assert running.state.look.start == (10, 11)


async def test_a_class_that_is_not_there_leaves_the_target() -> None:
    async with explorer(Settings(layer=LAYER)) as running:
        for typed in ("285", "1000"):
            await running.pilot.press("number_sign", *typed, "enter")
        await running.until(lambda: "no class 1000: choose one from 0 to 999" in running.state.note)
        assert running.state.look.target == 285


async def test_grad_cam_is_of_the_class_that_is_asked_about() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        predicted = await backward(running, *"nnnnn")
        found = await backward(running, "number_sign", *"285", "enter")
        assert (predicted.target, found.target) == (967, 285)
        assert (found.label, found.backpass.target) == ("Egyptian cat", 285)
        assert "Grad-CAM for class 285" in text(running, StatusLine)
        assert "Egyptian cat" in str(running.app.explore.query_one(BackwardPane).border_title)
        kept: list[torch.Tensor] = []
        reference.module.get_submodule(LAYER).register_forward_hook(lambda _m, _i, out: kept.append(out))
        score = reference.module(reference.batch.clone().requires_grad_())[0, 285]
        gradient = torch.autograd.grad(score, kept[0])[0]
        cam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).clamp(min=0).detach()
        heat = torch.nn.functional.interpolate(cam, (224, 224), mode="bilinear")[0, 0]
        levels = ((heat - heat.min()) / (heat.max() - heat.min()) * 250).round().numpy()
        assert np.abs(found.pixels.numpy() - levels).max() <= 1
        assert np.abs(found.pixels.numpy().astype(int) - predicted.pixels.numpy()).max() > 50
        await backward(running, "number_sign", "enter")
        assert running.state.look.target is None


async def test_z_lets_the_backward_picture_fill_the_pane() -> None:
    async with explorer(Settings(layer=LAYER, unit=57), protocol="kitty") as running:
        found = await backward(running, "b", "z")
        assert (running.state.look.fills, running.state.view.zoom) == (False, True)
        await running.press("z")
        assert (running.state.look.fills, running.state.view.zoom) == (True, False)
        picture = running.app.explore.query_one(MosaicPane).picture
        assert picture is not None
        factor = picture.height // 224
        assert np.array_equal(picture.rgb()[::factor, ::factor], found.pixels.numpy())
        await running.press("z")
        assert (running.state.look.fills, running.state.view.zoom) == (False, False)


async def test_switching_off_shows_predictions_before_and_after_and_r_puts_all_back() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=102)) as running:
        before = running.state.frame
        assert before is not None
        await running.press("x")
        await running.until(lambda: bool(running.state.frame and running.state.frame.before))
        frame = running.state.frame
        assert frame is not None

        def zero(_m: torch.nn.Module, _i: object, out: torch.Tensor) -> torch.Tensor:
            out = out.clone()
            out[:, 102] = 0
            return out

        handle = reference.module.get_submodule(LAYER).register_forward_hook(zero)
        with torch.no_grad():
            expected = reference.module(reference.batch)[0].softmax(0)
        handle.remove()
        for prediction, earlier in zip(frame.top, frame.before, strict=True):
            assert prediction.probability == pytest.approx(float(expected[prediction.index]), abs=1e-4)
            same = [each.probability for each in before.top if each.index == prediction.index]
            assert not same or earlier == pytest.approx(same[0], abs=1e-5)
        assert "→" in text(running, Predictions)
        off = running.app.explore.query_one(OffList)
        assert off.display and f"{LAYER}/102" in str(off.render())
        await running.press("X")
        await running.until(lambda: running.state.frame is not frame and running.settled())
        assert [each.mean for each in running.state.look.off] == [True]
        await running.press("ctrl+x")
        await running.until(lambda: running.state.unit is not None and running.state.unit.maximum == 0)
        assert [each.unit for each in running.state.look.off] == [102, None]
        await running.press("ctrl+r")
        await running.until(lambda: bool(running.state.frame and not running.state.frame.before))
        assert running.state.frame is not None and running.state.frame.top == before.top
        assert not off.display


async def test_a_small_terminal_shows_before_after_and_change() -> None:
    async with explorer(Settings(layer=LAYER, unit=102), size=(80, 24)) as running:
        await running.press("x")
        await running.until(lambda: "→" in text(running, Predictions))
        frame = running.state.frame
        assert frame is not None
        for line, now, before in zip(text(running, Predictions).splitlines(), frame.top, frame.before, strict=False):
            change = f"{round(now.probability, 2) - round(before, 2):+.2f}".replace("0.", ".")
            assert line.endswith(f"→{now.probability:.2f} {change}".replace("→0.", "→."))


async def test_backward_passes_and_what_is_off_go_with_the_frames_of_a_video(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", range(200), rate=10, size=(256, 256))
    async with explorer(Settings(layer=LAYER, unit=57, input=(str(clip),))) as running:

        def number() -> int:
            assert running.state.frame is not None
            return number_in(running.state.frame.pixels.numpy())

        # Unit 58 is off; it has no share in the map of unit 57, which is frozen.
        await running.press("b", "d", "l", "x")
        seen = set[int]()
        while len(seen) < 4:
            await running.until(
                lambda: number() not in seen and bool(running.state.frame and running.state.frame.before)
            )
            seen.add(number())
        await running.pilot.press("space")
        for key in ("v", "v", "v"):
            await running.press(key)
        assert running.state.playback.paused and running.state.frame is not None
        shown, found = running.state.frame, await backward(running)
        reference = Reference()
        decoder = Decoder(clip)
        assert all(decoder.grab() for _ in range(number() + 1))
        pixels = decoder.pixels()
        decoder.close()
        assert pixels is not None
        reference.batch = reference.model.preprocess(pixels).unsqueeze(0)
        assert np.abs(found.pixels.numpy().astype(int) - raw(reference.gradient(57))).max() <= 1
        layer = reference.module.get_submodule(LAYER)
        probabilities = []
        with torch.no_grad():
            for units in (torch.tensor([], dtype=torch.long), torch.tensor([58])):
                hook = layer.register_forward_hook(lambda _m, _i, out, units=units: out.index_fill(1, units, 0))
                probabilities.append(reference.module(reference.batch)[0].softmax(0))
                hook.remove()
        for prediction, before in zip(shown.top, shown.before, strict=True):
            assert before == pytest.approx(float(probabilities[0][prediction.index]), abs=1e-4)
            assert prediction.probability == pytest.approx(float(probabilities[1][prediction.index]), abs=1e-4)


async def test_i_sorts_by_what_units_do_for_the_class() -> None:
    async with explorer(Settings(layer="_blocks.14", unit=3)) as running:
        await running.press("i")
        await running.press("i")
        await running.until(
            lambda: "gradient × activation" in str(running.app.explore.query_one(MosaicPane).border_title)
        )
        gradient = running.state.mosaic
        await running.press("i")
        await running.until(lambda: running.state.mosaic is not gradient and running.state.progress is None)
        assert running.state.mosaic is not None and gradient is not None
        ablation = running.state.mosaic.order.numpy()
        assert sorted(ablation) == list(range(len(ablation)))
        assert len(set(ablation[:20]) & set(gradient.order.numpy()[:40])) >= 5


async def test_e_writes_picture_and_raw_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        await backward(running, "b")
        await running.pilot.press("E")
        await running.pilot.pause(0.2)
        await running.pilot.press("enter")
        await running.until(lambda: "npz" in running.state.note)
        name = next(tmp_path.glob("*.npz"))
        arrays = np.load(name)
        assert np.allclose(arrays["input_gradient"], reference.gradient(57).numpy(), atol=1e-5)
        assert arrays["input"].shape == (3, 224, 224) and arrays["activations"].shape == (112, 14, 14)
        assert arrays["receptive_field"].tolist() == [0, 38, 224, 186]
        with Image.open(name.with_suffix(".png")) as image:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - raw(reference.gradient(57))).max() <= 1

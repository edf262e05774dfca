"""The panel of relations driven by keys: field, crop, relatives and classes, on large screens and small ones."""

from __future__ import annotations

import copy

import msgspec
import numpy as np
import pytest
import torch

from tests.ui.explorer import Explorer, explorer
from tests.ui.test_backward import LAYER, Reference, backward, raw, text
from tuivis.config import Settings
from tuivis.engine.fields import around
from tuivis.engine.values import Box
from tuivis.intents import UnitChosen
from tuivis.render import colormap
from tuivis.widgets.backward import BackwardPicture
from tuivis.widgets.off import OffList
from tuivis.widgets.relations import Crop, RelationsText
from tuivis.widgets.unit import UnitMap


async def cropped(running: Explorer) -> tuple[Box, np.ndarray]:
    """Ask for the relations; return the receptive field and the crop's picture once it is on screen."""
    await running.pilot.press("W")
    crop = running.app.explore.query_one(Crop)
    await running.until(lambda: crop.display and crop.picture is not None and crop.region.area > 0)
    found = running.state.relations
    assert found is not None and found.field is not None and crop.picture is not None
    return found.field, crop.picture.rgb()


def grown(reference: Reference, above: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What each unit of the layer `above`, and each class, takes from unit 57's map growing, by finite differences."""
    model, batch = copy.deepcopy(reference.module).double(), reference.batch.double()
    kept: list[torch.Tensor] = []
    model.get_submodule(above).register_forward_hook(lambda _m, _i, out: kept.append(out[0]))
    outputs = []
    for factor in (1 - 1e-4, 1 + 1e-4):

        def grow(_m: torch.nn.Module, _i: object, out: torch.Tensor, factor: float = factor) -> torch.Tensor:
            return torch.cat([out[:, :57], out[:, 57:58] * factor, out[:, 58:]], 1)

        hook = model.get_submodule(LAYER).register_forward_hook(grow)
        with torch.no_grad():
            outputs.append(model(batch)[0])
        hook.remove()
    shares = ((kept[1] - kept[0]) / 2e-4 * (kept[0] + kept[1]) / 2).sum((1, 2))
    return shares, (outputs[1] - outputs[0]) / 2e-4


def inside(box: Box, pixels: np.ndarray) -> np.ndarray:
    return pixels[..., box.top : box.top + box.height, box.left : box.left + box.width]


async def test_the_panel_names_field_relatives_and_classes_and_keys_visit_them() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        await running.pilot.press("W")
        await running.until(lambda: running.state.relations is not None)
        found = running.state.relations
        assert found is not None and found.field is not None and found.effective is not None
        shown = text(running, RelationsText)
        assert f"{found.field.width}×{found.field.height}, cut" in shown
        kept: list[torch.Tensor] = []
        for layer in ("_blocks.9", LAYER):
            reference.module.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.append(out))
        leaf = reference.batch.clone().requires_grad_()
        reference.module(leaf)
        below, unit = kept
        shares = (torch.autograd.grad((unit[0, 57] ** 2).sum() / 2, below, retain_graph=True)[0] * below)[0].sum((1, 2))
        assert [share.unit for share in found.feeding] == shares.abs().argsort(descending=True)[:4].tolist()
        assert f"fed by {found.below}" in shown and found.below == "_blocks.9"
        fed, pushed = grown(reference, found.above)
        assert [share.unit for share in found.fed] == fed.abs().argsort(descending=True)[:4].tolist()
        assert [share.unit for share in found.up] == pushed.argsort(descending=True)[:4].tolist()
        assert [share.unit for share in found.down] == pushed.argsort()[:4].tolist()
        for share in (*found.up, *found.down):
            assert share.value == pytest.approx(float(pushed[share.unit]), rel=1e-3)
        assert found.up[0].label in shown and found.down[0].label[:8] in shown
        lime = colormap.coarsen(np.array([colormap.SELECTED], np.uint8), 16)[0]

        def boxed() -> bool:
            picture = running.app.explore.query_one(UnitMap).picture
            return picture is not None and picture.heat is not None and bool((picture.heat.levels == lime).any())

        await running.until(boxed)
        await running.press("1")
        assert (running.state.view.layer, running.state.view.unit) == ("_blocks.9", found.feeding[0].unit)


async def test_a_field_inside_the_picture_is_not_said_to_be_cut() -> None:
    async with explorer(Settings(layer="_blocks.0"), size=(200, 60)) as running:
        running.app.apply(UnitChosen(9))
        await running.press("W")
        await running.until(lambda: "fed by" in text(running, RelationsText))
        assert running.state.relations is not None
        field = running.state.relations.field
        assert field is not None and field.top and field.left
        assert f"sees {field.width}×{field.height}, 95% in" in text(running, RelationsText)


@pytest.mark.parametrize("size", [(200, 60), (80, 24)])
async def test_the_crop_is_what_the_input_shows_in_the_box(size: tuple[int, int]) -> None:
    async with explorer(Settings(layer="_blocks.0", unit=9), size=size, protocol="kitty") as running:
        field, shown = await cropped(running)
        assert field.height * field.width < 224 * 224 and running.state.frame is not None
        seen = running.state.frame.pixels.numpy().transpose(2, 0, 1)
        # Few pixels grow by a whole factor.
        factor = shown.shape[0] // field.height
        assert shown.shape == (factor * field.height, factor * field.width, 3)
        assert np.array_equal(shown[::factor, ::factor].transpose(2, 0, 1), inside(field, seen))


async def test_the_boxes_on_the_input_are_those_of_the_fields() -> None:
    async with explorer(Settings(layer="_blocks.0", unit=9), size=(200, 60), protocol="kitty") as running:
        await cropped(running)
        found, pane = running.state.relations, running.app.explore.query_one(UnitMap)
        assert found is not None and found.field is not None and found.effective is not None

        def marked(*colours: int) -> Box | None:
            """Return the box around what has these colours, in pixels of the input."""
            if pane.picture is None or pane.picture.heat is None:
                return None
            levels = pane.picture.heat.levels
            factor = levels.shape[0] // 224
            found = around(np.isin(levels, colormap.coarsen(np.array(colours, np.uint8), 16)))
            return found and Box(*(each // factor for each in msgspec.structs.astuple(found)))

        await running.until(lambda: marked(colormap.SELECTED, colormap.FROZEN) == found.field)
        assert marked(colormap.FROZEN) == found.effective


async def test_the_effective_field_holds_95_percent_of_the_gradient_at_the_strongest_position() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        await cropped(running)
        assert running.state.unit is not None and running.state.relations is not None
        mass = reference.gradient(57, running.state.unit.at).abs().sum(0).double().numpy()
        field, effective = running.state.relations.field, running.state.relations.effective
        assert field is not None and effective is not None
        assert inside(field, mass).sum() == pytest.approx(mass.sum(), rel=1e-12)
        assert inside(effective, mass).sum() >= 0.95 * mass.sum()
        top, left, height, width = effective.top, effective.left, effective.height, effective.width
        for smaller in (
            Box(top + 1, left, height - 1, width),
            Box(top, left, height - 1, width),
            Box(top, left + 1, height, width - 1),
            Box(top, left, height, width - 1),
        ):
            assert inside(smaller, mass).sum() < 0.95 * mass.sum()


async def test_the_keys_5_to_8_visit_the_units_that_it_feeds() -> None:
    async with explorer(Settings(layer=LAYER, unit=57)) as running:
        for key in "5678":
            await running.pilot.press("W")
            await running.until(lambda: running.state.relations is not None)
            found = running.state.relations
            assert found is not None and len(found.fed) == 4
            assert found.above == "_blocks.11._expand_conv"
            await running.press(key)
            assert (running.state.view.layer, running.state.view.unit) == (found.above, found.fed[int(key) - 5].unit)
            await running.pilot.press("W")
            while running.state.view.layer != LAYER:
                await running.press("u")
            running.app.apply(UnitChosen(57))
            await running.until(running.settled)
        await running.press("5")
        assert running.state.note.startswith("nobody there: W finds")


async def test_on_a_small_screen_a_position_is_picked_beside_the_relations() -> None:
    reference = Reference()
    async with explorer(Settings(layer=LAYER, unit=57), size=(80, 24), protocol="kitty") as running:
        await running.pilot.press("W")
        await backward(running, "b", "S")
        shown, pane = running.app.explore.query_one(BackwardPicture), running.app.explore.query_one(UnitMap)
        text_pane = running.app.explore.query_one(RelationsText)
        await running.until(lambda: shown.region.area > 0 and pane.region.right <= shown.region.x)
        await running.until(lambda: pane.picture is not None and shown.picture is not None)
        assert text_pane.region.height >= 9
        await running.pilot.click(UnitMap, offset=(3, 2))
        found = await backward(running)
        at = found.backpass.start
        assert isinstance(at, tuple) and at[0] and at[1]
        await running.pilot.press("tab")
        while running.app.explore.focused is not pane:
            await running.pilot.press("tab")
        found = await backward(running, "h", "k")
        assert found.backpass.start == (at[0] - 1, at[1] - 1)
        expected = raw(reference.gradient(57, (at[0] - 1, at[1] - 1)))
        assert np.abs(found.pixels.numpy().astype(int) - expected).max() <= 1


async def test_a_small_panel_still_names_a_class_of_each_kind_and_says_how_much_more_is_off() -> None:
    async with explorer(Settings(layer=LAYER), size=(80, 24)) as running:
        await running.press("W")
        await running.until(lambda: "▼" in text(running, RelationsText))
        pane = running.app.explore.query_one(RelationsText)
        lines = text(running, RelationsText).splitlines()
        assert len(lines) <= pane.content_size.height
        assert all(len(line) <= pane.content_size.width for line in lines)
        assert [line[0] for line in lines[-2:]] == ["▲", "▼"]
        for _ in range(5):
            await running.press("x", "l")
        listed = str(running.app.explore.query_one(OffList).render()).splitlines()
        assert listed == [f"{LAYER}/4", f"{LAYER}/3", f"{LAYER}/2", "… and 2 more"]

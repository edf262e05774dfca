"""Jobs driven by keys, with real engines and a small network."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from textual.widgets import Static

from tests.ui.explorer import Explorer, explorer, gone
from tuivis import config
from tuivis.config import Settings
from tuivis.engine.optimise.files import compressed, write_film
from tuivis.engine.optimise.manifest import unfinished
from tuivis.engine.optimise.recipes import BUILT_IN, change
from tuivis.engine.optimise.results import read
from tuivis.jobstate import Job
from tuivis.render.picture import Rect
from tuivis.widgets.jobs import JobsPane
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.optimised import OptimisedNumbers, OptimisedPane, OptimisedPicture

NETWORK = """
import torch
from torch import nn

class Slow(nn.Module):
    def forward(self, x):
        if x.requires_grad:
            import time
            time.sleep({delay})
        return x

def make():
    torch.manual_seed(0)
    net = nn.Sequential(Slow(), nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(6, 4))
    net.input_size = (3, 24, 24)
    return net
"""


def network(folder: Path, delay: float = 0.0) -> Settings:
    """A network of a few weights; its steps take `delay` seconds longer than they would."""
    (folder / "net.py").write_text(NETWORK.format(delay=delay))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)).save(folder / "a.png")
    return Settings(model=f"{folder / 'net.py'}:make", input=(str(folder / "a.png"),), layer="1", device="cpu")


@pytest.fixture(autouse=True)
def short_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that need few steps."""
    for name in ("maco", "pixel"):
        monkeypatch.setitem(BUILT_IN, name, change(BUILT_IN[name], ["steps=24"]))


def job(running: Explorer, number: int = 0) -> Job:
    return running.state.jobs.jobs[number]


def status(running: Explorer, number: int = 0) -> str:
    jobs = running.state.jobs.jobs
    return jobs[number].status if number < len(jobs) else ""


def files(suffix: str) -> list[Path]:
    return sorted(config.pictures_path().glob(f"*/{suffix}"))


def panel_has_pictures(running: Explorer) -> bool:
    return running.app.explore.query_one(OptimisedPane).display


async def test_p_makes_pictures_that_stand_in_the_unit_panel_with_both_values(tmp_path: Path) -> None:
    async with explorer(network(tmp_path)) as running:
        await running.press("l", "l")
        await running.until(lambda: not panel_has_pictures(running))
        await running.pilot.press("p", "j", "space", "j", "space", "l", "enter")  # maco and pixel, two seeds
        await running.until(lambda: status(running) == "done")
        made = running.state.jobs.made["1", 2]
        assert [(each.run.recipe, each.run.seed) for each in made] == [
            ("maco", 0),
            ("maco", 1),
            ("pixel", 0),
            ("pixel", 1),
        ]
        assert str(files("*")[0].parent) in running.state.note
        results = {(r.run.recipe, r.run.seed): r for r in (read(path) for path in files("*.json"))}
        for each in made:
            with Image.open(each.path) as image:
                assert np.array_equal(each.pixels, np.asarray(image))
            quality = results[each.run.recipe, each.run.seed].quality
            assert (each.value, each.robustness) == (quality.objective, quality.robustness)
            assert each.seen == quality.mean
        assert panel_has_pictures(running)
        assert "2 recipes · 4 pictures" in str(running.app.explore.query_one(OptimisedPane).border_title)
        shown = running.app.explore.query_one(OptimisedPicture).picture
        assert shown is not None
        best = max(
            made,
            key=lambda each: (each.value or 0) * (results[each.run.recipe, each.run.seed].quality.robustness or 1),
        )
        numbers = running.app.explore.query_one(OptimisedNumbers).render().plain
        assert best.verdict in numbers and f"picture {best.seen:.4g}" in numbers
        assert running.state.unit is not None and f"input mean {running.state.unit.mean:.4g}" in numbers
        quality = results[best.run.recipe, best.run.seed].quality
        assert quality.ratio is not None and f"{quality.ratio:.3g}× photo" in numbers
        assert f"rank {quality.rank}" in numbers and f"{quality.robustness or 1:.0%}" in numbers
        await running.press("l")
        await running.until(lambda: not panel_has_pictures(running))


async def test_a_job_grows_pauses_goes_on_and_is_cancelled_while_another_waits(tmp_path: Path) -> None:
    async with explorer(network(tmp_path, delay=0.05)) as running:
        await running.pilot.press("p", "enter")
        await running.until(lambda: "1/0 distill has begun" in running.state.note)
        await running.until(lambda: any(s.pixels is not None for s in job(running).samples.values()))
        await running.until(lambda: panel_has_pictures(running))
        numbers = running.app.explore.query_one(OptimisedNumbers).render().plain
        assert "/512 · " in numbers and "left" in numbers and "▁" in numbers
        await running.until(lambda: running.app.explore.query_one(OptimisedPicture).picture is not None)
        await running.pilot.press("l", "p", "enter", "O")
        pane = running.app.explore.query_one(JobsPane)
        await running.until(lambda: pane.has_focus and status(running, 1) == "waiting")
        assert "1/0 distill" in pane.render().plain and "1/1 distill" in pane.render().plain
        await running.pilot.press("k", "space")
        await running.until(lambda: status(running) == "paused" and status(running, 1) == "working")
        await running.pilot.press("j", "c")
        await running.until(lambda: status(running, 1) == "cancelled")
        step = job(running).step
        await running.pilot.press("k", "space")
        await running.until(lambda: job(running).step > step)
        await running.pilot.press("O")
        await running.until(lambda: not pane.display)
        assert running.app.explore.query_one(MosaicPane).has_focus


async def test_recipes_side_by_side_are_named_in_the_order_of_their_pictures(tmp_path: Path) -> None:
    async with explorer(network(tmp_path), size=(80, 24)) as running:
        await running.pilot.press("p", "j", "space", "j", "space", "enter", "O")
        pane = running.app.explore.query_one(JobsPane)
        assert "0 maco,pixel" in pane.render().plain
        await running.until(lambda: status(running) == "done")
        assert [each.run.recipe for each in running.state.jobs.made["1", 0]] == ["maco", "pixel"]
        numbers = running.app.explore.query_one(OptimisedNumbers)
        assert numbers.render().plain.splitlines()[0] == "maco · pixel"
        await running.until(lambda: numbers.content_size.height == len(numbers.render().plain.splitlines()))
        picture = running.app.explore.query_one(OptimisedPicture)
        assert picture.content_size.height >= 4


async def test_m_asks_for_what_a_unit_likes_least_which_stands_behind_what_it_likes(tmp_path: Path) -> None:
    async with explorer(network(tmp_path)) as running:
        await running.pilot.press("p", "j", "j", "m", "enter")
        await running.until(lambda: status(running) == "done")
        (least,) = running.state.jobs.made["1", 0]
        assert (least.run.recipe, least.least) == ("pixel-least", True)
        curve = read(files("*.json")[0]).record.objective
        assert curve[-1] < curve[0]  # type: ignore[operator]
        await running.pilot.press("p", "j", "j", "m", "m", "enter")
        await running.until(lambda: status(running, 1) == "done")
        both = running.state.jobs.made["1", 0]
        assert max(both, key=lambda each: each.standing).run.recipe == "pixel"


async def test_i_asks_for_more_of_what_the_input_shows_which_stands_beside_every_unit(tmp_path: Path) -> None:
    async with explorer(network(tmp_path)) as running:
        await running.pilot.press("p", "j", "j", "i")
        form = running.app.screen.query_one("#form", Static)
        assert str(form.border_title) == "1: more of what a.png shows"
        await running.pilot.press("enter", "O")
        assert "like a pixel" in running.app.explore.query_one(JobsPane).render().plain
        await running.until(lambda: status(running) == "done")
        (like,) = running.state.jobs.made["1", "a.png"]
        result = read(files("1-like_a-pixel-0.json")[0])
        assert result.run.target.picture == "a.png" and not result.run.target.units
        assert (result.record.objective[-1] or 0) > (result.record.objective[0] or 0)
        numbers, pane = running.app.explore.query_one(OptimisedNumbers), running.app.explore.query_one(OptimisedPane)
        for _ in range(2):
            await running.until(lambda: "like a · pixel" in str(pane.border_title))
            lines = numbers.render().plain
            assert f"picture {like.value:.4g}" in lines
            assert not any(word in lines for word in ("rank", "input", "majority"))
            await running.press("l")
        await running.pilot.press("s")
        await running.until(lambda: "no pictures" in str(running.app.explore.query_one(MosaicPane).border_title))
        await running.pilot.press("p", "j", "j", "i", "i", "enter")
        await running.until(lambda: status(running, 1) == "done")
        await running.until(lambda: numbers.render().plain.splitlines()[0] == "pixel · like a")
        assert "rank" in numbers.render().plain and "pixel · 2 pictures" in str(pane.border_title)


async def test_what_moves_is_nothing_to_make_more_of(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", [compressed(np.full((24, 24, 3), level, np.uint8)) for level in range(0, 200, 5)])
    settings = msgspec.structs.replace(network(tmp_path), input=(str(tmp_path / "a.mp4"),))
    async with explorer(settings) as running:
        await running.pilot.press("p", "i")
        form = running.app.screen.query_one("#form", Static)
        assert str(form.border_title) == "1: unit 0" and "needs a still picture" in str(form.render())


async def test_escape_starts_nothing(tmp_path: Path) -> None:
    async with explorer(network(tmp_path)) as running:
        await running.press("p", "l", "escape")
        assert not running.state.jobs.jobs and not config.pictures_path().exists()


async def test_quitting_loses_nothing_and_r_finishes_what_was_left(tmp_path: Path) -> None:
    settings = network(tmp_path, delay=0.05)
    async with explorer(settings) as running:
        await running.pilot.press("p", *"jjj", "enter")
        await running.until(lambda: job(running).step > 2)
        await running.pilot.press("l", "p", "enter")
        await running.until(lambda: status(running, 1) == "waiting")
    assert len(unfinished(config.pictures_path())) == 2
    async with explorer(settings) as running:
        await running.until(lambda: "2 unfinished" in running.state.note)
        assert [status(running, number) for number in (0, 1)] == ["unfinished"] * 2
        await running.pilot.press("O", "r")
        await running.until(lambda: running.state.jobs.jobs[1].status == "working")
        await running.pilot.press("k", "c")
        await running.until(lambda: status(running) == "cancelled")
        cancelled = job(running).command.targets
    assert cancelled not in [each.optimise.targets for each in unfinished(config.pictures_path())]


async def test_a_killed_optimiser_starts_again_and_the_explorer_does_not_notice(tmp_path: Path) -> None:
    async with explorer(network(tmp_path, delay=0.02)) as running:
        await running.pilot.press("P", "j", "j", "enter")
        await running.until(lambda: job(running).step > 2)
        engine = running.app._jobs.optimisers[0].engine
        assert engine is not None
        os.kill(engine.pid, signal.SIGKILL)
        await running.until(lambda: "starts again" in running.state.note)
        assert running.state.phase == "ready" and not running.state.banner
        await running.until(lambda: status(running) == "done")
        assert len(files("*.png")) == 6 and len(running.state.jobs.made) == 6
        again = running.app._jobs.optimisers[0].engine
        pid = again.pid if again else 0
    assert await gone(pid)


async def test_each_device_makes_pictures_and_the_one_with_the_least_to_do_is_next(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(network(tmp_path, delay=0.02), device="cpu,cpu")
    async with explorer(settings) as running:
        first, second = running.app._jobs.optimisers
        await running.pilot.press("p", "enter")  # 512 steps, on the device that is not browsed on
        await running.pilot.press("l", "p", *"jjl", "enter")
        assert [status(running, number) for number in (0, 1)] == ["starting"] * 2
        await running.pilot.press("h", "p", *"jj", "enter")  # of the unit that is at work already
        assert [[each.has(number) for number in (1, 2, 3)] for each in (first, second)] == [
            [False, True, False],
            [True, False, True],
        ]
        assert "waits for its turn" in running.state.note
        await running.until(lambda: status(running, 1) == "done")
        assert status(running) == "working" and status(running, 2) == "waiting"
        assert (first.waiting, second.waiting) == (0, 2)
        assert first.engine and second.engine and first.engine.pid != second.engine.pid
        await running.pilot.press("O", "k", "k", "c")
        await running.until(lambda: status(running) == "cancelled" and status(running, 2) == "done")
        await running.pilot.press("O", "P", *"jj", "enter")  # all units, of which two are there already
        assert [job(running, number).command.targets[0].units for number in (3, 4)] == [(0,), (1,)]
        await running.until(lambda: status(running, 3) == status(running, 4) == "done")
        assert running.state.jobs.units_made("1") == 6 and not unfinished(config.pictures_path())
        pids = [first.engine.pid, second.engine.pid]
    assert all([await gone(pid) for pid in pids])


@pytest.mark.skipif(sys.platform != "linux", reason="only there an engine may be held")
async def test_a_job_on_the_processor_stands_still_for_a_moment_after_a_key(tmp_path: Path) -> None:
    async with explorer(network(tmp_path, delay=0.02)) as running:
        await running.pilot.press("p", "enter")
        await running.until(lambda: job(running).step > 2)
        engine = running.app._jobs.optimisers[0].engine
        assert engine is not None

        def stands() -> bool:
            return Path(f"/proc/{engine.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

        await running.until(lambda: not stands())
        await running.pilot.press("l")
        await running.until(stands)
        step = job(running).step
        await running.until(lambda: not stands() and job(running).step > step)


async def test_what_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(config, "pictures_path", lambda: tmp_path / "file")
    async with explorer(network(tmp_path)) as running:
        await running.pilot.press("p", "enter")
        await running.until(lambda: "file" in running.state.note)
        assert not running.state.jobs.jobs


async def test_s_shows_each_finished_picture_in_its_tile_framed_and_dims_the_others(tmp_path: Path) -> None:
    async with explorer(network(tmp_path)) as running:
        mosaic = running.app.explore.query_one(MosaicPane)
        await running.pilot.press("s")
        await running.until(lambda: "no pictures: press P" in str(mosaic.border_title))
        await running.pilot.press("s", "p", *"jj", "enter")
        await running.until(lambda: status(running) == "done" and mosaic.picture is not None)
        before, layout = mosaic.picture, running.state.layout
        assert before is not None and layout is not None
        await running.pilot.press("s")
        await running.until(lambda: mosaic.picture is not None and mosaic.picture.palette is None)
        await running.until(lambda: "1 picture" in str(mosaic.border_title))
        after, old = mosaic.picture, before.rgb().repeat(before.scale, 0).repeat(before.scale, 1)
        assert after is not None and after.pixels.shape == old.shape
        inner = [_inside(layout.frame(slot), before.scale) for slot in range(6)]
        (made,) = running.state.jobs.made["1", 0]
        tile = after.pixels[inner[0]].reshape(-1, 3).mean(0)
        assert np.abs(tile - made.pixels.reshape(-1, 3).mean(0)).max() < 12
        for place in inner[1:]:
            assert np.abs(after.pixels[place] - old[place] * 0.35).max() <= 1
        frame = layout.frame(0)
        top = slice(frame.y * before.scale, (frame.y + 1) * before.scale)
        assert np.array_equal(after.pixels[top], old[top])
        await running.pilot.press("s")
        await running.until(lambda: mosaic.picture is not None and mosaic.picture.palette is not None)


def _inside(frame: Rect, scale: int) -> tuple[slice, slice]:
    return (
        slice((frame.y + 1) * scale, (frame.y + frame.height - 1) * scale),
        slice((frame.x + 1) * scale, (frame.x + frame.width - 1) * scale),
    )

"""Moving sources driven by keys, against the real engine and a real video whose frames tell their numbers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from tests.clips import number_in, write_clip
from tests.ui.explorer import TERMINAL, Explorer, explorer
from tuivis import player
from tuivis.config import Settings
from tuivis.engine import models
from tuivis.engine.decoder import Decoder
from tuivis.render import colormap
from tuivis.widgets.input import InputPane
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.relations import RelationsText
from tuivis.widgets.status import StatusLine

LAYER = "_blocks.10"
FRAMES = 200
RATE = 10
NOWHERE = "http://user:secret@127.0.0.1:1/"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("playback") / "clip.mp4", range(FRAMES), rate=RATE, size=(256, 256))


def settings(*inputs: object, every_frame: bool = False) -> Settings:
    return Settings(layer=LAYER, unit=57, device="cpu", input=tuple(map(str, inputs)), every_frame=every_frame)


def number(running: Explorer) -> int:
    """Return the number of the frame on screen."""
    assert running.state.frame is not None
    return number_in(running.state.frame.pixels.numpy())


def moment(running: Explorer) -> float:
    """Return the place in the video of the frame on screen."""
    assert running.state.frame is not None and running.state.frame.seconds is not None
    return running.state.frame.seconds


async def changes(running: Explorer, what: Callable[[Explorer], object], times: int = 1) -> None:
    """Wait until something is another so many times."""
    for _ in range(times):
        before = what(running)
        await running.until(lambda before=before: what(running) != before)  # type: ignore[misc]


async def rest(running: Explorer) -> None:
    """Wait until no frame is on its way: two questions and answers after the last."""
    for key in ("l", "h"):
        await running.press(key)
        await running.until(
            lambda: running.state.unit is not None and running.state.unit.unit == running.state.view.unit
        )


async def paused(running: Explorer) -> None:
    await running.pilot.press("space")
    await rest(running)
    assert running.state.playback.paused


def status(running: Explorer) -> str:
    return running.app.explore.query_one(StatusLine).render().plain


async def test_frames_flow_and_layer_unit_values_and_backward_view_stay(clip: Path) -> None:
    async with explorer(settings(clip, every_frame=True)) as running:
        await running.press("v", "b", "l")
        await changes(running, number, 2)
        before = running.state
        seen = [number(running)]
        for _ in range(8):
            await changes(running, number)
            seen.append(number(running))
        state = running.state
        assert (state.view, state.look) == (before.view, before.look)
        assert state.view.unit == 58
        assert state.view.normalisation != "layer"
        assert state.mosaic is not None and state.mosaic.layer == LAYER
        assert state.mosaic.normalisation == state.view.normalisation
        assert state.backward is not None and before.backward is not None
        assert state.backward.backpass == before.backward.backpass
        assert state.backward.pixels.data != before.backward.pixels.data
        assert state.mosaic.levels.data != before.mosaic.levels.data if before.mosaic else False
        assert seen == sorted(seen)


async def test_every_frame_goes_through_the_network(clip: Path) -> None:
    async with explorer(settings(clip, every_frame=True)) as running:
        seen: list[int] = []
        apply = running.app.apply

        def note(event: object) -> None:
            apply(event)
            if running.state.frame is not None and (not seen or seen[-1] != number(running)):
                seen.append(number(running))

        running.app.apply = running.app._player._apply = note  # type: ignore[method-assign]
        await running.until(lambda: len(seen) > 12)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert running.state.frame is not None and running.state.frame.dropped == 0


async def test_a_paused_video_shows_what_the_network_makes_of_its_frame(clip: Path) -> None:
    async with explorer(settings(clip)) as running:
        await changes(running, number, 3)
        await paused(running)
        first = number(running)
        assert moment(running) == pytest.approx(first / RATE)

        state, layout = running.state, running.state.layout
        assert state.mosaic is not None and state.frame is not None and layout is not None
        activation = independent(clip, first)
        low, high = activation.min(), activation.max()
        pooled = torch.nn.functional.adaptive_avg_pool2d(activation, (layout.height, layout.width))
        expected = ((pooled - low) / (high - low) * (colormap.LEVELS - 1)).round().numpy()
        levels = state.mosaic.levels.numpy().astype(int)
        assert np.abs(levels - expected[state.first : state.first + layout.page]).max() <= 1


async def test_a_paused_video_is_moved_exactly_and_stays_where_it_is_while_one_looks_around(clip: Path) -> None:
    async with explorer(settings(clip)) as running:
        await changes(running, number, 3)
        await paused(running)
        first = number(running)
        for key, steps in ((".", 1), (".", 1), (",", -1), (",", -1), (",", -1), (".", 1)):
            before = number(running)
            await running.pilot.press("full_stop" if key == "." else "comma")
            await changes(running, number) if number(running) == before else None
            assert number(running) == before + steps
        await running.pilot.press("full_stop", "full_stop", "full_stop", "full_stop")
        await running.until(lambda: number(running) == first + 4)
        await rest(running)
        assert number(running) == first + 4

        await running.pilot.press("greater_than_sign")
        await running.until(lambda: number(running) == first + 54)
        await running.pilot.press("greater_than_sign", "less_than_sign", "greater_than_sign")
        await running.until(lambda: number(running) == first + 104)
        await running.pilot.press("less_than_sign")
        await running.until(lambda: number(running) == first + 54)

        await running.press("o")
        assert running.state.mosaic is not None and running.state.mosaic.layer != LAYER
        await running.press("v")
        await rest(running)
        assert number(running) == first + 54
        assert "paused" in str(running.app.explore.query_one(InputPane).border_subtitle)

        await running.pilot.press("space")
        await changes(running, number, 2)
        assert not running.state.playback.paused


def independent(clip: Path, number: int) -> torch.Tensor:
    """Return the layer's activation, (units, h, w), by a plain forward pass on a frame."""
    decoder = Decoder(clip)
    for _ in range(number + 1):
        assert decoder.grab()
    pixels = decoder.pixels()
    decoder.close()
    assert pixels is not None
    model = models.load("efficientnet_lite0", None, "cpu", 0, lambda text, fraction: None)
    kept: list[torch.Tensor] = []
    hook = model.module.get_submodule(LAYER).register_forward_hook(lambda _m, _i, out: kept.append(out.clone()))
    with torch.no_grad():
        model.module(model.preprocess(pixels).unsqueeze(0))
    hook.remove()
    return kept[0][0]


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "tmux"])
async def test_the_status_line_tells_how_what_moves_is_shown(clip: Path, answers: bool) -> None:
    terminal = replace(TERMINAL, tmux=not answers)
    asked = msgspec.structs.replace(settings(clip), fps=4)
    async with explorer(asked, size=(200, 40), terminal=terminal) as running:
        await running.until(lambda: re.search(r" · \d+(\.\d)? fps · \d+ kB/frame · ", status(running)) is not None)
        assert re.search(r" kB/frame · (\d+ ms old · )?\d+ levels", status(running))
        assert (" ms old" in status(running)) == answers
        await running.until(lambda: re.search(r" GiB · \d+ dropped ", status(running)) is not None)
        await paused(running)
        assert "fps" not in status(running)
        assert "dropped" not in status(running)


async def test_a_pause_says_nothing_about_the_age_of_what_follows(clip: Path) -> None:
    async with explorer(settings(clip)) as running:
        display = running.app._pictures
        await running.until(lambda: display.meter.figures(time.monotonic()) is not None)
        await paused(running)
        assert display.meter.figures(time.monotonic()) is None
        # As it is after a long pause.
        display.captured = time.monotonic() - 10_000
        await running.pilot.press("space")
        await running.until(lambda: display.meter.figures(time.monotonic()) is not None)
        figures = display.meter.figures(time.monotonic())
        assert figures is not None and figures.age is not None
        assert figures.age < 1000


async def test_a_link_too_slow_for_a_page_shows_fewer_units_until_the_video_stands(clip: Path) -> None:
    async with explorer(settings(clip), max_kbit=30) as running:

        def tiles() -> int:
            assert running.state.mosaic is not None
            return running.state.mosaic.tiles.count

        def is_parted() -> bool:
            first = running.state.mosaic.tiles.first if running.state.mosaic else 112
            return running.state.playback.parts > 1 and tiles() < page and first <= 57 < first + tiles()

        page = tiles()
        await running.until(is_parted)
        pane = running.app.explore.query_one(MosaicPane)
        await running.until(lambda: "of 112 (the link is slow): scroll for more" in str(pane.border_subtitle))
        await running.until(lambda: "of the units" in status(running) or "half the units" in status(running))
        await running.pilot.press("space")
        await running.until(lambda: tiles() == page)
        assert running.state.view.unit == 57
        await running.until(lambda: "slow" not in str(pane.border_subtitle))
        await running.pilot.press("space")
        await running.until(is_parted)


async def test_what_takes_too_long_for_every_frame_says_so_until_the_video_stands(clip: Path) -> None:
    async with explorer(settings(clip), size=(160, 50)) as running:
        text = running.app.explore.query_one(RelationsText)
        await running.pilot.press("W")
        await running.until(lambda: "pause (space) or freeze (f)" in text.render().plain)
        await changes(running, number, 2)
        await running.pilot.press("1")
        await running.until(lambda: running.state.note.endswith("while nothing moves"))
        await running.pilot.press("space")
        await running.until(lambda: running.state.relations is not None)
        await running.until(lambda: "sees" in text.render().plain)
        await running.pilot.press("space")
        await running.until(lambda: running.state.relations is None)
        assert "pause (space)" in text.render().plain


async def test_a_frozen_picture_stands_and_the_video_goes_on(clip: Path) -> None:
    async with explorer(settings(clip)) as running:
        await changes(running, number)
        missed = 0.0
        while missed < 0.4:  # a busy machine may be slower than the video
            await running.pilot.press("f")
            await rest(running)
            frozen, at = number(running), moment(running)
            await asyncio.sleep(0.6)
            await rest(running)
            assert number(running) == frozen
            await running.pilot.press("f")
            await changes(running, number)
            missed = (moment(running) - at) % (FRAMES / RATE)


async def test_mirror_and_the_whole_picture(clip: Path, tmp_path: Path) -> None:
    wide = write_clip(tmp_path / "wide.mp4", range(20), size=(512, 128))
    async with explorer(settings(wide)) as running:
        await changes(running, number)
        await paused(running)

        def pixels() -> np.ndarray:
            assert running.state.frame is not None
            return running.state.frame.pixels.numpy().astype(int)

        centre = pixels()
        await running.press("M")
        await running.until(lambda: np.abs(pixels() - centre[:, ::-1]).max() <= 2)
        await running.press("M")
        await running.until(lambda: bool((pixels() == centre).all()))
        await running.press("0")
        await running.until(lambda: np.abs(pixels()[:40] - 127).max() <= 2)
        bars = pixels()
        assert np.abs(bars[-40:] - 127).max() <= 2
        assert np.abs(bars[100:124] - 127).max() > 50
        await running.press("0")
        await running.until(lambda: bool((pixels() == centre).all()))


async def test_pictures_and_videos_mix_and_a_slide_show_runs_through_them(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, "SLIDE", 0.2)
    async with explorer(settings("demo", clip)) as running:
        assert running.state.playback.kind == "picture"
        demo = len(running.state.pictures) - 1
        await running.press("e")
        await running.press("e")
        assert running.state.view.picture == 2
        await running.pilot.press("space")
        await changes(running, lambda running: running.state.view.picture, 2)
        await running.pilot.press("space")
        assert not running.state.playback.slides
        stopped = running.state.view.picture
        await asyncio.sleep(0.5)
        assert running.state.view.picture == stopped
        while running.state.view.picture != demo:
            await running.press("w")
        await changes(running, number, 3)
        await running.press("e")
        assert running.state.view.picture == 0
        assert running.state.frame is not None and running.state.frame.seconds is None


async def test_a_stream_that_never_opens_says_so_and_blocks_no_key(clip: Path) -> None:
    async with explorer(settings(clip, NOWHERE)) as running:
        await changes(running, number)
        await running.pilot.press("c")
        await running.until(lambda: "waiting for http://127.0.0.1:1/" in status(running))
        assert "secret" not in status(running)
        assert running.state.frame is None
        unit = running.state.view.unit
        for expected in range(unit + 1, unit + 4):
            await running.pilot.press("l")
            assert running.state.view.unit == expected
        await running.pilot.press("c")
        await running.until(running.settled)
        assert running.state.view.picture == 0
        await changes(running, number, 2)
        assert "waiting" not in status(running)


async def test_a_video_that_is_deleted_is_said_and_comes_back(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.mp4"
    path.write_bytes(clip.read_bytes())
    async with explorer(settings(path)) as running:
        await changes(running, number, 2)
        path.rename(tmp_path / "elsewhere.mp4")
        await running.until(lambda: "own.mp4 is gone" in status(running))
        assert running.state.frame is not None
        (tmp_path / "elsewhere.mp4").rename(path)
        await changes(running, number, 2)
        assert "gone" not in status(running)


async def test_the_engine_is_lost_while_a_video_plays_and_plays_again(clip: Path) -> None:
    async with explorer(settings(clip)) as running:
        await changes(running, number)
        engine = running.app._engine
        assert engine is not None
        engine._process.kill()
        await running.until(lambda: running.state.phase == "lost")
        await running.pilot.press("r")
        await running.until(lambda: running.state.phase == "ready" and running.settled())
        await changes(running, number, 3)


@pytest.mark.timeout(400)
async def test_the_memory_of_the_engine_stays_flat(clip: Path) -> None:
    async with explorer(settings(clip, every_frame=True)) as running:
        engine = running.app._engine
        assert engine is not None
        resident = Path(f"/proc/{engine.pid}/statm")

        def megabytes() -> float:
            return int(resident.read_text().split()[1]) * 4096 / 1e6

        async def frames(count: int) -> None:
            for _ in range(count // 10):
                end = running.state.playback.moment + 10
                await running.until(lambda end=end: running.state.playback.moment >= end)  # type: ignore[misc]

        await frames(50)
        before = megabytes()
        await frames(150)
        # A leak of one input a frame would be 90 MB.
        assert megabytes() - before < 40

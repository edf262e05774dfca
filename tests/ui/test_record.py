"""Recording in the explorer: what is played is in the file, whatever happens meanwhile."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.films import CODEC, GRAYS, NETWORK, decoded, middle_bands, write_bands
from tests.ui.explorer import Explorer, explorer
from tuivis import film
from tuivis.config import Settings
from tuivis.render.film import Stage
from tuivis.state import State
from tuivis.widgets.status import StatusLine

NAME = "net.py_red-0-bands.mp4"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings for a network whose level is the gray that it sees, and a video of known grays."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "net.py").write_text(NETWORK)
    write_bands(tmp_path / "bands.mp4")
    return Settings(model=f"{tmp_path / 'net.py'}:red", input=(str(tmp_path / "bands.mp4"),), layer="0", device="cpu")


def recorded(running: Explorer, seconds: float) -> Callable[[], bool]:
    return lambda: running.state.recording.seconds >= seconds


def encoder_of(running: Explorer) -> int:
    """Return the process that writes the film: the one that has OpenCV and no torch."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for child in children:
        maps = Path(f"/proc/{child}/maps").read_text()
        if "cv2" in maps and "torch" not in maps:
            return int(child)
    raise AssertionError(f"no encoder among {children}")


async def test_a_recording_shows_each_input_beside_its_mosaic(settings: Settings) -> None:
    async with explorer(settings) as running:
        assert not running.state.recording.runs
        await running.pilot.press("R")
        await running.until(recorded(running, 2))
        await running.until(
            lambda: (
                f"● 0:0{int(running.state.recording.seconds)} · "
                in str(running.app.explore.query_one(StatusLine).render())
            )
        )
        stage = Stage.around(running.state.canvas)
        await running.pilot.press("R")
        await running.until(lambda: not running.state.recording.runs)
        assert running.state.note.startswith(f"recorded {Path(NAME).absolute()} · 0:0")
    frames, rate = decoded(Path(NAME))
    assert rate == 25
    assert len(frames) >= 50
    assert frames[0].shape == (stage.height, stage.width, 3)
    grays = set()
    for frame in frames:
        gray, level = middle_bands(frame, stage)
        nearest = min(GRAYS, key=lambda each: abs(each - gray))
        assert abs(gray - nearest) <= CODEC
        assert abs(level - nearest) <= CODEC
        grays.add(nearest)
    # The video goes round three times.
    assert len(grays) >= 2


async def test_a_recording_goes_on_in_its_size_with_another_layer_and_never_replaces_a_file(
    settings: Settings,
) -> None:
    Path(NAME).write_bytes(b"mine")
    async with explorer(settings) as running:
        await running.pilot.press("R")
        await running.until(recorded(running, 1))
        stage = Stage.around(running.state.canvas)
        await running.press("o")
        assert running.state.view.layer != "0"
        await running.until(recorded(running, 2))
        await running.pilot.resize_terminal(80, 24)
        await running.until(recorded(running, 3))
        await running.pilot.press("R")
        await running.until(lambda: not running.state.recording.runs)
    frames, _ = decoded(Path(NAME).with_stem(Path(NAME).stem + "-2"))
    assert {frame.shape for frame in frames} == {(stage.height, stage.width, 3)}
    assert Path(NAME).read_bytes() == b"mine"


async def test_quitting_ends_the_recording_properly(settings: Settings) -> None:
    async with explorer(settings) as running:
        await running.pilot.press("R")
        await running.until(recorded(running, 1))
        await running.pilot.press("q")
    assert [each.name for each in Path().iterdir()] == [NAME]
    assert len(decoded(Path(NAME))[0]) >= 25


async def test_a_recording_of_something_that_stands_still_goes_on_in_real_time(settings: Settings) -> None:
    async with explorer(settings) as running:
        await running.pilot.press("space")
        await running.until(lambda: running.state.playback.paused)
        await running.pilot.press("R")
        await running.until(recorded(running, 2))
        await running.pilot.press("R")
        await running.until(lambda: not running.state.recording.runs)
    frames, _ = decoded(Path(NAME))
    assert len(frames) >= 50


async def test_a_folder_that_is_gone_is_one_line(settings: Settings, tmp_path: Path) -> None:
    async with explorer(settings) as running:
        (tmp_path / "work").rmdir()
        await running.pilot.press("R")
        await running.until(lambda: bool(running.state.note))
        assert running.state.note.startswith("cannot ")
        assert "\n" not in running.state.note
        assert not running.state.recording.runs


async def test_a_full_disk_ends_the_recording_with_one_line(settings: Settings) -> None:
    async with explorer(settings) as running:
        await running.pilot.press("R")
        await running.until(recorded(running, 1))
        resource.prlimit(encoder_of(running), resource.RLIMIT_FSIZE, (1000, 1000))
        await running.until(lambda: not running.state.recording.runs)
        assert (
            running.state.note
            == f"cannot write {Path(NAME).absolute()}: no room is left for it: make some, or write elsewhere"
        )
        assert not list(Path().iterdir())
        assert running.state.phase == "ready"


async def test_an_encoder_that_is_killed_leaves_nothing_and_the_next_recording_works(settings: Settings) -> None:
    async with explorer(settings) as running:
        await running.pilot.press("R")
        await running.until(recorded(running, 1))
        os.kill(encoder_of(running), signal.SIGKILL)
        await running.until(lambda: not running.state.recording.runs)
        assert "was killed (signal 9" in running.state.note
        assert not list(Path().iterdir())
        await running.pilot.press("R")
        await running.until(recorded(running, 1))
        await running.pilot.press("R")
        await running.until(lambda: not running.state.recording.runs)
        assert decoded(Path(NAME))[0]


async def test_a_recording_that_is_wanted_between_a_frame_and_its_mosaic_begins_with_both(settings: Settings) -> None:
    async with explorer(settings) as running:
        await running.pilot.press("space")
        await running.until(lambda: running.state.playback.paused and film.is_whole(running.state))
        whole = running.state
        assert whole.frame is not None and whole.mosaic is not None
        frame = msgspec.structs.replace(whole.frame, generation=whole.mosaic.generation + 1)
        running.app.state = replace(whole, frame=frame)
        await running.pilot.press("R")
        await running.until(lambda: running.state.recording.runs)
        await running.pilot.pause(0.3)
        assert running.state.recording.seconds == 0
        running.app.state = replace(running.app.state, frame=whole.frame)
        await running.until(recorded(running, 1))
        await running.pilot.press("R")
        await running.until(lambda: not running.state.recording.runs)
    assert len(decoded(Path(NAME))[0]) >= 25


async def test_there_is_nothing_to_record_before_the_first_mosaic(settings: Settings) -> None:
    async with explorer(settings) as running:
        before = running.state
        running.app.state = State()
        await running.pilot.press("R")
        assert running.app.state.note == "nothing to record yet"
        running.app.state = before

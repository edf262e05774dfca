"""What plays, by tables: keys and events of the engine in, playback out."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.unit.test_state import LOADED
from tuivis.engine.commands import Show
from tuivis.engine.events import Failed, Frame, Opened, Shown, SourceState
from tuivis.engine.values import Array, SourceKind
from tuivis.intents import (
    CameraToggled,
    CanvasResized,
    Cycled,
    EngineStarted,
    PictureStepped,
    Switched,
    Toggled,
    UnitChosen,
)
from tuivis.playback import FrameStepped, Parted, Playback, Sought, Ticked, Turned
from tuivis.player import Player
from tuivis.recording import Recording
from tuivis.reduce import reduce
from tuivis.render.probe import Terminal
from tuivis.render.protocols import Choice
from tuivis.state import State
from tuivis.widgets.display import Display
from tuivis.widgets.mosaic import title

KINDS: tuple[SourceKind, ...] = ("picture", "video", "stream", "camera", "picture")
PICTURE, VIDEO, STREAM, CAMERA, LAST = range(5)

PAUSE, FREEZE, MIRROR, WHOLE = Turned("paused"), Turned("frozen"), Turned("flipped"), Turned("whole")


def after(*events: object, on: int = VIDEO, kinds: tuple[SourceKind, ...] = KINDS) -> State:
    """Return the state after `events`, which come when the source `on` is on screen."""
    state = State()
    opened = Opened(tuple(f"{number}.{kind}" for number, kind in enumerate(kinds)), (), kinds)
    for event in (EngineStarted(), LOADED, opened, CanvasResized((200, 150), 6), PictureStepped(on), *events):
        state = reduce(state, event)
    return state


def frame(picture: int) -> Frame:
    return Frame(9, picture, Array.of(np.zeros((1, 1, 3), np.uint8)), (), 1.0, LOADED.device)


def request(state: State) -> Show:
    show = state.request()
    assert show is not None
    return show


@pytest.mark.parametrize(
    ("on", "events", "live", "paused", "frozen", "described"),
    [
        (VIDEO, (), True, False, False, ""),
        (VIDEO, (PAUSE,), False, True, False, "paused"),
        (VIDEO, (PAUSE, PAUSE), True, False, False, ""),
        (VIDEO, (FREEZE,), False, False, True, "frozen"),
        (VIDEO, (FREEZE, FREEZE), True, False, False, ""),
        (VIDEO, (FrameStepped(1),), False, True, False, "paused"),
        (VIDEO, (FREEZE, FrameStepped(-1)), False, True, False, "paused"),
        (VIDEO, (FREEZE, Sought(5)), True, False, False, ""),
        (VIDEO, (PAUSE, Sought(5)), False, True, False, "paused"),
        (VIDEO, (PAUSE, PictureStepped(1)), True, False, False, "live"),
        (VIDEO, (PAUSE, PictureStepped(1), PictureStepped(-1)), True, False, False, ""),
        (STREAM, (), True, False, False, "live"),
        (STREAM, (FrameStepped(1),), False, True, False, "paused"),
        (CAMERA, (FREEZE,), False, False, True, "frozen"),
        (PICTURE, (), False, False, False, ""),
        (PICTURE, (FREEZE,), False, False, False, ""),
        (PICTURE, (FrameStepped(1), Sought(5)), False, False, False, ""),
        (PICTURE, (PAUSE,), False, False, False, "slide show"),
        (PICTURE, (PAUSE, PAUSE), False, False, False, ""),
    ],
)
def test_keys_play_what_moves(
    on: int, events: tuple[object, ...], live: bool, paused: bool, frozen: bool, described: str
) -> None:
    playback = after(*events, on=on).playback
    assert (playback.live, playback.paused, playback.frozen) == (live, paused, frozen)
    assert playback.describe() == described
    assert playback.wants_frame == (live or playback.sought is not None)


def test_the_slide_show_is_stopped_on_a_video_too_which_goes_on() -> None:
    state = after(PAUSE, PictureStepped(1), on=PICTURE)
    assert state.playback.slides
    assert state.playback.live
    state = reduce(state, PAUSE)
    assert not state.playback.slides
    assert state.playback.live
    assert reduce(state, PAUSE).playback.paused


@pytest.mark.parametrize("event", [FrameStepped(1), FrameStepped(-3), Sought(5)])
def test_a_video_that_stands_gives_one_frame_when_it_is_moved(event: object) -> None:
    state = after(PAUSE)
    assert not state.wants_frame
    for shown in (event, Ticked(), Shown(5)):
        state = reduce(state, shown)
        assert state.wants_frame
    assert not reduce(state, Shown(5, fresh=True)).wants_frame


def test_a_frame_that_was_asked_for_before_a_step_is_not_that_of_the_step() -> None:
    state = after(FrameStepped(1), Ticked(), FrameStepped(1), Shown(5, fresh=True))
    assert state.wants_frame
    assert not reduce(reduce(state, Ticked()), Shown(6, fresh=True)).wants_frame


def test_a_tick_asks_for_a_newer_frame_and_for_nothing_else() -> None:
    before = after(UnitChosen(3), Cycled("normalisation"), Toggled("zoom"))
    state = reduce(before, Ticked())
    show = request(before)
    assert request(state) == msgspec.structs.replace(show, moment=show.moment + 1)
    assert (state.view, state.look) == (before.view, before.look)


def test_pictures_have_no_moments() -> None:
    state = after(Ticked(), Ticked())
    assert request(state).moment == 2
    assert request(reduce(state, PictureStepped(-1))).moment == 0


def test_nothing_is_asked_for_before_the_engine_is_ready_or_after_it_was_refused() -> None:
    assert after().wants_frame
    assert not reduce(after(), EngineStarted()).wants_frame
    assert not reduce(after(), Failed("no such file", "Open")).wants_frame


@pytest.mark.parametrize(
    ("on", "events", "mirror", "whole"),
    [
        (VIDEO, (), False, False),
        (VIDEO, (MIRROR,), True, False),
        (VIDEO, (MIRROR, MIRROR, WHOLE), False, True),
        (PICTURE, (MIRROR, WHOLE), True, True),
        (STREAM, (), False, False),
        (CAMERA, (), True, False),
        (CAMERA, (MIRROR,), False, False),
        (CAMERA, (WHOLE, PictureStepped(1)), False, True),
    ],
)
def test_cameras_are_mirrored_and_other_sources_when_somebody_says_so(
    on: int, events: tuple[object, ...], mirror: bool, whole: bool
) -> None:
    show = request(after(*events, on=on))
    assert (show.mirror, show.whole) == (mirror, whole)


@pytest.mark.parametrize(
    ("kinds", "on", "expected"),
    [
        (KINDS, VIDEO, [CAMERA, VIDEO, CAMERA]),
        (KINDS, LAST, [CAMERA, LAST, CAMERA]),
        (KINDS, CAMERA, [PICTURE, CAMERA, PICTURE]),
        (("camera", "picture"), 0, [1, 0, 1]),
        (("stream", "picture", "picture"), 2, [0, 2, 0]),
        (("camera",), 0, [0, 0]),
    ],
)
def test_c_goes_to_the_camera_and_back(kinds: tuple[SourceKind, ...], on: int, expected: list[int]) -> None:
    state = after(on=on, kinds=kinds)
    for picture in expected:
        state = reduce(state, CameraToggled())
        assert state.view.picture == picture
        assert state.playback.picture == picture
        assert not state.note


def test_c_says_so_where_there_is_no_camera() -> None:
    state = after(CameraToggled(), kinds=("picture", "video"))
    assert state.note == "there is no camera or stream: give one with --input cam:0, or a URL"
    assert state.view.picture == VIDEO


def test_what_is_wrong_with_a_source_is_said_until_it_is_well() -> None:
    state = after(SourceState(VIDEO, "a.mp4 is gone"))
    assert state.playback.message == "a.mp4 is gone"
    assert reduce(state, SourceState(VIDEO, "")).playback.message == ""
    assert reduce(state, PictureStepped(1)).playback.message == ""
    assert reduce(state, SourceState(STREAM, "lost")).playback.message == "a.mp4 is gone"
    assert after(SourceState(VIDEO, "\x1b[31m")).playback.message == "\\x1b[31m"


def test_what_is_wrong_takes_the_place_of_an_older_note() -> None:
    noted = replace(after(), note="3 files are neither pictures nor videos")
    assert not reduce(noted, SourceState(VIDEO, "a.mp4 is gone")).note
    assert reduce(noted, SourceState(VIDEO, "")).note == noted.note


def test_what_is_wrong_leaves_how_a_recording_ended_until_the_next_key() -> None:
    outcome = "recorded film.mp4 · 0:03 · 1.2 MB"
    state = after(Recording("film.mp4", 3, 1_200_000), Recording(outcome=outcome))
    state = reduce(state, SourceState(VIDEO, "a.mp4 is gone"))
    assert (state.note, state.playback.message) == (outcome, "a.mp4 is gone")
    state = reduce(state, UnitChosen(3))
    assert (state.note, state.playback.message) == ("", "a.mp4 is gone")


@pytest.mark.parametrize("event", [FrameStepped(1), FrameStepped(-1), Sought(5), Sought(-5), FREEZE])
def test_a_picture_that_does_not_move_says_so_to_keys_for_what_does(event: object) -> None:
    still = "this picture does not move: the key is for videos, streams and cameras"
    assert after(event, on=PICTURE).note == still
    assert after(event, on=VIDEO).note == ""
    assert reduce(State(), event).note == ""


@pytest.mark.parametrize(("on", "kind"), [(STREAM, "stream"), (CAMERA, "camera")])
def test_what_is_live_cannot_be_sought_and_says_so(on: int, kind: str) -> None:
    state = after(FREEZE, Sought(5), on=on)
    assert state.note == f"a {kind} is shown as it comes: only videos have other places"
    assert state.playback == after(FREEZE, on=on).playback
    assert after(FREEZE, FrameStepped(1), on=on).note == ""


def test_the_last_frame_of_a_source_that_fails_stays_but_not_that_of_another_one() -> None:
    shown = replace(after(), frame=frame(VIDEO))
    assert reduce(shown, SourceState(VIDEO, "lost")).frame is not None
    other = replace(after(), frame=frame(PICTURE))
    assert reduce(other, SourceState(VIDEO, "")).frame is not None
    assert reduce(other, SourceState(VIDEO, "waiting")).frame is None


def test_what_takes_long_waits_until_nothing_moves() -> None:
    ablation = (Cycled("order"),) * 4
    state = after(*ablation)
    while state.view.order != "ablation":
        state = reduce(state, Cycled("order"))
    assert request(state).order == "gradient"
    assert "by gradient × activation, when paused by ablation" in title(state)
    assert request(reduce(state, PAUSE)).order == "ablation"
    assert title(reduce(state, PAUSE)).endswith("· by ablation")
    assert request(reduce(state, PictureStepped(-1))).order == "ablation"


def test_a_slow_link_shows_fewer_units_with_the_selected_one_among_them_while_frames_flow() -> None:
    whole = after(UnitChosen(11))
    tiles, layout = whole.tiles, whole.layout
    assert tiles is not None and layout is not None and (tiles.first, tiles.count) == (0, 12)
    parted = reduce(whole, Parted(2))
    fewer, part = parted.tiles, parted.layout
    assert fewer is not None and part is not None
    assert part.rows == -(-layout.rows // 2)
    assert (part.columns, part.scale, part.frame(0), part.size) == (
        layout.columns,
        layout.scale,
        layout.frame(0),
        layout.size,
    )
    assert (fewer.height, fewer.width) == (tiles.height, tiles.width)
    assert fewer.first <= 11 < fewer.first + fewer.count < fewer.first + tiles.count
    assert request(parted).tiles == fewer
    first = reduce(parted, UnitChosen(0)).tiles
    assert first is not None and first.first == 0 and first.count == fewer.count
    for everything in (PAUSE, FREEZE, Parted(1), Recording("film.mp4"), PictureStepped(-VIDEO)):
        state = reduce(parted, everything)
        assert state.tiles == tiles, everything
        assert state.view.unit == 11
    again = reduce(reduce(parted, PAUSE), PAUSE)
    assert again.tiles == fewer


def test_a_playback_without_sources_is_still() -> None:
    playback = Playback()
    assert not playback.moves
    assert playback.camera is None
    assert not playback.wants_frame


@pytest.mark.parametrize(("fps", "ticks"), [(None, 3), (0.001, 1)])
async def test_frames_are_asked_for_no_faster_than_the_user_allows(fps: float | None, ticks: int) -> None:
    state = replace(State(), phase="ready", playback=Playback(kinds=("video",)))
    applied: list[object] = []
    display = Display(Terminal(), Choice("halfblock", "for a test"))
    player = Player(lambda: state, applied.append, display, fps)
    for generation in range(3):
        player.hear(Shown(generation, fresh=True), generation)
    player.close()
    assert applied == [Ticked()] * ticks


@pytest.mark.parametrize(("kinds", "count"), [(("video",), 0), (("video", "picture"), 1)])
def test_a_unit_takes_its_mean_only_over_photographs(kinds: tuple[SourceKind, ...], count: int) -> None:
    state = reduce(reduce(State(), LOADED), Opened(("a", "b")[: len(kinds)], (), kinds))
    state = reduce(state, Switched(False, True))
    assert len(state.look.off) == count
    assert ("no mean" in state.note) is not bool(count)

"""Recordings: what their pictures look like, what the state knows of them, and that the link does not slow them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from tuivis.engine.events import Shown
from tuivis.playback import Playback, Ticked
from tuivis.player import Player
from tuivis.record import Report, summary
from tuivis.recording import Recording
from tuivis.reduce import reduce
from tuivis.render import colormap
from tuivis.render.film import CAPTION, INPUT, LARGEST, MOSAIC, Panel, Stage
from tuivis.render.probe import Terminal
from tuivis.render.protocols import Choice
from tuivis.state import State
from tuivis.widgets.display import Display

GROUND = colormap.CHROMES["dark"].gutter


def flat(width: int, height: int, *colour: int) -> Panel:
    return Panel(np.full((height, width, 3), colour, np.uint8), "")


@pytest.mark.parametrize("canvas", [(0, 0), (81, 76), (1301, 977), (4001, 3001)])
def test_a_stage_has_even_numbers_and_room_for_the_canvas_up_to_a_limit(canvas: tuple[int, int]) -> None:
    stage = Stage.around(canvas)
    numbers = stage.width, stage.height, *stage.input, *stage.mosaic
    assert [number % 2 for number in numbers] == [0] * len(numbers)
    for length, room, least, most in zip(canvas, stage.mosaic[2:], MOSAIC, LARGEST, strict=True):
        assert least <= room <= most
        assert room >= min(length - 1, most)
    assert stage.input.x + stage.input.width <= stage.mosaic.x
    assert stage.mosaic.x + stage.mosaic.width <= stage.width
    assert stage.mosaic.y + stage.mosaic.height <= stage.height


def test_pictures_grow_by_whole_factors_and_lie_in_the_middle_of_their_rooms() -> None:
    stage = Stage.around(MOSAIC)
    film = stage.draw(flat(224, 224, 1, 2, 3), flat(300, 100, 4, 5, 6), "dark")
    assert film.shape == (stage.height, stage.width, 3)
    seen, room = stage.input, stage.mosaic
    assert (film[seen.y : seen.y + INPUT, seen.x : seen.x + INPUT] == (1, 2, 3)).all()
    tiles = (film == (4, 5, 6)).all(2)
    assert tiles.sum() == 900 * 300
    rows, columns = np.flatnonzero(tiles.any(1)), np.flatnonzero(tiles.any(0))
    assert abs(rows[0] + rows[-1] + 1 - (2 * room.y + room.height)) <= 2
    assert abs(columns[0] + columns[-1] + 1 - (2 * room.x + room.width)) <= 2
    assert (film == GROUND).all(2).sum() == film.shape[0] * film.shape[1] - 448 * 448 - tiles.sum()


def test_what_is_larger_than_its_room_is_made_to_fit() -> None:
    stage = Stage.around(MOSAIC)
    film = stage.draw(flat(900, 600, 1, 2, 3), flat(3000, 500, 4, 5, 6), "dark")
    assert (film == (1, 2, 3)).all(2).sum() == 448 * 299
    assert (film == (4, 5, 6)).all(2).sum() == 1120 * 187


@pytest.mark.parametrize("chrome", ["dark", "light"])
def test_captions_stand_over_their_pictures_and_can_be_read(chrome: str) -> None:
    stage = Stage.around(MOSAIC)
    black = np.zeros((10, 10, 3), np.uint8)
    film = stage.draw(Panel(black, "a tripod 94%"), Panel(black, "layer · 14×14 · " + "long " * 100), chrome)
    ground = np.array(colormap.CHROMES[chrome].gutter, int)
    for room in (stage.input, stage.mosaic):
        line = film[room.y - CAPTION : room.y, room.x : room.x + room.width].astype(int)
        assert np.abs(line - ground).max() > 120
    between = film[: stage.input.y, stage.input.x + INPUT : stage.mosaic.x]
    assert (between == ground).all()


@pytest.mark.parametrize(
    ("tiles", "canvas"), [((1, 224, 224), (80, 76)), ((2048, 7, 7), (464, 592)), ((80, 112, 112), (2000, 1600))]
)
def test_all_tiles_on_a_terminal_s_canvas_are_on_the_stage_with_all_their_values(
    tiles: tuple[int, int, int], canvas: tuple[int, int]
) -> None:
    layout = Stage.around(canvas).layout(tiles, canvas)
    assert (layout.height, layout.width) == tiles[1:]
    assert layout.page >= tiles[0]


def test_the_state_says_how_long_and_large_a_recording_is() -> None:
    state = reduce(State(), Recording("a\x1b.mp4"))
    assert state.recording.runs
    assert state.recording.describe() == r"● 0:00 · 0.0 MB · a\x1b.mp4"
    state = reduce(state, Recording("film.mp4", 72.4, 3_430_000))
    assert state.recording.describe() == "● 1:12 · 3.4 MB · film.mp4"
    state = reduce(state, Recording())
    assert not state.recording.runs
    assert state.recording.describe() == ""


class Clogged(Display):
    """A terminal behind a link that has no room."""

    def patience(self, lead: float) -> float:
        return 100.0


async def test_a_recording_does_not_wait_for_the_link() -> None:
    display = Clogged(Terminal(), Choice("halfblock", "for a test"))
    state = State(phase="ready", playback=Playback(kinds=("video",)))
    applied: list[object] = []
    player = Player(lambda: state, applied.append, display, None)
    player.hear(Shown(1, fresh=True), 1)
    assert applied == []
    state = replace(state, recording=Recording("film.mp4"))
    player = Player(lambda: state, applied.append, display, None)
    player.hear(Shown(1, fresh=True), 1)
    assert applied == [Ticked()]


def report(**changes: Any) -> Report:
    """Return the report of a recording."""
    about = {"file": "film.mp4", "source": "http://host/", "model": "m", "weights": "w", "random_weights": False}
    size = {"device": "cpu", "layer": "0", "unit": None, "width": 640, "height": 480, "rate": 25.0}
    return msgspec.convert(
        about | size | {"frames": 50, "seconds": 2.0, "bytes": 1, "complete": True} | changes, Report
    )


def test_the_summary_of_a_recording_tells_how_many_frames_it_lacks() -> None:
    assert dict(summary(report(dropped=12)))["film"].endswith("25 frames per second, 12 frames of the source dropped")
    assert "dropped" not in dict(summary(report()))["film"]

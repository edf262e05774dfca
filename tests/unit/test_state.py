"""`reduce`, by tables: what an intent or an event makes of the state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tuivis.engine.events import Failed, Loaded, Mosaic, Opened, Progress, Unit
from tuivis.engine.values import Array, DeviceInfo, Kind, LayerInfo, Tiles
from tuivis.intents import (
    CanvasResized,
    ClassChosen,
    Cycled,
    Defaults,
    EndChosen,
    EngineLost,
    EngineStarted,
    LayerChosen,
    LayerStepped,
    Moved,
    PictureStepped,
    Scrolled,
    Sent,
    Toggled,
    UnitChosen,
)
from tuivis.reduce import reduce
from tuivis.state import State


def layer(name: str, units: int, side: int, kind: Kind = "map", listed: bool = True) -> LayerInfo:
    return LayerInfo(name, "Conv2d", kind, units, side, side, (1, units, side, side), listed, "" if units else "int64")


LAYERS = (
    layer("stem", 8, 28),
    layer("blocks.0.conv", 12, 14),
    layer("blocks.0.act", 12, 14, listed=False),
    layer("blocks.0", 12, 14),
    layer("shape", 0, 0, "unusable", listed=False),
    layer("output", 10, 1, "vector"),
)
CPU = DeviceInfo("cpu", "CPU", 1, 2)
LOADED = Loaded("net", "random, seed 0", True, CPU, (3, 8, 8), LAYERS, "output", ("cat", "dog"))


def after(*events: object) -> State:
    state = State()
    for event in (EngineStarted(), LOADED, Opened(("a.png", "b.png", "c.png")), CanvasResized((200, 150), 6), *events):
        state = reduce(state, event)
    return state


def test_layers_stand_in_the_order_of_the_forward_pass_with_modules_before_their_parts() -> None:
    state = after(Toggled("all_layers"))
    assert [info.name for info in state.layers] == [
        "stem",
        "blocks.0",
        "blocks.0.conv",
        "blocks.0.act",
        "shape",
        "output",
    ]


def test_the_list_hides_what_people_do_not_look_at() -> None:
    assert [info.name for info in after().layers] == ["stem", "blocks.0", "blocks.0.conv", "output"]


def test_a_middle_layer_is_on_screen_at_the_start() -> None:
    assert after().view.layer == "blocks.0"


def test_the_layer_of_the_command_line_is_on_screen_at_the_start() -> None:
    state = reduce(State(wanted="stem"), LOADED)
    assert state.view.layer == "stem"


def test_an_unknown_layer_of_the_command_line_is_told_with_the_nearest() -> None:
    state = reduce(State(wanted="stemm"), LOADED)
    assert "stemm" in state.note and "did you mean stem" in state.note
    assert state.view.layer == "blocks.0"


@pytest.mark.parametrize(
    ("events", "unit"),
    [
        ([Moved(1, 0)], 1),
        ([Moved(-1, 0)], 0),
        ([Moved(1, 0)] * 30, 11),
        ([Moved(0, -1)], 0),
        ([EndChosen(True)], 11),
        ([EndChosen(True), EndChosen(False)], 0),
        ([UnitChosen(7)], 7),
        ([UnitChosen(12)], 0),
    ],
)
def test_the_selection_moves_inside_the_layer(events: list[object], unit: int) -> None:
    assert after(*events).view.unit == unit


def test_down_and_up_move_by_rows() -> None:
    layout = after().layout
    assert layout is not None
    state = after(Moved(0, 1))
    assert state.view.unit == layout.columns
    assert reduce(state, Moved(0, -1)).view.unit == 0
    assert after(Moved(0, 99)).view.unit // layout.columns == 11 // layout.columns


def test_a_unit_out_of_range_is_told() -> None:
    assert "units are 0 to 11" in after(UnitChosen(12)).note


def test_the_selected_unit_stays_when_the_layer_changes() -> None:
    state = after(UnitChosen(9), LayerStepped(1))
    assert (state.view.layer, state.view.unit) == ("blocks.0.conv", 9)
    state = reduce(state, LayerStepped(-2))
    assert (state.view.layer, state.view.unit) == ("stem", 7)


def test_layer_steps_end_at_the_ends() -> None:
    assert after(LayerStepped(99)).view.layer == "output"
    assert after(LayerStepped(-99)).view.layer == "stem"


def test_a_layer_that_cannot_be_shown_says_why() -> None:
    state = after(LayerChosen("shape"))
    assert state.view.layer == "blocks.0"
    assert "int64" in state.note


def test_a_class_is_a_unit_of_the_output() -> None:
    state = after(ClassChosen(3))
    assert (state.view.layer, state.view.unit) == ("output", 3)


def test_pictures_wrap_around() -> None:
    assert after(PictureStepped(-1)).view.picture == 2
    assert after(PictureStepped(3)).view.picture == 0


def test_a_setting_takes_its_next_value_and_escape_puts_all_back() -> None:
    state = after(UnitChosen(5), Cycled("gamma"), Cycled("boost"), Cycled("normalisation"), Toggled("zoom"))
    view = state.view
    assert (view.gamma, view.boost, view.normalisation, view.zoom) == (0.7, 0.3, "unit", True)
    state = reduce(state, Defaults())
    assert state.view == replace(after(UnitChosen(5)).view, row=state.view.row)
    for _ in range(4):
        state = reduce(state, Cycled("gamma"))
    assert state.view.gamma == 1


def test_zoom_asks_for_the_selected_unit_alone() -> None:
    show = after(UnitChosen(5), Toggled("zoom")).request()
    assert show is not None
    assert show.tiles == Tiles(5, 1, 14, 14)


def test_the_request_says_what_the_pane_can_show() -> None:
    show = after().request()
    assert show is not None
    assert (show.layer, show.tiles) == ("blocks.0", Tiles(0, 12, 14, 14))


def test_nothing_is_asked_for_before_the_pane_the_model_and_the_pictures_are_known() -> None:
    assert State().request() is None
    assert reduce(after(), EngineLost("was killed", "log")).request() is None
    assert reduce(State(), LOADED).request() is None


def test_the_selected_unit_is_scrolled_into_view() -> None:
    small = after(CanvasResized((20, 20), 6))
    layout = small.layout
    assert layout is not None and layout.page < 12
    state = reduce(small, EndChosen(True))
    assert state.first <= 11 < state.first + layout.page
    assert reduce(state, EndChosen(False)).first == 0


def test_scrolling_keeps_the_selection_and_ends_at_the_ends() -> None:
    state = after(CanvasResized((20, 20), 6), Scrolled(1))
    assert state.first > 0 and state.view.unit == 0
    assert reduce(state, Scrolled(-9)).first == 0
    layout = state.layout
    assert layout is not None
    assert reduce(state, Scrolled(99)).view.row == layout.total_rows - layout.rows


def mosaic(generation: int, order: list[int]) -> Mosaic:
    tiles = Tiles(0, 12, 14, 14)
    levels = Array.of(np.zeros((12, 14, 14), np.uint8))
    numbers = Array.of(np.array(order, np.int32))
    return Mosaic(generation, "blocks.0", 0, tiles, levels, numbers, "layer", 0.0, 1.0, 0, 0)


def test_the_selection_walks_the_order_of_strength() -> None:
    order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7, 10, 11]
    state = after(UnitChosen(3), Cycled("order"), mosaic(1, order))
    assert state.slot(3) == 0
    assert reduce(state, Moved(1, 0)).view.unit == 1
    assert reduce(state, EndChosen(True)).view.unit == 11


def unit(generation: int, number: int) -> Unit:
    return Unit(generation, "blocks.0", 0, number, Array.of(np.zeros((14, 14), np.uint8)), 1.0, (0, 0), 0.5, 0.5, 1)


def test_answers_to_an_old_generation_are_dropped() -> None:
    state = after()
    first = state.request()
    assert first is not None
    import msgspec

    one = msgspec.structs.replace(first, generation=1)
    two = msgspec.structs.replace(first, generation=2, unit=4)
    state = reduce(reduce(state, Sent(one, None)), Sent(two, one))
    assert reduce(state, unit(1, 0)).unit is None
    assert reduce(state, unit(2, 4)).unit is not None
    assert reduce(state, mosaic(1, list(range(12)))).mosaic is not None


def test_a_lost_engine_says_how_and_where_and_keeps_the_view() -> None:
    before = after(UnitChosen(5), PictureStepped(1), LayerChosen("stem"))
    lost = reduce(before, EngineLost("was killed", "/var/log/engine.log"))
    assert "was killed" in lost.banner and "/var/log/engine.log" in lost.banner and "r " in lost.banner
    again = lost
    for event in (EngineStarted(), LOADED, Opened(("a.png", "b.png", "c.png"))):
        again = reduce(again, event)
    assert again.view == before.view
    assert again.banner == ""
    assert again.phase == "ready"


def test_a_model_that_does_not_load_is_a_banner_and_other_failures_a_note() -> None:
    assert "no model" in reduce(State(), Failed("no model x", "Load")).banner
    state = reduce(after(), Failed("b.png is truncated", "Show", 3))
    assert state.note == "b.png is truncated"
    assert state.banner == ""


def test_progress_is_shown_until_the_pictures_are_open() -> None:
    state = reduce(State(), Progress("importing torch"))
    assert state.progress is not None
    assert after().progress is None


def test_a_note_of_the_model_stays_until_something_is_done() -> None:
    loaded = Loaded("net", "w", False, CPU, (3, 8, 8), LAYERS, "output", (), ("2 missing keys: a, b",))
    state = reduce(reduce(State(), loaded), Opened(("a.png",)))
    assert state.note == "2 missing keys: a, b"

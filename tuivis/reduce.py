"""`reduce`: the only function that makes a new state. Intents and events of the engine go through it alike."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import Any

import msgspec

from tuivis.engine.events import (
    Backward,
    Failed,
    Finished,
    Frame,
    JobEnded,
    JobPaused,
    JobStarted,
    Loaded,
    Mosaic,
    Opened,
    Preview,
    Progress,
    Relations,
    Shown,
    SourceState,
    Stepped,
    Unit,
)
from tuivis.engine.values import in_tree_order
from tuivis.errors import nearest, printable
from tuivis.intents import (
    BackwardCycled,
    CameraToggled,
    CanvasResized,
    ClassChosen,
    ClassTargeted,
    Cycled,
    Defaults,
    EndChosen,
    EngineLost,
    EngineStarted,
    Frozen,
    LayerChosen,
    LayerStepped,
    LookToggled,
    MosaicSent,
    Moved,
    Noted,
    PictureStepped,
    PositionMoved,
    PositionPicked,
    Rested,
    Scrolled,
    Sent,
    Switched,
    SwitchedOn,
    Toggled,
    UnitChosen,
    Visited,
)
from tuivis.jobstate import JobQueued, JobSelected, JobsToggled, PicturesFound, said, worked
from tuivis.lookback import Selection, turned, visited
from tuivis.playback import FrameStepped, Parted, Sought, Ticked, Turned, played, refused
from tuivis.recording import Recording
from tuivis.state import CYCLES, Since, State, View


def reduce(state: State, event: object) -> State:
    """Return the state after `event`, an intent or an event of the engine. Pure."""
    after = _apply(event, state)
    playback = after.playback.showing(after.view.picture)
    # What takes long is known of pictures that stand: that of another one would pass for that of this one.
    after = replace(after, playback=playback, relations=None if playback.live else after.relations)
    return after if after.parts == state.parts else _scroll(after)


@singledispatch
def _apply(event: object, state: State) -> State:
    return state


def _look(state: State, **changes: Any) -> State:
    """Change the view, and scroll so that the selected unit stays on screen."""
    return _scroll(replace(state, view=replace(state.view, **changes), note="", rested=False))


def _choose(state: State, unit: int) -> State:
    return _look(state, unit=unit, wish=unit)


def _scroll(state: State) -> State:
    """Scroll no further than it takes to see the selected unit."""
    layout = state.layout
    if layout is None or state.view.zoom:
        return state
    row = state.slot(state.view.unit) // layout.columns
    first = min(max(state.view.row, row - layout.rows + 1), row)
    first = max(0, min(first, layout.total_rows - layout.rows))
    return replace(state, view=replace(state.view, row=first))


@_apply.register
def _(event: Moved, state: State) -> State:
    layer, layout = state.layer, state.layout
    if layer is None or layout is None:
        return state
    row, column = divmod(state.slot(state.view.unit), layout.columns)
    row = min(max(row + event.rows, 0), (layer.units - 1 - column) // layout.columns)
    slot = row * layout.columns + column + event.columns
    return _choose(state, state.unit_at(min(max(slot, 0), layer.units - 1)))


@_apply.register
def _(event: UnitChosen, state: State) -> State:
    layer = state.layer
    if layer is None:
        return state
    if not 0 <= event.unit < layer.units:
        name = printable(layer.name)
        return replace(state, note=f"{name} has no unit {event.unit}: its units are 0 to {layer.units - 1}")
    return _choose(state, event.unit)


@_apply.register
def _(event: EndChosen, state: State) -> State:
    layer = state.layer
    return state if layer is None else _choose(state, state.unit_at(layer.units - 1 if event.last else 0))


@_apply.register
def _(event: LayerChosen, state: State) -> State:
    infos = state.loaded.layers if state.loaded else ()
    layer = next((info for info in infos if info.name == event.name), None)
    if layer is None:
        near = nearest(event.name, [info.name for info in infos])
        return replace(state, note=f"no layer {printable(event.name)}{near}")
    if not layer.units:
        return replace(state, note=f"{printable(layer.name)} cannot be shown: {printable(layer.reason)}")
    return _look(state, layer=layer.name, unit=min(state.view.wish, layer.units - 1))


@_apply.register
def _(event: LayerStepped, state: State) -> State:
    names = [info.name for info in state.layers if info.units]
    if state.view.layer not in names:
        return state
    index = names.index(state.view.layer) + event.by
    return _apply(LayerChosen(names[min(max(index, 0), len(names) - 1)]), state)


@_apply.register
def _(event: ClassChosen, state: State) -> State:
    if state.loaded is None:
        return state
    output = state.loaded.output
    state = _apply(LayerChosen(output), state)
    return _apply(UnitChosen(event.index), state) if state.view.layer == output else state


@_apply.register
def _(event: PictureStepped, state: State) -> State:
    if not state.pictures:
        return state
    return _look(state, picture=(state.view.picture + event.by) % len(state.pictures))


@_apply.register
def _(event: Scrolled, state: State) -> State:
    layout = state.layout
    if layout is None:
        return state
    row = max(0, min(state.view.row + event.rows, layout.total_rows - layout.rows))
    return replace(state, view=replace(state.view, row=row))


@_apply.register
def _(event: Cycled, state: State) -> State:
    values = CYCLES[event.setting]
    index = values.index(getattr(state.view, event.setting))
    return _look(state, **{event.setting: values[(index + 1) % len(values)]})


@_apply.register
def _(event: Toggled, state: State) -> State:
    if event.setting == "zoom" and state.look.mode and state.view.zoom != state.look.fills:
        # The grid, the unit, the backward picture, the grid.
        return _look(replace(state, look=replace(state.look, fills=not state.look.fills)), zoom=False)
    return _look(state, **{event.setting: not getattr(state.view, event.setting)})


@_apply.register
def _(event: Defaults, state: State) -> State:
    kept = {name: getattr(state.view, name) for name in ("picture", "layer", "unit", "wish")}
    return _look(replace(state, view=View(colours=state.colours), look=state.look.defaults()), **kept)


@_apply.register(BackwardCycled | ClassTargeted | Frozen | LookToggled)
@_apply.register(PositionMoved | PositionPicked | Switched | SwitchedOn)
def _(event: object, state: State) -> State:
    if state.layer is None:
        return state
    if isinstance(event, Switched) and event.mean and not state.playback.has_pictures:
        return replace(state, note="no mean without photographs: add some with --input")
    look = turned(event, state.look, Selection(state.layer, state.view.unit, state.unit))
    return replace(state, look=look, backward=state.backward if look.mode else None, note="")


@_apply.register(JobQueued | JobSelected | JobsToggled | PicturesFound)
@_apply.register(JobStarted | Stepped | Preview | Finished | JobPaused | JobEnded)
def _(event: object, state: State) -> State:
    return replace(state, jobs=worked(event, state.jobs), note=said(event, state.jobs) or state.note)


@_apply.register(FrameStepped | Parted | Sought | Ticked | Turned | Shown)
def _(event: object, state: State) -> State:
    return replace(state, playback=played(event, state.playback), note=refused(event, state.playback) or state.note)


@_apply.register
def _(event: CameraToggled, state: State) -> State:
    camera = state.playback.camera
    if camera is None:
        return replace(state, note="there is no camera or stream: give one with --input cam:0, or a URL")
    return _look(state, picture=state.playback.away if state.view.picture == camera else camera)


@_apply.register
def _(event: SourceState, state: State) -> State:
    # What is wrong now is more than what happened before, but for a recording: where it is must be read.
    note = "" if event.message and state.note != state.recording.outcome else state.note
    state = replace(state, playback=played(event, state.playback), note=note)
    if event.message and state.frame is not None and state.frame.picture != state.view.picture:
        # The last frame of this source stays, but not that of another one.
        state = replace(state, frame=None, mosaic=None, unit=None, backward=None, relations=None)
    return state


@_apply.register
def _(event: Recording, state: State) -> State:
    return replace(state, recording=event, note=event.outcome or state.note)


@_apply.register
def _(event: Visited, state: State) -> State:
    place = visited(state.relations, event.number) if state.look.relations else None
    if place is None:
        when = ", while nothing moves" if state.playback.live else ""
        note = f"nobody there: W finds the units that feed the selected one, and those it feeds{when}"
        return replace(state, note=note)
    return _apply(UnitChosen(place[1]), _apply(LayerChosen(place[0]), state))


@_apply.register
def _(event: Rested, state: State) -> State:
    return replace(state, rested=True)


@_apply.register
def _(event: CanvasResized, state: State) -> State:
    return _look(replace(state, canvas=event.canvas, smallest=event.smallest))


@_apply.register
def _(event: Noted, state: State) -> State:
    return replace(state, note=event.text)


@_apply.register
def _(event: MosaicSent, state: State) -> State:
    return replace(state, sent=event.size)


@_apply.register
def _(event: Sent, state: State) -> State:
    show, before, since = event.show, event.before, state.since
    generation = show.generation
    return replace(
        state,
        since=Since(
            frame=generation if before is None or before.source != show.source else since.frame,
            mosaic=generation if before is None or before.mosaic != show.mosaic else since.mosaic,
            unit=generation if before is None or before.detail != show.detail else since.unit,
            backward=generation if before is None or before.pass_back != show.pass_back else since.backward,
            relations=generation if before is None or before.kin != show.kin else since.relations,
        ),
    )


@_apply.register
def _(event: EngineStarted, state: State) -> State:
    return replace(state, phase="starting", banner="", note="", progress=Progress("starting the engine"))


@_apply.register
def _(event: EngineLost, state: State) -> State:
    banner = f"The engine {event.ending}. Press r to start it again. Its log: {printable(event.log)}"
    return replace(state, phase="lost", banner=banner, progress=None)


@_apply.register
def _(event: Progress, state: State) -> State:
    return replace(state, progress=event)


@_apply.register
def _(event: Loaded, state: State) -> State:
    event = msgspec.structs.replace(event, layers=in_tree_order(event.layers))
    note = "; ".join(printable(note) for note in event.notes)
    state = replace(state, loaded=event, messages=event.notes, note=note)
    names = [info.name for info in event.layers if info.units]
    wished = state.view.layer or state.wanted
    if wished in names:
        return _noted_unit(_apply(LayerChosen(wished), state), state.note)
    note = f"no layer {printable(wished)}{nearest(wished, names)}" if wished else state.note
    listed = [info.name for info in event.layers if info.listed and info.kind in ("map", "tokens")] or names
    if not listed:
        return replace(state, banner="This model has no layer that can be shown.")
    # In the middle of a network the units are many and their maps still show the picture.
    return _noted_unit(_apply(LayerChosen(listed[len(listed) // 2]), state), note)


def _noted_unit(state: State, note: str) -> State:
    """Return the state with `note`, or with one that the layer has no such unit as the command line names."""
    if state.view.unit != state.view.wish and not note:
        note = f"{printable(state.view.layer)} has no unit {state.view.wish}: this is its last one"
    return replace(state, note=note)


@_apply.register
def _(event: Opened, state: State) -> State:
    picture = min(state.view.picture, len(event.pictures) - 1)
    note = "; ".join(printable(note) for note in event.notes) or state.note
    view, playback = replace(state.view, picture=picture), played(event, state.playback)
    messages = (*(state.loaded.notes if state.loaded else ()), *event.notes)
    state = replace(state, pictures=event.pictures, messages=messages, playback=playback)
    return replace(state, phase="ready", progress=None, view=view, note=note)


@_apply.register
def _(event: Frame, state: State) -> State:
    return state if event.generation < state.since.frame else replace(state, frame=event, trouble="")


@_apply.register
def _(event: Mosaic, state: State) -> State:
    if event.generation < state.since.mosaic:
        return state
    before, state = state.mosaic, replace(state, mosaic=event, progress=None)
    same = before is not None and before.layer == event.layer and before.order.data == event.order.data
    return state if same else _scroll(state)


@_apply.register
def _(event: Unit, state: State) -> State:
    return state if event.generation < state.since.unit else replace(state, unit=event)


@_apply.register
def _(event: Backward, state: State) -> State:
    return state if event.generation < state.since.backward or not state.look.mode else replace(state, backward=event)


@_apply.register
def _(event: Relations, state: State) -> State:
    return state if event.generation < state.since.relations else replace(state, relations=event)


@_apply.register
def _(event: Failed, state: State) -> State:
    if event.during == "Backward":
        look = replace(state.look, mode=None, failed=state.look.mode, gradients=False, fills=False)
        return replace(state, look=look, backward=None, note=event.message)
    if event.during == "Order":
        return replace(state, view=replace(state.view, order="index"), progress=None, note=event.message)
    if event.during in ("Load", "Open"):
        banner = f"{event.message}. Press r to try again, q to quit."
        return replace(state, phase="refused", progress=None, banner=banner)
    if event.during == "Show":
        return _without_answers(state, event)
    return replace(state, progress=None, note=event.message)


def _without_answers(state: State, event: Failed) -> State:
    """Show nothing rather than what was on screen before, unless something else has been asked for since."""
    if event.generation < max(state.since.frame, state.since.mosaic, state.since.unit):
        return state
    nothing = replace(state, frame=None, mosaic=None, unit=None, backward=None, relations=None)
    return replace(nothing, progress=None, trouble=event.message, note="")

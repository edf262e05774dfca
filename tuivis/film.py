"""Films of the input and the mosaic: the pictures are drawn here, and an engine of their own writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tuivis import config
from tuivis.conversation import Conversation
from tuivis.engine.client import Engine
from tuivis.engine.commands import Record
from tuivis.engine.events import Recorded
from tuivis.engine.values import Array
from tuivis.errors import printable
from tuivis.files import partial
from tuivis.render.film import Panel, Stage
from tuivis.state import State
from tuivis.widgets.backward import backward_picture
from tuivis.widgets.mosaic import BEST, fits, mosaic_picture, title


def is_whole(state: State) -> bool:
    """Say whether there are an input and a mosaic, and the mosaic is that input's and the one that is asked for."""
    frame, mosaic = state.frame, state.mosaic
    if frame is None or mosaic is None:
        return False
    return mosaic.generation >= frame.generation and fits(mosaic, state)


def picture(state: State, stage: Stage, chrome: str) -> Array:
    """Return what is on screen, with all its levels, as a picture of a film, of a state that `is_whole`."""
    frame, mosaic = state.frame, state.mosaic
    assert frame is not None and mosaic is not None
    layout = stage.layout(mosaic.levels.shape, state.canvas)
    filling = backward_picture(state, stage.mosaic[2:], chrome) if state.look.fills else None
    drawn = filling or mosaic_picture(state, mosaic, layout, BEST, chrome)
    caption = printable(Path(state.pictures[frame.picture]).name)
    if frame.top:
        caption += f" · {printable(frame.top[0].label)} {frame.top[0].probability:.0%}"
    return Array.of(stage.draw(Panel(frame.pixels.numpy(), caption), Panel(drawn.rgb(), title(state)), chrome))


@asynccontextmanager
async def filmed(record: Record) -> AsyncIterator[Conversation]:
    """Start an encoder and begin a film; give who writes it. Nothing is left of a film that was not ended.

    Raises
    ------
    UserError
        If it cannot be begun.
    """
    log = config.log_path().with_name("encoder.log")
    engine = await Engine.start(log)
    try:
        encoder = Conversation(engine, log, lambda progress: None)
        await encoder.ask(record, Recorded)
        yield encoder
    finally:
        # Before the end of the stream, at which an encoder saves what it has.
        partial(Path(record.path), engine.pid).unlink(missing_ok=True)
        await engine.close()

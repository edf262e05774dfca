"""The layers of a model, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from tuivis.config import Settings
from tuivis.conversation import Conversation, converse
from tuivis.engine.commands import Load
from tuivis.engine.events import Loaded
from tuivis.engine.values import LayerInfo
from tuivis.errors import printable


def layers(settings: Settings) -> Loaded:
    """Return what the engine says about the model of the settings.

    Without weights in the settings they are random: layers do not depend on them, and nothing is downloaded.

    Raises
    ------
    UserError
        If the model, the weights or the device are not there.
    """
    # A factory in a file chooses its weights itself.
    unspecified = None if ".py:" in settings.model else "random"
    load = Load(settings.model, settings.weights or unspecified, settings.devices[0])

    async def talk(engine: Conversation) -> Loaded:
        return await engine.ask(load, Loaded)

    return converse(talk)


def listed(infos: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Return the layers that people look at first, and those that are unusable."""
    return [info for info in infos if info.listed or info.kind == "unusable"]


def table(infos: Sequence[LayerInfo]) -> Table:
    """Return one row for each layer: name, kind, module, units, map, shape, and why it is unusable."""
    columns = ("layer", "kind", "module", "units", "map", "shape")
    unusable = any(info.reason for info in infos)
    result = Table(box=None, pad_edge=False)
    for name in (*columns, *(["unusable because"] if unusable else [])):
        result.add_column(name, justify="right" if name == "units" else "left", overflow="fold")
    for info in infos:
        size = f"{info.height} x {info.width}" if info.units else ""
        shape = " x ".join(map(str, info.shape))
        cells = (info.name, info.kind, info.module, str(info.units or ""), size, shape, info.reason)
        result.add_row(*(Text(printable(cell)) for cell in cells[: len(result.columns)]))
    return result

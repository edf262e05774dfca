"""What the program knows and what the user chose. Nothing here knows a widget, a terminal or a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tuivis.engine.commands import Show
from tuivis.engine.events import Backward, Frame, Loaded, Mosaic, Progress, Relations, Unit
from tuivis.engine.values import LayerInfo, Normalisation, Order, Tiles
from tuivis.intents import Setting
from tuivis.jobstate import JobState, Place
from tuivis.lookback import Look
from tuivis.playback import Playback
from tuivis.recording import Recording
from tuivis.render.colormap import GAMMAS, Name
from tuivis.render.mosaic import Layout, fit

BOOSTS = (0.0, 0.3, 0.5, 0.8, 1.0)
NORMALISATIONS: tuple[Normalisation, ...] = ("layer", "unit", "diverging")
ORDERS: tuple[Order, ...] = ("index", "strength", "gradient", "ablation")
COLOURS: tuple[Name, ...] = ("ember", "dusk", "gray")

Phase = Literal["starting", "ready", "refused", "lost"]

CYCLES: dict[Setting, tuple[Any, ...]] = {
    "gamma": GAMMAS,
    "boost": BOOSTS,
    "normalisation": NORMALISATIONS,
    "order": ORDERS,
    "colours": COLOURS,
}
"""The values of each setting, in the order in which a key goes through them."""


@dataclass(frozen=True)
class View:
    """What the user chose to look at, and how."""

    picture: int = 0
    layer: str = ""
    unit: int = 0
    wish: int = 0
    """The unit that was last chosen: a layer with fewer units shows its last one in place of it."""
    row: int = 0
    """The first row of tiles on screen."""
    zoom: bool = False
    all_layers: bool = False
    order: Order = "index"
    normalisation: Normalisation = "layer"
    gamma: float = 1.0
    boost: float = 0.0
    colours: Name = "ember"


@dataclass(frozen=True)
class Since:
    """The generation at which each part of the screen was last asked for: an answer to an older one is dropped."""

    frame: int = 0
    mosaic: int = 0
    unit: int = 0
    backward: int = 0
    relations: int = 0


@dataclass(frozen=True)
class State:
    """Everything that the widgets draw from."""

    phase: Phase = "starting"
    progress: Progress | None = None
    banner: str = ""
    """What went wrong and what to do, until it is mended."""
    note: str = ""
    """One line about the last thing that happened."""
    messages: tuple[str, ...] = ()
    """What loading the model and opening the pictures had to say."""
    trouble: str = ""
    """Why the picture cannot be shown, until another one is."""
    canvas: tuple[int, int] = (0, 0)
    """(width, height) of the mosaic's pane in pixels."""
    smallest: int = 1
    """The longer side, in pixels, under which a tile is not drawn."""
    wanted: str = ""
    """The layer that the command line asked for."""
    colours: Name = "ember"
    """The colour map to come back to."""
    loaded: Loaded | None = None
    pictures: tuple[str, ...] = ()
    frame: Frame | None = None
    mosaic: Mosaic | None = None
    unit: Unit | None = None
    backward: Backward | None = None
    relations: Relations | None = None
    sent: int = 0
    """Bytes of the last mosaic."""
    since: Since = field(default_factory=Since)
    view: View = field(default_factory=View)
    look: Look = field(default_factory=Look)
    jobs: JobState = field(default_factory=JobState)
    playback: Playback = field(default_factory=Playback)
    recording: Recording = field(default_factory=Recording)
    rested: bool = False
    """Whether the selection rests: relations are not asked for while it moves."""

    @property
    def layer(self) -> LayerInfo | None:
        """The layer on screen."""
        infos = self.loaded.layers if self.loaded else ()
        return next((info for info in infos if info.name == self.view.layer), None)

    @property
    def seen(self) -> str:
        """The name of the input on screen."""
        return self.pictures[self.view.picture] if self.view.picture < len(self.pictures) else ""

    @property
    def places(self) -> tuple[Place, Place]:
        """What the pictures beside the unit are of: the unit, and the input's direction in its layer."""
        return (self.view.layer, self.view.unit), (self.view.layer, self.seen)

    @property
    def wants_frame(self) -> bool:
        """Whether the next frame of a moving source is to be asked for."""
        return self.phase == "ready" and self.playback.wants_frame

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers that the list offers; the one on screen is always among them."""
        infos = self.loaded.layers if self.loaded else ()
        return tuple(info for info in infos if info.listed or self.view.all_layers or info.name == self.view.layer)

    @property
    def layout(self) -> Layout | None:
        """Where the tiles lie, once the pane and the layer are known."""
        layer = self.layer
        if layer is None or not layer.units or min(self.canvas) < 1:
            return None
        units = 1 if self.view.zoom else layer.units
        return fit(units, (layer.height, layer.width), self.canvas, self.smallest).part(self.parts)

    @property
    def parts(self) -> int:
        """On how many pages the units are that would fit on one; a film has them all."""
        return self.playback.parts if self.playback.live and not self.recording.runs else 1

    @property
    def tiles(self) -> Tiles | None:
        """The tiles on screen, once the pane and the layer are known."""
        layout, layer = self.layout, self.layer
        if layout is None or layer is None:
            return None
        return Tiles(self.first, min(layout.page, layer.units - self.first), layout.height, layout.width)

    @property
    def first(self) -> int:
        """The first slot on screen."""
        layout = self.layout
        if layout is None:
            return 0
        return self.slot(self.view.unit) if self.view.zoom else self.view.row * layout.columns

    def slot(self, unit: int) -> int:
        """Return the place of `unit` in the order of the tiles."""
        order = self._order()
        return unit if order is None else int(np.flatnonzero(order == unit)[0])

    def unit_at(self, slot: int) -> int:
        """Return the unit in `slot` of the order of the tiles."""
        order = self._order()
        return slot if order is None else int(order[slot])

    def _order(self) -> np.ndarray[Any, Any] | None:
        shown = self.mosaic
        if self.view.order == "index" or shown is None or shown.layer != self.view.layer:
            return None
        return shown.order.numpy()

    def request(self) -> Show | None:
        """Return what the engine should show now (generation 0), or None while there is nothing to ask for."""
        tiles = self.tiles
        if self.phase != "ready" or tiles is None or not self.pictures:
            return None
        view, playback = self.view, self.playback
        return Show(
            generation=0,
            moment=playback.moment if playback.moves else 0,
            mirror=playback.mirror,
            whole=playback.whole,
            picture=view.picture,
            layer=view.layer,
            unit=view.unit,
            tiles=tiles,
            # What takes a second is not asked for thirty times in one.
            order="gradient" if playback.live and view.order == "ablation" else view.order,
            normalisation=view.normalisation,
            boost=view.boost,
            off=self.look.off,
            backward=self.look.backpass(view.layer, view.unit, self.loaded.layers if self.loaded else ()),
            gradients=self.look.gradients,
            relations=self.look.relations and self.rested and not playback.live,
            target=self.look.target,
        )

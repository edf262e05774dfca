"""What the selected unit wants to see: its pictures as they grow, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import var
from textual.widget import Widget

from tuivis.engine.optimise.results import Run
from tuivis.jobstate import Job, Made, Sample
from tuivis.render.overlay import fit
from tuivis.render.picture import Picture
from tuivis.state import State
from tuivis.widgets.display import Display
from tuivis.widgets.jobs import clock
from tuivis.widgets.picture import PicturePane

LEVELS = "▁▂▃▄▅▆▇█"
Pixels = NDArray[np.uint8]


class OptimisedPicture(PicturePane):
    """Draws the pictures of the selected unit, recipes and seeds side by side."""

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw when the pictures are others."""
        if [id(pixels) for pixels in _pictures(old)] != [id(pixels) for pixels in _pictures(new)]:
            self.draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw at the new size."""
        self.draw()

    def draw(self) -> None:
        """Fit the pictures into the pane."""
        width, height = self.canvas
        pictures = _pictures(self.state)
        self.picture = Picture(side_by_side(pictures, width, height)) if pictures and width and height else None


class OptimisedNumbers(Widget):
    """Draws the numbers of the picture in the making, or of the best one, of the selected unit."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"optimised--curve"}

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Draw the lines that read differently."""
        if self.content_size.width and _lines(old, self.content_size.width) != _lines(new, self.content_size.width):
            self.refresh()

    def render(self) -> Text:
        """Return the lines."""
        ink = self.get_component_rich_style("optimised--curve")
        lines = [Text(line, ink if line[:1] in LEVELS else "") for line in _lines(self.state, self.content_size.width)]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


class OptimisedPane(Vertical):
    """Pictures over numbers; there only while the selected unit has a picture, or one in the making."""

    state: var[State] = var(State(), init=False)

    def __init__(self, display: Display, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = display
        self._runs: list[Run] = []

    def compose(self) -> ComposeResult:
        """Yield the parts."""
        yield OptimisedPicture(self._pictures).data_bind(OptimisedPane.state)
        yield OptimisedNumbers().data_bind(OptimisedPane.state)

    def watch_state(self, old: State, new: State) -> None:
        """Come and go, and say which recipes."""
        made, at_work = _of_unit(new)
        self.set_class(new.jobs.has_pictures(new.view.layer, new.view.unit), "-shown")
        self._runs = [each.run for each in made] + [sample.run for _, sample in at_work]
        self._retitle()

    def on_resize(self) -> None:
        """Say as much as fits now."""
        self._retitle()

    def _retitle(self) -> None:
        titles = _titles(self._runs)
        title = next((each for each in titles if len(each) <= self.size.width - 4), titles[-1])
        if str(self.border_title).strip() != title:
            self.border_title = Content(f" {title} ")


def _titles(runs: Sequence[Run]) -> list[str]:
    """Return what the pane may be called, the longest first."""
    recipes = ", ".join(dict.fromkeys(run.recipe for run in runs))
    if len(runs) <= 1:
        return [f"wants to see · {recipes}", recipes]
    count = f"{len(runs)} pictures"
    return [f"wants to see · {recipes} · {count}", f"{recipes} · {count}", f"{recipes} ×{len(runs)}", count]


def side_by_side(pictures: Sequence[Pixels], width: int, height: int) -> Pixels:
    """Return all pictures, each (h, w, 3), as one that fits into `width` x `height`: a grid as square as it can be.

    All take the size of the largest: what grows is smaller than what is done.
    """
    from PIL import Image

    columns = ceil(sqrt(len(pictures)))
    rows = ceil(len(pictures) / columns)
    room = max(1, (width - columns + 1) // columns), max(1, (height - rows + 1) // rows)
    tiles = [fit(pixels, *room) for pixels in pictures]
    tall, wide = max(tile.shape[0] for tile in tiles), max(tile.shape[1] for tile in tiles)
    grid = np.zeros((rows * (tall + 1) - 1, columns * (wide + 1) - 1, 3), np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (tall + 1), number % columns * (wide + 1)
        resized = tile if tile.shape[:2] == (tall, wide) else np.asarray(Image.fromarray(tile).resize((wide, tall)))
        grid[top : top + tall, left : left + wide] = resized
    return grid


def sparkline(curve: Sequence[float], width: int) -> str:
    """Return a curve as at most `width` bars."""
    if not curve or width < 1:
        return ""
    points = np.asarray(curve)[np.linspace(0, len(curve) - 1, min(width, len(curve))).round().astype(int)]
    low, high = float(points.min()), float(points.max())
    heights = (points - low) / (high - low) if high > low else np.zeros(len(points))
    return "".join(LEVELS[round(float(height) * (len(LEVELS) - 1))] for height in heights)


def _of_unit(state: State) -> tuple[tuple[Made, ...], tuple[tuple[Job, Sample], ...]]:
    place = state.view.layer, state.view.unit
    return state.jobs.made.get(place, ()), state.jobs.at_work(*place)


def _pictures(state: State) -> list[Pixels]:
    made, at_work = _of_unit(state)
    return [each.pixels for each in made] + [s.pixels for _, s in at_work if s.pixels is not None]


def _lines(state: State, width: int) -> list[str]:
    made, at_work = _of_unit(state)
    if at_work:
        job, sample = at_work[0]
        rate = "" if sample.rate is None else f" · rate {sample.rate:.3g}"
        step = f"step {job.step}/{job.steps}"
        left = "paused" if job.status == "paused" else f"{clock(job.seconds_left)} left"
        facts = f"{step} · {left}{rate}"
        first = facts if len(facts) <= width else f"{job.step}/{job.steps} · {left}"
        if not sample.curve:
            return [first]
        recipe = next(each for each in job.command.recipes if each.name == sample.run.recipe)
        parts = [f"objective {sample.curve[-1]:.4g}", *_input(state, recipe.objective == "channel")]
        return [first, sparkline(sample.curve, width), *_joined(parts, width)]
    if not made:
        return []
    best = max(made, key=lambda each: each.standing)
    when = "" if best.majority is None else f" at step {best.majority}"
    verdict = best.verdict if len(best.verdict + when) > width else best.verdict + when
    picture = [] if best.seen is None else [f"picture {best.seen:.4g}"]
    return [verdict, sparkline(best.curve, width), *_joined([*_input(state, best.channel), *picture], width)]


def _input(state: State, channel: bool) -> list[str]:
    """Return what the input at hand gives the unit: the maximum over its map, or the mean."""
    unit, view = state.unit, state.view
    if unit is None or (unit.layer, unit.unit) != (view.layer, view.unit):
        return []
    return [f"input mean {unit.mean:.4g}" if channel else f"input max {unit.maximum:.4g}"]


def _joined(parts: Sequence[str], width: int) -> list[str]:
    line = " · ".join(parts)
    return [line] if len(line) <= width else list(parts)

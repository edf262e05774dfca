"""What the selected unit wants to see, and more of what is seen: pictures as they grow, and their numbers."""

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
from tuivis.errors import printable
from tuivis.jobstate import Job, Made, Sample
from tuivis.render.overlay import fit
from tuivis.render.picture import Picture
from tuivis.state import State
from tuivis.widgets.display import Display
from tuivis.widgets.jobs import clock
from tuivis.widgets.picture import PicturePane

TITLE_ROOM = 6
"""Columns that the border keeps of a title's line."""
LEVELS = "▁▂▃▄▅▆▇█"
Pixels = NDArray[np.uint8]


class OptimisedPicture(PicturePane):
    """Draws the pictures of the selected unit, recipes and seeds side by side; those like the input come last."""

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
        width = self.content_size.width
        before, after = _lines(old, width), _lines(new, width)
        if width and before != after:
            self.refresh(layout=len(before) != len(after))

    def render(self) -> Text:
        """Return the lines."""
        ink = self.get_component_rich_style("optimised--curve")
        lines = [Text(line, ink if line[:1] in LEVELS else "") for line in _lines(self.state, self.content_size.width)]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


class OptimisedPane(Vertical):
    """Pictures over numbers."""

    state: var[State] = var(State(), init=False)

    def __init__(self, display: Display, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = display

    def compose(self) -> ComposeResult:
        """Yield the parts."""
        yield OptimisedPicture(self._pictures).data_bind(OptimisedPane.state)
        yield OptimisedNumbers().data_bind(OptimisedPane.state)

    def watch_state(self, old: State, new: State) -> None:
        """Say which recipes."""
        runs = [run for run, _ in _shown(new)]
        recipes = list(dict.fromkeys(run.recipe for run in runs))
        several = f" · {len(runs)} pictures" if len(runs) > len(recipes) else ""
        by = recipes[0] if len(recipes) == 1 else f"{len(recipes)} recipes"
        like = bool(runs) and all(run.target.picture for run in runs)
        what, facts = printable(runs[0].target.title) if like else "wants to see", f"{by}{several}"
        title = f"{what} · {facts}"
        if self.size.width and len(title) > self.size.width - TITLE_ROOM:
            title = what if like else facts
        if str(self.border_title).strip() != title:
            self.border_title = Content(f" {title} ")


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


def _made(state: State) -> list[Made]:
    return [made for place in state.places for made in state.jobs.made.get(place, ())]


def _at_work(state: State) -> list[tuple[Job, Sample]]:
    return [each for place in state.places for each in state.jobs.at_work(place)]


def _shown(state: State) -> list[tuple[Run, Pixels | None]]:
    """Return every run with its picture, if there is one yet: those of the unit before those like the input."""
    runs: list[tuple[Run, Pixels | None]] = [(made.run, made.pixels) for made in _made(state)]
    runs += [(sample.run, sample.pixels) for _, sample in _at_work(state)]
    return sorted(runs, key=lambda each: bool(each[0].target.picture))


def _pictures(state: State) -> list[Pixels]:
    return [pixels for _, pixels in _shown(state) if pixels is not None]


def _lines(state: State, width: int) -> list[str]:
    return [*_legend(state), *_numbers(state, width)]


def _legend(state: State) -> list[str]:
    """Return the recipe of each picture of the grid, or what it is like, a line for each row, if all differ in it.

    Where several have one recipe, it is said only how many in the end are like the input, if the others are not.
    """
    runs = [run for run, pixels in _shown(state) if pixels is not None]
    like = [printable(run.target.title) for run in runs if run.target.picture]
    mixed = 0 < len(like) < len(runs)
    names = [like[0] if mixed and run.target.picture else run.recipe for run in runs]
    if len(names) > 1 and len({*names}) == len(names):
        columns = ceil(sqrt(len(names)))
        return [" · ".join(names[start : start + columns]) for start in range(0, len(names), columns)]
    last = f"last {len(like)}" if len(like) > 1 else "last"
    return [f"{last}: {like[0]}"] if mixed else []


def _numbers(state: State, width: int) -> list[str]:
    made, at_work = _made(state), _at_work(state)
    if at_work:
        job, sample = at_work[0]
        rate = "" if sample.rate is None else f" · rate {sample.rate:.3g}"
        step = f"{job.step}/{job.steps}"
        time, left = ("paused", "") if job.status == "paused" else (clock(job.seconds_left), " left")
        facts = (f"step {step} · {time}{left}{rate}", f"{step} · {time}{left}", f"{step} · {time}")
        first = next((each for each in facts if len(each) <= width), facts[-1])
        if not sample.curve:
            return [first]
        recipe = next(each for each in job.command.recipes if each.name == sample.run.recipe)
        seen = [] if sample.run.target.picture else _input(state, recipe.objective == "channel")
        parts = [f"objective {sample.curve[-1]:.4g}", *seen]
        return [first, sparkline(sample.curve, width), *_joined(parts, width)]
    if not made:
        return []
    best = max((each for each in made if not each.run.target.picture), key=_standing, default=None)
    best = best or max(made, key=_standing)
    when = "" if best.majority is None else f" at step {best.majority}"
    verdict = best.verdict if len(best.verdict + when) > width else best.verdict + when
    if best.run.target.picture:
        # A direction is no unit: no majority, and no value of the input's.
        told, value, seen = [], best.value, []
    else:
        told, value, seen = [verdict], best.seen, _input(state, best.channel)
    picture = [] if value is None else [f"picture {value:.4g}"]
    values = _joined([*seen, *picture], width)
    return [*told, sparkline(best.curve, width), *values, _quality(best, width)]


def _standing(made: Made) -> tuple[bool, float]:
    return made.standing


def _quality(made: Made, width: int) -> str:
    """Return how good a picture is: next to the photographs, under shifts and scales, and in its layer."""
    parts = [f"{made.robustness:.0%} robust"]
    if made.rank:
        parts.insert(0, f"rank {made.rank}")
    if made.ratio is not None:
        parts.insert(0, f"{made.ratio:.3g}× photographs")
    line = " · ".join(parts)
    return line if len(line) <= width else line.replace(" photographs", " photos").replace(" robust", "")


def _input(state: State, channel: bool) -> list[str]:
    """Return what the input at hand gives the unit: the maximum over its map, or the mean."""
    unit, view = state.unit, state.view
    if unit is None or (unit.layer, unit.unit) != (view.layer, view.unit):
        return []
    return [f"input mean {unit.mean:.4g}" if channel else f"input max {unit.maximum:.4g}"]


def _joined(parts: Sequence[str], width: int) -> list[str]:
    line = " · ".join(parts)
    return [line] if len(line) <= width else list(parts)

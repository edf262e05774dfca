"""One layer, or one unit, on one picture: read it, describe it, and draw it for a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tuivis.config import Settings
from tuivis.conversation import Conversation, converse
from tuivis.engine.commands import Load, Open, Read
from tuivis.engine.events import Activations, Backward, Loaded, Opened
from tuivis.engine.values import Backpass, BackwardMode, BackwardView, Kind, LayerInfo, Prediction
from tuivis.errors import UserError, printable
from tuivis.export import raw_arrays
from tuivis.files import harmless_name, write_whole
from tuivis.rank import class_number
from tuivis.reduce import reduce
from tuivis.state import State

if TYPE_CHECKING:
    from PIL.Image import Image

STRONGEST = 5
"""Units in a report."""


class UnitReport(msgspec.Struct, frozen=True):
    """One unit in numbers, as in `tuivis.engine.events.Unit`; null is what it has no value for."""

    unit: int
    maximum: float | None
    at: tuple[int, int]
    mean: float | None
    active: float
    rank: int
    label: str = ""


class Report(msgspec.Struct, frozen=True):
    """A snapshot in numbers.

    `picture` is the one that the network saw, the first of `pictures`. `low` and `high` span the layer's finite values
    and are None if it has none; `strongest` has the units with the highest maxima, `unit` the one that was asked for.
    """

    model: str
    weights: str
    random_weights: bool
    device: str
    layer: str
    kind: Kind
    shape: tuple[int, ...]
    units: int
    map: tuple[int, int]
    picture: str
    pictures: int
    top: tuple[Prediction, ...]
    forward_ms: float
    low: float | None
    high: float | None
    nans: int
    infinities: int
    strongest: tuple[UnitReport, ...]
    unit: UnitReport | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What the engine answered, and the unit that was asked for, if any."""

    loaded: Loaded
    opened: Opened
    activations: Activations
    unit: int | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a line each."""
        backward = self.activations.backward
        reason = (backward.reason,) if backward is not None and backward.pixels.data and backward.reason else ()
        return tuple(printable(note) for note in (*self.loaded.notes, *self.opened.notes, *reason))

    @property
    def values(self) -> NDArray[np.float32]:
        """The activations, (units, H, W)."""
        return self.activations.activations.numpy()

    def report(self, files: Sequence[Path] = ()) -> Report:
        """Return the snapshot in numbers; `files` are those that it was written to."""
        info, values = self.activations.layer, self.values
        strongest = self._by_strength[:STRONGEST]
        finite = values[np.isfinite(values)]
        return Report(
            model=self.loaded.model,
            weights=self.loaded.weights,
            random_weights=self.loaded.random_weights,
            device=self.loaded.device.name,
            layer=info.name,
            kind=info.kind,
            shape=info.shape,
            units=info.units,
            map=(info.height, info.width),
            picture=self.opened.pictures[0],
            pictures=len(self.opened.pictures),
            top=self.activations.top,
            forward_ms=self.activations.forward_ms,
            low=float(finite.min()) if finite.size else None,
            high=float(finite.max()) if finite.size else None,
            nans=int(np.isnan(values).sum()),
            infinities=int(np.isinf(values).sum()),
            strongest=tuple(self._describe(unit) for unit in strongest),
            unit=None if self.unit is None else self._describe(self.unit),
            files=tuple(map(str, files)),
        )

    def draw(self, settings: Settings) -> Image:
        """Return the sheet for a file."""
        from tuivis.render import sheet

        report = self.report()
        backward = self._backward(settings)
        if report.unit is None and backward:
            # Grad-CAM is of the whole layer: beside the input there is no map.
            nothing = sheet.quantise(np.zeros((1, 1, 1), np.float32))
            return sheet.unit_sheet(
                self.activations.pixels.numpy(), nothing, settings.colours, _heading(report), backward
            )
        if report.unit is None:
            return sheet.mosaic_sheet(sheet.quantise(self.values), settings.colours, _heading(report))
        unit = report.unit.unit
        heading = [*_heading(report), _numbers(report.unit, report)]
        pixels, shown = self.activations.pixels.numpy(), sheet.quantise(self.values[unit : unit + 1])
        return sheet.unit_sheet(pixels, shown, settings.colours, heading, backward)

    def _backward(self, settings: Settings) -> dict[str, NDArray[np.uint8]]:
        """Return the backward pass's picture by its caption, if there is one."""
        from tuivis.render import colormap
        from tuivis.render.backward import coloured

        backward = self.activations.backward
        if backward is None:
            return {}
        if not backward.pixels.data:
            raise UserError(backward.reason)
        palette = colormap.palette(settings.colours, 256, 1.0, colormap.CHROMES["dark"])
        over = backward.backpass.mode == "gradcam" or backward.backpass.view == "overlay"
        seen = self.activations.pixels.numpy()
        return {caption(backward): coloured(backward.pixels.numpy(), seen, over, palette)}

    @cached_property
    def _by_strength(self) -> list[int]:
        # numpy sorts NaN last, and ties in a stable sort by index.
        peaks = np.where(np.isnan(self.values), -np.inf, self.values).max((1, 2))
        peaks[np.isnan(self.values).all((1, 2))] = np.nan
        return list(map(int, np.argsort(-peaks, kind="stable")))

    def _describe(self, unit: int) -> UnitReport:
        values = self.values[unit].astype(np.float64)
        at = np.unravel_index(np.where(np.isnan(values), -np.inf, values).argmax(), values.shape)
        finite = values[np.isfinite(values)]
        labels = self.loaded.labels if self.activations.layer.name == self.loaded.output else ()
        return UnitReport(
            unit=unit,
            maximum=None if np.isnan(values).all() else float(np.nanmax(values)),
            at=(int(at[0]), int(at[1])),
            mean=float(finite.mean()) if finite.size else None,
            active=float((values > 0).mean()),
            rank=self._by_strength.index(unit) + 1,
            label=labels[unit] if unit < len(labels) else "",
        )


def take(settings: Settings, unit: int | None, backward: Backpass | None = None, target: str | None = None) -> Snapshot:
    """Look at the first picture of `settings.input`: at the layer of the settings, and at `unit` if it is not None.

    `backward` asks for a backward pass; its layer is that of the settings, its class `target`: a number or a name.

    Raises
    ------
    UserError
        If the model, the picture, the layer, the unit or the class is not there.
    """

    async def talk(engine: Conversation) -> Snapshot:
        loaded = await engine.ask(Load(settings.model, settings.weights, settings.devices[0]), Loaded)
        opened = await engine.ask(Open(settings.input), Opened)
        layer = settings.layer or reduce(State(), loaded).view.layer
        check_unit(unit, layer, loaded.layers)
        number = None if target is None else class_number(target, loaded)
        passed = backward and msgspec.structs.replace(backward, layer=layer, target=number)
        return Snapshot(loaded, opened, await engine.ask(Read(1, 0, layer, passed), Activations), unit)

    return converse(talk)


def backpass(
    mode: BackwardMode | None, view: BackwardView | None, at: str | None, unit: int | None, target: str | None
) -> Backpass | None:
    """Return the backward pass that the options of the command ask for, its layer and its class left open.

    Raises
    ------
    UserError
        If they do not go together.
    """
    if target is not None and mode != "gradcam":
        raise UserError("--class is for Grad-CAM: give --backward gradcam, too")
    if mode == "gradcam":
        if at is not None:
            raise UserError("--at is for a unit's backward pass: Grad-CAM starts from a class (--class)")
        if view not in (None, "overlay"):
            raise UserError(f"--view {view} is for a unit's backward pass: Grad-CAM is always laid over the input")
        return Backpass(mode, "overlay", "", unit or 0)
    if mode is None:
        if at is not None:
            raise UserError("--at needs a backward pass: give --backward, too")
        if view is not None:
            raise UserError("--view needs a backward pass: give --backward, too")
        return None
    if unit is None:
        raise UserError(f"--backward {mode} needs a unit: give --unit N")
    start: Any = at or "map"
    if at not in (None, "strongest"):
        numbers = str(at).split(",")
        if len(numbers) != 2 or not all(number.strip().isdecimal() for number in numbers):
            raise UserError(f"--at {printable(at)} is no position: give a row and a column (--at 3,12), or strongest")
        start = tuple(map(int, numbers))
    return Backpass(mode, view or "raw", "", unit, start)


def check_unit(unit: int | None, layer: str, infos: Sequence[LayerInfo]) -> None:
    """Refuse a unit that the layer has not.

    Raises
    ------
    UserError
        If it has not.
    """
    units = next((info.units for info in infos if info.name == layer), 0)
    if unit is not None and units and unit >= units:
        raise UserError(f"there is no unit {unit} in layer {printable(layer)}: choose one from 0 to {units - 1}")


def write(snapshot: Snapshot, picture: Image, png: Path, npz: Path | None) -> None:
    """Write the picture, and the input and the raw activations if `npz` is given.

    Raises
    ------
    UserError
        If a file cannot be written; what was there before is still there.
    """
    data = io.BytesIO()
    picture.save(data, "PNG")
    if npz is not None:
        arrays = io.BytesIO()
        np.savez(arrays, allow_pickle=False, **raw_arrays(snapshot.activations))
        write_whole(npz, arrays.getvalue())
    write_whole(png, data.getvalue())


def caption(backward: Backward) -> str:
    """Return what a backward pass is, in a few words."""
    passed = backward.backpass
    if passed.mode == "gradcam":
        return printable(f"Grad-CAM: {backward.label}")
    start = "" if passed.start == "map" else f" from {passed.start}"
    mode = "gradient x input" if passed.mode == "input" else passed.mode
    return f"{mode}, {passed.view}{start}"


def derived_name(report: Report) -> Path:
    """Return a file name of model, layer, unit and picture."""
    unit = "" if report.unit is None else str(report.unit.unit)
    return Path(harmless_name(Path(report.model).name, report.layer, unit, Path(report.picture).stem) + ".png")


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the report for people: pairs of what and which, safe on a terminal."""
    values = "no finite value" if report.low is None else f"{report.low:.4g} .. {report.high:.4g}"
    odd = [f"{n} {name}" for n, name in ((report.nans, "NaN"), (report.infinities, "infinite")) if n]
    which = f" (the first of {report.pictures})" if report.pictures > 1 else ""
    lines = [
        ("model", f"{report.model}, weights: {report.weights}"),
        ("device", f"{report.device}, forward pass {report.forward_ms:.1f} ms"),
        ("picture", report.picture + which),
        *(("", f"{each.probability:6.1%}  {each.label}") for each in report.top),
        ("layer", f"{report.layer}, {_size(report)}, shape {_shape(report.shape)}"),
        ("values", ", ".join([values, *odd])),
        *((name, f"unit {each.unit}: {_numbers(each, report)}") for name, each in _units(report)),
        *(("written", file) for file in report.files),
    ]
    return [(name, printable(text)) for name, text in lines]


def _units(report: Report) -> list[tuple[str, UnitReport]]:
    if report.unit is not None:
        return [("unit", report.unit)]
    return [("" if place else "strongest", each) for place, each in enumerate(report.strongest)]


def _heading(report: Report) -> list[str]:
    unit = "" if report.unit is None else f", unit {report.unit.unit}"
    top = f": {report.top[0].label} {report.top[0].probability:.1%}" if report.top else ""
    random = ", random weights" if report.random_weights else ""
    title = f"{report.model}{random}  {report.layer}{unit}"
    return [printable(title), printable(f"{_size(report)}, shape {_shape(report.shape)}; {report.picture}{top}")]


def _numbers(unit: UnitReport, report: Report) -> str:
    label = [unit.label] if unit.label else []
    if unit.maximum is None or unit.mean is None:
        return ", ".join([*label, "no finite value"])
    rank = [f"rank {unit.rank} of {report.units}"] if report.unit else []
    if report.map == (1, 1):
        return ", ".join([*label, f"{unit.maximum:.4g}", *rank])
    place, share = f"max {unit.maximum:.4g} at {unit.at}", f"active {unit.active:.0%}"
    return ", ".join([*label, place, f"mean {unit.mean:.4g}", share, *rank])


def _size(report: Report) -> str:
    return f"{report.units} units of {report.map[0]} x {report.map[1]}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

"""Answers `Show`: one picture through the network, one layer read, and only the work that the last answer lacks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tuivis.engine import devices, taps, units
from tuivis.engine.models import Model
from tuivis.engine.protocol import (
    Activations,
    Array,
    Event,
    Frame,
    Loaded,
    Mosaic,
    Prediction,
    Read,
    Show,
    Unit,
)
from tuivis.engine.sources import Pictures
from tuivis.engine.tiles import Maps
from tuivis.errors import UserError

TOP = 5
"""Predictions in a `Frame`."""


class Viewer:
    """One model that looks at pictures.

    Raises
    ------
    UserError
        If the model raises in its forward pass.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.layers = taps.discover(model.module, self._batch(torch.zeros(model.input_shape)))
        self.pictures: Pictures | None = None
        self._input: tuple[int, torch.Tensor] | None = None
        self._maps: tuple[int, str, Maps] | None = None
        self._shown: Show | None = None

    def loaded(self) -> Loaded:
        """Return the event that describes the model."""
        model = self.model
        return Loaded(
            model=model.name,
            weights=model.weights,
            random_weights=model.random_weights,
            device=devices.describe(model.device),
            input_shape=model.input_shape,
            layers=self.layers.infos,
            output=self.layers.output,
            labels=model.labels,
            notes=model.notes,
        )

    def open(self, pictures: Pictures) -> None:
        """Look at these pictures from now on."""
        self.pictures = pictures
        self._input = self._maps = self._shown = None

    def show(self, show: Show) -> Iterator[Event]:
        """Yield those of `Frame`, `Mosaic` and `Unit` in which `show` differs from the one before."""
        before, self._shown = self._shown, None
        if self._maps is None or self._maps[:2] != show.source:
            frame, maps = self._forward(show)
            self._maps = show.picture, show.layer, maps
            before = None
            yield frame
        maps = self._maps[2]
        if before is None or before.mosaic != show.mosaic:
            yield self._mosaic(show, maps)
        if before is None or before.detail != show.detail:
            yield self._unit(show, maps)
        self._shown = show

    def read(self, read: Read) -> Activations:
        """Return one layer's raw activations on one picture."""
        batch = self._batch(self._load(read.picture))
        output, activation, milliseconds = self._timed_forward(batch, read.layer)
        return Activations(
            generation=read.generation,
            layer=next(info for info in self.layers.infos if info.name == read.layer),
            input=Array.of(batch[0].float().cpu().numpy()),
            pixels=Array.of(self.model.pixels(batch[0].cpu())),
            activations=Array.of(activation.float().cpu().numpy()),
            top=self._top(output),
            forward_ms=milliseconds,
        )

    def _forward(self, show: Show) -> tuple[Frame, Maps]:
        image = self._load(show.picture)
        output, activation, milliseconds = self._timed_forward(self._batch(image), show.layer)
        frame = Frame(
            generation=show.generation,
            picture=show.picture,
            pixels=Array.of(self.model.pixels(image)),
            top=self._top(output),
            forward_ms=milliseconds,
            device=devices.describe(self.model.device),
        )
        return frame, Maps(activation)

    def _timed_forward(self, batch: torch.Tensor, layer: str) -> tuple[torch.Tensor, torch.Tensor, float]:
        start = time.perf_counter()
        output, activation = taps.forward(self.model.module, self.layers, batch, layer)
        if self.model.device.type == "cuda":
            torch.cuda.synchronize(self.model.device)
        return output, activation, (time.perf_counter() - start) * 1000

    def _load(self, picture: int) -> torch.Tensor:
        if self._input is None or self._input[0] != picture:
            if self.pictures is None or not 0 <= picture < len(self.pictures.names):
                raise UserError(f"there is no picture {picture}: open a source first")
            self._input = picture, self.model.preprocess(self.pictures.read(picture))
        return self._input[1]

    def _batch(self, image: torch.Tensor) -> torch.Tensor:
        return image.unsqueeze(0).to(self.model.device)

    def _top(self, output: torch.Tensor) -> tuple[Prediction, ...]:
        """Return the classes with the highest probabilities; a model may end before or after its softmax."""
        scores = output.flatten().float()
        is_distribution = bool((scores >= 0).all()) and abs(float(scores.sum()) - 1) < 1e-3
        probabilities = scores if is_distribution else scores.softmax(0)
        values, indices = probabilities.topk(min(TOP, len(scores)))
        pairs = zip(values.tolist(), indices.tolist(), strict=True)
        return tuple(Prediction(i, self._label(i), p) for p, i in pairs)

    def _label(self, index: int) -> str:
        return self.model.labels[index] if index < len(self.model.labels) else f"class {index}"

    def _mosaic(self, show: Show, maps: Maps) -> Mosaic:
        quantised = maps.levels(show.tiles, show.order, show.normalisation, show.boost)
        order: NDArray[np.int32] = maps.order(show.order)
        return Mosaic(
            generation=show.generation,
            layer=show.layer,
            picture=show.picture,
            tiles=show.tiles,
            levels=Array.of(quantised.levels),
            order=Array.of(order),
            normalisation=show.normalisation,
            low=quantised.low,
            high=quantised.high,
            nans=quantised.nans,
            infinities=quantised.infinities,
        )

    def _unit(self, show: Show, maps: Maps) -> Unit:
        described = units.describe(maps, show.unit)
        is_class = show.layer == self.layers.output
        return Unit(
            generation=show.generation,
            layer=show.layer,
            picture=show.picture,
            unit=show.unit,
            levels=Array.of(described.levels),
            maximum=described.maximum,
            at=described.at,
            mean=described.mean,
            active=described.active,
            rank=described.rank,
            label=self._label(show.unit) if is_class and self.model.labels else "",
        )

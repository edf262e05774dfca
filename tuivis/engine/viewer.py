"""Answers `Show`: one picture through the network, one layer read, and only the work that the last answer lacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from tuivis.engine import devices, taps, units
from tuivis.engine.commands import Rank, Read, Show
from tuivis.engine.events import Activations, Failed, Frame, Loaded, Mosaic, Progress, Ranked, Shown, Unit
from tuivis.engine.inputs import Inputs
from tuivis.engine.lookback import Found, Lookback, explained
from tuivis.engine.models import Model
from tuivis.engine.orders import Orders
from tuivis.engine.protocol import Event
from tuivis.engine.sources import Pictures
from tuivis.engine.switches import mean_output, switched_off
from tuivis.engine.tiles import Maps
from tuivis.engine.values import Array, Prediction, Tiles
from tuivis.errors import UserError, printable

TOP = 5
"""Predictions in a `Frame`."""

MEAN_OVER = 64
"""Photographs, at most, that the mean of a layer is taken over, evenly among all."""


class _SupersededError(Exception):
    """A newer command waits, and what was asked for may not matter any more."""


class Viewer:
    """One model that looks at pictures.

    Parameters
    ----------
    model
        The model.
    waits
        Whether a newer command waits: long work then stops where it can be taken up again.

    Raises
    ------
    UserError
        If the model raises in its forward pass.
    """

    def __init__(self, model: Model, waits: Callable[[], bool] = lambda: False) -> None:
        self.model = model
        self.layers = taps.discover(model.module, self._batch(torch.zeros(model.input_shape)))
        self._waits = waits
        self._lookback = Lookback(model, self.layers, self._label)
        self._orders = Orders(model.module, self.layers)
        self._means: dict[str, torch.Tensor] = {}
        self._averaging: dict[str, Iterator[tuple[int, torch.Tensor]]] = {}
        self._whole: tuple[tuple[object, ...], torch.Tensor] | None = None
        self._inputs: Inputs | None = None
        self._read: tuple[tuple[object, ...], Frame, Maps] | None = None
        self._shown: Show | None = None
        self.gave_way = False
        """Whether the last `show` stopped before its end, since another command waits."""

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

    @property
    def pictures(self) -> Pictures | None:
        """What there is to look at."""
        return None if self._inputs is None else self._inputs.pictures

    @property
    def inputs(self) -> Inputs:
        """The network's inputs.

        Raises
        ------
        UserError
            If nothing is open.
        """
        if self._inputs is None:
            raise UserError("there is no picture: open a source first")
        return self._inputs

    def open(self, pictures: Pictures, every_frame: bool = False) -> None:
        """Look at these pictures from now on."""
        if self._inputs is not None:
            self._inputs.close()
        self._inputs = Inputs(self.model, pictures, every_frame, self._waits)
        self._read = self._shown = self._whole = None
        self._means.clear()
        self._averaging.clear()
        self._lookback.forget()

    def show(self, show: Show, skipped: tuple[Show, ...] = ()) -> Iterator[Event]:
        """Yield those of `Frame`, `Mosaic`, `Unit`, `Backward` and `Relations` in which `show` differs from before.

        In the end comes `Shown`. `skipped` were asked for in between: what differs in one of them, the UI has given up.
        """
        self.gave_way = False
        refreshed, fresh = self.inputs.refresh(show)
        if state := self.inputs.state(show.picture):
            yield state
        if refreshed is not None:
            yield from self._show(refreshed, skipped)
        yield Shown(show.generation, fresh)

    def _show(self, show: Show, skipped: tuple[Show, ...]) -> Iterator[Event]:
        asked = None if self._shown is None else (self._shown, *skipped)
        self._shown = None
        if show.backward is None:
            self._lookback.forget()
        try:
            if show.off:
                yield from self._take_means(show)
                self._probabilities_before(show)
            with switched_off(self.model.module, self.layers, show.off, self._means):
                yield from self._answer(show, asked)
        except _SupersededError:
            self.gave_way = True
            return
        self._shown = show

    def _answer(self, show: Show, asked: tuple[Show, ...] | None) -> Iterator[Event]:
        failed: Failed | None = None
        if self._read is None or self._read[0] != show.source:
            frame, maps, failed = self._forward(show)
            self._read = show.source, frame, maps
            asked = None

        def is_new(part: str) -> bool:
            return asked is None or any(getattr(each, part) != getattr(show, part) for each in asked)

        _, frame, maps = self._read
        if is_new("source"):
            yield msgspec.structs.replace(frame, generation=show.generation)
        found: Found | None = None
        if show.backward is not None and failed is None and (is_new("pass_back") or is_new("mosaic")):
            try:
                batch = self._batch(self.inputs.image(show))
                self._lookback.look(batch, show, whole=False)
                found = self._lookback.backward(batch, show.backward, show.layer)
            except Exception as error:
                failed = _failed(error, show)
        if failed is not None:
            self._lookback.forget()
            yield failed
        if is_new("detail") and show.order == "ablation":
            # Ablation takes its time: the unit does not wait for it.
            yield self._unit(show, maps)
        if is_new("mosaic"):
            yield from self._mosaic_in_order(show, maps, found)
        if is_new("detail") and show.order != "ablation":
            yield self._unit(show, maps)
        if found is not None and is_new("pass_back"):
            yield self._lookback.event(found, show)
        if show.relations and is_new("kin"):
            self._give_way()
            yield self._lookback.relations(self._batch(self.inputs.image(show)), show)

    def read(self, read: Read) -> Activations:
        """Return one layer's raw activations on one picture, and a backward pass if it is asked for."""
        with switched_off(self.model.module, self.layers, read.off, self._means):
            return self._read_raw(read)

    def _read_raw(self, read: Read) -> Activations:
        batch = self._batch(self.inputs.still(read.picture))
        output, activation, milliseconds = self._timed_forward(batch, read.layer)
        answer = Activations(
            generation=read.generation,
            layer=next(info for info in self.layers.infos if info.name == read.layer),
            input=Array.of(batch[0].float().cpu().numpy()),
            pixels=Array.of(self.model.pixels(batch[0].cpu())),
            activations=Array.of(activation.float().cpu().numpy()),
            top=self._top(output),
            forward_ms=milliseconds,
        )
        return answer if read.backward is None else self._with_backward(answer, read, batch)

    def _with_backward(self, answer: Activations, read: Read, batch: torch.Tensor) -> Activations:
        assert read.backward is not None
        show = Show(read.generation, read.picture, read.layer, read.backward.unit, Tiles(0, 1, 1, 1))
        show = msgspec.structs.replace(show, backward=read.backward)
        found, field = self._lookback.once(batch, show)
        return msgspec.structs.replace(
            answer,
            backward=self._lookback.event(found, show),
            input_gradient=Array.of(found.raw),
            field=field,
        )

    def rank(self, rank: Rank) -> Iterator[Event]:
        """Yield progress and then a layer's units by their scores for a class."""
        batch = self._batch(self.inputs.still(rank.picture))
        ranking = self._orders.ranking(batch, rank.layer, rank.target, (("rank", rank.picture), ()))
        for fraction in ranking.ablate():
            yield Progress(f"ranking {printable(rank.layer)} by ablation", fraction)
        gradient, note = np.full(len(ranking.falls), np.nan), ""
        try:
            gradient = ranking.gradient.double().cpu().numpy()
        except Exception as error:
            note = explained(error, "the order by gradient")
        _, activation, _ = self._timed_forward(batch, rank.layer)
        peaks = Maps(activation).values.amax((1, 2)).double().cpu().numpy()
        yield Ranked(
            layer=rank.layer,
            picture=rank.picture,
            target=ranking.target,
            label=self._label(ranking.target),
            activation=Array.of(peaks),
            gradient=Array.of(gradient),
            ablation=Array.of(ranking.falls.numpy()),
            note=note,
        )

    def _take_means(self, show: Show) -> Iterator[Event]:
        """Make sure that the means are known that `show` puts in place of units."""
        for layer in sorted({off.layer for off in show.off if off.mean} - self._means.keys()):
            stills = self.inputs.pictures.stills
            if not stills:
                raise UserError("there is no mean over the photographs without photographs: add some with --input")
            chosen = stills[:: -(-len(stills) // MEAN_OVER)]
            loads = [lambda index=index: self._batch(self.inputs.still(index)) for index in chosen]
            if layer not in self._averaging:
                self._averaging[layer] = mean_output(self.model.module, self.layers, layer, loads)
            for done, mean in self._averaging[layer]:
                yield Progress(f"mean of {printable(layer)} over the photographs", done / len(loads))
                if done < len(loads):
                    self._give_way()
                else:
                    self._means[layer] = mean
            del self._averaging[layer]

    def _give_way(self) -> None:
        if self._waits():
            raise _SupersededError

    def _forward(self, show: Show) -> tuple[Frame, Maps, Failed | None]:
        image = self.inputs.image(show)
        batch, failed = self._batch(image), None
        start = time.perf_counter()
        read: tuple[torch.Tensor, torch.Tensor] | None = None
        if show.backward is not None:
            try:
                read = self._lookback.look(batch, show, whole=True)
            except Exception as error:
                failed = _failed(error, show)
        milliseconds = (time.perf_counter() - start) * 1000
        if read is None:
            output, activation, milliseconds = self._timed_forward(batch, show.layer)
        else:
            output, activation = read
        top, before = self._predictions(output, show)
        frame = Frame(
            generation=show.generation,
            picture=show.picture,
            pixels=Array.of(self.model.pixels(image)),
            top=top,
            forward_ms=milliseconds,
            device=devices.describe(self.model.device),
            before=before,
            **self._time(),
        )
        return frame, Maps(activation), failed

    def _timed_forward(self, batch: torch.Tensor, layer: str) -> tuple[torch.Tensor, torch.Tensor, float]:
        start = time.perf_counter()
        output, activation = taps.forward(self.model.module, self.layers, batch, layer)
        if self.model.device.type == "cuda":
            torch.cuda.synchronize(self.model.device)
        return output, activation, (time.perf_counter() - start) * 1000

    def _time(self) -> dict[str, Any]:
        """Return what a `Frame` says about a moving source."""
        moment, feed = self.inputs.time()
        if moment is None or feed is None:
            return {}
        age = time.monotonic() - moment.at
        place = {"seconds": moment.seconds, "lap": moment.lap, "length": feed.length, "rate": feed.rate}
        return {"age": age, **place, "dropped": feed.dropped}

    def _batch(self, image: torch.Tensor) -> torch.Tensor:
        return image.unsqueeze(0).to(self.model.device)

    def _predictions(self, output: torch.Tensor, show: Show) -> tuple[tuple[Prediction, ...], tuple[float, ...]]:
        """Return the top classes, and while something is off their probabilities before that."""
        if not show.off:
            return self._top(output), ()
        before, after = self._probabilities_before(show), _probabilities(output)
        if not bool((before + after).isfinite().all()):
            return (), ()
        ahead = torch.maximum(before, after).topk(min(TOP, len(after))).indices.tolist()
        ahead.sort(key=lambda index: -max(float(before[index]), float(after[index])))
        top = tuple(Prediction(index, self._label(index), float(after[index])) for index in ahead)
        return top, tuple(float(before[index]) for index in ahead)

    def _probabilities_before(self, show: Show) -> torch.Tensor:
        """Return the probabilities with nothing off; to be called first while nothing is."""
        if self._whole is None or self._whole[0] != show.seen:
            # Any layer does: the output comes along.
            output, _, _ = self._timed_forward(self._batch(self.inputs.image(show)), show.layer)
            self._whole = show.seen, _probabilities(output)
        return self._whole[1]

    def _top(self, output: torch.Tensor) -> tuple[Prediction, ...]:
        """Return the classes with the highest probabilities; none if not all are finite."""
        probabilities = _probabilities(output)
        if not bool(probabilities.isfinite().all()):
            return ()
        values, indices = probabilities.topk(min(TOP, len(probabilities)))
        pairs = zip(values.tolist(), indices.tolist(), strict=True)
        return tuple(Prediction(i, self._label(i), p) for p, i in pairs)

    def _label(self, index: int) -> str:
        return self.model.labels[index] if index < len(self.model.labels) else f"class {index}"

    def _mosaic_in_order(self, show: Show, maps: Maps, found: Found | None) -> Iterator[Event]:
        order = maps.order("index" if show.order in ("gradient", "ablation") else show.order)
        if show.order in ("gradient", "ablation"):
            try:
                order = yield from self._ranked(show)
            except _SupersededError:
                raise
            except Exception as error:
                yield Failed(explained(error, f"the order by {show.order}"), "Order", show.generation)
        if show.gradients and found is not None:
            maps, show = Maps(found.gradients), msgspec.structs.replace(show, normalisation="diverging")
        yield self._mosaic(show, maps, order)

    def _ranked(self, show: Show) -> Generator[Event, None, NDArray[np.int32]]:
        batch = self._batch(self.inputs.image(show))
        ranking = self._orders.ranking(batch, show.layer, show.target, (show.seen, show.off))
        for fraction in ranking.ablate() if show.order == "ablation" else ():
            yield Progress(f"ranking {printable(show.layer)} by ablation", fraction)
            self._give_way()
        return ranking.order(show.order)

    def _mosaic(self, show: Show, maps: Maps, order: NDArray[np.int32]) -> Mosaic:
        quantised = maps.levels(show.tiles, order, show.normalisation, show.boost)
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


def _probabilities(output: torch.Tensor) -> torch.Tensor:
    """Return the classes' probabilities, (classes,); a model may end before or after its softmax."""
    scores = output.flatten().float()
    is_distribution = bool((scores >= 0).all()) and abs(float(scores.sum()) - 1) < 1e-3
    return scores if is_distribution else scores.softmax(0)


def _failed(error: Exception, show: Show) -> Failed:
    """Return the event for a backward pass that failed: whatever it was, the rest goes on."""
    return Failed(explained(error), "Backward", show.generation)

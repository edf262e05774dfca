"""Answers what a `Show` asks about a unit's causes and effects: its backward pass, its gradients, its relations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuivis.engine import fields, relations, views
from tuivis.engine.backward import Position, Recording
from tuivis.engine.classes import ClassGradient, class_gradient
from tuivis.engine.commands import Show
from tuivis.engine.events import Backward, Relations
from tuivis.engine.models import Model
from tuivis.engine.rules import Rule
from tuivis.engine.taps import Layers
from tuivis.engine.values import Array, Backpass, Box, Share
from tuivis.errors import UserError, is_out_of_memory, printable

RULES: dict[str, Rule] = {"gradient": "gradient", "input": "gradient", "deconv": "deconv", "guided": "guided"}
SHARES = 4
"""Units, and classes, that a `Relations` names."""

Label = Callable[[int], str]
_NOTHING = Array.of(np.zeros((0, 0), np.uint8))


@dataclass(frozen=True)
class Found:
    """A backward pass in raw values.

    `image` is (C, H, W), Grad-CAM's heat (1, H, W); `raw` is the gradient that gradient x input is made of, and for the
    others the same. `gradients` is that of the layer on screen, (units, h, w). `reason`
    is why there is nothing to see, or not all, or "". `target` is Grad-CAM's class.
    """

    image: NDArray[np.float32]
    raw: NDArray[np.float32]
    gradients: Tensor
    reason: str = ""
    target: int | None = None


class Lookback:
    """Keeps the newest recorded forward pass, as long as backward passes are asked of it.

    Parameters
    ----------
    model, layers
        The model, and its layers.
    label
        A class's name.
    """

    def __init__(self, model: Model, layers: Layers, label: Label) -> None:
        self._model, self._layers, self._label = model, layers, label
        self._kept: tuple[tuple[object, ...], Recording | ClassGradient] | None = None

    def forget(self) -> None:
        """Let go of the graph and its memory."""
        self._kept = None

    def look(self, batch: Tensor, show: Show, whole: bool) -> tuple[Tensor, Tensor] | None:
        """Record the forward pass that `show.backward` needs, unless it is there.

        Returns the output and the activation of the layer on screen, as `taps.forward` does, if `whole`.
        """
        passed = show.backward
        assert passed is not None
        key = (show.seen, show.off, show.layer, *_recorded(passed))
        if whole or self._kept is None or self._kept[0] != key:
            self._kept = None
            self._kept = key, self._record(batch, passed, show.layer, whole)
        if not whole:
            return None
        kept = self._kept[1]
        if isinstance(kept, ClassGradient):
            return kept.output, kept.activation
        assert kept.output is not None
        return kept.output, kept.activations[show.layer]

    def _record(self, batch: Tensor, passed: Backpass, layer: str, whole: bool) -> Recording | ClassGradient:
        module, layers = self._model.module, self._layers
        if passed.mode == "gradcam":
            info = next(info for info in layers.infos if info.name == layer)
            if info.height * info.width == 1:
                raise UserError("Grad-CAM needs a layer with maps: choose a convolution, a block or tokens.")
            return class_gradient(module, layers, batch, layer, passed.target)
        both = whole or layer != passed.layer
        return Recording(module, layers, batch, passed.layer, also=[layer], whole=both)

    def backward(self, batch: Tensor, passed: Backpass, layer: str) -> Found:
        """Run the backward pass that `look` has recorded the forward pass for."""
        assert self._kept is not None
        kept = self._kept[1]
        if isinstance(kept, ClassGradient):
            heat = kept.heat(*batch.shape[2:])[None]
            silent = "" if heat.any() else f"{self._label(kept.target)}: nothing here speaks for it (Grad-CAM is zero)"
            return Found(heat, heat, kept.gradient, _not_finite(heat) or silent, kept.target)
        gradients = kept.backward(passed.unit, _position(kept, passed), RULES[passed.mode], [layer])
        raw = gradients.input.float().cpu().numpy()
        image = raw * batch[0].float().cpu().numpy() if passed.mode == "input" else raw
        reason = _not_finite(image) or ("" if image.any() else _why_zero(kept, passed))
        return Found(image, raw, gradients.layers[layer].float(), reason)

    def event(self, found: Found, show: Show) -> Backward:
        """Return a backward pass as a picture."""
        passed = show.backward
        assert passed is not None
        view = "overlay" if passed.mode == "gradcam" else passed.view
        image = np.nan_to_num(found.image, posinf=0, neginf=0)
        pixels = views.levels(image[0]) if passed.mode == "gradcam" else views.picture(image, view)
        return Backward(
            generation=show.generation,
            picture=show.picture,
            backpass=passed,
            pixels=Array.of(pixels) if image.any() else _NOTHING,
            reason=found.reason,
            target=found.target,
            label="" if found.target is None else self._label(found.target),
        )

    def once(self, batch: Tensor, show: Show) -> tuple[Found, Box | None]:
        """Run the pass `show.backward` and keep nothing; return the receptive field with it, if it can be found.

        Raises
        ------
        UserError
            If the pass fails, for whatever reason.
        """
        passed = show.backward
        assert passed is not None
        try:
            self.look(batch, show, whole=False)
            found = self.backward(batch, passed, show.layer)
        except Exception as error:
            raise UserError(explained(error)) from error
        finally:
            self.forget()
        if passed.mode == "gradcam":
            return found, None
        try:
            return found, self._field(batch, passed)
        except Exception:
            # The picture is worth having without it.
            return found, None

    def _field(self, batch: Tensor, passed: Backpass) -> Box | None:
        """Return the receptive field of the position that a pass starts from, of the strongest where it is the map."""
        recording = Recording(self._model.module, self._layers, batch, passed.layer, whole=False)
        position = _position(recording, passed) or recording.strongest(passed.unit)
        return fields.receptive_field(recording, passed.unit, position)

    def relations(self, batch: Tensor, show: Show) -> Relations:
        """Find out what the selected unit has to do with the input, its neighbours and the classes."""
        module, layers, unit = self._model.module, self._layers, show.unit
        below, above = relations.neighbours(layers, show.layer)
        notes: list[str] = []
        field = effective = None
        fed = feeding = relations.Relatives("", torch.empty(0))
        classes = torch.empty(0)
        try:
            recording = Recording(module, layers, batch, show.layer, also=below, whole=False)
            strongest = recording.strongest(unit)
            field = fields.receptive_field(recording, unit, strongest)
            effective = fields.effective_field(recording, unit, strongest)
            feeding = relations.feeding(recording, unit, [name for name in below if name in recording.activations])
            del recording
        except Exception as error:
            notes.append(explained(error))
        try:
            fed, classes = relations.pushed(module, layers, batch, show.layer, unit, above=above)
        except Exception as error:
            notes.append(explained(error))
        up, down = self._classes(classes)
        shown = show.generation, show.picture, show.layer, unit, field, effective
        return Relations(*shown, feeding.layer, _strongest(feeding), fed.layer, _strongest(fed), up, down, tuple(notes))

    def _classes(self, pushes: Tensor) -> tuple[tuple[Share, ...], tuple[Share, ...]]:
        pushes = pushes.nan_to_num(0, torch.inf, -torch.inf)
        count = min(SHARES, len(pushes))
        up, down = (pushes.topk(count, largest=largest) for largest in (True, False))

        def shares(values: Tensor, classes: Tensor, sign: int) -> tuple[Share, ...]:
            pairs = zip(classes.tolist(), values.tolist(), strict=True)
            return tuple(Share(index, value, self._label(index)) for index, value in pairs if value * sign > 0)

        return shares(*up, 1), shares(*down, -1)


def explained(error: Exception, what: str = "the backward pass") -> str:
    """Return one line for `what` has failed."""
    first = printable((str(error).strip().splitlines() or [""])[0])
    if is_out_of_memory(error):
        return f"out of memory on {what}: {first}"
    return first if isinstance(error, UserError) else f"{what} fails: {type(error).__name__}: {first}"


def _recorded(passed: Backpass) -> tuple[object, ...]:
    """Return what a recording depends on."""
    return ("class", passed.target) if passed.mode == "gradcam" else ("unit", passed.layer)


def _position(recording: Recording, passed: Backpass) -> Position | None:
    units, height, width = recording.activations[passed.layer].shape
    if not 0 <= passed.unit < units:
        raise UserError(f"There is no unit {passed.unit} in layer {printable(passed.layer)}: choose 0 to {units - 1}.")
    if passed.start == "map":
        return None
    if passed.start == "strongest":
        return recording.strongest(passed.unit)
    row, column = passed.start
    if not (0 <= row < height and 0 <= column < width):
        raise UserError(
            f"There is no position {row},{column} in this map: choose one from 0,0 to {height - 1},{width - 1}."
        )
    return row, column


def _why_zero(recording: Recording, passed: Backpass) -> str:
    unit = f"unit {passed.unit} of {printable(passed.layer)}"
    if passed.start == "map" and not bool(recording.activations[passed.layer][passed.unit].any()):
        return f"{unit} is silent here: its map is zero, and so is its gradient"
    return f"zero gradient: the input has no influence on {unit} here"


def _not_finite(image: NDArray[np.float32]) -> str:
    count = int((~np.isfinite(image)).sum())
    return f"the gradient is not finite ({count} of its {image.size} values)" if count else ""


def _strongest(relatives: relations.Relatives) -> tuple[Share, ...]:
    """Return the units with the largest shares of either sign; what is not a number is no share."""
    shares = relatives.shares.nan_to_num(0, torch.inf, -torch.inf)
    order: Sequence[int] = shares.abs().argsort(descending=True)[:SHARES].tolist()
    return tuple(Share(unit, float(shares[unit])) for unit in order if shares[unit])

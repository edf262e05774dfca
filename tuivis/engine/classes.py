"""From a class back to a layer: the class's gradient there, and Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuivis.engine.layout import replaced, tensors
from tuivis.engine.taps import Layers, at, blame, not_computed, scores
from tuivis.errors import UserError, is_out_of_memory, printable


@dataclass(frozen=True)
class ClassGradient:
    """The gradient of a class's output at a layer.

    `output` is (classes,), `target` the class, `activation` and `gradient` are (units, height, width).
    """

    output: Tensor
    target: int
    activation: Tensor
    gradient: Tensor

    @property
    def attribution(self) -> Tensor:
        """Gradient x activation of each unit, summed over its positions: (units,)."""
        return (self.gradient * self.activation).sum((1, 2))

    def heat(self, height: int, width: int) -> NDArray[np.float32]:
        """Return Grad-CAM at the size of the input: `height` x `width`, nowhere negative.

        Selvaraju et al., *Grad-CAM*, 2017, equations 1 and 2: the layer's units, each weighted by the mean of its
        gradient over positions, summed; what is negative becomes zero. Then scaled up linearly.
        """
        weighted = (self.gradient.mean((1, 2), keepdim=True) * self.activation).sum(0).clamp(min=0)
        heat = cv2.resize(weighted.cpu().numpy(), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(heat, np.float32)


def class_gradient(module: nn.Module, layers: Layers, batch: Tensor, layer: str, target: int | None) -> ClassGradient:
    """Run the model on one picture, and back from a class to a layer. What comes before the layer needs no graph.

    Parameters
    ----------
    module, layers, batch, layer
        As for `taps.forward`.
    target
        The class; None for the one with the highest output.

    Raises
    ------
    UserError
        As from `taps.forward`; and if there is no such class, or no gradient gets from the output to the layer.
    """
    tap = layers.tap(layer)
    if layers.output not in layers.taps:
        raise UserError("The model's output has no classes: choose a unit of a layer.")
    kept: list[Tensor] = []

    def start(output: Any) -> Any:
        leaf = dict(tensors(output))[tap.path].detach().clone().requires_grad_()
        kept.append(leaf)
        torch.set_grad_enabled(True)
        # The next module may work in place, which autograd forbids on a leaf.
        return replaced(output, tap.path, leaf.clone())

    with torch.no_grad(), blame(module), at(module, tap, start):
        output = scores(layers, module(batch))
        if not kept:
            raise not_computed(layer)
        number = int(output.argmax()) if target is None else target
        if not 0 <= number < len(output):
            raise UserError(f"There is no class {number}: choose one from 0 to {len(output) - 1}.")
        score = output[number]
    gradient = _gradient(score, kept[0], layer)
    read = tap.arrangement.apply
    return ClassGradient(output.detach(), number, read(kept[0].detach()).float(), read(gradient).float())


def _gradient(score: Tensor, leaf: Tensor, layer: str) -> Tensor:
    """Return the gradient of a class's output; want of memory passes, as from `blame`."""
    try:
        gradient = torch.autograd.grad(score, leaf, allow_unused=True)[0] if score.requires_grad else None
    except Exception as error:
        if is_out_of_memory(error):
            raise
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"The way back from the output to {printable(layer)} fails: {printable(message)}") from error
    if gradient is None:
        raise UserError(
            f"No gradient gets from the output to {printable(layer)}: it has no influence on the output, or the model "
            "detaches it. Choose another layer, or order by ablation."
        )
    return gradient

"""From a unit back to the pixels: one forward pass is recorded, and backward passes run over it as often as asked.

A unit is read after its own activation function, and the backward pass starts before it, as in the toolbox of
Yosinski et al. (2015). A `Recording` is all that holds the graph; nothing is left on the model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from tuivis.engine.diagnosis import where_gradients_end
from tuivis.engine.layout import tensors
from tuivis.engine.rules import Rule, Rules, activates, before
from tuivis.engine.support import spreading
from tuivis.engine.taps import Layers, Tap, at, blame, not_computed, scores
from tuivis.errors import UserError, is_out_of_memory, printable

Position = tuple[int, int]
"""(row, column) in a unit's map."""


class _EnoughError(BaseException):
    """Ends a forward pass of which no more is needed; no model catches it."""


@dataclass(frozen=True)
class Gradients:
    """What a backward pass found: at the input (C, H, W), and at each layer asked for (units, height, width)."""

    input: Tensor
    layers: dict[str, Tensor]


class Recording:
    """A forward pass with its graph from the input up to a layer.

    Parameters
    ----------
    module, layers, batch
        As for `taps.forward`.
    layer
        The layer whose units backward passes start from. What comes after it is computed without a graph.
    also
        More layers to read, and to know gradients of where they come before `layer`.
    whole
        Whether to run to the model's output; otherwise the forward pass ends at `layer`.

    Attributes
    ----------
    input
        The batch.
    output
        (classes,), as from `taps.forward`; None if the pass ended at the layer.
    activations
        (units, height, width) of each layer that was read.

    Raises
    ------
    UserError
        As from `taps.forward`.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Layers,
        batch: Tensor,
        layer: str,
        *,
        also: Collection[str] = (),
        whole: bool = True,
    ) -> None:
        self.layer = layer
        self.input = batch.detach().clone().requires_grad_()
        self.output: Tensor | None = None
        self.activations: dict[str, Tensor] = {}
        self._module = module
        self._taps = {name: layers.tap(name) for name in (*also, layer)}
        self._edges: dict[str, GradientEdge] = {}
        self._rules = Rules()
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            stack.enter_context(blame(module))
            for tap in self._taps.values():
                stack.enter_context(at(module, tap, partial(self._read, tap, whole)))
            stack.enter_context(self._rules)
            stack.enter_context(suppress(_EnoughError))
            # A model may work in place on its input, which autograd forbids on a leaf.
            self.output = scores(layers, module(self.input.clone())).detach()
        if layer not in self.activations:
            raise not_computed(layer)

    def _read(self, tap: Tap, whole: bool, output: Any) -> None:
        with torch.no_grad():
            self.activations[tap.layer] = tap.read(output).detach()
        tensor = dict(tensors(output))[tap.path]
        if tensor.requires_grad and self.layer not in self._edges:
            self._edges[tap.layer] = get_gradient_edge(tensor)
        if tap.layer == self.layer:
            if not whole:
                raise _EnoughError
            torch.set_grad_enabled(False)

    def strongest(self, unit: int) -> Position:
        """Return the position of the unit's maximum."""
        values = self.activations[self.layer][unit].nan_to_num(-torch.inf)
        return divmod(int(values.argmax()), values.shape[1])

    def backward(
        self, unit: int, position: Position | None = None, rule: Rule = "gradient", also: Collection[str] = ()
    ) -> Gradients:
        """Run a backward pass from a unit of the recording's layer.

        Parameters
        ----------
        unit
            The unit's number.
        position
            Start from 1 at this position; None starts from the unit's own map a, the gradient of 1/2 ||a||^2.
        rule
            What to do at activations: see `Rules`; "support" asks what can have an influence: see `spreading`.
        also
            Layers whose gradients to return, too. That of a layer that has no influence on the unit is zero.

        Raises
        ------
        UserError
            If no gradient gets from the unit to the input; the message names what is in the way.
        """
        activation = self.activations[self.layer]
        start = activation[unit] if position is None else torch.zeros_like(activation[unit])
        if position is not None:
            start[position] = 1
        tap = self._taps[self.layer]
        edge = _before_activation(self._edges.get(self.layer))
        if edge is None:
            raise self._no_gradient()
        found = {name: self._edges[name] for name in also if name in self._edges and name != self.layer}
        image, *rest = self._pull(edge, found.values(), tap.arrangement.seed(unit, start), rule)
        if image is None:
            raise self._no_gradient()
        known = {name: g for name, g in zip(found, rest, strict=True) if g is not None}
        gradients = {name: self._taps[name].arrangement.apply(g) for name, g in known.items()}
        zeros = {name: torch.zeros_like(self.activations[name]) for name in also}
        if self.layer in zeros:
            zeros[self.layer][unit] = start
        return Gradients(image[0].detach(), zeros | gradients)

    def _pull(
        self, edge: GradientEdge, others: Iterable[GradientEdge], seed: torch.Tensor, rule: Rule
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients at the input and at `others` of what `seed` says at `edge`."""
        self._rules.rule = rule
        wanted = [get_gradient_edge(self.input), *others]
        try:
            with spreading(edge.node) if rule == "support" else nullcontext():
                return torch.autograd.grad(edge, wanted, seed, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            message = " ".join(str(error).split())
            raise UserError(f"No gradient through {printable(self.layer)}: {printable(message)}") from error

    def _no_gradient(self) -> UserError:
        return where_gradients_end(self._module, self._taps[self.layer], self.input.detach())


def _before_activation(edge: GradientEdge | None) -> GradientEdge | None:
    """Return where the backward pass starts: at an activation's output, before the activation."""
    if edge is None or not activates(edge.node):
        return edge
    node, number = before(edge.node)
    return None if node is None else GradientEdge(node, number)

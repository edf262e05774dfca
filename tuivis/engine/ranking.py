"""True ablation: how much a class's output falls when a unit is zero, for all units of a layer.

Many copies of one picture run at once, each with another unit off. What lies before the layer is computed once: its
modules' outputs are kept and given again. One copy of each batch is left whole; where it does not come out as it
should (a model that mixes the pictures of a batch, or whose shapes do not agree), everything is computed from the input
instead.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tuivis.engine.layout import replaced, tensors
from tuivis.engine.taps import Layers, at, blame, not_computed, removed, scores
from tuivis.errors import UserError, is_out_of_memory

CHUNK = 32
"""Units of one pass."""
TOLERANCE = 1e-3
"""How far the whole copy's output may be from that of a pass by itself, relative to the greatest output."""


class Ablation:
    """The falls of one class's output, as they come: call `advance` until `done`.

    Parameters
    ----------
    module, layers, batch, layer
        As for `taps.forward`.
    target
        The class; None for the one with the highest output.

    Attributes
    ----------
    falls
        (units,): the class's output with nothing off, less that with the unit off; NaN while it is not known.

    Raises
    ------
    UserError
        As from `taps.forward`, and if the output has no such class.
    """

    def __init__(self, module: nn.Module, layers: Layers, batch: Tensor, layer: str, target: int | None) -> None:
        self._module, self._layers, self._batch = module, layers, batch
        self._tap = layers.tap(layer)
        if layers.output not in layers.taps:
            raise UserError("The model's output has no classes: nothing can be ranked by them.")
        past = _Past()
        with torch.no_grad(), blame(module), past.recording(module), at(module, self._tap, past.end):
            self._output = scores(layers, module(batch.clone()))
        if past.open:
            raise not_computed(layer)
        # Calls inside modules that are not run again would not be counted.
        counted = past.calls_of(module.get_submodule(self._tap.module)) == self._tap.call + 1
        self._past = past if counted else None
        self.target = int(self._output.argmax()) if target is None else target
        if not 0 <= self.target < len(self._output):
            raise UserError(f"There is no class {self.target}: choose one from 0 to {len(self._output) - 1}.")
        self.falls = torch.full((self._tap.arrangement.units,), torch.nan, dtype=torch.float64)
        self._next, self._chunk = 0, CHUNK

    @property
    def done(self) -> bool:
        """Whether all units are known."""
        return self._next >= len(self.falls)

    @property
    def fraction(self) -> float:
        """The share of units that are known."""
        return self._next / len(self.falls)

    def advance(self) -> None:
        """Switch the next units off, each in its own copy."""
        units = range(self._next, min(self._next + self._chunk, len(self.falls)))
        try:
            outputs = self._outputs(units)
        except Exception as error:
            if self._chunk == 1 or not is_out_of_memory(error):
                raise
            self._chunk //= 2
            return
        self.falls[units.start : units.stop] = (self._output[self.target] - outputs[1:, self.target]).double().cpu()
        self._next = units.stop

    def _outputs(self, units: range) -> Tensor:
        if self._past is not None:
            try:
                outputs = self._run(units, self._past)
            except (UserError, RuntimeError) as error:
                if is_out_of_memory(error):
                    raise
                outputs = None
            if outputs is not None and self._is_whole(outputs[0]):
                return outputs
            self._past = None
        outputs = self._run(units, None)
        if not self._is_whole(outputs[0]):
            raise UserError("The model mixes the pictures of a batch: its units cannot be ranked by ablation.")
        return outputs

    def _is_whole(self, output: Tensor) -> bool:
        error = (output - self._output).abs().max()
        return bool(error <= TOLERANCE * self._output.abs().max().clamp(min=1e-6))

    def _run(self, units: range, past: _Past | None) -> Tensor:
        """Return the outputs, (1 + units, classes), of a copy with nothing off and of one with each unit off."""
        count = 1 + len(units)
        tap = self._tap

        def switch(output: Any) -> Any:
            tensor = _copies(dict(tensors(output))[tap.path], tap.arrangement.batch, count).clone()
            by_copy = tensor.movedim((tap.arrangement.batch, tap.arrangement.axis), (0, 1))
            for copy, unit in enumerate(units, 1):
                by_copy[copy, unit] = 0
            return replaced(output, tap.path, tensor)

        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(blame(self._module))
            if past is not None:
                stack.enter_context(past.replaying(count))
            stack.enter_context(at(self._module, tap, switch))
            batch = _copies(self._batch, 0, count)
            return self._read(self._module(batch if past is not None else batch.clone()), count)

    def _read(self, result: Any, count: int) -> Tensor:
        tap = self._layers.taps[self._layers.output]
        tensor = dict(tensors(result))[tap.path]
        parts = (tensor.narrow(tap.arrangement.batch, copy, 1) for copy in range(count))
        return torch.stack([tap.arrangement.apply(part).float().mean((1, 2)) for part in parts])


class _Past:
    """Outputs of the modules that ran to their end up to a layer, its own included: outermost modules, in order.

    `open` is whether the layer was not reached so far.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[nn.Module, Any]] = []
        self._starts: list[int] = []
        self.open = True

    @contextmanager
    def recording(self, model: nn.Module) -> Iterator[None]:
        """Keep outputs until `end`."""
        with ExitStack() as stack:
            for part in model.modules():
                stack.enter_context(removed(part.register_forward_pre_hook(self._enter)))
                stack.enter_context(removed(part.register_forward_hook(self._leave)))
            yield

    def end(self, _output: Any) -> None:
        """Keep no more: the layer is reached."""
        self.open = False

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        if self.open:
            self._starts.append(len(self._kept))

    def _leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        if self.open:
            start = self._starts.pop()
            for path, tensor in list(tensors(output)):
                # The next module may work in place.
                output = replaced(output, path, tensor.clone())
            self._kept[start:] = [(module, output)]

    def calls_of(self, module: nn.Module) -> int:
        """Return how many of the outputs are of `module`."""
        return sum(part is module for part, _ in self._kept)

    @contextmanager
    def replaying(self, count: int) -> Iterator[None]:
        """Let the modules return `count` copies of their outputs in place of running; later calls run."""
        queues = defaultdict[nn.Module, deque[Any]](deque)
        for module, output in self._kept:
            queues[module].append(output)
        with ExitStack() as stack:
            for module, outputs in queues.items():
                stack.enter_context(_answering(module, outputs, count))
            yield


@contextmanager
def _answering(module: nn.Module, outputs: deque[Any], count: int) -> Iterator[None]:
    own, had = module.forward, "forward" in vars(module)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not outputs:
            return own(*args, **kwargs)
        output = outputs.popleft()
        for path, tensor in list(tensors(output)):
            batch = 1 if tensor.ndim == 3 and tensor.shape[0] != 1 else 0
            output = replaced(output, path, _copies(tensor, batch, count))
        return output

    module.forward = forward
    try:
        yield
    finally:
        if had:
            module.forward = own
        else:
            del module.forward


def _copies(tensor: Tensor, axis: int, count: int) -> Tensor:
    """Return the tensor, one long on `axis`, as a view of `count` copies; one that has them already as it is."""
    sizes = [-1] * tensor.ndim
    sizes[axis] = count
    return tensor.expand(sizes) if tensor.ndim > axis and tensor.shape[axis] == 1 else tensor

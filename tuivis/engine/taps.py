"""Which layers a model has, and reading one of them during a forward pass.

A layer's name is that of its module in `model.named_modules()`. `#1` follows for the module's second call in one
forward pass (`#0` is not written). `[key]` follows where the output holds several tensors, `[key][key]` where they are
nested; an output that holds a single tensor, in whatever container, is named after the module alone. The model's own
output is "output", or "(output)" where a module has that name.

Gradients are off by `torch.no_grad`, not `torch.inference_mode`: what a model keeps from a pass (a table of positions,
say) must serve a later backward pass.
"""

from __future__ import annotations

import difflib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from tuivis.engine.layout import Arrangement, Evidence, Path, tensors
from tuivis.engine.values import LayerInfo
from tuivis.errors import UserError, is_out_of_memory, printable

_SEQUENCES = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_OPERATORS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Tap:
    """Where a layer comes from: call number `call` of `module`, the tensor at `path` in its output."""

    layer: str
    module: str
    call: int
    path: Path
    arrangement: Arrangement

    def read(self, output: Any) -> Tensor:
        """Return the layer's activation (units, height, width), a copy, from its module's output.

        Raises
        ------
        UserError
            If the output is not of the shape that it had when the layers were discovered.
        """
        tensor = dict(tensors(output)).get(self.path)
        shape = None if tensor is None else tuple(tensor.shape)
        if tensor is None or shape != self.arrangement.shape:
            raise UserError(
                f"Layer {printable(self.layer)} has shape {shape} for this picture but had {self.arrangement.shape} "
                "when the model was loaded: choose another layer, or load the model anew."
            )
        # The next module may work in place.
        return self.arrangement.apply(tensor).clone(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class Layers:
    """The layers of a model in the order in which a forward pass computes them.

    `output` is the name of the layer that is the model's output (the first vector if it has several tensors). `taps`
    has every layer but the unusable ones.
    """

    infos: tuple[LayerInfo, ...]
    output: str
    taps: dict[str, Tap]

    def tap(self, layer: str) -> Tap:
        """Return the tap of `layer`.

        Raises
        ------
        UserError
            If there is no such layer, or it is unusable.
        """
        if layer in self.taps:
            return self.taps[layer]
        for info in self.infos:
            if info.name == layer:
                raise UserError(f"Layer {printable(layer)} cannot be shown: {info.reason}. Choose another layer.")
        nearest = difflib.get_close_matches(layer, self.taps, 1, cutoff=0.0)
        hint = f"; the nearest name is {printable(nearest[0])}" if nearest else ""
        raise UserError(f"The model has no layer {printable(layer)}{hint}.")


def discover(module: nn.Module, example: Tensor) -> Layers:
    """Find every layer of a model, in one forward pass.

    Every output of every module is a layer. Listed (what people look at) are the model's output; operators:
    convolutions, linear layers, and any other module that called no module and has a matrix of parameters
    (attention), unless the map is 1 x 1 (the gate of a squeeze-excitation); and blocks: modules that called an
    operator and belong to the model itself or to a Sequential, ModuleList or ModuleDict. Where none of these is
    usable, all usable layers are listed.

    Parameters
    ----------
    module
        The model, in the mode (`eval()`) and on the device where it will run.
    example
        (1, C, H, W), what the model takes.

    Raises
    ------
    UserError
        If the model fails; the message names the module in which it did.
    """
    recorder = _Recorder(module, example)
    with ExitStack() as hooks, torch.no_grad(), blame(module):
        for part in recorder.names:
            hooks.enter_context(removed(part.register_forward_pre_hook(recorder.enter)))
            hooks.enter_context(removed(part.register_forward_hook(recorder.leave)))
        module(example)
    return recorder.layers()


def forward(module: nn.Module, layers: Layers, batch: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Run the model on one picture and read one layer.

    Parameters
    ----------
    module, layers
        The model, and what `discover` found in it.
    batch
        (1, C, H, W).
    layer
        The layer's name.

    Returns
    -------
    output
        (classes,) float32: the model's output, averaged over positions if it is a map or tokens; empty if it is
        unusable.
    activation
        (units, height, width), as the module returned it, whatever the model did to it in place afterwards.

    Raises
    ------
    UserError
        If there is no such layer, if this pass did not compute it, or if the model fails.
    """
    tap = layers.tap(layer)
    activations: list[Tensor] = []
    with torch.no_grad(), blame(module), at(module, tap, lambda output: activations.append(tap.read(output))):
        answer = scores(layers, module(batch))
    if not activations:
        raise not_computed(layer)
    return answer, activations[0]


def scores(layers: Layers, result: Any) -> Tensor:
    """Return the model's output (classes,) as `forward` does, from what the model returned."""
    if layers.output not in layers.taps:
        return torch.empty(0)
    return layers.taps[layers.output].read(result).float().mean((1, 2))


def not_computed(layer: str) -> UserError:
    """Return the error for a layer that a forward pass did not come by."""
    return UserError(f"The model did not compute layer {printable(layer)} for this picture: choose another layer.")


@contextmanager
def at(module: nn.Module, tap: Tap, act: Callable[[Any], Any]) -> Iterator[None]:
    """Call `act` on the output of a layer's module, at the layer's call in each forward pass of the model `module`.

    What `act` returns, if anything, replaces the output.
    """
    calls = 0

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        return act(output) if calls == tap.call + 1 else None

    def begin(_module: nn.Module, _inputs: Any) -> None:
        nonlocal calls
        calls = 0

    begun = removed(module.register_forward_pre_hook(begin))
    with begun, removed(module.get_submodule(tap.module).register_forward_hook(hook)):
        yield


@contextmanager
def removed(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    """Remove a hook at the end."""
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def blame(model: nn.Module) -> Iterator[None]:
    """Turn a failure of the model into a UserError that names the innermost of its modules that was running.

    Want of memory passes: whoever chose the size of the batch may try a smaller one.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise
        names = {id(part): name for name, part in model.named_modules()}
        running = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        culprit = next((part for part in reversed(running) if id(part) in names), model)
        place = f"{names[id(culprit)] or 'its own forward'} ({type(culprit).__name__})"
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"The model fails in {printable(place)}: {printable(message)}") from error


@dataclass
class _Call:
    """A module that is running, and whether it has called any module or any operator so far."""

    module: nn.Module
    modules: bool = False
    operators: bool = False

    @property
    def operator(self) -> bool:
        """Whether the module multiplies by weights itself (norms and scales only have vectors of parameters)."""
        if isinstance(self.module, _OPERATORS):
            return True
        return not self.modules and any(parameter.ndim > 1 for parameter in self.module.parameters())


class _Recorder:
    """The hooks of `discover`. Keeps no tensor."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self.names = {module: name for name, module in model.named_modules()}
        self._model = model
        self._title = "(output)" if "output" in self.names.values() else "output"
        self._evidence = Evidence(example)
        self._running: list[_Call] = []
        self._calls = Counter[nn.Module]()
        self._infos: list[LayerInfo] = []
        self._outputs: list[LayerInfo] = []
        self._taps: dict[str, Tap] = {}

    def enter(self, module: nn.Module, _inputs: tuple[Any, ...]) -> None:
        """Note that `module` starts."""
        self._running.append(_Call(module))

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Note the layers in the output of `module`."""
        # A call whose exception the model caught never comes here.
        while (call := self._running.pop()).module is not module:
            pass
        if self._running:
            self._running[-1].modules = True
            self._running[-1].operators |= call.operator or call.operators
        found = dict(tensors(output))
        for path, tensor in found.items():
            name = self._name(module, path if len(found) > 1 else ())
            arrangement = self._evidence.arrange(module, inputs, tensor)
            if isinstance(arrangement, str):
                shape = () if tensor.is_nested else tuple(tensor.shape)
                self._add(
                    LayerInfo(name, type(module).__name__, "unusable", 0, 0, 0, shape, False, arrangement), module
                )
            else:
                self._taps[name] = Tap(name, self.names[module], self._calls[module], path, arrangement)
                self._add(_info(name, module, arrangement, self._is_listed(call, arrangement)), module)
        if not found:
            name, reason = self._name(module, ()), "its module returns no tensor"
            self._add(LayerInfo(name, type(module).__name__, "unusable", 0, 0, 0, (), False, reason), module)
        self._calls[module] += 1

    def layers(self) -> Layers:
        """Return what was found; to be called once the model has returned."""
        infos = self._infos
        if not any(info.listed for info in infos):
            infos = [msgspec.structs.replace(info, listed=info.name in self._taps) for info in infos]
        vectors = [info for info in self._outputs if info.kind == "vector"]
        usable = [info for info in self._outputs if info.name in self._taps]
        return Layers(tuple(infos), (vectors or usable or self._outputs)[0].name, self._taps)

    def _name(self, module: nn.Module, path: Path) -> str:
        call = f"#{self._calls[module]}" if self._calls[module] else ""
        return (self.names[module] or self._title) + call + "".join(f"[{key}]" for key in path)

    def _add(self, info: LayerInfo, module: nn.Module) -> None:
        self._infos.append(info)
        if module is self._model:
            self._outputs.append(info)

    def _is_listed(self, call: _Call, arrangement: Arrangement) -> bool:
        if call.module is self._model:
            return True
        if call.operator:
            return arrangement.kind != "map" or arrangement.height * arrangement.width > 1
        parent = self._model.get_submodule(self.names[call.module].rpartition(".")[0])
        return call.operators and (parent is self._model or isinstance(parent, _SEQUENCES))


def _info(name: str, module: nn.Module, arrangement: Arrangement, listed: bool) -> LayerInfo:
    a = arrangement
    return LayerInfo(name, type(module).__name__, a.kind, a.units, a.height, a.width, a.shape, listed)

"""Batch normalisations folded into the convolutions before them, while a network is only run and derived.

In evaluation mode a batch normalisation multiplies each channel by a constant and adds another. So does a convolution
with other weights, and a pass over every map, forth and back, is saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from tuivis.engine.taps import removed

SAME = {"cpu": 1e-4, "cuda": 5e-3}
"""Two results are the same if they differ by at most this share of the greatest value. A GPU multiplies ten bits."""


@dataclass(frozen=True)
class Pair:
    """A convolution with a batch normalisation behind it, and the convolution's weights that do the work of both."""

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d
    weight: nn.Parameter
    bias: nn.Parameter

    @contextmanager
    def folded(self) -> Iterator[None]:
        """Within it, the convolution does the work of both, and the normalisation nothing."""
        parameters = self.convolution._parameters
        own = parameters["weight"], parameters["bias"]
        parameters["weight"], parameters["bias"] = self.weight, self.bias
        self.norm.forward = _identity  # type: ignore[assignment]
        try:
            yield
        finally:
            parameters["weight"], parameters["bias"] = own
            del self.norm.forward

    def is_exact(self, batch: Tensor) -> bool:
        """Return whether it makes no difference: it does where a class of one's own treats its weights in its way."""
        with torch.no_grad():
            expected = self.norm(self.convolution(batch))
            with self.folded():
                got = self.norm(self.convolution(batch))
        return bool((got - expected).abs().max() <= SAME.get(batch.device.type, 1e-4) * expected.abs().max())


def pairs(module: nn.Module, run: Callable[[Tensor], Tensor], example: Tensor) -> list[Pair]:
    """Find what can be folded on the way from a model's input to one of its layers.

    Parameters
    ----------
    module
        The model, in evaluation mode.
    run
        Computes the layer from the model's input, with its graph.
    example
        (1, C, H, W), what the model takes.
    """
    made: dict[Any, tuple[nn.Module, torch.Size]] = {}
    calls = Counter[nn.Module]()

    def note(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[part] += 1
        made[output.grad_fn] = part, inputs[0].shape

    with ExitStack() as hooks, torch.enable_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
                hooks.enter_context(removed(part.register_forward_hook(note)))
        readers = _readers(run(example.detach().requires_grad_()).grad_fn)
    found = []
    for node, (norm, _) in made.items():
        if not isinstance(norm, nn.BatchNorm2d) or node not in readers:
            continue
        before = node.next_functions[0][0]
        convolution, shape = made.get(before, (norm, example.shape))
        if isinstance(convolution, nn.Conv2d) and readers[before] == calls[convolution] == calls[norm] == 1:
            pair = _pair(convolution, norm)
            if pair and pair.is_exact(convolution.weight.new_empty(shape).uniform_(-1, 1)):
                found.append(pair)
    return found


def _pair(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Pair | None:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or norm.training:
        return None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )
    return Pair(convolution, norm, nn.Parameter(weight, False), nn.Parameter(bias, False))


def _readers(last: Any) -> Counter[Any]:
    """Return how many operations read the result of each operation that leads to `last`."""
    readers, waiting = Counter[Any]({last: 1}), [last]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None:
                readers[node] += 1
                if readers[node] == 1:
                    waiting.append(node)
    return readers


def _identity(values: Tensor) -> Tensor:
    return values

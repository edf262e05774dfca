"""Deconv and guided on torchvision's networks, against copies in which every activation is a module that does the rule.

The copies know nothing of autograd's nodes: their activations are written out, forward and backward, and the functions
that a network calls in passing are found where its modules are known to call them.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.convnext import CNBlock
from torchvision.models.googlenet import BasicConv2d as GoogLeNetConv
from torchvision.models.inception import BasicConv2d as InceptionConv

from tests.engine.networks import photograph
from tuivis.engine.backward import Recording
from tuivis.engine.rules import Rule
from tuivis.engine.taps import discover

Values = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[type[nn.Module], tuple[Values, Values]] = {
    nn.ReLU: (lambda x: x * (x > 0), lambda x: (x > 0).float()),
    nn.GELU: (lambda x: x * normal(x), lambda x: normal(x) + x * (-x * x / 2).exp() / math.sqrt(2 * math.pi)),
    nn.Hardswish: (
        lambda x: x * (x + 3).clamp(0, 6) / 6,
        lambda x: torch.where(x < -3, 0.0, torch.where(x > 3, 1.0, (2 * x + 3) / 6)),
    ),
}
"""Each with its derivative."""


def normal(x: Tensor) -> Tensor:
    return (1 + torch.erf(x / math.sqrt(2))) / 2


class Ruled(nn.Module):
    """An activation, its rule written into its backward pass."""

    def __init__(self, kind: type[nn.Module], rule: Rule) -> None:
        super().__init__()
        function, derivative = ACTIVATIONS[kind]

        class Written(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor) -> Tensor:
                ctx.save_for_backward(x)
                return function(x)

            @staticmethod
            def backward(ctx: Any, *above: Tensor) -> Tensor:
                positive = above[0] * (above[0] > 0)
                slope = derivative(ctx.saved_tensors[0])
                return positive if rule == "deconv" else positive * slope * (slope > 0)

        self._apply_written = Written.apply

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self._apply_written(x)
        return result


def ruled(model: nn.Module, rule: Rule) -> nn.Module:
    """A copy of the model with every activation written out."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if type(part) in ACTIVATIONS:
                setattr(parent, name, Ruled(type(part), rule))
            elif isinstance(part, GoogLeNetConv | InceptionConv):
                setattr(parent, name, nn.Sequential(part.conv, part.bn, Ruled(nn.ReLU, rule)))
    return model.eval()


NETWORKS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "googlenet": (64, "inception4b", {"init_weights": False}),
    "inception_v3": (96, "Mixed_6b", {"init_weights": False}),
    "densenet121": (64, "features.denseblock2", {}),
    "mobilenet_v3_small": (64, "features.8", {}),
    "vit_b_16": (64, "encoder.layers.encoder_layer_2", {"image_size": 64}),
    "swin_t": (64, "features.3.1", {}),
    "convnext_tiny": (64, "features.3", {}),
}


@cache
def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model: nn.Module = getattr(torchvision.models, name)(weights=None, **NETWORKS[name][2])
    for part in model.modules():
        if isinstance(part, CNBlock):
            # So small at first that what the block does would not be seen.
            nn.init.ones_(part.layer_scale)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("rule", ["deconv", "guided"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_rule_is_followed_at_every_activation(name: str, rule: Rule) -> None:
    model, (size, layer, _) = built(name), NETWORKS[name]
    batch = photograph("chelsea.png", size, size)
    recording = Recording(model, discover(model, batch), batch, layer, whole=False)
    unit = int(recording.activations[layer].flatten(1).norm(dim=1).argmax())
    found = recording.backward(unit, rule=rule).input
    kept: list[Tensor] = []
    other = ruled(model, rule)
    other.get_submodule(layer).register_forward_hook(lambda _m, _i, output: kept.append(output))
    leaf = batch.clone().requires_grad_()
    other(leaf)
    maps = kept[0][0, 1:].T if name == "vit_b_16" else kept[0][0].movedim(2, 0) if name == "swin_t" else kept[0][0]
    expected = torch.autograd.grad((maps[unit] ** 2).sum() / 2, leaf)[0][0]
    scale = expected.abs().max()
    assert scale > 0
    assert (found - expected).abs().max() <= 1e-5 * scale
    assert (found - recording.backward(unit).input).abs().max() > 1e-2 * scale

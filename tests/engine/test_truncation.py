"""The network up to a layer, for batches: values, gradients, and where it stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.engine.networks import network
from tuivis.engine.taps import discover, forward
from tuivis.engine.truncation import Truncated
from tuivis.errors import UserError


@pytest.mark.parametrize(
    ("name", "layer", "own"),
    [
        ("resnet18", "layer2", True),
        ("resnet18", "layer2.0.conv1", False),
        ("googlenet", "conv1", True),
        ("vit", "encoder.layers.encoder_layer_1", False),
        ("swin_t", "features.1", False),
        ("efficientnet_lite0", "_blocks.3", False),
        ("efficientnet_lite0", "output", False),
    ],
)
def test_a_batch_has_the_values_of_its_pictures(name: str, layer: str, own: bool) -> None:
    model, batch, layers = network(name)
    truncated = Truncated(model, layers, layer, batch)
    assert truncated.before is own
    pictures = torch.cat([batch, batch.flip(3)])
    with torch.no_grad():
        found = truncated(pictures)
    for picture, values in zip(pictures, found, strict=True):
        _, expected = forward(model, layers, picture[None], layer)
        torch.testing.assert_close(values.relu() if own else values, expected, rtol=1e-3, atol=1e-4)
    if own:
        assert bool((found < 0).any())


def test_nothing_above_the_layer_is_computed() -> None:
    def never(_module: nn.Module, _inputs: Any) -> None:
        raise AssertionError

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3)).eval()
    example = torch.zeros(1, 3, 8, 8)
    layers = discover(model, example)
    model[2].register_forward_pre_hook(never)
    truncated = Truncated(model, layers, "1", example)
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    torch.testing.assert_close(truncated(x), model[0](x))
    (gradient,) = torch.autograd.grad(truncated(x)[1].sum(), x)
    assert not gradient[0].any()
    assert gradient[1].any()


def test_classes_come_from_before_the_softmax() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Softmax(1)).eval()
    example = torch.zeros(1, 3, 2, 2)
    truncated = Truncated(model, discover(model, example), "output", example)
    x = torch.randn(3, 3, 2, 2)
    torch.testing.assert_close(truncated(x)[..., 0, 0], model[1](x.flatten(1)))


def test_a_model_that_mixes_its_batch_is_refused() -> None:
    class Mixes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.conv(x.mean(0, keepdim=True))
            return result

    model, example = Mixes().eval(), torch.zeros(1, 3, 8, 8)
    truncated = Truncated(model, discover(model, example), "conv", example)
    with pytest.raises(UserError, match="mixes pictures of a batch"):
        truncated(torch.zeros(2, 3, 8, 8))

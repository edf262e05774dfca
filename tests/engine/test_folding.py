"""What is folded computes the same, what cannot be folded is left alone, and the model stays as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.networks import Call, network
from tuivis.engine.folding import pairs
from tuivis.engine.truncation import Truncated


def norm(channels: int) -> nn.BatchNorm2d:
    part = nn.BatchNorm2d(channels).eval()
    torch.manual_seed(1)
    part.load_state_dict(
        {
            "running_mean": torch.randn(channels),
            "running_var": torch.rand(channels) + 0.5,
            "num_batches_tracked": torch.tensor(1),
            "weight": torch.rand(channels) + 0.5,
            "bias": torch.randn(channels),
        }
    )
    return part


class Standardised(nn.Conv2d):
    """Divides its weights by their own deviation, as some networks do, so that a factor in them is lost."""

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight / self.weight.std((1, 2, 3), keepdim=True), self.bias)


@pytest.mark.parametrize(
    ("name", "layer", "count"),
    [("efficientnet_lite0", "output", 49), ("resnet18", "layer2", 10), ("mobilenet_v3_small", "features.4", 12)],
)
def test_values_and_gradients_are_those_of_the_network_in_double_precision(name: str, layer: str, count: int) -> None:
    model, batch, layers = network(name)
    double = copy.deepcopy(model).double()
    folded = Truncated(model, layers, layer, batch)
    plain = Truncated(double, layers, layer, batch.double())
    assert len(folded.pairs) == len(plain.pairs) == count
    plain.pairs.clear()
    gradients = []
    for run, seen in ((folded, batch), (plain, batch.double())):
        x = seen.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(run(x).square().sum(), x)
        gradients.append(gradient.double().flatten())
    assert F.cosine_similarity(gradients[0], gradients[1], 0) > 1 - 1e-4
    assert gradients[0].norm() == pytest.approx(float(gradients[1].norm()), rel=1e-3)


def test_the_normalisation_is_not_computed_and_the_model_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), norm(4), nn.ReLU()).eval()
    x = torch.randn(2, 3, 8, 8)
    before, parameters = model(x), dict(model.named_parameters())
    (pair,) = pairs(model, model, x[:1])
    with pair.folded():
        torch.testing.assert_close(model(x), before)
        assert model[1](x) is x
    assert torch.equal(model(x), before)
    assert dict(model.named_parameters()) == parameters
    assert model[0].bias is None


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), norm(4)),
        nn.Sequential(Standardised(3, 4, 3), norm(4)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
    ],
    ids=["something between", "weights treated", "statistics of the batch"],
)
def test_what_would_compute_something_else_is_not_folded(model: nn.Module) -> None:
    assert pairs(model.eval(), model, torch.randn(1, 3, 8, 8)) == []


def test_a_convolution_with_another_reader_or_a_second_call_is_not_folded() -> None:
    convolution, after = nn.Conv2d(3, 3, 3, padding=1), norm(3)
    x = torch.randn(1, 3, 8, 8)
    for function in (
        lambda x: after(y := convolution(x)) + y,
        lambda x: after(convolution(convolution(x))),
    ):
        model = Call(function)
        model.convolution, model.norm = convolution, after
        assert pairs(model.eval(), model, x) == []

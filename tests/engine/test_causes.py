"""Relations, Grad-CAM and switched-off units against independent computations."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.networks import network
from tuivis.engine import relations
from tuivis.engine.backward import Recording
from tuivis.engine.classes import class_gradient
from tuivis.engine.ranking import Ablation
from tuivis.engine.switches import mean_output, switched_off
from tuivis.engine.taps import Layers, discover, forward
from tuivis.engine.values import Off
from tuivis.errors import UserError


def test_feeding_units_are_those_with_the_largest_gradient_times_activation() -> None:
    model, batch, layers = network("efficientnet_lite0")
    below, _ = relations.neighbours(layers, "_blocks.10")
    assert below[0] == "_blocks.9"
    recording = Recording(model, layers, batch, "_blocks.10", also=below, whole=False)
    found = relations.feeding(recording, 57, below)
    assert found.layer == "_blocks.9"
    # 1/2 ||a||^2 by finite differences in double precision: b_k grows by a thousandth of itself.
    double = copy.deepcopy(model).double()
    unit = int(found.shares.abs().argmax())

    def half_norm(factor: float) -> float:
        hook = double._blocks[9].register_forward_hook(  # type: ignore[index, union-attr]
            lambda _m, _i, out: out * torch.where(torch.arange(out.shape[1]) == unit, factor, 1.0)[:, None, None]
        )
        _, activation = forward(double, layers, batch.double(), "_blocks.10")
        hook.remove()
        return float((activation[57] ** 2).sum() / 2)

    expected = (half_norm(1.0001) - half_norm(0.9999)) / 0.0002
    assert float(found.shares[unit]) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize(
    ("name", "layer", "above"),
    [
        ("efficientnet_lite0", "_blocks.10", "_blocks.11._expand_conv"),
        ("resnet18", "layer3.0", "layer3.1.conv1"),
        ("swin_t", "features.1.0", None),
        ("vit", "encoder.layers.encoder_layer_0", None),
    ],
)
def test_what_a_unit_gives_upwards_is_the_derivative_along_its_map(name: str, layer: str, above: str | None) -> None:
    model, batch, layers = network(name)
    if name == "vit":
        model = copy.deepcopy(model)
        nn.init.normal_(model.heads[0].weight)  # type: ignore[index, union-attr]
    found, classes = relations.pushed(model, layers, batch, layer, 5, above=relations.neighbours(layers, layer)[1])
    assert above is None or found.layer == above
    for target in (3, int(classes.argmax())):
        back = class_gradient(model, layers, batch, layer, target)
        expected = float(back.attribution[5])
        assert float(classes[target]) == pytest.approx(expected, rel=1e-3, abs=1e-4 * float(classes.abs().max()))
    unit = int(found.shares.abs().argmax())
    recording = Recording(model, layers, batch, found.layer, also=[layer])
    back_again = recording.backward(unit, also=[layer]).layers[layer][5] * recording.activations[layer][5]
    if "ReLU" not in found.layer and name != "resnet18":
        assert float(found.shares[unit]) == pytest.approx(float(back_again.sum()), rel=1e-3)


def test_neighbours_are_neither_inside_nor_around() -> None:
    layers: Layers = network("resnet18").layers
    below, above = relations.neighbours(layers, "layer2.0")
    assert below[0] == "layer1" or not below[0].startswith("layer2.0")
    assert above[0] == "layer2.1.conv1"
    assert all(not name.startswith("layer2.0") and name != "layer2" for name in (*below, *above))


def test_the_output_is_fed_by_what_feeds_the_last_layer_which_feeds_nothing() -> None:
    layers: Layers = network("resnet18").layers
    below, above = relations.neighbours(layers, "fc")
    assert below[0] == "layer4" and above == []
    assert relations.neighbours(layers, "output")[0][0] == "layer4"
    assert "output" not in relations.neighbours(layers, "layer4.1.conv2")[1]


def test_grad_cam_is_the_weighted_sum_of_the_paper() -> None:
    model, batch, layers = network("efficientnet_lite0")
    found = class_gradient(model, layers, batch, "_blocks.14", 285)
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    handle = model._blocks[14].register_forward_hook(keep)  # type: ignore[index, union-attr]
    scores = model(batch)[0]
    handle.remove()
    gradient = torch.autograd.grad(scores[285], kept[0])[0]
    assert torch.allclose(found.gradient, gradient[0], atol=1e-6)
    cam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).clamp(min=0).detach()
    expected = F.interpolate(cam, (224, 224), mode="bilinear")[0, 0].numpy()
    heat = found.heat(224, 224)
    assert heat.min() >= 0 and heat.max() > 0
    np.testing.assert_allclose(heat, expected, atol=1e-5 * heat.max())
    assert class_gradient(model, layers, batch, "_blocks.14", None).target == int(scores.argmax())
    with pytest.raises(UserError, match="no class 1000: choose one from 0 to 999"):
        class_gradient(model, layers, batch, "_blocks.14", 1000)


def test_a_layer_without_influence_on_the_output_has_no_class_gradient() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.aside, self.conv = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 5, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return torch.mean(self.conv(x), (2, 3))

    model, batch = Aside().eval().requires_grad_(False), torch.randn(1, 3, 8, 8)
    with pytest.raises(UserError, match="No gradient gets from the output to aside"):
        class_gradient(model, discover(model, batch), batch, "aside", 1)


def test_a_unit_that_is_off_is_one_whose_weights_are_zero() -> None:
    model, batch, layers = network("efficientnet_lite0")
    edited = copy.deepcopy(model).requires_grad_(False)
    for unit in (3, 57):
        edited._blocks[10]._project_conv.weight[unit] = 0  # type: ignore[index, union-attr]
    before, _ = forward(model, layers, batch, "_blocks.12")
    off = [Off("_blocks.10._project_conv", unit) for unit in (3, 57)]
    with switched_off(model, layers, off, {}):
        output, activation = forward(model, layers, batch, "_blocks.12")
    expected, expected_activation = forward(edited, layers, batch, "_blocks.12")
    assert torch.allclose(output, expected, atol=1e-5)
    assert torch.allclose(activation, expected_activation, atol=1e-5)
    assert not torch.allclose(output, before, atol=1e-3)
    assert torch.equal(forward(model, layers, batch, "_blocks.12")[0], before)


def test_a_whole_layer_and_a_mean() -> None:
    model, batch, layers = network("resnet18")
    pictures = [batch, batch.flip(3), batch * 0.5]
    *_, (count, mean) = mean_output(model, layers, "layer2", [lambda b=b: b for b in pictures])  # type: ignore[misc]
    assert count == 3
    expected = torch.stack([forward(model, layers, picture, "layer2")[1] for picture in pictures]).mean(0)
    assert torch.allclose(mean[0], expected, atol=1e-6)
    with switched_off(model, layers, [Off("layer2", 5, mean=True), Off("layer2", 6)], {"layer2": mean}):
        _, activation = forward(model, layers, batch, "layer2")
    assert torch.allclose(activation[5], expected[5], atol=1e-6)
    assert not activation[6].any()
    assert activation[7].any()
    with switched_off(model, layers, [Off("layer2", None)], {}):
        output, activation = forward(model, layers, batch, "layer2")
        other, _ = forward(model, layers, batch.flip(2), "layer2")
    assert not activation.any()
    assert torch.equal(output, other)


@pytest.mark.parametrize("mean", [False, True])
def test_units_are_ranked_by_ablation_while_others_are_off(mean: bool) -> None:
    model, batch, layers = network("resnet18")
    *_, (_, average) = mean_output(model, layers, "layer2", [lambda: batch.flip(3)])
    off = [Off("layer2", 5, mean=mean)]
    falls = []
    with switched_off(model, layers, off, {"layer2": average}):
        for layer in ("layer2", "layer3"):
            ablation = Ablation(model, layers, batch, layer, 3)
            while not ablation.done:
                ablation.advance()
            falls.append(ablation.falls)
        whole, _ = forward(model, layers, batch, "layer3")
    with switched_off(model, layers, [*off, Off("layer3", 7)], {"layer2": average}):
        alone, _ = forward(model, layers, batch, "layer3")
    assert float(falls[1][7]) == pytest.approx(float(whole[3] - alone[3]), abs=1e-5)
    assert mean or float(falls[0][5]) == pytest.approx(0, abs=1e-6)


def test_a_unit_of_tokens_is_off_in_the_leading_tokens_too() -> None:
    model, batch, layers = network("vit")
    layer = "encoder.layers.encoder_layer_1"
    edited = copy.deepcopy(model).requires_grad_(False)
    for parameter in edited.get_submodule("encoder.ln").parameters():
        parameter[3] = 0
    with switched_off(model, layers, [Off("encoder.ln", 3)], {}):
        output, _ = forward(model, layers, batch, layer)
    assert torch.allclose(output, forward(edited, layers, batch, layer)[0], atol=1e-6)
    with pytest.raises(UserError, match="no unit 48"), switched_off(model, layers, [Off("encoder.ln", 48)], {}):
        pass

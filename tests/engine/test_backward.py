"""Backward passes against plain autograd, against captum's rules written by hand, and against arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.networks import Call, network
from tuivis.engine.backward import Recording
from tuivis.engine.rules import Rule
from tuivis.engine.taps import discover, forward
from tuivis.errors import UserError


def plain(model: nn.Module, batch: Tensor, module: str, start: Callable[[Tensor], Tensor]) -> Tensor:
    """The gradient (C, H, W) at the input, by hooks and autograd alone."""
    kept: list[Tensor] = []
    part = model.get_submodule(module)
    handle = part.register_forward_hook(lambda _m, _i, output: kept.append(output.clone()))
    leaf = batch.clone().requires_grad_()
    with torch.enable_grad():
        model(leaf.clone())
    handle.remove()
    return torch.autograd.grad(start(kept[0]), leaf)[0][0]


@pytest.mark.parametrize(
    ("name", "layer", "unit"),
    [
        ("efficientnet_lite0", "_blocks.10", 57),
        ("resnet18", "layer2.0", 3),
        ("resnet18", "layer3.1.conv1", 9),
        ("googlenet", "inception4b", 100),
        ("inception_v3", "Mixed_5c", 7),
        ("densenet", "features.denseblock2", 20),
        ("mobilenet_v3_small", "features.5", 11),
        ("convnext_tiny", "features.3", 8),
    ],
)
def test_the_gradient_of_half_the_squared_norm_is_autograds(name: str, layer: str, unit: int) -> None:
    model, batch, layers = network(name)
    found = Recording(model, layers, batch, layer).backward(unit).input
    expected = plain(model, batch, layer, lambda output: (output[0, unit] ** 2).sum() / 2)
    assert expected.abs().max() > 0
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("name", ["vit", "swin_t"])
def test_units_of_transformers_have_gradients_too(name: str) -> None:
    model, batch, layers = network(name)
    layer = "encoder.layers.encoder_layer_0" if name == "vit" else "features.1.0"
    patches = slice(1, None) if name == "vit" else slice(None)
    found = Recording(model, layers, batch, layer).backward(5).input
    expected = plain(model, batch, layer, lambda output: (output[0, patches, ..., 5] ** 2).sum() / 2)
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_a_position_starts_from_one() -> None:
    model, batch, layers = network("efficientnet_lite0")
    recording = Recording(model, layers, batch, "_blocks.10", whole=False)
    assert recording.output is None
    strongest = recording.strongest(57)
    values = recording.activations["_blocks.10"][57]
    assert values[strongest] == values.max()
    for position in ((3, 12), strongest):
        expected = plain(model, batch, "_blocks.10", lambda output: output[0, 57][position])  # noqa: B023
        assert (recording.backward(57, position).input - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_the_recorded_pass_answers_like_any_other_and_leaves_nothing_behind() -> None:
    model, batch, layers = network("efficientnet_lite0")
    before = forward(model, layers, batch, "_blocks.5")
    recording = Recording(model, layers, batch, "_blocks.5", also=["_blocks.2", "_blocks.12"])
    recording.backward(3, rule="guided", also=["_blocks.2"])
    assert recording.output is not None
    assert torch.allclose(recording.output, before[0], atol=1e-5)
    assert torch.allclose(recording.activations["_blocks.5"], before[1], atol=1e-5)
    after = forward(model, layers, batch, "_blocks.5")
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])
    assert not any(part._forward_hooks or part._backward_hooks for part in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.is_grad_enabled()


def test_gradients_of_layers_below_are_autograds_and_those_above_are_zero() -> None:
    model, batch, layers = network("resnet18")
    recording = Recording(model, layers, batch, "layer2", also=["layer1.0.conv1", "layer3", "layer2"])
    found = recording.backward(7, also=["layer1.0.conv1", "layer3", "layer2"]).layers
    assert set(found) == {"layer1.0.conv1", "layer3", "layer2"}
    assert not found["layer3"].any()
    assert torch.equal(found["layer2"][7], recording.activations["layer2"][7])
    assert not found["layer2"][:7].any() and not found["layer2"][8:].any()
    kept: list[Tensor] = []
    conv = model.get_submodule("layer1.0.conv1")
    handle = conv.register_forward_hook(lambda _m, _i, output: kept.append(output) or output.clone())  # type: ignore[func-returns-value]
    expected_end: list[Tensor] = []
    other = model.get_submodule("layer2").register_forward_hook(lambda _m, _i, output: expected_end.append(output))
    model(batch.clone().requires_grad_())
    handle.remove()
    other.remove()
    expected = torch.autograd.grad((expected_end[0][0, 7] ** 2).sum() / 2, kept[0])[0][0]
    assert (found["layer1.0.conv1"] - expected).abs().max() <= 1e-6 * expected.abs().max()


class HandWritten(nn.Module):
    """Functional, in-place and reused ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.fall = 0.0

    def forward(self, x: Tensor) -> Tensor:
        x = x.sub_(0.1)
        x = self.relu(self.first(x))
        y = F.relu(self.second(x), inplace=True)
        y = self.relu(y + x - 0.1)
        left, right = (y - 0.2).split(3, 1)
        y = torch.cat([torch.relu(left), right.relu()], 1)
        z = self.last(y)
        torch.relu_(z[:, :2])
        return torch.relu(z)


def written_by_hand() -> HandWritten:
    torch.manual_seed(0)
    return HandWritten().eval().requires_grad_(False)


def backward_by_hand(model: HandWritten, x: Tensor, unit: int, rule: Rule) -> Tensor:
    """The backward pass of `HandWritten` up to `last`, written out with transposed convolutions."""

    def pass_on(gradient: Tensor, before: Tensor) -> Tensor:
        masked = gradient if rule == "deconv" else gradient * (before > 0)
        return masked if rule == "gradient" else masked.clamp(min=0)

    def back(conv: nn.Conv2d, gradient: Tensor) -> Tensor:
        return F.conv_transpose2d(gradient, conv.weight, padding=conv.padding)  # type: ignore[arg-type]

    one = model.first(x - 0.1)
    a = one.clamp(min=0)
    two = model.second(a)
    three = two.clamp(min=0) + a - 0.1
    four = three.clamp(min=0) - 0.2
    z = model.last(four.clamp(min=0))
    gradient = torch.zeros_like(z)
    gradient[:, unit] = z[:, unit]
    gradient = pass_on(back(model.last, gradient), four)
    gradient = pass_on(gradient, three)
    gradient = gradient + back(model.second, pass_on(gradient, two))
    return back(model.first, pass_on(gradient, one))[0]


@pytest.mark.parametrize("rule", ["gradient", "deconv", "guided"])
def test_functional_in_place_and_reused_relus_follow_the_rule(rule: Rule) -> None:
    model, batch = written_by_hand(), torch.randn(1, 3, 9, 9)
    found = Recording(model, discover(model, batch.clone()), batch, "last").backward(1, rule=rule).input
    expected = backward_by_hand(model, batch, 1, rule)
    assert expected.abs().max() > 0
    assert torch.allclose(found, expected, atol=1e-6)


class Split(nn.Module):
    """An in-place activation on a view, which autograd keeps inside a node of another kind."""

    def forward(self, x: Tensor) -> Tensor:
        x = x * 2
        half = x[:, :2]
        half.relu_()
        return x * torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1)


def test_an_activation_in_place_on_a_view_follows_the_rule() -> None:
    model = nn.Sequential(Split(), Call(lambda x: x + 0)).eval()
    batch = torch.randn(1, 3, 4, 4)
    recording = Recording(model, discover(model, batch), batch, "1")
    found = recording.backward(0, (1, 1), "deconv").input
    assert found[0, 1, 1] == 2 and found.abs().sum() == 2
    assert not recording.backward(1, (1, 1), "deconv").input.any()
    assert recording.backward(2, (1, 1), "deconv").input[2, 1, 1] == 2


@pytest.mark.parametrize(
    ("activation", "x", "derivative"),
    [
        (nn.ReLU(), [-1.0, 2.0], [0.0, 1.0]),
        (nn.ReLU6(inplace=True), [-1.0, 2.0, 7.0], [0.0, 1.0, 0.0]),
        (Call(F.relu6), [-1.0, 2.0, 7.0], [0.0, 1.0, 0.0]),
        (nn.Hardtanh(), [-2.0, -0.5, 0.5, 2.0], [0.0, 1.0, 1.0, 0.0]),
        (Call(lambda x: F.hardtanh_(x + 0)), [-2.0, -0.5, 0.5, 2.0], [0.0, 1.0, 1.0, 0.0]),
        (nn.SiLU(), [-3.0, 0.0, 3.0], [-0.0881, 0.5, 1.0881]),
        (Call(F.gelu), [-1.0, 0.0, 1.0], [-0.0833, 0.5, 1.0833]),
        (nn.Hardswish(), [-4.0, -2.0, 0.0, 4.0], [0.0, -0.1667, 0.5, 1.0]),
        (Call(lambda x: x.clamp(min=0)), [-1.0, 2.0], [0.0, 1.0]),
        (Call(lambda x: torch.clamp_min(x, 0)), [-1.0, 2.0], [0.0, 1.0]),
        (Call(lambda x: (x + 0).clamp_(torch.zeros(()))), [-1.0, 2.0], [0.0, 1.0]),
        (Call(lambda x: x.clip(0, 6)), [-1.0, 2.0, 7.0], [0.0, 1.0, 0.0]),
        (Call(lambda x: torch.clamp(x, -1, 1)), [-2.0, -0.5, 0.5, 2.0], [0.0, 1.0, 1.0, 0.0]),
        (nn.Threshold(0.5, -3), [-1.0, 0.2, 2.0], [0.0, 0.0, 1.0]),
        (Call(lambda x: F.threshold(x + 0, 0, 0, inplace=True)), [-1.0, 2.0], [0.0, 1.0]),
        (Call(lambda x: torch.maximum(x, torch.zeros(()))), [-1.0, 2.0], [0.0, 1.0]),
        (Call(lambda x: torch.max(torch.zeros_like(x), x)), [-1.0, 2.0], [0.0, 1.0]),
    ],
)
def test_what_each_rule_means_at_each_activation(
    activation: nn.Module, x: list[float], derivative: list[float]
) -> None:
    for sign in (1.0, -1.0):
        model = nn.Sequential(activation, Call(lambda x: x * sign)).eval()  # noqa: B023
        batch = torch.tensor(x).view(1, 1, 1, -1)
        recording = Recording(model, discover(model, batch.clone()), batch, "1")
        slope = torch.tensor(derivative)
        rules: tuple[tuple[Rule, Tensor], ...] = (
            ("gradient", sign * slope),
            ("deconv", torch.ones(len(x)) * max(sign, 0)),
            ("guided", slope.clamp(min=0) * max(sign, 0)),
        )
        for rule, expected in rules:
            passes = [recording.backward(0, (0, i), rule).input[0, 0] for i in range(len(x))]
            assert torch.allclose(torch.stack(passes).sum(0), expected, atol=1e-4), rule


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: x.clamp(-3, 3), [1.0, 0.0]),
        (lambda x: x.clamp(max=3), [1.0, 0.0]),
        (lambda x: x.clamp(min=1e-6), [0.0, 1.0]),
        (lambda x: torch.maximum(x, torch.ones(())), [0.0, 1.0]),
        (lambda x: torch.maximum(x, x * 0), [0.0, 1.0]),
        (lambda x: x.max(1, keepdim=True)[0], [1.0, 1.0]),
    ],
)
def test_what_only_keeps_numbers_in_range_passes_its_gradient(
    function: Callable[[Tensor], Tensor], derivative: list[float]
) -> None:
    model = nn.Sequential(Call(function), Call(lambda x: -x)).eval()
    batch = torch.tensor([-2.0, 4.0]).view(1, 1, 1, 2)
    recording = Recording(model, discover(model, batch), batch, "1")
    for rule in ("gradient", "deconv", "guided"):
        passes = [recording.backward(0, (0, i), rule).input[0, 0] for i in range(2)]
        assert (-torch.stack(passes).sum(0)).tolist() == derivative


@pytest.mark.parametrize(
    "function",
    [
        F.relu6,
        lambda x: x.clamp(0, 6),
        lambda x: torch.maximum(torch.zeros(()), x).clip(0, 6),
        lambda x: torch.clamp_min(x, 0),
        lambda x: F.threshold(x, 0, 0),
        lambda x: torch.maximum(torch.zeros(()), x),
    ],
)
def test_the_pass_starts_before_the_units_own_activation(function: Callable[[Tensor], Tensor]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), Call(function)).eval()
    with torch.no_grad():
        next(model.parameters()).fill_(2.0)
    batch = torch.tensor([-1.0, 1.0, 5.0]).view(1, 1, 1, 3)
    recording = Recording(model, discover(model, batch), batch, "1")
    values = recording.activations["1"][0, 0].tolist()
    assert recording.backward(0).input.flatten().tolist() == [2 * value for value in values]
    assert recording.backward(0, (0, 2)).input.flatten().tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("rule", ["deconv", "guided"])
def test_captum_agrees_where_every_relu_is_a_module_of_its_own(rule: Rule) -> None:
    attr = pytest.importorskip("captum.attr")
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 5)
    ).eval()
    batch = torch.randn(1, 3, 18, 18)
    recording = Recording(model, discover(model, batch), batch, "output")
    method: Any = attr.Deconvolution if rule == "deconv" else attr.GuidedBackprop
    expected = method(model).attribute(batch.clone().requires_grad_(), target=2)[0]
    assert torch.allclose(recording.backward(2, (0, 0), rule).input, expected, atol=1e-6)


def test_gradients_pass_through_complex_values_and_beside_integers() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), Call(lambda x: (torch.fft.fft2(x), x.argmax(1))), Call(lambda pair: pair[0].abs())
    )
    model.append(nn.Conv2d(4, 2, 3)).eval().requires_grad_(False)
    batch = torch.randn(1, 3, 9, 9)
    layers = discover(model, batch)
    reasons = {info.name: info.reason for info in layers.infos if not info.units}
    assert reasons == {"1[0]": "its values are complex64", "1[1]": "its values are int64"}
    expected = plain(model, batch, "3", lambda output: (output[0, 1] ** 2).sum() / 2)
    assert torch.allclose(Recording(model, layers, batch, "3").backward(1).input, expected, rtol=1e-5)
    with pytest.raises(UserError, match="complex64"):
        Recording(model, layers, batch, "1[0]")


def test_a_seed_is_what_a_layer_would_be_read_from() -> None:
    layers = network("vit").layers
    tap = layers.tap("encoder.layers.encoder_layer_0")
    values = torch.arange(16.0).view(4, 4)
    seed = tap.arrangement.seed(7, values)
    assert torch.equal(tap.arrangement.apply(seed)[7], values)
    assert np.count_nonzero(seed.numpy()) == 15

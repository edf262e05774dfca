"""Receptive fields against arithmetic, and against pictures of which one pixel is another; effective fields."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.networks import Call, network
from tuivis.engine import fields
from tuivis.engine.backward import Position, Recording
from tuivis.engine.taps import discover
from tuivis.engine.values import Box

# (kernel, stride, padding, dilation) of a convolution, or of max-pooling.
Step = tuple[str, int, int, int, int]


def convnet(steps: list[Step]) -> nn.Module:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    channels = 3
    for kind, kernel, stride, padding, dilation in steps:
        if kind == "conv":
            parts += [nn.Conv2d(channels, 4, kernel, stride, padding, dilation), nn.BatchNorm2d(4), nn.ReLU(True)]
            channels = 4
        else:
            parts.append(nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=kind == "ceil"))
    return nn.Sequential(*parts).eval().requires_grad_(False)


def by_arithmetic(steps: list[Step], at: int, size: int) -> tuple[int, int]:
    """(first, last) pixel of the field along one axis; padding has none."""
    sizes = [size]
    for kind, kernel, stride, padding, dilation in steps:
        reach = sizes[-1] + 2 * padding - dilation * (kernel - 1) - 1
        sizes.append((-(-reach // stride) if kind == "ceil" else reach // stride) + 1)
    places = {at}
    for (_, kernel, stride, padding, dilation), length in zip(reversed(steps), reversed(sizes[:-1]), strict=True):
        taps = [dilation * tap - padding for tap in range(kernel)]
        places = {place * stride + tap for place in places for tap in taps} & set(range(length))
    return min(places), max(places)


@pytest.mark.parametrize(
    "steps",
    [
        [("conv", 3, 1, 0, 1), ("conv", 3, 1, 1, 1)],
        [("conv", 7, 2, 3, 1), ("pool", 3, 2, 1, 1), ("conv", 3, 1, 1, 1)],
        [("conv", 3, 1, 1, 2), ("ceil", 2, 2, 0, 1), ("conv", 3, 2, 1, 1)],
        [("conv", 5, 1, 2, 1), ("pool", 2, 2, 0, 1), ("conv", 3, 1, 1, 1), ("pool", 2, 2, 0, 1), ("conv", 3, 1, 1, 1)],
    ],
)
def test_receptive_fields_are_those_of_strides_kernels_and_paddings(steps: list[Step]) -> None:
    model, batch = convnet(steps), torch.randn(1, 3, 41, 45)
    layers = discover(model, batch)
    recording = Recording(model, layers, batch, layers.infos[-2].name)
    height, width = recording.activations[recording.layer].shape[1:]
    for row, column in ((0, 0), (height // 2, width // 2), (height - 1, width - 1)):
        top, bottom = by_arithmetic(steps, row, 41)
        left, right = by_arithmetic(steps, column, 45)
        field = fields.receptive_field(recording, 2, (row, column))
        assert field == Box(top, left, bottom - top + 1, right - left + 1)


def test_attention_and_gates_see_the_whole_picture_and_skips_widen_the_field() -> None:
    for name, layer in (("vit", "encoder.layers.encoder_layer_0"), ("mobilenet_v3_small", "features.4")):
        model, batch, layers = network(name)
        recording = Recording(model, layers, batch, layer)
        assert fields.receptive_field(recording, 1, (1, 2)) == Box(0, 0, 64, 64)
    model, batch, layers = network("resnet18")
    # conv1 7/2, maxpool 3/2, then two basic blocks of 3 x 3 convolutions at stride 4.
    field = fields.receptive_field(Recording(model, layers, batch, "layer1.0"), 0, (8, 8))
    assert field is not None and (field.height, field.width) == (7 + 2 * 2 + 2 * 4 * 2,) * 2


def test_the_effective_field_lies_inside_and_holds_95_percent() -> None:
    model, batch, layers = network("efficientnet_lite0")
    recording = Recording(model, layers, batch, "_blocks.4")
    at = recording.strongest(7)
    field, effective = fields.receptive_field(recording, 7, at), fields.effective_field(recording, 7, at)
    assert field is not None and effective is not None
    mass = recording.backward(7, at).input.abs().sum(0)
    inside = mass[effective.top : effective.top + effective.height, effective.left : effective.left + effective.width]
    assert float(inside.sum() / mass.sum()) >= 0.95
    assert effective.height * effective.width < field.height * field.width
    assert field.top <= effective.top and field.left <= effective.left
    assert effective.top + effective.height <= field.top + field.height


def test_a_box_gives_up_the_lightest_edges() -> None:
    mass = np.zeros((6, 8))
    mass[2:4, 3:5] = 10
    mass[0, 0] = 1
    assert fields.shrunk(mass) == Box(2, 3, 2, 2)
    assert fields.shrunk(np.zeros((3, 3))) is None
    mass[3, 3] = np.nan
    assert fields.shrunk(mass) is None


def fractional(x: Tensor) -> Tensor:
    draw = torch.rand(1, 1, 2, dtype=x.dtype).expand(len(x), x.shape[1], 2)
    return F.fractional_max_pool2d(x, 3, 4, _random_samples=draw)


def attention(x: Tensor, sharpness: float, mask: Tensor | None = None) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    weights = (sharpness * tokens @ tokens.transpose(1, 2)).clamp(-40, 40)
    weights = (weights if mask is None else weights + mask).softmax(2)
    return (weights @ tokens).transpose(1, 2).reshape(x.shape)


def torchs_attention(x: Tensor, layout: torch.memory_format) -> Tensor:
    """Attention in one call, which torch carries out at once where the tokens lie one after the other."""
    tokens = (20 * x).clamp(-4.4, 4.4).contiguous(memory_format=layout).flatten(2).transpose(1, 2).unsqueeze(1)
    return F.scaled_dot_product_attention(tokens, tokens, tokens).squeeze(1).transpose(1, 2).reshape(x.shape)


def windows_of_three_columns(value: float) -> Tensor:
    """(81, 81): what tokens of a 9 x 9 picture add to their weights, so that each sees three columns."""
    group = torch.arange(81) % 9 // 3
    return torch.where(group[:, None] == group, 0.0, value)


PICKS: dict[str, Callable[[Tensor], Tensor]] = {
    "adaptive": lambda x: F.adaptive_max_pool2d(x, (4, 5)),
    "adaptive, one axis": lambda x: F.adaptive_max_pool1d(x.flatten(0, 1), 4).view(len(x), x.shape[1], 9, 4),
    "fractional": fractional,
    "max-pooling, one axis": lambda x: F.max_pool1d(x.flatten(0, 1), 3, 2, 1).view(len(x), x.shape[1], 9, 5),
    "max-pooling, dilated": lambda x: F.max_pool2d(x, (2, 3), (2, 1), 1, (2, 1)),
    "amax": lambda x: x.amax((-1, 2), keepdim=True),
    "amax, a row": lambda x: x.amax(3).unsqueeze(3),
    "max": lambda x: x.max(-1)[0].unsqueeze(3),
    "max, a column": lambda x: x.max(2, keepdim=True)[0],
    "aminmax": lambda x: x.aminmax(dim=3)[1].unsqueeze(3),
    "topk": lambda x: x.topk(2, 3)[0],
    "sort": lambda x: x.sort(2)[0],
    "maximum": lambda x: torch.maximum(x, x.roll(2, 3)),
    "clamp": lambda x: x.clamp(0, 0.01),
    "abs": lambda x: (x * 0.5).abs(),
    "spectrum": lambda x: (torch.fft.fft2(x) * torch.fft.fft2(x.relu())).abs(),
    "gate": lambda x: x * F.relu(x.roll(3, 2) - 1),
    "softmax": lambda x: (60 * x.clamp(-0.6, 0.6)).softmax(3),
    "softmax over positions": lambda x: (60 * x.clamp(-0.6, 0.6)).flatten(2).softmax(2).view(x.shape),
    "norm and gelu": lambda x: F.gelu(F.layer_norm(x, x.shape[3:])).mean(3, keepdim=True),
    "attention": lambda x: attention(x, 60),
    "attention, fused": lambda x: torchs_attention(x, torch.channels_last),
    "attention, not fused": lambda x: torchs_attention(x, torch.contiguous_format),
    "attention, masked": lambda x: attention(x, 0.001, windows_of_three_columns(-torch.inf)),
    "attention, masked as in Swin": lambda x: attention(x, 0.001, windows_of_three_columns(-100)),
}


def by_trial(model: nn.Module, unit: int, at: Position) -> np.ndarray:
    """The pixels that make a difference to a unit's position when they are others, in many pictures of 9 x 9."""
    torch.manual_seed(1)
    model = copy.deepcopy(model).double()
    pixels = torch.eye(81, dtype=torch.double).view(81, 1, 9, 9)
    found = torch.zeros(81, dtype=torch.bool)
    for trial in range(99):
        picture = torch.randn(1, 3, 9, 9, dtype=torch.double) * (0.1, 1, 3)[trial % 3]
        others = picture + pixels * torch.randn(81, 3, 1, 1) * (0.1, 3, 30)[trial // 3 % 3]
        values = model(torch.cat([picture, others]))[:, unit, *at]
        found |= ~torch.isclose(values[1:], values[0], rtol=1e-9, atol=0)
    return found.view(9, 9).numpy()


@pytest.mark.parametrize("name", PICKS)
def test_what_picks_or_gates_hides_nothing_from_the_field(name: str) -> None:
    torch.manual_seed(0)
    before = nn.Conv2d(3, 4, 2, bias=False), nn.ZeroPad2d((0, 1, 0, 1))
    model = nn.Sequential(*before, Call(PICKS[name]), nn.Conv2d(4, 4, 1)).eval().requires_grad_(False)
    batch = torch.randn(1, 3, 9, 9)
    recording = Recording(model, discover(model, batch), batch, "3")
    height, width = recording.activations["3"].shape[1:]
    for at in {(0, 0), (height // 2, width // 2)}:
        expected = by_trial(model, 2, at)
        support = recording.backward(2, at, "support").input
        assert np.array_equal((support != 0).any(0).numpy(), expected)
        assert fields.receptive_field(recording, 2, at) == fields.around(expected)


def test_a_softmax_that_is_settled_hides_what_is_masked_alone() -> None:
    mask = torch.zeros(9)
    mask[7:] = -torch.inf
    batch = torch.full((1, 3, 4, 9), -40.0)
    batch[..., 0] = 40
    for name, function, width in (
        ("all", lambda x: x.softmax(3), 9),
        ("masked", lambda x: (x + mask).softmax(3), 7),
        ("fused", lambda x: F.scaled_dot_product_attention(x, x, x), 9),
    ):
        model = nn.Sequential(Call(function), nn.Conv2d(3, 4, 1)).eval()
        recording = Recording(model, discover(model, batch), batch, "1")
        field = fields.receptive_field(recording, 0, (1, 1))
        assert field == Box(0 if name == "fused" else 1, 0, 4 if name == "fused" else 1, width), name


def test_adaptive_pooling_divides_the_picture_as_its_arithmetic_says() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d((5, 3))).eval()
    batch = torch.randn(1, 3, 13, 17)
    recording = Recording(model, discover(model, batch), batch, "2")
    for row in range(5):
        for column in range(3):
            top, bottom = max(0, row * 13 // 5 - 1), min(13, -(-(row + 1) * 13 // 5) + 1)
            left, right = max(0, column * 17 // 3 - 1), min(17, -(-(column + 1) * 17 // 3) + 1)
            field = fields.receptive_field(recording, 1, (row, column))
            assert field == Box(top, left, bottom - top, right - left)


def test_constant_masks_and_what_does_not_vary_leave_the_field_small() -> None:
    mask = torch.zeros(9, 9)
    mask[:, :4] = 1
    model = nn.Sequential(Call(lambda x: x * mask), nn.AdaptiveMaxPool2d(1)).eval()
    batch = torch.randn(1, 3, 9, 9)
    recording = Recording(model, discover(model, batch), batch, "1")
    assert fields.receptive_field(recording, 0, (0, 0)) == Box(0, 0, 9, 4)


def test_a_field_leaves_the_recording_as_it_was() -> None:
    model, batch, layers = network("resnet18")
    recording = Recording(model, layers, batch, "layer1.0")
    before = recording.backward(0, (8, 8)).input
    fields.receptive_field(recording, 0, (8, 8))
    assert torch.equal(recording.backward(0, (8, 8)).input, before)

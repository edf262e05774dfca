"""True ablation, of many units at once, against one edited copy of the weights for each."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.engine.networks import WANT_OF_MEMORY, Call, network
from tuivis.engine.classes import class_gradient
from tuivis.engine.orders import Ranking
from tuivis.engine.ranking import Ablation
from tuivis.engine.taps import discover
from tuivis.errors import UserError


def ranked(model: nn.Module, batch: Tensor, layer: str, target: int | None = None) -> Ablation:
    ablation = Ablation(model, discover(model, batch), batch, layer, target)
    while not ablation.done:
        ablation.advance()
    return ablation


def test_falls_are_those_of_edited_weights() -> None:
    model, batch, layers = network("efficientnet_lite0")
    ablation = Ablation(model, layers, batch, "_blocks.10._project_conv", 285)
    while not ablation.done:
        ablation.advance()
    with torch.no_grad():
        whole = model(batch)[0, 285]
        for unit in (0, 57, 111):
            edited = copy.deepcopy(model)
            edited._blocks[10]._project_conv.weight[unit] = 0  # type: ignore[index, union-attr]
            assert float(ablation.falls[unit]) == pytest.approx(float(whole - edited(batch)[0, 285]), abs=2e-5)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer3.0.conv1"),
        ("resnet18", "layer2.1.relu#1"),
        ("googlenet", "inception4a.branch2.0"),
        ("densenet", "features.denseblock2.denselayer1.conv1"),
        ("mobilenet_v3_small", "features.4"),
        ("swin_t", "features.3.1"),
        ("vit", "encoder.layers.encoder_layer_0"),
        ("convnext_tiny", "features.3.1"),
    ],
)
def test_units_together_are_as_units_one_by_one(name: str, layer: str) -> None:
    model, batch, layers = network(name)
    ablation = Ablation(model, layers, batch, layer, 3)
    ablation.advance()
    tap = layers.tap(layer)
    calls = 0

    def zero(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        nonlocal calls
        calls += 1
        if calls != tap.call + 1:
            return None
        changed = output.clone()
        changed.movedim(tap.arrangement.axis, 0)[5] = 0
        return changed

    with torch.no_grad():
        whole = model(batch)[0, 3]
        handle = model.get_submodule(tap.module).register_forward_hook(zero)
        alone = model(batch)[0, 3]
        handle.remove()
    assert float(ablation.falls[5]) == pytest.approx(float(whole - alone), abs=1e-5)


class Counting(nn.Module):
    """Counts what goes through it, by picture."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return x


def small(before: nn.Module, glue: Callable[[Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        before, nn.Conv2d(3, 40, 3), Call(glue), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 4)
    ).eval()


def test_what_lies_before_the_layer_is_computed_once_and_nothing_is_left_on_the_model() -> None:
    counting = Counting()
    model = small(counting, lambda x: x * 2)
    batch = torch.randn(1, 3, 12, 12)
    layers = discover(model, batch)
    before = model(batch)
    counting.seen = 0
    ablation = Ablation(model, layers, batch, "1", None)
    while not ablation.done:
        ablation.advance()
    assert counting.seen == 1
    assert torch.equal(model(batch), before)
    assert not any("forward" in vars(part) for part in model.modules() if not isinstance(part, nn.Flatten))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert ablation.target == int(before.argmax())


def test_a_model_that_changes_its_input_in_place_is_ranked_from_the_input() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small(Counting(), lambda x: x.sub_(0.1))

        def forward(self, x: Tensor) -> Tensor:
            x.mul_(0.5)
            answer: Tensor = self.net(x)
            return answer

    model, batch = InPlace().eval(), torch.randn(1, 3, 12, 12)
    given = batch.clone()
    ablation = Ablation(model, discover(model, batch.clone()), batch, "net.2", 1)
    while not ablation.done:
        ablation.advance()
    assert torch.equal(batch, given)
    direct = small(Counting(), lambda x: x.sub_(0.1))
    with torch.no_grad():
        maps = direct[:3](given * 0.5)  # type: ignore[index]
        whole = direct[3:](maps.clone())[0, 1]  # type: ignore[index]
        maps[:, 7] = 0
        alone = direct[3:](maps)[0, 1]  # type: ignore[index]
    assert float(ablation.falls[7]) == pytest.approx(float(whole - alone), abs=1e-6)


@pytest.mark.parametrize("error", WANT_OF_MEMORY)
def test_units_that_do_not_fit_together_are_ranked_one_by_one(error: Exception) -> None:
    sizes = []

    def tight(x: Tensor) -> Tensor:
        sizes.append(len(x))
        if len(x) > 2:
            raise error
        return x * 2

    batch = torch.randn(1, 3, 12, 12)
    falls = []
    for glue in (tight, lambda x: x * 2):
        ablation = ranked(small(nn.Identity(), glue), batch, "1")
        falls.append(ablation.falls)
    torch.testing.assert_close(*falls)
    assert max(sizes) > 2 and sizes[-1] == 2


def test_a_model_that_mixes_the_pictures_of_a_batch_is_refused() -> None:
    model = small(nn.Identity(), lambda x: x + x.mean((0, 2, 3), keepdim=True))
    with pytest.raises(UserError, match="mixes the pictures of a batch"):
        ranked(model, torch.randn(1, 3, 12, 12), "1")


def test_a_class_that_is_not_there_is_refused() -> None:
    model = small(nn.Identity(), lambda x: x)
    with pytest.raises(UserError, match=r"no class 4: choose one from 0 to 3"):
        ranked(model, torch.randn(1, 3, 12, 12), "1", 4)


def test_units_are_ranked_by_ablation_where_no_gradient_gets_through() -> None:
    model, batch = small(nn.Identity(), lambda x: x.detach() * 2), torch.randn(1, 3, 12, 12)
    ranking = Ranking(model, discover(model, batch), batch, "1", 1)
    assert list(ranking.ablate())[:1] == [0]
    expected = ranked(model, batch, "1", 1).falls
    torch.testing.assert_close(ranking.falls, expected)
    assert ranking.order("ablation")[0] == int(expected.argmax())
    with pytest.raises(UserError, match="No gradient gets from the output to 1"):
        ranking.order("gradient")


def test_a_way_back_that_fails_is_not_blamed_on_the_way_there() -> None:
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: object, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(_ctx: object, _gradient: Tensor) -> Tensor:
            raise ValueError("no way")

    model, batch = small(nn.Identity(), Odd.apply), torch.randn(1, 3, 12, 12)
    with pytest.raises(UserError, match="The way back from the output to 1 fails: ValueError: no way"):
        class_gradient(model, discover(model, batch), batch, "1", 1)

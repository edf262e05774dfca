"""Backward passes that cannot be: what is in the way is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.engine.networks import Call
from tuivis.engine.backward import Recording
from tuivis.engine.taps import discover, forward
from tuivis.errors import UserError, is_out_of_memory


class Stop(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "no_grad":
            with torch.no_grad():
                return x * 2
        if self.how == "inference":
            with torch.inference_mode():
                return x * 2
        return (x * 4).long().float()


@pytest.mark.parametrize("how", ["no_grad", "inference", "integers"])
def test_where_the_gradient_ends_is_named(how: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), Stop(how), nn.Conv2d(4, 4, 3)).eval().requires_grad_(False)
    batch = torch.randn(1, 3, 9, 9)
    layers = discover(model, batch)
    with pytest.raises(UserError, match=r"2 to the input: it ends in 1 \(Stop\)"):
        Recording(model, layers, batch, "2").backward(0)
    assert Recording(model, layers, batch, "0").backward(0).input.any()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_model_that_turns_gradients_off_in_its_own_forward_is_told(mode: Callable[[], Any]) -> None:
    class Frozen(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            with mode():
                for part in self:
                    x = part(x)
                return x

    inside = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    batch = torch.randn(1, 3, 9, 9)
    for model, layer in ((Frozen(*inside), "2"), (nn.Sequential(Frozen(*inside), nn.Flatten(2)), "0.2")):
        model.eval().requires_grad_(False)
        layers = discover(model, batch)
        before = forward(model, layers, batch, layer)
        # No module in it is to blame, least of all the first convolution.
        with pytest.raises(UserError, match=rf"from {layer} to the input: around its modules .* uses torch\.no_grad"):
            Recording(model, layers, batch, layer).backward(0)
        assert all(torch.equal(*pair) for pair in zip(before, forward(model, layers, batch, layer), strict=True))


class Doubled(torch.autograd.Function):
    """Without a way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2


def test_memory_that_runs_out_on_the_way_back_is_no_fault_of_the_network() -> None:
    class Hungry(Doubled):
        @staticmethod
        def backward(ctx: Any, *grad: Any) -> Any:
            return torch.empty(1 << 60)

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Call(Hungry.apply), nn.Conv2d(4, 4, 1)).eval()
    batch = torch.randn(1, 3, 9, 9)
    with pytest.raises(RuntimeError, match="memory") as caught:
        Recording(model, discover(model, batch), batch, "2").backward(0)
    assert is_out_of_memory(caught.value)


def test_a_layer_that_the_input_does_not_influence_is_told() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Conv2d(1, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.add(x.mean(1, keepdim=True), self.table(torch.ones(1, 1, *x.shape[2:])))

    model, batch = Constant().eval().requires_grad_(False), torch.randn(1, 3, 5, 5)
    with pytest.raises(UserError, match="No gradient gets from table to the input"):
        Recording(model, discover(model, batch), batch, "table").backward(0)


def test_an_operation_without_a_derivative_is_named() -> None:
    class Odd(Doubled):
        @staticmethod
        def backward(ctx: Any, *grad: Any) -> Any:
            raise RuntimeError("Odd has no backward")

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Call(Odd.apply), nn.Conv2d(4, 4, 1)).eval()
    batch = torch.randn(1, 3, 9, 9)
    with pytest.raises(UserError, match="No gradient through 2: Odd has no backward"):
        Recording(model, discover(model, batch), batch, "2").backward(0)

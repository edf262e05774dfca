"""A small network with real gradients, and batches on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

from tuivis.engine import taps
from tuivis.engine.optimise import parametrisations
from tuivis.engine.optimise.batch import Batch, Room, Setting
from tuivis.engine.optimise.objectives import Objectives, position
from tuivis.engine.optimise.parametrisations import Space
from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.truncation import Truncated

SHAPE = (3, 24, 20)
SPACE = Space(torch.full((3, 1, 1), -1.0), torch.full((3, 1, 1), 2.0))
CPU = torch.device("cpu")


def small_network(spoil: Callable[[Tensor], None] | None = None) -> nn.Module:
    """Two convolutions with a ReLU in place; `spoil` sees every batch first."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, 2), nn.ReLU(inplace=True), nn.Conv2d(8, 6, 3, 2, 1), nn.ReLU(inplace=True)
            )
            self.head = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            if spoil is not None:
                spoil(x)
            result: Tensor = self.head(self.features(x).mean((2, 3)))
            return result

    torch.manual_seed(0)
    return Net().eval().requires_grad_(False)


def truncated(module: nn.Module, layer: str = "features") -> Truncated:
    example = torch.zeros(1, *SHAPE)
    return Truncated(module, taps.discover(module, example), layer, example)


def batch_of(recipe: Recipe, units: Sequence[int], network: Truncated, scale: float = 1.0) -> Batch:
    magnitude = parametrisations.spectrum(torch.rand(3, *SHAPE, generator=Generator().manual_seed(5)), True)
    made = parametrisations.make(recipe, SHAPE, SPACE, magnitude)
    setting = Setting(recipe, network, SPACE, made, SHAPE, scale, CPU)
    weights = torch.eye(network.shape[0])[list(units)]
    sign = -1 if recipe.minimise else 1
    objectives = Objectives(weights, position(recipe, network.shape), sign, recipe.policy == "progress01")
    return Batch(setting, objectives, [Generator().manual_seed(unit) for unit in units])


def finished(batch: Batch, room: int = 64) -> Batch:
    size = Room(room)
    while not batch.done:
        batch.step(size)
    return batch

"""A real engine with a small network, its jobs, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuivis.engine.client import Engine
from tuivis.engine.commands import Load, Open, Optimise
from tuivis.engine.events import (
    Failed,
    JobStarted,
    Loaded,
    Opened,
)
from tuivis.engine.optimise.recipes import BUILT_IN, Recipe, changed
from tuivis.engine.optimise.results import Target
from tuivis.engine.protocol import Event

NETWORK = """
import torch
from torch import nn

def make(channels=3, size=(3, 32, 24)):
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(channels, 8, 3, 2), nn.ReLU(True), nn.Conv2d(8, 6, 3, 2, 1), nn.ReLU(True))
    net = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    net.input_size = size
    net.labels = ("cat", "dog", "cow", "hen")
    return net

def gray():
    return make(1, (1, 20, 36))

def five():
    return make(5, (5, 20, 36))

class Spoil(nn.Module):
    def __init__(self, spoil):
        super().__init__()
        self.spoil = spoil

    def forward(self, x):
        return self.spoil(x)

def spoilt(first=lambda x: x, last=lambda x: x):
    net = make()
    net[0][2].weight.data[2] = 0
    net[0].insert(0, Spoil(first))
    net[0].append(Spoil(last))
    return net

def broken():
    def look(x):
        return torch.stack([torch.full_like(y, torch.nan) if i == 1 else y for i, y in enumerate(x.unbind(1))], 1)
    return spoilt(last=look)

def greedy():
    # Memory enough to look, not to learn.
    def look(x):
        if x.requires_grad:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x
    return spoilt(look)
"""


async def ready(tmp_path: Path, folder: Path, factory: str = "make") -> Engine:
    engine = await Engine.start(tmp_path / "engine.log")
    engine.send(Load(f"{folder / 'net.py'}:{factory}", device="cpu"))
    await until(engine, Loaded)
    engine.send(Open((str(folder / "a.png"), str(folder / "b.png"))))
    await until(engine, Opened)
    return engine


async def until(engine: Engine, last: type[Event], kind: Any = None) -> list[Event]:
    """Return the events up to the first of type `last`."""
    received: list[Event] = []
    async for event in engine.events():
        received.append(event)
        if isinstance(event, last):
            return received
        assert not isinstance(event, Failed), event
    raise AssertionError(f"the engine ended after {[type(event).__name__ for event in received]}")


def recipe(name: str = "pixel", steps: int = 5, **more: Any) -> Recipe:
    return changed(BUILT_IN[name], {"steps": steps, **more})


def command(target: Path, units: tuple[int, ...] = (0, 1), steps: int = 5, **more: Any) -> Optimise:
    targets = tuple(Target(units=(unit,)) for unit in units)
    defaults: dict[str, Any] = {
        "job": 7, "layer": "0", "targets": targets, "recipes": (recipe(steps=steps),), "seeds": (0,),
        "folder": str(target),
    }  # fmt: skip
    return Optimise(**{**defaults, **more})


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


async def refusal(engine: Engine) -> str:
    async for event in engine.events():
        if isinstance(event, Failed):
            assert event.generation == 7
            return event.message
        assert not isinstance(event, JobStarted)
    raise AssertionError

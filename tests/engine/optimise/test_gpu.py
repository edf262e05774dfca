"""On a GPU: the same bytes for the same seed, recorded or not; what a processor computes; too little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from tests.engine.optimise.samples import finished
from tuivis.engine import models, taps
from tuivis.engine.optimise.batch import Batch, Room, Setting
from tuivis.engine.optimise.objectives import Objectives, position
from tuivis.engine.optimise.parametrisations import Space, make, spectrum
from tuivis.engine.optimise.recipes import BUILT_IN, Recipe, changed
from tuivis.engine.truncation import Truncated

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SHAPE = (3, 224, 224)
RECIPES = ("yosinski-1-free", "yosinski-3-free", "yosinski-4-free", "distill", "maco", "pixel")


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    """As a job has it; and whole precision, so that processor and GPU can be compared."""
    with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
        yield


def real(device: str, layer: str = "_blocks.10") -> Truncated:
    model = models.load("efficientnet_lite0", None, device, 0, lambda *_: None)
    example = torch.zeros(1, *SHAPE, device=device)
    return Truncated(model.module, taps.discover(model.module, example), layer, example)


def batch_of(recipe: Recipe, units: list[int], network: Truncated, device: str = "cuda") -> Batch:
    at = torch.device(device)
    space = Space(torch.full((3, 1, 1), -1.0, device=at), torch.full((3, 1, 1), 2.0, device=at))
    magnitude = spectrum(torch.rand(3, *SHAPE, generator=Generator().manual_seed(5)), True).to(at)
    setting = Setting(recipe, network, space, make(recipe, SHAPE, space, magnitude), SHAPE, 1.0, at)
    weights = torch.eye(network.shape[0], device=at)[units]
    return Batch(
        setting, Objectives(weights, position(recipe, network.shape)), [Generator().manual_seed(u) for u in units]
    )


def short(name: str, **changes: Any) -> Recipe:
    return changed(BUILT_IN[name], {"steps": 12, **changes})


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_bytes_recorded_or_not(name: str) -> None:
    network = real("cuda")
    once, again, started = (batch_of(short(name), [3, 57, 8], network) for _ in range(3))
    started._replay = None
    for batch in (once, again, started):
        finished(batch)
    assert torch.equal(once.kept(), again.kept())
    assert torch.equal(once.kept(), started.kept())
    assert once.records == again.records == started.records


def test_a_resumed_run_gives_the_same_bytes() -> None:
    network, recipe = real("cuda"), short("distill")
    whole, begun, resumed = (batch_of(recipe, [3, 57], network) for _ in range(3))
    finished(whole)
    for _ in range(5):
        begun.step(Room(64))
    resumed.restore(begun.checkpoint())
    assert torch.equal(finished(resumed).kept(), whole.kept())


@pytest.mark.parametrize("name", RECIPES)
def test_first_steps_are_those_of_a_processor(name: str) -> None:
    recipe = short(name, steps=2, noise=0.0)
    there, here = (finished(batch_of(recipe, [3, 57], real(device), device)) for device in ("cuda", "cpu"))
    for one, other in zip(there.records, here.records, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=5e-2, abs=5e-2)
    # Where a gradient is next to nothing, Adam makes a whole step of its sign.
    assert float((there.kept().cpu() - here.kept()).abs().mean()) < 3e-3


def test_normalisations_are_folded_with_a_gpus_precision() -> None:
    with torch.backends.cudnn.flags(deterministic=True, allow_tf32=True):
        assert len(real("cuda").pairs) == len(real("cpu").pairs) > 20


class Own(nn.Module):
    """Does something of its own with every batch."""

    def __init__(self, own: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.own = nn.Conv2d(3, 4, 7, 4), own

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(self.own(x))
        return result


def looks(x: Tensor) -> Tensor:
    """Wait for the GPU to look at a number."""
    return x if float(x.detach().mean()) > 0 else 2 * x


def breaks_off(x: Tensor) -> Tensor:
    """Fail only while it is recorded."""
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError("not now")
    return x


def counted() -> Callable[[Tensor], Tensor]:
    """Return what computes something else at each call."""
    calls = count(1)
    return lambda x: x * next(calls)


@pytest.mark.parametrize("own", [lambda: looks, lambda: breaks_off, counted])
def test_a_network_that_no_recording_gives_again_is_not_recorded(own: Callable[[], Callable[[Tensor], Tensor]]) -> None:
    batches = []
    for recorded in (True, False):
        torch.manual_seed(0)
        module = Own(own()).eval().requires_grad_(False).cuda()
        example = torch.zeros(1, *SHAPE, device="cuda")
        network = Truncated(module, taps.discover(module, example), "layer", example)
        batches.append(batch_of(short("pixel"), [1, 2], network))
        batches[-1]._replay = batches[-1]._replay if recorded else None
        finished(batches[-1])
    if own is not counted:  # it is called once more to be recorded
        assert torch.equal(batches[0].kept(), batches[1].kept())
    objectives = [record.objective[-1] for record in batches[0].records]
    assert None not in objectives
    assert float(torch.rand(5, device="cuda").max()) <= 1


@pytest.mark.parametrize("units", [1, 10, 33])
def test_classes_are_recorded_and_give_the_same_bytes(units: int) -> None:
    network = real("cuda", "output")
    once, started = (batch_of(short("distill"), list(range(units)), network) for _ in range(2))
    assert once._replay is not None
    started._replay = None
    for _ in range(4):
        once.step(Room(64))
    assert once._replay.holds
    assert None not in once._replay._recorded.values()
    assert torch.equal(finished(once).kept(), finished(started).kept())
    assert once._replay is None


def test_too_little_memory_shrinks_the_batch_and_loses_no_work() -> None:
    network, recipe = real("cuda", "_blocks.2"), short("distill", steps=4)
    units = list(range(24))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_reserved()
    roomy = finished(batch_of(recipe, units, network)).kept()
    most = before + (torch.cuda.max_memory_reserved() - before) / 3
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(most / torch.cuda.get_device_properties(0).total_memory)
        tight, room = batch_of(recipe, units, network), Room(24)
        while not tight.done:
            tight.step(room)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert 1 <= room.size < 24
    assert float((tight.kept() - roomy).abs().mean()) < 3e-3

"""The loop: against a straight-line implementation, independent of the batch, and through every fault."""

from __future__ import annotations

import io
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Generator, Tensor

from tests.engine.networks import WANT_OF_MEMORY, network
from tests.engine.optimise.samples import SHAPE, batch_of, finished, small_network, truncated
from tuivis.engine.optimise.batch import Batch, Room, Setting
from tuivis.engine.optimise.objectives import Objectives, position
from tuivis.engine.optimise.parametrisations import Space, make
from tuivis.engine.optimise.policies import Ascent
from tuivis.engine.optimise.recipes import BUILT_IN, Recipe, changed
from tuivis.engine.optimise.replay import Replay, _Recording
from tuivis.engine.optimise.results import Verdict
from tuivis.engine.truncation import Truncated
from tuivis.errors import UserError

RECIPES = ("yosinski-1-free", "yosinski-3-free", "yosinski-4", "distill", "maco", "pixel")


def short(name: str, **changes: Any) -> Recipe:
    return changed(BUILT_IN[name], {"steps": 6, **changes})


def test_yosinski_3_step_by_step() -> None:
    """The paper's loop, written down once more with numpy and scipy, in float64; the rate is this network's."""
    recipe = changed(BUILT_IN["yosinski-3"], {"steps": 30, "rate": 2e4})
    module, unit = small_network(), 2
    batch = finished(batch_of(recipe, [unit], truncated(module)))

    mean = 127.5
    x = torch.randn(SHAPE, generator=Generator().manual_seed(unit)).numpy().astype(np.float64) * 10
    objectives, best = [], (-np.inf, x)
    features = module.double().features
    for i in range(30):
        x = np.clip(x + mean, 0, 255) - mean
        tensor = torch.tensor(x, requires_grad=True)
        # The layer's own ReLU is left out.
        value = features[:3]((tensor + mean)[None] / 255 * 2 - 1)[0, unit, 3, 2]  # type: ignore[index, operator]
        (gradient,) = (g.numpy() for g in torch.autograd.grad(value, tensor))
        objectives.append(value.item())
        if value.item() > best[0]:
            best = value.item(), x
        if i == 29:
            break
        x = x + 2e4 * gradient
        x = x * (1 - 0.0001)
        if i % 4 == 0:
            x = np.stack([gaussian_filter(plane, 1.0) for plane in x])
    np.testing.assert_allclose(np.array(batch.records[0].objective, float), np.array(objectives), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(batch.kept()[0], (best[1] + mean) / 255, atol=1e-3)
    assert best[0] > objectives[0] + 0.05


@pytest.mark.parametrize("name", RECIPES)
def test_a_unit_does_not_depend_on_its_batch(name: str) -> None:
    network = truncated(small_network())
    together = finished(batch_of(short(name), [0, 3, 5], network))
    alone = finished(batch_of(short(name), [3], network))
    one, other = (np.array(record.objective, float) for record in (together.records[1], alone.records[0]))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.kept()[1], alone.kept()[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_bytes_and_a_checkpoint_loses_nothing(name: str) -> None:
    network, recipe = truncated(small_network()), short(name)
    whole = finished(batch_of(recipe, [1, 4], network))
    begun, room = batch_of(recipe, [1, 4], network), Room(64)
    for _ in range(3):
        begun.step(room)
    file = io.BytesIO()
    torch.save(begun.checkpoint(), file)
    file.seek(0)
    resumed = batch_of(recipe, [1, 4], network)
    resumed.restore(torch.load(file, weights_only=True))
    finished(resumed)
    assert torch.equal(whole.kept(), resumed.kept())
    assert whole.records == resumed.records


@pytest.mark.parametrize("name", RECIPES)
def test_the_objective_rises(name: str) -> None:
    record = finished(batch_of(short(name, steps=30), [2], truncated(small_network()), 0.002)).records[0]
    assert record.best is not None
    assert record.objective[0] is not None
    assert record.best > record.objective[0]


def test_minimising_falls() -> None:
    record = finished(batch_of(short("pixel", minimise=True), [2], truncated(small_network()))).records[0]
    assert record.objective[-1] < record.objective[0]  # type: ignore[operator]


def test_a_dead_unit_moves() -> None:
    module = small_network()
    module.features[2].bias[1] = -5.0  # type: ignore[index, union-attr]
    network = truncated(module)
    assert network.before
    record = finished(batch_of(short("pixel"), [1], network)).records[0]
    assert record.objective[0] < -3  # type: ignore[operator]
    assert record.objective[-1] > record.objective[0]  # type: ignore[operator]


def test_a_zero_gradient_ends_a_sample_and_no_other() -> None:
    module = small_network()
    module.features[2].weight[1] = 0.0  # type: ignore[index, union-attr]
    batch = finished(batch_of(short("pixel"), [1, 2], truncated(module)))
    assert [record.verdict for record in batch.records] == [Verdict.zero_gradient, None]
    assert [len(record.objective) for record in batch.records] == [1, 6]


def test_a_step_into_nan_is_undone_at_half_the_rate() -> None:
    """The network breaks above a brightness; the other sample of the batch stays on its way."""

    def breaks(x: Tensor) -> None:
        x.data[(x.detach().amax((1, 2, 3)) > 0.9) & (x.shape[0] == 2)] = torch.nan

    recipe = changed(BUILT_IN["yosinski-3"], {"steps": 12, "rate": 1e5, "deviation": 5.0, "blur_radius": 0.0})
    batch = finished(batch_of(recipe, [2, 3], truncated(small_network(breaks))))
    record = batch.records[0]
    assert record.undone
    assert bool(batch.kept().isfinite().all())
    first = record.undone[0]
    assert record.rates[first + 1] == pytest.approx(record.rates[0] / 2)  # type: ignore[operator]
    assert record.objective[first + 1] == pytest.approx(record.objective[first - 1])


def test_nan_from_the_start_is_a_verdict() -> None:
    batch = finished(batch_of(short("pixel"), [0], truncated(small_network(_poison_all))))
    assert batch.records[0].verdict is Verdict.not_a_number


def _poison_all(x: Tensor) -> None:
    if bool(x.any()):
        x.data[:] = torch.nan


@pytest.mark.parametrize("error", WANT_OF_MEMORY)
def test_out_of_memory_shrinks_the_batch_and_loses_no_work(error: Exception) -> None:
    sizes = []

    def small_memory(x: Tensor) -> None:
        sizes.append(len(x))
        if len(x) > 2:
            raise error

    units = [0, 1, 2, 3, 4]
    tight = finished(batch_of(short("distill"), units, truncated(small_network(small_memory))))
    roomy = finished(batch_of(short("distill"), units, truncated(small_network())))
    torch.testing.assert_close(tight.kept(), roomy.kept(), atol=2e-3, rtol=0)
    assert sizes.count(5) == 1
    assert max(sizes[-10:]) == 2


@pytest.mark.parametrize("name", ["distill", "yosinski-3-free", "maco"])
def test_out_of_memory_after_the_pass_makes_the_same_step_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = truncated(small_network())
    roomy, tight = (batch_of(short(name), [1, 4], network) for _ in range(2))
    finished(roomy)
    step, calls = Ascent.step, count()

    def short_of_memory(ascent: Ascent, gradient: Tensor, rate: Tensor) -> Tensor:
        moved = step(ascent, gradient, rate)
        if next(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return moved

    monkeypatch.setattr(Ascent, "step", short_of_memory)
    finished(tight)
    assert torch.equal(tight.kept(), roomy.kept())
    assert tight.records == roomy.records


def test_out_of_memory_at_one_picture_says_so() -> None:
    def no_memory(x: Tensor) -> None:
        if bool(x.any()):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="too little memory for one picture"):
        finished(batch_of(short("pixel"), [0, 1], truncated(small_network(no_memory))))


class Hoard(Replay):
    """Keeps a part's memory, as recordings do, so that too little is left for a part of another size."""

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        shapes = tuple(None if each is None else each.shape for each in inputs)
        if self.holds and shapes not in self._recorded:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self._recorded[shapes] = _Recording.__new__(_Recording)
        return self._function(*inputs)


def test_what_recordings_keep_is_given_back_before_fewer_pictures_go_through() -> None:
    network = truncated(small_network())
    started, recorded = (batch_of(short("distill"), [0, 1, 2, 3, 4], network) for _ in range(2))
    recorded._replay = Hoard(recorded._derive)
    for batch in (started, recorded):
        room = Room(2, most=2)
        while not batch.done:
            batch.step(room)
        assert room.size == 2
    assert torch.equal(recorded.kept(), started.kept())
    assert recorded._replay is None


def test_what_recordings_keep_is_given_back_at_the_end() -> None:
    batch = batch_of(short("pixel"), [0, 1], truncated(small_network()))
    replay = batch._replay = Hoard(batch._derive)
    batch.step(Room(2))
    assert replay.holds
    finished(batch)
    assert not replay.holds


def test_the_room_grows_to_the_batch() -> None:
    room = Room(2)
    network = truncated(small_network())
    batch = batch_of(short("pixel"), [0, 1, 2, 3, 4, 5], network)
    finished_sizes = []
    while not batch.done:
        batch.step(room)
        finished_sizes.append(room.size)
    assert finished_sizes[:2] == [4, 6]


@pytest.mark.parametrize("objective", ["position", "channel"])
def test_token_units_of_a_transformer_rise_at_their_place(objective: str) -> None:
    """The network has 4 x 4 tokens of 48 units, and one that is the class."""
    model, example, layers = network("vit")
    truncated = Truncated(model.requires_grad_(False), layers, "encoder.layers.encoder_layer_0", example)
    assert truncated.shape == (48, 4, 4)
    recipe = short("pixel", objective=objective, at=[1, 2] if objective == "position" else None)
    shape, space = (3, 64, 64), Space(torch.full((3, 1, 1), -1.0), torch.full((3, 1, 1), 2.0))
    made = make(recipe, shape, space, torch.empty(0))
    objectives = Objectives(torch.eye(48)[[5, 9]], position(recipe, truncated.shape))
    setting = Setting(recipe, truncated, space, made, shape, 1.0, torch.device("cpu"))
    batch = finished(Batch(setting, objectives, [Generator().manual_seed(0), Generator().manual_seed(1)]))
    # Read from the module itself: the class token comes first, the others row by row.
    read: list[Tensor] = []
    hook = model.get_submodule("encoder.layers.encoder_layer_0").register_forward_hook(lambda _m, _i, o: read.append(o))
    with torch.no_grad():
        model(space.input(batch.kept()))
    hook.remove()
    for number, unit in enumerate((5, 9)):
        tokens = read[0][number, 1:, unit]
        value = float(tokens[1 * 4 + 2] if objective == "position" else tokens.mean())
        record = batch.records[number]
        assert record.objective[0] is not None
        assert value == pytest.approx(record.objective[-1], abs=1e-3)
        assert value > record.objective[0] + 0.1


def test_progress01_is_the_probability_of_the_class() -> None:
    recipe = short("yosinski-1", policy="progress01", small_norm=0.0, steps=20)
    record = finished(batch_of(recipe, [3], truncated(small_network(), "head"))).records[0]
    assert all(value is not None and 0 <= value <= 1 for value in record.objective)
    assert record.best > record.objective[0]  # type: ignore[operator]

"""The loop: a batch of samples, each with its own objective, seed and random views, one step after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import torch
from torch import Generator, Tensor

from tuivis.engine.optimise import transforms
from tuivis.engine.optimise.objectives import Objectives
from tuivis.engine.optimise.parametrisations import Parametrisation, Space
from tuivis.engine.optimise.policies import Ascent, rates
from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.regularisers import clip, regularise
from tuivis.engine.optimise.replay import Replay
from tuivis.engine.optimise.results import Record, Verdict
from tuivis.engine.optimise.transforms import Draws
from tuivis.engine.truncation import Truncated
from tuivis.errors import UserError, is_out_of_memory

MOST_UNDONE = 40
"""A sample whose step was undone so many times is given up."""


@dataclass(frozen=True)
class Setting:
    """What all samples of a batch share. `scale` is the layer's deviation over the photographs."""

    recipe: Recipe
    network: Truncated
    space: Space
    parametrisation: Parametrisation
    shape: tuple[int, int, int]
    scale: float
    device: torch.device


class Room:
    """How many pictures go through the network at once: grows while the memory allows, shrinks when it does not."""

    def __init__(self, first: int = 8, most: int | None = None) -> None:
        self.size = max(1, first)
        self._most = most

    def grow(self, wanted: int) -> None:
        """Double the room, up to `wanted`, unless that was too much before."""
        self.size = min(self.size * 2, wanted, self._most or wanted) if self.size < wanted else self.size

    def shrink(self, used: int) -> None:
        """Halve the room after `used` pictures were too many.

        Raises
        ------
        UserError
            If that was a single one.
        """
        if used <= 1:
            raise too_little_memory()
        self.size = self._most = used // 2


@dataclass
class State:
    """Everything that changes from step to step: what a checkpoint holds, with the generators and the records."""

    parameter: Tensor
    previous: Tensor
    ascent: Ascent
    previous_ascent: Ascent
    best: Tensor
    factor: Tensor


class Batch:
    """Samples that take their steps together.

    Parameters
    ----------
    setting
        What they share.
    objectives
        One for each sample.
    generators
        One for each sample, on the CPU.
    """

    def __init__(self, setting: Setting, objectives: Objectives, generators: Sequence[Generator]) -> None:
        self.setting, self.objectives, self.generators = setting, objectives, list(generators)
        first = torch.stack([setting.parametrisation.start(generator) for generator in generators]).to(setting.device)
        ascent = Ascent.start(setting.recipe.ascent, first)
        factor = torch.ones(len(first), device=setting.device)
        self.state = State(first, first, ascent, ascent, first.clone(), factor)
        self.records = [Record() for _ in generators]
        self._derive = partial(derive, setting, objectives)
        self._replay = Replay(self._derive) if setting.device.type == "cuda" else None
        self.step_number = 0

    def pictures(self) -> Tensor:
        """Return what the samples look like now, (N, C, H, W) in 0 .. 1."""
        return self._pictures(self.state.parameter)

    def kept(self) -> Tensor:
        """Return the pictures that the recipe keeps: those with the highest objectives, or the last."""
        return self._pictures(self.state.best if self.setting.recipe.keep == "best" else self.state.parameter)

    @property
    def done(self) -> bool:
        """Whether no sample has a step to take."""
        return self.step_number >= self.setting.recipe.steps or all(record.verdict for record in self.records)

    def step(self, room: Room) -> None:
        """Take one step with every sample that has not ended."""
        recipe, state = self.setting.recipe, self.state
        parameter = self._clipped(state.parameter)
        values, gradient, ranks = self._ascend(parameter, room)
        norms = gradient.flatten(1).square().sum(1)
        finite = values.isfinite() & norms.isfinite()
        rate = rates(recipe, norms, values, self.setting.scale) * state.factor
        self._record(
            torch.stack([values.double(), norms.double(), ranks.double(), finite.double(), rate.double()]), parameter
        )
        moves = finite & (norms > 0)
        moves &= torch.tensor([not record.verdict for record in self.records], device=moves.device)
        if self.step_number < recipe.steps - 1:
            step = parameter, gradient, rate, finite, moves
            if not self._try_update(*step):
                self._free_recordings()
                self._update(*step)
        else:
            state.parameter = torch.where(_wide(finite, parameter), parameter, state.previous)
        self.step_number += 1
        if self.done:
            self._free_recordings()

    def _pictures(self, parameter: Tensor) -> Tensor:
        with torch.no_grad():
            return self.setting.parametrisation.image(self._clipped(parameter)).clamp(0, 1)

    def _clipped(self, parameter: Tensor) -> Tensor:
        bounds = self.setting.parametrisation.bounds()
        return parameter if bounds is None else clip(parameter, *bounds)

    def _ascend(self, parameter: Tensor, room: Room) -> tuple[Tensor, Tensor, Tensor]:
        """Return each sample's objective, its gradient (uphill), and its rank."""
        recipe, shape = self.setting.recipe, self.setting.shape
        drawn = transforms.draw(recipe, shape, self.generators)
        room.grow(len(parameter) * transforms.views(recipe))
        values, gradients, ranks = [], [], []
        start = 0
        while start < len(parameter):
            # A step's views of one sample stay together.
            count = max(1, room.size // transforms.views(recipe))
            part = slice(start, start + count)
            try:
                chosen = self.objectives.keep(_indices(part, parameter))
                value, gradient, rank = self._one(parameter[part], chosen, drawn.of(part))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if not self._free_recordings():
                    room.shrink(len(parameter[part]))
                continue
            values.append(value)
            gradients.append(gradient)
            ranks.append(rank)
            start += count
        return torch.cat(values), torch.cat(gradients), torch.cat(ranks)

    def _one(self, parameter: Tensor, objectives: Objectives, drawn: Draws) -> tuple[Tensor, Tensor, Tensor]:
        recipe, device = self.setting.recipe, self.setting.device
        maps = None if drawn.maps is None else drawn.maps.to(device)
        noise = None if drawn.seeds is None else transforms.noise(recipe, self.setting.shape, drawn.seeds, device)
        if self._replay is None:
            return self._derive(parameter, objectives.weights, maps, noise)
        value, gradient, rank = self._replay(parameter, objectives.weights, maps, noise)
        return value.clone(), gradient.clone(), rank.clone()

    def _free_recordings(self) -> bool:
        """Give up recordings, whose memory nothing else can use; return whether there were any."""
        if self._replay is None or not self._replay.holds:
            return False
        self._replay.forget()
        self._replay = None
        torch.cuda.empty_cache()
        return True

    def _record(self, table: Tensor, parameter: Tensor) -> None:
        """Note each sample's (value, norm, rank, finite, rate), (5, N): fetched together, as a GPU is waited for."""
        sign, step = self.objectives.sign, self.step_number
        better = []
        for record, value, norm, rank, fine, rate in zip(self.records, *table.tolist(), strict=True):
            record.rates.append(rate)
            better.append(False)
            if record.verdict:
                continue
            record.objective.append(value)
            if not fine:
                record.undone.append(step)
                if step == 0 or len(record.undone) >= MOST_UNDONE:
                    record.verdict = Verdict.not_a_number
                continue
            if record.best is None or sign * value > sign * record.best:
                record.best, record.best_step, better[-1] = value, step, True
            if rank == 1 and record.majority is None:
                record.majority = step
            if norm == 0:
                record.verdict = Verdict.zero_gradient
        chosen = _wide(torch.tensor(better, device=parameter.device), parameter)
        self.state.best = torch.where(chosen, parameter, self.state.best)

    def _try_update(self, *step: Tensor) -> bool:
        """Make an `_update`; return whether there was memory for it. What a failure holds is free after it."""
        try:
            self._update(*step)
        except torch.OutOfMemoryError:
            return False
        return True

    def _update(self, parameter: Tensor, gradient: Tensor, rate: Tensor, finite: Tensor, moves: Tensor) -> None:
        """Move the samples in `moves`; put those that are not `finite` back to before the step that broke them."""
        recipe, state = self.setting.recipe, self.state
        # All is computed before anything is changed: memory may run out.
        before, ascent = state.ascent, Ascent(state.ascent.kind, **state.ascent.tensors())
        moved = parameter + ascent.step(gradient, rate)
        moved = regularise(recipe, moved, gradient, self.step_number) if parameter.ndim == 4 else moved
        fine, going = _wide(finite, parameter), _wide(moves, parameter)
        stays = torch.where(fine, parameter, state.previous)
        back, kept, now = state.previous_ascent.tensors(), before.tensors(), ascent.tensors()
        kept = {k: _pick(finite, kept[k], back[k]) for k in kept}
        chosen = {k: _pick(moves, now[k], kept[k]) for k in now}
        factor = torch.where(finite, state.factor, state.factor / 2)
        moved = torch.where(going, moved, stays)
        ascents = Ascent(before.kind, **chosen), Ascent(before.kind, **kept)
        self.state = State(moved, stays, *ascents, state.best, factor)

    def checkpoint(self) -> dict[str, object]:
        """Return all that `restore` needs, as tensors and plain values."""
        state = self.state
        tensors = {name: getattr(state, name) for name in ("parameter", "previous", "best", "factor")}
        return {
            "step": self.step_number,
            "records": msgspec.json.encode(self.records).decode(),
            "generators": [generator.get_state() for generator in self.generators],
            "tensors": {name: tensor.cpu() for name, tensor in tensors.items()},
            "ascent": {name: tensor.cpu() for name, tensor in state.ascent.tensors().items()},
            "previous_ascent": {name: tensor.cpu() for name, tensor in state.previous_ascent.tensors().items()},
        }

    def restore(self, saved: dict[str, object]) -> None:
        """Go on from a `checkpoint` of the same samples."""
        device, kind = self.setting.device, self.setting.recipe.ascent
        tensors: dict[str, dict[str, Tensor]] = {
            group: {name: tensor.to(device) for name, tensor in saved[group].items()}  # type: ignore[attr-defined]
            for group in ("tensors", "ascent", "previous_ascent")
        }
        ascents = {group: Ascent(kind, **tensors[group]) for group in ("ascent", "previous_ascent")}
        self.state = State(**tensors["tensors"], **ascents)  # type: ignore[arg-type]
        self.records = msgspec.json.decode(str(saved["records"]), type=list[Record])
        self.step_number = int(saved["step"])  # type: ignore[call-overload]
        for generator, state in zip(self.generators, saved["generators"], strict=True):  # type: ignore[call-overload]
            generator.set_state(state)


def derive(
    setting: Setting,
    objectives: Objectives,
    parameter: Tensor,
    weights: Tensor,
    maps: Tensor | None,
    noise: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return samples' objectives with these `weights`, (N,), their gradients, and their ranks, (N,).

    A function of its own, so that a recording of it does not keep its batch.
    """
    objectives, views = replace(objectives, weights=weights), transforms.views(setting.recipe)
    parameter = parameter.detach().requires_grad_()
    seen = transforms.apply(setting.recipe, setting.parametrisation.image(parameter), maps, noise)
    activation = setting.network(setting.space.input(seen)).float()
    several = objectives.repeat(views)
    value = several(activation)
    # A sum over the batch, so that no sample's gradient depends on the others.
    (gradient,) = torch.autograd.grad(objectives.sign * value.sum() / views, parameter)
    rank = several.rank(activation.detach()).view(-1, views).amin(1)
    return value.detach().view(-1, views).mean(1), gradient, rank


def too_little_memory() -> UserError:
    """Return what to say where not even one picture goes through the network."""
    return UserError("too little memory for one picture: free some, choose an earlier layer or --device cpu")


def _indices(part: slice, batch: Tensor) -> Tensor:
    return torch.arange(len(batch), device=batch.device)[part]


def _pick(mask: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(_wide(mask, one), one, other) if one.numel() else one


def _wide(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *(1,) * (like.ndim - 1))

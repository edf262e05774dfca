"""One job: runs in batches, results to disk as they come, checkpoints in between."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from tuivis import __version__
from tuivis.engine.events import Finished, JobStarted, Preview, Stepped
from tuivis.engine.models import Model
from tuivis.engine.optimise import files, parametrisations, photographs, plan
from tuivis.engine.optimise.batch import Batch, Room, Setting, too_little_memory
from tuivis.engine.optimise.existing import Origin, refuse_existing, refuse_others
from tuivis.engine.optimise.manifest import Manifest
from tuivis.engine.optimise.objectives import position
from tuivis.engine.optimise.quality import Judge
from tuivis.engine.optimise.recipes import Recipe, check
from tuivis.engine.optimise.results import Quality, Record, Result, Run, Verdict, read, runs_of, sidecar
from tuivis.engine.protocol import JobEvent
from tuivis.engine.sources import Pictures
from tuivis.engine.taps import Layers
from tuivis.engine.truncation import Truncated
from tuivis.engine.values import Array
from tuivis.errors import UserError, is_out_of_memory, printable
from tuivis.files import write_whole

TOGETHER = {"cpu": 16, "cuda": 128}
"""Samples that take their steps together: more at once are hardly faster, and the first is done later."""
AT_ONCE = {"cpu": 8}
"""Pictures that go through the network together at most; on a CPU more at once cost only memory.

A GPU begins with all: its libraries take seconds to get ready for every new number.
"""
LONG_STEP = 0.5
"""Seconds. After each step that takes longer all is saved."""
SELDOM = 10
"""Saving takes at most one part in so many of the time: of many samples a checkpoint is large."""
REPORT_SECONDS = 0.1
PREVIEW_SECONDS = 0.25
PREVIEWED = 16
"""Pictures in a `Preview`."""


class Job:
    """Carries out one `Optimise`, step by step.

    Raises
    ------
    UserError
        Before any work: if a layer, unit, recipe or direction is impossible, or results are there that must stay.
    """

    def __init__(self, manifest: Manifest, model: Model, layers: Layers, pictures: Pictures) -> None:
        self.command = command = manifest.optimise
        self._manifest, self._model, self._pictures = manifest, model, pictures
        self._folder = Path(command.folder)
        self._output = layers.output
        units = layers.tap(command.layer).arrangement.units
        for target in command.targets:
            plan.check(target, units, command.layer, pictures.names)
        for recipe in command.recipes:
            check(recipe)
        self.runs = runs_of(command.layer, command.targets, command.recipes, command.seeds)
        self._hash = _weights_hash(model)
        seen = {target.picture for target in command.targets if target.picture}
        self._towards = {name: pictures.read(pictures.names.index(name)) for name in seen}
        if command.existing == "refuse":
            refuse_existing(self._folder, self.runs)
        if command.existing == "resume":
            refuse_others(self._folder, self.runs, self._origin, command.recipes)
        self._network = _truncated(model, layers, command.layer)
        for recipe in command.recipes:
            position(recipe, self._network.shape)
        at_once = AT_ONCE.get(model.device.type)
        self._room = Room(command.batch or at_once or sys.maxsize, at_once)
        # The same seed gives the same bytes: a GPU's libraries have faster ways for which this is not so.
        torch.backends.cudnn.deterministic = True
        self._batch: Batch | None = None
        self._members: list[int] = []
        self._frames: list[list[Tensor]] = []
        self._last = {"report": 0.0, "preview": 0.0, "checkpoint": 0.0}
        self._saving = 0.0

    def run(self) -> Iterator[JobEvent]:
        """Yield what happens; between two events the job can be left for as long as one likes."""
        self._prepare()
        done = [i for i, run in enumerate(self.runs) if self._is_done(run)]
        labels = tuple(self._label(run) for run in self.runs)
        yield JobStarted(self.command.job, self.runs, labels, tuple(done))
        self._judge = self._look()
        self._seen = hashlib.sha256(self._judge.photographs.images.numpy().tobytes()).hexdigest()
        for index in done:
            # An engine that ended just after a target's last picture has left this out.
            if len(self.command.seeds) > 1 and read(sidecar(self._folder, self.runs[index])).quality.diversity is None:
                self._with_diversity(self.runs[index])
        for recipe in self.command.recipes:
            waiting = [i for i, run in enumerate(self.runs) if run.recipe == recipe.name and i not in done]
            for members, saved in self._groups(waiting, self._together(recipe)):
                yield from self._steps(recipe, members, saved)
        self._manifest.path.unlink(missing_ok=True)

    def save(self) -> None:
        """Save how far the present batch is."""
        if self._batch is None or self._batch.step_number == 0:
            return
        start = time.monotonic()
        content = self._batch.checkpoint() | {
            "identity": self._identity(self._batch.setting.recipe),
            "runs": [self.runs[i].stem for i in self._members],
            "frames": self._frames,
            "room": self._room.size,
        }
        files.write_checkpoint(self._checkpoint(self._members), content)
        self._saving = time.monotonic() - start

    def cancel(self) -> None:
        """Forget how far the job was; finished pictures stay."""
        if self._members:
            self._checkpoint(self._members).unlink(missing_ok=True)
        self._manifest.path.unlink(missing_ok=True)

    def _prepare(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {printable(self._folder)}: {error.strerror}") from None
        if self.command.existing == "overwrite":
            for run in self.runs:
                sidecar(self._folder, run).unlink(missing_ok=True)
        self._manifest.write()

    def _look(self) -> Judge:
        pixels = photographs.space(self._model)
        return Judge(self._network, pixels, photographs.look(self._model, self._pictures, self._network, pixels))

    def _is_done(self, run: Run) -> bool:
        files_of = (sidecar(self._folder, run), *([self._film(run)] if self.command.film else []))
        return self.command.existing == "resume" and all(path.exists() for path in files_of)

    def _film(self, run: Run) -> Path:
        return self._folder / f"{run.stem}.mp4"

    def _together(self, recipe: Recipe) -> int:
        """Return how many runs take their steps together, the same however many of them are done.

        All groups are of one size, as far as can be: a GPU's libraries take seconds to get ready for another.
        """
        count = sum(run.recipe == recipe.name for run in self.runs)
        most = self.command.batch or TOGETHER.get(self._model.device.type, 16)
        return -(-count // -(-count // most))

    def _groups(self, waiting: list[int], size: int) -> Iterator[tuple[list[int], dict[str, Any] | None]]:
        """Yield the runs that take their steps together: first those that a checkpoint has, as they were."""
        left = list(waiting)
        if self.command.existing == "resume":
            for path in sorted(self._folder.glob("*.checkpoint")):
                saved = files.read_checkpoint(path)
                by_stem = {self.runs[i].stem: i for i in left}
                if saved is None or not all(stem in by_stem for stem in saved["runs"]):
                    continue
                recipe = next(r for r in self.command.recipes if r.name == self.runs[by_stem[saved["runs"][0]]].recipe)
                if saved["identity"] == self._identity(recipe):
                    members = [by_stem[stem] for stem in saved["runs"]]
                    left = [i for i in left if i not in members]
                    yield members, saved
        for start in range(0, len(left), size):
            yield left[start : start + size], None

    def _steps(self, recipe: Recipe, members: list[int], saved: dict[str, Any] | None) -> Iterator[JobEvent]:
        self._members = members
        batch = self._batch = self._made(recipe, members)
        self._frames = [[] for _ in members]
        if saved:
            batch.restore(saved)
            self._frames, self._room.size = saved["frames"], int(saved["room"])
        every = -(-recipe.steps // files.LONGEST_FILM)
        self._last["checkpoint"] = time.monotonic()
        begun, first = time.monotonic(), batch.step_number
        while not batch.done:
            if self.command.film and batch.step_number % every == 0:
                for frames, picture in zip(self._frames, batch.pictures(), strict=True):
                    frames.append(files.compressed(files.levels(picture)))
            start = time.monotonic()
            batch.step(self._room)
            lasted = time.monotonic() - start
            taken = (time.monotonic() - begun) / (batch.step_number - first)
            yield from self._report(batch, members, taken)
            # A step that is not over in time when the engine ends is lost with all since the last checkpoint.
            wait = self.command.checkpoint_seconds if lasted < LONG_STEP else 0.0
            if self._due("checkpoint", max(wait, SELDOM * self._saving)) and not batch.done:
                self.save()
        yield from self._finish(batch, members, (time.monotonic() - begun) / len(members))
        self._checkpoint(members).unlink(missing_ok=True)
        self._batch, self._members = None, []

    def _made(self, recipe: Recipe, members: Sequence[int]) -> Batch:
        model, judge = self._model, self._judge
        magnitude = parametrisations.spectrum(judge.photographs.images, recipe.decorrelate).to(model.device)
        shape = model.input_shape
        made = parametrisations.make(recipe, shape, judge.space, magnitude)
        scale = judge.photographs.scale
        setting = Setting(recipe, self._network, judge.space, made, shape, scale, model.device)
        rows = [self._weights(self.runs[i], recipe) for i in members]
        generators = [torch.Generator().manual_seed(self.runs[i].random_seed) for i in members]
        return Batch(setting, plan.objectives(recipe, self._network.shape, rows, model.device), generators)

    def _weights(self, run: Run, recipe: Recipe) -> Tensor:
        direction = None
        if run.target.picture:
            seen = self._model.preprocess(self._towards[run.target.picture])[None].to(self._model.device)
            with torch.no_grad():
                direction = self._network(seen)[0].float().cpu()
        return plan.weights(run.target, recipe, self._network.shape, self._judge.photographs, direction)

    def _report(self, batch: Batch, members: Sequence[int], seconds: float) -> Iterator[JobEvent]:
        job, step, steps = self.command.job, batch.step_number, batch.setting.recipe.steps
        if self._due("report", REPORT_SECONDS) or batch.done:
            yield Stepped(
                job,
                tuple(members),
                step,
                steps,
                tuple(record.objective[-1] for record in batch.records),
                tuple(record.rates[-1] for record in batch.records),
                tuple(len(record.undone) for record in batch.records),
                seconds,
            )
        if self.command.preview and self._due("preview", PREVIEW_SECONDS):
            pictures = batch.pictures()[:PREVIEWED]
            factor = self.command.preview / max(pictures.shape[-2:])
            if factor < 1:
                pictures = torch.nn.functional.interpolate(pictures, scale_factor=factor, mode="area")
            pixels = np.stack([files.shown(files.levels(picture)) for picture in pictures])
            yield Preview(job, tuple(members[:PREVIEWED]), step, Array.of(pixels))

    def _due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last[what] < seconds:
            return False
        self._last[what] = now
        return True

    def _finish(self, batch: Batch, members: Sequence[int], seconds: float) -> Iterator[JobEvent]:
        for number, (index, picture) in enumerate(zip(members, batch.kept(), strict=True)):
            run, record = self.runs[index], batch.records[number]
            objective = batch.objectives.keep(torch.tensor([number], device=self._model.device))
            array = files.levels(picture)
            quality = self._judge.judge(torch.from_numpy(array).permute(2, 0, 1).float() / 255, objective)
            record.verdict = record.verdict or _verdict(record, quality.rank)
            path = self._folder / f"{run.stem}.png"
            files.write_picture(path, array)
            if self._frames[number]:
                files.write_film(self._film(run), self._frames[number])
            self._write(run, self._result(run, path.name, batch, record, quality, seconds))
            quality = self._with_diversity(run) or quality
            natural = batch.objectives.sign * objective.repeat(len(self._judge.photographs.images)).anywhere(
                self._judge.photographs.activations.to(self._model.device)
            )
            yield Finished(
                self.command.job,
                index,
                str(path),
                str(sidecar(self._folder, run)),
                record.verdict,
                record.majority,
                record.best,
                quality,
                int(natural.argmax()),
                seconds,
            )

    def _result(self, run: Run, picture: str, batch: Batch, record: Record, quality: Quality, seconds: float) -> Result:
        return Result(
            picture=picture,
            run=run,
            model=self._model.name,
            weights=self._model.weights,
            weights_sha256=self._hash,
            device=str(self._model.device),
            versions={"tuivis": __version__} | {name: version(name) for name in ("torch", "torchvision", "numpy")},
            parameters=batch.setting.recipe,
            position=batch.objectives.at,
            label=self._label(run),
            seconds=seconds,
            record=record,
            quality=quality,
            code_sha256=self._model.code,
            towards_sha256=self._origin(run).towards,
        )

    def _origin(self, run: Run) -> Origin:
        seen = self._towards.get(run.target.picture)
        return Origin(self._hash, self._model.code, "" if seen is None else hashlib.sha256(seen.tobytes()).hexdigest())

    def _write(self, run: Run, result: Result) -> None:
        write_whole(sidecar(self._folder, run), msgspec.json.format(msgspec.json.encode(result)))

    def _with_diversity(self, run: Run) -> Any:
        """Once all seeds of a target are there, add to each how far it is from the others; return that of `run`."""
        same = [each for each in self.runs if (each.recipe, each.target) == (run.recipe, run.target)]
        if len(same) < 2 or not all(sidecar(self._folder, each).exists() for each in same):
            return None
        pictures = [files.read_levels(self._folder / f"{each.stem}.png") for each in same]
        mine = None
        for each, distance in zip(same, self._judge.diversity(pictures), strict=True):
            result = read(sidecar(self._folder, each))
            quality = msgspec.structs.replace(result.quality, diversity=distance)
            self._write(each, msgspec.structs.replace(result, quality=quality))
            mine = quality if each == run else mine
        return mine

    def _label(self, run: Run) -> str:
        names = self._model.labels if run.layer == self._output and len(run.target.units) == 1 else ()
        return names[run.target.units[0]] if names and run.target.units[0] < len(names) else ""

    def _checkpoint(self, members: Sequence[int]) -> Path:
        return self._folder / f"{self.runs[members[0]].stem}.checkpoint"

    def _identity(self, recipe: Recipe) -> str:
        """Return what a checkpoint must have in common with this job: all that its pictures come from."""
        common = (self._hash, self._model.code, self._seen, recipe, self.command.film)
        return hashlib.sha256(msgspec.json.encode(common)).hexdigest()


def _truncated(model: Model, layers: Layers, layer: str) -> Truncated:
    try:
        return Truncated(model.module, layers, layer, torch.zeros(1, *model.input_shape, device=model.device))
    except Exception as error:
        raise (too_little_memory() if is_out_of_memory(error) else error) from None


def _verdict(record: Record, rank: int) -> Verdict:
    if rank == 0:
        return Verdict.none
    return Verdict.success if record.majority is not None else Verdict.failure


def _weights_hash(model: Model) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        with contextlib.suppress(TypeError):  # numpy lacks some types
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

"""Jobs in a real engine process: results as they come, pausing, cancelling, kill -9, and what is refused."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from tests.engine.optimise.running import command, ready, recipe, refusal, until
from tuivis.engine.client import Engine
from tuivis.engine.commands import Cancel, Open, Optimise, Pause, Read, Unpause
from tuivis.engine.events import (
    Activations,
    Failed,
    Finished,
    JobEnded,
    JobPaused,
    JobStarted,
    Opened,
    Preview,
    Stepped,
)
from tuivis.engine.optimise.manifest import unfinished
from tuivis.engine.optimise.recipes import BUILT_IN
from tuivis.engine.optimise.results import Target, Verdict, read


async def test_results_are_on_disk_with_all_their_numbers(engine: Engine, tmp_path: Path) -> None:
    recipes = (recipe("distill"), recipe("yosinski-3-free"))
    engine.send(command(tmp_path / "out", recipes=recipes, seeds=(0, 1), film=True, preview=16))
    events = await until(engine, JobEnded)
    assert events[-1] == JobEnded(7, "done")
    started = next(event for event in events if isinstance(event, JobStarted))
    assert len(started.runs) == 8
    finished = [event for event in events if isinstance(event, Finished)]
    assert sorted(event.run for event in finished) == list(range(8))
    steps = [event for event in events if isinstance(event, Stepped)]
    assert (steps[-1].step, steps[-1].steps) == (5, 5)
    preview = next(event for event in events if isinstance(event, Preview))
    assert preview.pixels.shape == (4, 16, 12, 3)
    for event in finished:
        result = read(Path(event.sidecar))
        assert result.run == started.runs[event.run]
        assert len(result.record.objective) == 5
        assert result.parameters.steps == 5
        assert len(result.weights_sha256) == 64
        assert result.versions.keys() == {"tuivis", "torch", "torchvision", "numpy"}
        assert result.quality.diversity is not None
        assert 0 < result.quality.diversity < 1
        assert result.quality.rank >= 1
        with Image.open(event.picture) as picture:
            assert picture.size == (24, 32)
        assert Path(event.picture).with_suffix(".mp4").read_bytes()[4:8] == b"ftyp"
    assert not unfinished(tmp_path)
    assert not list((tmp_path / "out").glob("*.checkpoint"))


async def test_quality_is_measured_on_the_picture_in_the_file(engine: Engine, tmp_path: Path) -> None:
    engine.send(command(tmp_path / "out", units=(2,), layer="output", steps=40))
    await until(engine, JobEnded)
    result = read(tmp_path / "out" / "output-2-pixel-0.json")
    engine.send(Open((str(tmp_path / "out" / "output-2-pixel-0.png"),)))
    await until(engine, Opened)
    engine.send(Read(1, 0, "output"))
    event = (await until(engine, Activations))[-1]
    assert isinstance(event, Activations)
    values = event.activations.numpy()[:, 0, 0]
    assert result.quality.objective == pytest.approx(float(values[2]), abs=1e-4)
    assert result.quality.highest == result.quality.maximum == result.quality.mean == result.quality.objective
    assert result.quality.rank == int((values > values[2]).sum()) + 1
    assert result.record.verdict is Verdict.success
    assert result.label == "cow"


async def test_a_unit_at_a_position_is_compared_by_the_maxima_of_its_maps(engine: Engine, tmp_path: Path) -> None:
    # The layer ends with a ReLU, before which the objective lies.
    at_a_corner = recipe("pixel", steps=1, objective="position", at=[0, 0])
    engine.send(command(tmp_path / "out", units=(1,), layer="0", recipes=(at_a_corner,)))
    await until(engine, JobEnded)
    quality = read(tmp_path / "out" / "0-1-pixel-0.json").quality
    engine.send(Open((str(tmp_path / "out" / "0-1-pixel-0.png"), str(tmp_path / "out" / "0-1-pixel-0.png"))))
    await until(engine, Opened)
    engine.send(Read(1, 0, "0"))
    event = (await until(engine, Activations))[-1]
    assert isinstance(event, Activations)
    values = event.activations.numpy()[1]
    assert quality.maximum == pytest.approx(float(values.max()), abs=1e-4)
    assert quality.mean == pytest.approx(float(values.mean()), abs=1e-4)
    assert quality.highest and quality.strongest and quality.objective is not None
    assert quality.objective < quality.highest
    assert quality.ratio == pytest.approx(quality.highest / quality.strongest)


async def test_other_commands_are_answered_while_a_job_runs(engine: Engine, tmp_path: Path) -> None:
    engine.send(command(tmp_path / "out", steps=100_000))
    await until(engine, Stepped)
    engine.send(Read(1, 0, "0"))
    await until(engine, Activations)
    engine.send(Pause(7))
    assert isinstance((await until(engine, JobPaused))[-1], JobPaused)
    saved = next((tmp_path / "out").glob("*.checkpoint")).read_bytes()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until(engine, Stepped), 0.5)
    assert saved


async def test_a_paused_job_goes_on_and_a_cancelled_one_is_forgotten(engine: Engine, tmp_path: Path) -> None:
    engine.send(command(tmp_path / "out", steps=100_000))
    await until(engine, Stepped)
    assert len(unfinished(tmp_path)) == 1
    engine.send(Pause(7))
    await until(engine, JobPaused)
    engine.send(command(tmp_path / "next", job=8))
    assert (await until(engine, JobEnded))[-1] == JobEnded(8, "done")
    engine.send(Unpause(7))
    await until(engine, JobPaused)
    await until(engine, Stepped)
    engine.send(Cancel(7))
    assert (await until(engine, JobEnded))[-1] == JobEnded(7, "cancelled")
    assert not unfinished(tmp_path)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.timeout(300)
async def test_a_job_may_have_photographs_of_its_own(engine: Engine, tmp_path: Path) -> None:
    Image.new("RGB", (24, 32), (200, 30, 90)).save(tmp_path / "plain.png")
    for name, sources in (("open", ()), ("own", (str(tmp_path / "plain.png"),)), ("gone", ("gone.png",))):
        engine.send(command(tmp_path / name, units=(0,), sources=sources))
        if name != "gone":
            await until(engine, JobEnded)
    assert "gone.png" in await refusal(engine)
    one, other = (read(tmp_path / name / "0-0-pixel-0.json").quality for name in ("open", "own"))
    assert other.natural_variation == 0 < one.natural_variation
    assert one.strongest != other.strongest


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layer": "features"}, "no layer features"),
        ({"units": (6,)}, "no unit 6 in layer 0: choose from 0 to 5"),
        ({"units": ()}, "nothing to do"),
        ({"seeds": (1, 1)}, "made twice"),
        ({"recipes": (recipe("yosinski-1", at=[0, 99]),)}, r"position \[0, 99\] is outside"),
    ],
)
async def test_what_cannot_be_done_is_refused(engine: Engine, tmp_path: Path, wrong: Any, message: str) -> None:
    engine.send(command(tmp_path / "out", **wrong))
    assert re.search(message, await refusal(engine))
    assert not (tmp_path / "out").exists()


async def test_a_direction_several_units_and_a_wrong_vector(engine: Engine, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(6.0))
    np.save(tmp_path / "short.npy", np.arange(3.0))
    targets = (Target(vector=str(tmp_path / "v.npy")), Target.like("b.png"), Target(units=(1, 4)))
    engine.send(command(tmp_path / "out", targets=targets, steps=30))
    events = await until(engine, JobEnded)
    assert events[-1] == JobEnded(7, "done")
    finished = [event for event in events if isinstance(event, Finished)]
    assert [event.verdict for event in finished[:2]] == [Verdict.none] * 2
    for event in finished:
        objective = read(Path(event.sidecar)).record.objective
        assert objective[-1] > objective[0]  # type: ignore[operator]
    engine.send(command(tmp_path / "wrong", targets=(Target(vector=str(tmp_path / "short.npy")),)))
    refused = (await until(engine, Failed))[-1]
    assert isinstance(refused, Failed)
    assert "holds 3 numbers: the layer has 6 units" in refused.message


@pytest.mark.parametrize(("factory", "mode"), [("gray", "L"), ("five", "RGB")])
async def test_other_channels_and_oblong_inputs(tmp_path: Path, folder: Path, factory: str, mode: str) -> None:
    engine = await ready(tmp_path, folder, factory)
    recipes = tuple(recipe(name) for name in ("distill", "maco", "yosinski-3-free"))
    engine.send(command(tmp_path / "out", recipes=recipes))
    assert (await until(engine, JobEnded))[-1] == JobEnded(7, "done")
    await engine.close()
    with Image.open(tmp_path / "out" / "0-0-distill-0.png") as picture:
        assert (picture.size, picture.mode) == ((36, 20), mode)
    whole = tmp_path / "out" / "0-0-distill-0.npy"
    assert whole.exists() == (mode == "RGB")
    assert not whole.exists() or np.load(whole).shape == (20, 36, 5)


async def test_a_full_disk_ends_the_job_and_keeps_what_was_done(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    engine.send(command(out, batch=1, steps=150))
    await until(engine, Stepped)
    # What a full disk does to the first file, a folder in its place does, too.
    (out / "0-1-pixel-0.png").mkdir()
    ended = (await until(engine, JobEnded))[-1]
    assert isinstance(ended, JobEnded)
    assert ended.how == "failed"
    assert "cannot write" in ended.message
    assert read(out / "0-0-pixel-0.json").quality.rank >= 1
    assert len(unfinished(tmp_path)) == 1


async def test_what_is_no_number_and_what_has_no_gradient_is_a_verdict(tmp_path: Path, folder: Path) -> None:
    engine = await ready(tmp_path, folder, "broken")
    engine.send(command(tmp_path / "out", units=(0, 1, 2)))
    assert (await until(engine, JobEnded))[-1] == JobEnded(7, "done")
    await engine.close()
    fine, broken, dead = (read(tmp_path / "out" / f"0-{unit}-pixel-0.json") for unit in range(3))
    assert fine.record.verdict in (Verdict.success, Verdict.failure) and fine.quality.objective is not None
    assert broken.record.verdict is Verdict.not_a_number
    assert broken.quality.objective is None and broken.quality.strongest is None
    assert dead.record.verdict is Verdict.zero_gradient and len(dead.record.objective) == 1


async def test_too_little_memory_for_one_picture_ends_the_job_and_not_the_engine(tmp_path: Path, folder: Path) -> None:
    engine = await ready(tmp_path, folder, "greedy")
    engine.send(command(tmp_path / "out"))
    assert "too little memory for one picture" in await refusal(engine)
    engine.send(Read(1, 0, "0"))
    await until(engine, Activations)
    await engine.close()


def test_messages_survive_the_wire(tmp_path: Path) -> None:
    from tuivis.engine import protocol

    sent = command(tmp_path, recipes=tuple(BUILT_IN.values()))
    assert protocol.decode_command(protocol.encode(sent)[4:]) == sent
    assert msgspec.json.decode(msgspec.json.encode(sent), type=Optimise) == sent

"""Jobs that were cut off, and results that are there already: nothing is lost, done twice or mistaken."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.engine.optimise.running import NETWORK, command, pictures, ready, recipe, refusal, until
from tuivis.engine import models, taps
from tuivis.engine.client import Engine
from tuivis.engine.commands import Load, Open
from tuivis.engine.events import (
    Finished,
    JobEnded,
    Loaded,
    Opened,
    Stepped,
)
from tuivis.engine.optimise import files, job
from tuivis.engine.optimise.batch import Batch, Room
from tuivis.engine.optimise.manifest import Manifest, unfinished
from tuivis.engine.optimise.results import Target
from tuivis.engine.sources import open_pictures


async def test_kill_9_loses_nothing_and_does_nothing_twice(engine: Engine, tmp_path: Path, folder: Path) -> None:
    units, steps = tuple(range(4)), 300
    more: dict[str, Any] = {
        "batch": 2, "checkpoint_seconds": 0.0, "recipes": (recipe("distill", steps=steps),), "units": units
    }  # fmt: skip
    engine.send(command(tmp_path / "whole", **more))
    await until(engine, JobEnded)

    victim = await ready(tmp_path, folder)
    victim.send(command(tmp_path / "out", **more))
    await until(victim, Finished)
    # In the middle of the second pair.
    while not any(isinstance(event, Stepped) and event.step > 100 for event in await until(victim, Stepped)):
        pass
    os.kill(victim.pid, signal.SIGKILL)
    await victim.ending()
    (manifest,) = unfinished(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    assert before

    survivor = await ready(tmp_path, folder)
    survivor.send(manifest.optimise)
    events = await until(survivor, JobEnded)
    await survivor.close()
    first = next(event for event in events if isinstance(event, Stepped))
    assert first.step > 10
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")
    for path in (tmp_path / "whole").glob("*.json"):
        one, other = (json.loads((each / path.name).read_bytes()) for each in (tmp_path / "whole", tmp_path / "out"))
        assert one["record"] == other["record"]


def test_saving_takes_a_small_share_of_the_time_however_long_it_takes(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes one second of this clock and a checkpoint seven."""
    now, saved = [0.0], 0
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    step, write = Batch.step, files.write_checkpoint

    def slow_step(batch: Batch, room: Room) -> None:
        now[0] += 1
        step(batch, room)

    def slow_write(path: Path, content: dict[str, Any]) -> None:
        nonlocal saved
        now[0], saved = now[0] + 7, saved + 1
        write(path, content)

    monkeypatch.setattr(Batch, "step", slow_step)
    monkeypatch.setattr(files, "write_checkpoint", slow_write)
    load, sources = Load(f"{folder / 'net.py'}:make", device="cpu"), (str(folder / "a.png"),)
    model = models.load(load.model, None, "cpu", 0, lambda *_: None)
    layers = taps.discover(model.module, torch.zeros(1, *model.input_shape))
    optimise = command(tmp_path / "out", recipes=(recipe("pixel", steps=400),))
    for _ in job.Job(Manifest(load, sources, optimise), model, layers, open_pictures(sources)).run():
        pass
    assert 4 <= saved <= 7


async def test_an_engine_whose_commands_end_saves_its_last_step(engine: Engine, tmp_path: Path, folder: Path) -> None:
    more: dict[str, Any] = {"checkpoint_seconds": 1e6, "recipes": (recipe("pixel", steps=3000),)}
    engine.send(command(tmp_path / "out", **more))
    step = 0
    while step < 20:
        event = (await until(engine, Stepped))[-1]
        assert isinstance(event, Stepped)
        step = event.step
    assert not list((tmp_path / "out").glob("*.checkpoint"))
    await engine.close()
    assert len(list((tmp_path / "out").glob("*.checkpoint"))) == 1

    survivor = await ready(tmp_path, folder)
    survivor.send(unfinished(tmp_path)[0].optimise)
    first = (await until(survivor, Stepped))[-1]
    await survivor.close()
    assert isinstance(first, Stepped) and first.step > step


async def test_existing_results_are_refused_before_the_work_or_made_anew(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    engine.send(command(out, units=(0,)))
    await until(engine, JobEnded)
    (out / "0-0-pixel-0.png").write_bytes(b"mine")
    engine.send(command(out))
    assert "--overwrite" in await refusal(engine)
    assert pictures(out) == {"0-0-pixel-0.png": b"mine"}
    engine.send(command(out, existing="resume"))
    events = await until(engine, JobEnded)
    assert [event.run for event in events if isinstance(event, Finished)] == [1]
    assert pictures(out)["0-0-pixel-0.png"] == b"mine"
    engine.send(command(out, existing="overwrite"))
    await until(engine, JobEnded)
    assert pictures(out)["0-0-pixel-0.png"].startswith(b"\x89PNG")


async def test_resuming_makes_the_films_that_are_missing(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    engine.send(command(out))
    await until(engine, JobEnded)
    before = pictures(out)
    for expected in ([0, 1], []):
        engine.send(command(out, existing="resume", film=True))
        events = await until(engine, JobEnded)
        assert [event.run for event in events if isinstance(event, Finished)] == expected
    assert {path.stem for path in out.glob("*.mp4")} == {"0-0-pixel-0", "0-1-pixel-0"}
    assert pictures(out) == before


async def test_resuming_takes_no_picture_that_was_made_otherwise(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    engine.send(command(out, units=(0,)))
    await until(engine, JobEnded)
    for changed_recipe in (recipe(steps=6), recipe(minimise=True)):
        engine.send(command(out, existing="resume", recipes=(changed_recipe,)))
        assert "0-0-pixel-0.png was made with other parameters" in await refusal(engine)
    net = tmp_path / "other.py"
    net.write_text(NETWORK.replace("manual_seed(0)", "manual_seed(1)"))
    engine.send(Load(f"{net}:make", device="cpu"))
    await until(engine, Loaded)
    engine.send(Open((str(tmp_path / "out" / "0-0-pixel-0.png"),)))
    await until(engine, Opened)
    engine.send(command(out, existing="resume"))
    assert "0-0-pixel-0.png was made with another network or other weights" in await refusal(engine)


async def test_resuming_puts_in_the_diversity_that_was_left_out(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    more: dict[str, Any] = {"seeds": (0, 1, 2)}
    engine.send(command(out, **more))
    await until(engine, JobEnded)
    whole = {path: path.read_bytes() for path in sorted(out.glob("*.json"))}
    assert len(whole) == 6 and all(json.loads(content)["quality"]["diversity"] > 0 for content in whole.values())
    # A kill before the first of unit 0's sidecars had it, and one after the second of unit 1's.
    for stem in ("0-0-pixel-0", "0-0-pixel-1", "0-0-pixel-2", "0-1-pixel-2"):
        content = json.loads((out / f"{stem}.json").read_bytes())
        content["quality"]["diversity"] = None
        (out / f"{stem}.json").write_text(json.dumps(content))
    engine.send(command(out, existing="resume", **more))
    assert not any(isinstance(event, Finished) for event in await until(engine, JobEnded))
    assert {path: path.read_bytes() for path in sorted(out.glob("*.json"))} == whole


async def test_resuming_takes_no_picture_of_a_network_whose_code_has_changed(tmp_path: Path) -> None:
    net, out = tmp_path / "net.py", tmp_path / "out"
    net.write_text(NETWORK)
    Image.new("RGB", (24, 32), (200, 30, 90)).save(tmp_path / "a.png")
    Image.new("RGB", (24, 32), (20, 130, 90)).save(tmp_path / "b.png")
    long: dict[str, Any] = {"recipes": (recipe("maco", steps=3000),), "units": (1,), "checkpoint_seconds": 0.0}
    engine = await ready(tmp_path, tmp_path)
    engine.send(command(out, units=(0,)))
    await until(engine, JobEnded)
    engine.send(command(out, **long))
    while not list(out.glob("*.checkpoint")):
        await until(engine, Stepped)
    await engine.close()
    net.write_text(NETWORK.replace("nn.ReLU(True)", "nn.LeakyReLU(.1, True)"))
    changed = await ready(tmp_path, tmp_path)
    changed.send(command(out, existing="resume", units=(0,)))
    assert "0-0-pixel-0.png was made with other code in the network's file" in await refusal(changed)
    changed.send(command(out, existing="resume", **long))
    first = (await until(changed, Stepped))[-1]
    await changed.close()
    assert isinstance(first, Stepped) and first.step == 1


async def test_another_picture_of_the_same_name_gives_no_direction_and_none_is_guessed(
    engine: Engine, tmp_path: Path, folder: Path
) -> None:
    out = tmp_path / "out"
    towards: dict[str, Any] = {"targets": (Target.like("b.png"),)}
    engine.send(command(out, **towards))
    await until(engine, JobEnded)
    Image.new("RGB", (24, 32), (200, 30, 90)).save(tmp_path / "b.png")
    other = str(tmp_path / "b.png")
    engine.send(command(out, existing="resume", sources=(other,), **towards))
    assert "0-like_b-pixel-0.png was made with another picture of that name" in await refusal(engine)
    engine.send(command(out, existing="resume", sources=(str(folder / "a.png"), str(folder / "b.png")), **towards))
    assert (await until(engine, JobEnded))[-1] == JobEnded(7, "done")
    engine.send(command(tmp_path / "new", sources=(other, str(folder / "b.png")), **towards))
    assert "several pictures are called b.png among the inputs" in await refusal(engine)
    engine.send(command(tmp_path / "new", sources=(str(folder / "a.png"),), **towards))
    assert "no picture is called b.png among the inputs" in await refusal(engine)


async def test_what_is_half_done_is_neither_begun_anew_nor_resumed_with_other_photographs(
    engine: Engine, tmp_path: Path, folder: Path
) -> None:
    out = tmp_path / "out"
    long: dict[str, Any] = {"recipes": (recipe("maco", steps=3000),), "units": (0,), "checkpoint_seconds": 0.0}
    engine.send(command(out, **long))
    while not list(out.glob("*.checkpoint")):
        await until(engine, Stepped)
    await engine.close()
    again = await ready(tmp_path, folder)
    again.send(command(out, **long))
    assert "0-0-maco-0 half done: --resume goes on with it" in await refusal(again)
    Image.new("RGB", (24, 32), (200, 30, 90)).save(tmp_path / "plain.png")
    again.send(command(out, existing="resume", sources=(str(tmp_path / "plain.png"),), **long))
    first = (await until(again, Stepped))[-1]
    await again.close()
    assert isinstance(first, Stepped) and first.step == 1

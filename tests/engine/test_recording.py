from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.films import decoded
from tuivis.engine import protocol
from tuivis.engine.client import Engine
from tuivis.engine.commands import Append, EndRecording, Hello, Record
from tuivis.engine.events import Failed, Recorded
from tuivis.engine.protocol import Command, Event
from tuivis.engine.recording import Recorder
from tuivis.engine.values import Array
from tuivis.errors import UserError

SIZE = (64, 48)
CODEC = 6
"""Levels that the codec may be off in a flat picture."""


def flat(*colour: int) -> Array:
    return Array.of(np.full((SIZE[1], SIZE[0], 3), colour, np.uint8))


def noise(seed: int, size: tuple[int, int] = (640, 480)) -> Array:
    return Array.of(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))


def colours(path: Path) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in np.rint(frame.mean((0, 1)))) for frame in decoded(path)[0]]


def record(path: Path, rate: float = 25.0, size: tuple[int, int] = SIZE, **more: Any) -> Record:
    return Record(str(path), *size, rate, **more)


def close_to(found: tuple[int, ...], meant: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= CODEC for a, b in zip(found, meant, strict=True))


def test_every_picture_of_a_steady_film_is_one_frame_of_it(tmp_path: Path) -> None:
    recorder, path = Recorder(), tmp_path / "film.mp4"
    meant = [(10 * n, 200 - 10 * n, 60) for n in range(12)]
    recorder.obey(record(path, 29.97))
    for number, colour in enumerate(meant):
        recorder.obey(Append(flat(*colour), number / 29.97))
    ended = recorder.obey(EndRecording(len(meant) / 29.97))
    frames, rate = decoded(path)
    assert rate == pytest.approx(29.97)
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    assert all(close_to(a, b) for a, b in zip(colours(path), meant, strict=True))
    assert (ended.frames, ended.bytes, ended.path, ended.dropped) == (12, path.stat().st_size, str(path), 0)
    assert ended.seconds == pytest.approx(12 / 29.97)


def test_pictures_at_any_times_become_a_film_in_real_time(tmp_path: Path) -> None:
    recorder, path = Recorder(), tmp_path / "film.mp4"
    red, green, blue = (200, 20, 20), (20, 200, 20), (20, 20, 200)
    recorder.obey(record(path))
    recorder.obey(Append(flat(*red), 0.0))
    recorder.obey(Append(flat(*green), 0.4))
    recorder.obey(Append(None, 0.6))
    # Within one frame's time: the later one is seen.
    recorder.obey(Append(flat(*red), 0.8))
    recorder.obey(Append(flat(*blue), 0.81))
    assert recorder.obey(EndRecording(1.0)).dropped == 1
    meant = [red] * 10 + [green] * 10 + [blue] * 5
    assert all(close_to(a, b) for a, b in zip(colours(path), meant, strict=True))


def test_a_film_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    recorder, path = Recorder(), tmp_path / "film.mp4"
    recorder.obey(record(path))
    recorder.obey(Append(flat(1, 2, 3), 0.0))
    assert not path.exists()
    recorder.obey(EndRecording(0.0))
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]
    assert len(decoded(path)[0]) == 1


@pytest.mark.parametrize(("replace", "there"), [(True, "film.mp4"), (False, "film-2.mp4")])
def test_a_file_that_has_the_name_in_the_end_is_replaced_only_if_meant(
    tmp_path: Path, replace: bool, there: str
) -> None:
    recorder, path = Recorder(), tmp_path / "film.mp4"
    recorder.obey(record(path, replace=replace))
    path.write_bytes(b"mine")
    recorder.obey(Append(flat(1, 2, 3), 0.0))
    ended = recorder.obey(EndRecording(0.2))
    assert ended.path == str(tmp_path / there)
    assert len(decoded(tmp_path / there)[0]) == 5
    assert path.read_bytes().startswith(b"mine") != replace


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*nowhere/film\.mp4: no such file or directory"):
        Recorder().obey(record(tmp_path / "nowhere" / "film.mp4"))


def test_a_film_without_a_picture_leaves_nothing(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.obey(record(tmp_path / "film.mp4"))
    with pytest.raises(UserError, match="no picture came"):
        recorder.obey(EndRecording(1.0))
    assert not list(tmp_path.iterdir())


@pytest.fixture
async def encoder(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = await Engine.start(tmp_path / "encoder.log")
    yield engine
    await engine.close()


async def answer(engine: Engine, command: Command) -> Event:
    engine.send(command)
    return await anext(engine.events())


async def test_the_encoder_needs_no_torch(encoder: Engine, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    await answer(encoder, record(path))
    await answer(encoder, Append(flat(1, 2, 3), 0.0))
    maps = Path(f"/proc/{encoder.pid}/maps").read_text()
    assert "cv2" in maps
    assert "torch" not in maps
    ended = await answer(encoder, EndRecording(0.2))
    assert isinstance(ended, Recorded)
    assert (ended.frames, ended.path) == (5, str(path))
    failed = await answer(encoder, EndRecording(0.2))
    assert failed == Failed("nothing is being recorded", "EndRecording")


def talk(commands: Sequence[Command], largest: int | None = None) -> list[Event]:
    """Return an encoder's answers, a command at a time; its files may have `largest` bytes."""
    with subprocess.Popen(
        [sys.executable, "-m", "tuivis.engine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if largest is not None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, largest))
        events = []
        for command in (Hello(protocol.VERSION, "test"), *commands):
            process.stdin.write(protocol.encode(command))
            process.stdin.flush()
            size = int.from_bytes(process.stdout.read(4), "little")
            events.append(protocol.decode_event(process.stdout.read(size)))
        process.stdin.close()
        assert process.wait(60) == 0
    return events[1:]


def test_a_film_whose_ui_is_gone_is_kept(tmp_path: Path) -> None:
    talk([record(tmp_path / "film.mp4"), Append(flat(1, 2, 3), 0.0), Append(None, 0.4)])
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]
    assert len(decoded(tmp_path / "film.mp4")[0]) >= 10


def test_a_full_disk_ends_the_film_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    pictures = [Append(noise(number), number / 25) for number in range(20)]
    events = talk([record(path, size=(640, 480)), *pictures, EndRecording(0.8)], largest=300_000)
    failures = [event for event in events if isinstance(event, Failed)]
    assert failures[0].message == f"cannot write {path}: no room is left for it: make some, or write elsewhere"
    assert {each.message for each in failures[1:]} <= {"nothing is being recorded"}
    assert not list(tmp_path.iterdir())


def test_commands_and_events_survive_the_wire() -> None:
    commands: list[Command] = [Record("a.mp4", 64, 48, 29.97, True), Append(flat(1, 2, 3), 0.5), EndRecording(1.0)]
    for command in commands:
        assert protocol.decode_command(protocol.encode(command)[4:]) == command
    recorded = Recorded(3, 1000, 0.1, "a.mp4")
    assert protocol.decode_event(protocol.encode(recorded)[4:]) == recorded
    with pytest.raises(msgspec.DecodeError):
        protocol.decode_command(protocol.encode(recorded)[4:])

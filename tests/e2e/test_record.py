"""`tuivis record`: every frame of a video goes through the network once and is in the film."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.clips import ffmpeg, needs_ffmpeg
from tests.e2e.terminal import TUIVIS, Terminal, tree
from tests.e2e.test_cli import error_of, tuivis
from tests.films import CODEC, GRAYS, NETWORK, decoded, middle_bands, write_bands
from tuivis import record
from tuivis.config import Settings
from tuivis.errors import UserError
from tuivis.render.film import MOSAIC, Stage

STAGE = Stage.around(MOSAIC)
RECORD = ["record", "net.py:red", "--device", "cpu", "--layer", "0"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to stand in, with a network and a video."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NETWORK)
    write_bands(Path("bands.mp4"))
    Image.new("RGB", (30, 30)).save("still.png")
    return tmp_path


def made(folder: Path) -> set[str]:
    """Return what is in the folder beside the network, its bytecode and the inputs."""
    return {each.name for each in folder.iterdir()} - {"net.py", "__pycache__", "bands.mp4", "still.png"}


@pytest.mark.parametrize("unit", [[], ["--unit", "0"]], ids=["mosaic", "unit"])
def test_each_frame_is_recorded_once_with_its_mosaic(folder: Path, unit: list[str]) -> None:
    write_bands(Path("bands.mp4"), rate=29.97)
    result = tuivis(*RECORD, "--input", "still.png", "--input", "bands.mp4", "-o", "film.mp4", "--json", *unit)
    assert result.returncode == 0, result.stderr
    frames, rate = decoded(Path("film.mp4"))
    assert rate == pytest.approx(29.97)
    bands = [middle_bands(frame, STAGE) for frame in frames]
    np.testing.assert_allclose([gray for gray, _ in bands], GRAYS, atol=CODEC)
    np.testing.assert_allclose([level for _, level in bands], GRAYS, atol=CODEC)
    expected = {
        "file": "film.mp4",
        "source": "bands.mp4",
        "model": "net.py:red",
        "layer": "0",
        "unit": 0 if unit else None,
        "width": STAGE.width,
        "height": STAGE.height,
        "rate": rate,
        "frames": len(GRAYS),
        "bytes": Path("film.mp4").stat().st_size,
        "complete": True,
    }
    report = json.loads(result.stdout)
    assert {name: report[name] for name in expected} == expected
    assert frames[0].shape == (STAGE.height, STAGE.width, 3)
    assert made(folder) == {"film.mp4"}


def test_a_part_of_a_video_is_recorded_and_said_in_words() -> None:
    result = tuivis(*RECORD, "--input", "bands.mp4", "-o", "film.mp4", "--seconds", "0.3")
    assert result.returncode == 0, result.stderr
    assert len(decoded(Path("film.mp4"))[0]) == 3
    assert "film       3 frames, 0:00 · " in result.stdout
    assert "written    film.mp4\n" in result.stdout


@needs_ffmpeg
def test_a_video_whose_frames_last_differently_keeps_its_timing() -> None:
    later = r"setpts=PTS+if(gte(N\,3)\,1/TB\,0)"
    ffmpeg("-i", "bands.mp4", "-vf", later, "-fps_mode", "vfr", "-c:v", "mpeg4", "-q:v", "2", "pause.mkv")
    result = tuivis(*RECORD, "--input", "pause.mkv", "-o", "film.mp4")
    assert result.returncode == 0, result.stderr
    frames, rate = decoded(Path("film.mp4"))
    shown = [min(GRAYS, key=lambda gray: abs(gray - middle_bands(frame, STAGE)[0])) for frame in frames]
    seconds = [shown.count(gray) / rate for gray in GRAYS]
    np.testing.assert_allclose(seconds[:-1], [0.1, 0.1, 1.1, 0.1, 0.1], atol=1 / rate)


@needs_ffmpeg
def test_frames_that_are_close_to_each_other_are_all_in_the_film() -> None:
    times = "settb=1/1000,setpts=(N*0.03+gte(N\\,4)*0.9+gte(N\\,5)*0.9)/TB"
    ffmpeg("-i", "bands.mp4", "-vf", times, "-fps_mode", "vfr", "-enc_time_base", "1/1000", "-q:v", "2", "burst.mp4")
    result = tuivis(*RECORD, "--input", "burst.mp4", "-o", "film.mp4", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["dropped"] == 0
    frames, rate = decoded(Path("film.mp4"))
    shown = [min(GRAYS, key=lambda gray: abs(gray - middle_bands(frame, STAGE)[0])) for frame in frames]
    seconds = [shown.index(gray) / rate for gray in GRAYS]
    np.testing.assert_allclose(seconds, [0, 0.03, 0.06, 0.09, 1.02, 1.95], atol=0.5 / rate + 0.001)
    assert shown == sorted(shown)


@pytest.mark.parametrize("source", ["bands.mp4", ".", "list.txt"])
def test_a_video_is_not_replaced_by_its_own_film(folder: Path, source: str) -> None:
    before = Path("bands.mp4").read_bytes()
    Path("still.png").unlink()
    Path("list.txt").write_text("bands.mp4\n")
    words = "cannot write bands.mp4: it is a source of the film; name another file"
    assert words in error_of(*RECORD, "--input", source, "-o", "bands.mp4")
    assert Path("bands.mp4").read_bytes() == before
    assert made(folder) == {"list.txt"}


class Cast(BaseHTTPRequestHandler):
    """Sends a gray picture again and again, as motion JPEG."""

    def do_GET(self) -> None:
        _, data = cv2.imencode(".jpg", np.full((224, 224, 3), 140, np.uint8))
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            while True:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data.tobytes() + b"\r\n")
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Let a web server answer; give its URL."""
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_stream_is_recorded_in_real_time_for_so_many_seconds() -> None:
    with serving(Cast) as url:
        result = tuivis(*RECORD, "--input", url, "-o", "film.mp4", "--seconds", "2", "--json")
    assert result.returncode == 0, result.stderr
    frames, rate = decoded(Path("film.mp4"))
    assert (rate, len(frames)) == (25, 50)
    assert middle_bands(frames[-1], STAGE)[0] == pytest.approx(140, abs=CODEC)
    assert json.loads(result.stdout)["dropped"] >= 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "bands.mp4", "-o", "film.avi"], "give it a name that ends in .mp4"),
        (["--input", "bands.mp4", "-o", "nowhere/film.mp4"], "no folder nowhere: make it first"),
        (["--input", "still.png", "-o", "film.mp4"], "still.png does not move: give a video"),
        (["--input", "cam:0", "-o", "film.mp4"], "has no end: say how long with --seconds S"),
        (["--input", "bands.mp4", "-o", "film.mp4", "--unit", "3"], "there is no unit 3 in layer 0"),
        (["--input", "bands.mp4", "-o", "film.mp4", "--layer", "00"], "no layer 00: did you mean 0?"),
        (["--input", "bands.mp4", "-o", "film.mp4", "--seconds", "0"], "--seconds"),
        (["--input", "damaged.mp4", "-o", "film.mp4"], "damaged.mp4 is no video that can be read"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(folder: Path, arguments: list[str], words: str) -> None:
    Path("damaged.mp4").write_bytes(b"no video")
    assert words in error_of(*RECORD, *arguments)
    assert made(folder) == {"damaged.mp4"}


class Missing(Cast):
    """Knows no such page."""

    def do_GET(self) -> None:
        self.send_error(404)


def test_a_server_that_refuses_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "PATIENCE", float("inf"))
    with serving(Missing) as url, pytest.raises(UserError) as caught:
        settings = Settings(model="net.py:red", device="cpu", layer="0", input=(url,))
        record.record(record.Request(settings, Path("film.mp4"), seconds=1.0))
    assert str(caught.value) == f"no frame comes from {url}: it answers 404 Not Found"
    assert not Path("film.mp4").exists()


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


WAITING = "note: waiting for {url}: nobody listens there: trying again every "


def start_recording(url: str) -> subprocess.Popen[str]:
    """Record a second of a stream, and return once it is waited for."""
    command = [sys.executable, "-m", "tuivis", *RECORD, "--input", url, "-o", "film.mp4", "--seconds", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith(WAITING.format(url=url))
    assert line.endswith("; ctrl+c ends it\n")
    return process


def test_a_stream_that_may_still_come_is_waited_for() -> None:
    port = free_port()
    with start_recording(f"http://127.0.0.1:{port}/") as process, serving(Cast, port):
        out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "written    film.mp4\n" in out
    assert len(decoded(Path("film.mp4"))[0]) == 25


def test_ctrl_c_ends_the_wait_for_a_stream(folder: Path) -> None:
    with start_recording(f"http://127.0.0.1:{free_port()}/") as process:
        process.send_signal(signal.SIGINT)
        assert "".join(process.communicate(timeout=60)).strip() == ""
    assert process.returncode == 130
    assert made(folder) == set()


def test_why_a_server_gives_no_frame_is_said_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "PATIENCE", 1.0)
    with serving(BaseHTTPRequestHandler) as url:
        settings = Settings(model="net.py:red", device="cpu", layer="0", input=(url,))
        with pytest.raises(UserError) as caught:
            record.record(record.Request(settings, Path("film.mp4"), seconds=1.0))
        assert str(caught.value).startswith(f"no frame comes from {url}: it answers 501 Unsupported method")
    assert not Path("film.mp4").exists()


def test_a_full_disk_is_one_line_and_leaves_what_was_there(folder: Path) -> None:
    Path("film.mp4").write_bytes(b"before")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    more: dict[str, Any] = {"preexec_fn": limit}
    arguments = ["--input", "bands.mp4", "-o", "film.mp4"]
    assert "film.mp4: no room is left for it" in error_of(*RECORD, *arguments, **more)
    assert Path("film.mp4").read_bytes() == b"before"
    assert made(folder) == {"film.mp4"}


def test_ctrl_c_keeps_what_is_there(folder: Path) -> None:
    grays = GRAYS * 500
    write_bands(Path("bands.mp4"), grays)
    command = [sys.executable, "-m", "tuivis", *RECORD, "--input", "bands.mp4", "-o", "film.mp4", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        until = time.monotonic() + 60
        while not any(each.stat().st_size > 100_000 for each in folder.glob(".film-*.mp4")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    report = json.loads(out)
    assert not report["complete"]
    frames, _ = decoded(Path("film.mp4"))
    assert 0 < report["frames"] == len(frames) < len(grays)
    assert made(folder) == {"film.mp4"}


def test_a_terminal_shows_how_far_it_is_and_its_ctrl_c_ends_it() -> None:
    write_bands(Path("bands.mp4"), GRAYS * 500)
    with Terminal([sys.executable, "-m", "tuivis", *RECORD, "--input", "bands.mp4", "-o", "film.mp4"]) as terminal:
        terminal.until(lambda: terminal.find(r"^\d:\d\d · \d+\.\d MB .*[1-9]\d*/3000 ") is not None)
        terminal.type("\x03")
        assert terminal.drain() == 130
        assert terminal.find(r"^written +film\.mp4, up to where it was stopped *$"), "\n".join(terminal.screen.lines())
        assert not terminal.find(r"/3000 ")
    assert 0 < len(decoded(Path("film.mp4"))[0]) < 3000


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_recording_is_whole_however_the_explorer_ends(folder: Path, number: signal.Signals) -> None:
    # The video plays: the terminal is never quiet.
    with Terminal([*TUIVIS, "net.py:red", "--device", "cpu", "--layer", "0", "--input", "bands.mp4"]) as terminal:
        watch(terminal, lambda: terminal.find(r"\d kB") is not None)
        terminal.type("R")
        watch(terminal, lambda: terminal.find(r"● 0:0[1-9] · \d+\.\d MB · ") is not None)
        assert made(folder) == {f".net.py_red-0-bands-{encoder_of(terminal)}.mp4"}
        os.kill(terminal.process.pid, number)
        watch(terminal, lambda: made(folder) == {"net.py_red-0-bands.mp4"})
    assert len(decoded(Path("net.py_red-0-bands.mp4"))[0]) >= 25


def watch(terminal: Terminal, condition: Callable[[], bool]) -> None:
    """Take in what comes until `condition` holds."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "\n".join(terminal.screen.lines())
        terminal.listen(0.05)


def encoder_of(terminal: Terminal) -> int:
    """Return the engine that has no torch."""
    pids = tree(terminal.process.pid)
    engines = [pid for pid in pids if b"tuivis.engine" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    (encoder,) = (pid for pid in engines if "torch" not in Path(f"/proc/{pid}/maps").read_text())
    return encoder

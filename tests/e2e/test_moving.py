"""One-shot commands on videos and streams: a frame is looked at as the picture that it is, or one line says why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import write_clip
from tests.e2e.test_cli import error_of, tuivis
from tests.e2e.test_optimise import NETWORK
from tuivis.engine.decoder import first_frame

NOWHERE = "http://user:secret@127.0.0.1:1/"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to stand in, with a video, and its first frame as a picture."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("net.py").write_text(NETWORK)
    clip = write_clip(Path("clip.mp4"), range(90, 100))
    Image.fromarray(first_frame(clip)).save("first.png")
    return tmp_path / "work"


def test_a_snapshot_of_a_video_is_one_of_its_first_frame(folder: Path) -> None:
    for source in ("clip.mp4", "first.png"):
        files = ["-o", f"{source}.out.png", "--npz", f"{source}.npz"]
        result = tuivis("snapshot", "net.py:make", "--input", source, "--layer", "0", *files, "--json")
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout)
        assert (report["picture"], report["pictures"]) == (source, 1)
    of_video, of_picture = np.load("clip.mp4.npz"), np.load("first.png.npz")
    for name in ("input", "activations"):
        assert np.array_equal(of_video[name], of_picture[name])


def test_without_a_terminal_a_video_is_looked_at_once(folder: Path) -> None:
    result = tuivis("net.py:make", "--input", "clip.mp4", "--layer", "0")
    assert result.returncode == 0, result.stderr
    assert Path("net.py_make-0-clip.png").is_file()


def test_units_are_ranked_on_the_first_frame_of_a_video(folder: Path) -> None:
    ranked = []
    for source in ("clip.mp4", "first.png"):
        result = tuivis("rank", "net.py:make", "--input", source, "--layer", "0", "--json")
        assert result.returncode == 0, result.stderr
        ranked.append(json.loads(result.stdout)["units"])
    assert ranked[0] == ranked[1]
    assert len(ranked[0]) == 8


def test_pictures_are_measured_against_the_first_frame_of_a_video_and_made_like_it(folder: Path) -> None:
    found = []
    for source in ("clip.mp4", "first.png"):
        what = ["--layer", "0", "--units", "2", "--towards", source, "--set", "steps=4", "-o", f"{source}.out"]
        inputs = ["--input", source, "--input", NOWHERE]
        result = tuivis("optimise", "net.py:make", *inputs, *what, "--device", "cpu", "--json")
        assert result.returncode == 0, result.stderr
        assert "secret" not in result.stdout + result.stderr
        found.append(json.loads(result.stdout))
    assert len(found[0]) == 2
    assert [each["record"]["objective"] for each in found[0]] == [each["record"]["objective"] for each in found[1]]


@pytest.mark.parametrize(
    ("command", "source", "words"),
    [
        ("snapshot", "broken.mp4", "broken.mp4 is no video that can be read, or has no frames"),
        ("rank", NOWHERE, "no frame comes from http://127.0.0.1:1/"),
    ],
)
def test_what_gives_no_frame_is_one_line(folder: Path, command: str, source: str, words: str) -> None:
    Path("broken.mp4").write_bytes(b"no video" * 100)
    output = ["-o", "x.png"] if command == "snapshot" else []
    line = error_of(command, "net.py:make", "--input", source, "--layer", "0", *output)
    assert words in line
    assert "secret" not in line
    assert not Path("x.png").exists()

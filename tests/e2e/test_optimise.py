"""`tuivis optimise`, `search` and `recipes` as programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.model import TRUE_COLOUR
from tests.e2e.terminal import TUIVIS, Terminal
from tests.e2e.test_cli import error_of, tuivis

NETWORK = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    net.input_size = (3, 32, 24)
    net.labels = ("tabby cat", "dog", "cow", "hen")
    return net
"""
COMMON = ("--input", "a.png", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NETWORK)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save("a.png")
    return tmp_path


def test_pictures_sidecars_squares_and_sheets(folder: Path) -> None:
    what = ["--classes", "dog,tabby cat", "--units", "3", "--seeds", "2"]
    arguments = [*what, "--set", "steps=4", "-o", "out", "--json", "--video"]
    result = tuivis("optimise", "net.py:make", *COMMON, *arguments)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert [each["label"] for each in found] == ["tabby cat"] * 2 + ["dog"] * 2 + ["hen"] * 2
    assert all(len(each["record"]["objective"]) == 4 for each in found)
    names = {path.name for path in Path("out").iterdir()}
    pictures = {f"output-{unit}-distill-{seed}" for unit in (0, 1, 3) for seed in (0, 1)}
    squares = {f"output-{unit}-distill-seeds.png" for unit in (0, 1, 3)}
    assert names == {f"{name}.{kind}" for name in pictures for kind in ("png", "json", "mp4")} | squares | {
        "output-distill-sheet.png"
    }
    again = error_of("optimize", "net.py:make", *COMMON, *arguments)
    assert "--resume" in again
    assert "--overwrite" in again


def test_classes_without_names_go_by_number(folder: Path) -> None:
    Path("net.py").write_text(NETWORK.replace("net.labels", "unnamed"))
    arguments = ("--set", "steps=2", "-o", "out", "--json")
    result = tuivis("optimise", "net.py:make", *COMMON, "--classes", "3,0", *arguments)
    assert result.returncode == 0, result.stderr
    assert [each["run"]["target"]["units"] for each in json.loads(result.stdout)] == [[0], [3]]
    for name in ("4", "hen"):
        message = error_of("optimise", "net.py:make", *COMMON, "--classes", name, *arguments)
        assert message == f"no class {name}: choose from 0 to 3"


def test_a_class_may_have_a_comma_in_its_name(folder: Path) -> None:
    Path("net.py").write_text(NETWORK.replace('"dog"', '"dog, hound"'))
    arguments = ("--classes", "Dog, hound", "--set", "steps=2", "-o", "out", "--json")
    result = tuivis("optimise", "net.py:make", *COMMON, *arguments)
    assert result.returncode == 0, result.stderr
    assert [each["label"] for each in json.loads(result.stdout)] == ["dog, hound"]


def test_all_recipes_are_compared_in_a_table_and_on_a_sheet(folder: Path) -> None:
    arguments = ["--layer", "0", "--units", "5", "--recipe", "all", "--set", "steps=3", "-o", "out"]
    result = tuivis("optimise", "net.py:make", *COMMON, *arguments)
    assert result.returncode == 0, result.stderr
    made, compared = result.stdout.split("\n\n")
    names = [f"yosinski-{n}-free" for n in (1, 2, 3, 4)] + ["distill", "maco", "pixel"]
    assert [line.split()[0] for line in compared.splitlines()[1:]] == names
    assert [line.split()[0] for line in made.splitlines()[1:]] == [f"0-5-{n.replace('-', '_')}-0" for n in names]
    for each in names:
        record = json.loads(Path("out", f"0-5-{each.replace('-', '_')}-0.json").read_text())
        assert (record["run"]["recipe"], len(record["record"]["objective"])) == (each, 3)
    with Image.open("out/0-5-recipes.png") as sheet:
        # Four columns of 24 x 32 pixels.
        assert sheet.width > 4 * 24 and sheet.height > 2 * 32


def test_towards_a_picture_and_towards_a_vector(folder: Path) -> None:
    np.save("v.npy", np.arange(8, dtype=np.float32))
    arguments = ["--layer", "0", "--towards", "a.png", "--towards", "v.npy", "--set", "steps=20", "-o", "out"]
    result = tuivis("optimise", "net.py:make", *COMMON, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    found = {each["run"]["target"]["name"]: each for each in json.loads(result.stdout)}
    assert found.keys() == {"like a", "v"}
    for name, each in found.items():
        assert each["record"]["objective"][-1] > each["record"]["objective"][0]
        assert each["quality"]["rank"] == 0 and each["quality"]["maximum"] is None
        assert Path("out", f"0-{name.replace(' ', '_')}-distill-0.png").exists()


def test_what_a_unit_likes_least_lies_beside_what_it_likes_most(folder: Path) -> None:
    arguments = ("--layer", "0", "--units", "5", "--recipe", "pixel", "--set", "steps=20", "-o", "out", "--json")
    most, least = (
        json.loads(tuivis("optimise", "net.py:make", *COMMON, *arguments, *more).stdout)[0]
        for more in ((), ("--minimise",))
    )
    assert (most["picture"], least["picture"]) == ("0-5-pixel-0.png", "0-5-pixel_least-0.png")
    assert least["parameters"]["minimise"] and not most["parameters"]["minimise"]
    start = most["record"]["objective"][0]
    assert least["record"]["objective"][0] == start
    assert least["quality"]["objective"] < start - 0.1 < start + 0.1 < most["quality"]["objective"]
    assert least["quality"]["ratio"] > 1


def test_show_prints_the_pictures_and_the_table_fits_the_terminal(folder: Path) -> None:
    arguments = ("--classes", "dog,hen", "--set", "steps=3", "-o", "out", "--show")
    with Terminal((*TUIVIS, "optimise", "net.py:make", *COMMON, *arguments), TRUE_COLOUR, size=(80, 50)) as terminal:
        assert terminal.drain() == 0
        lines = [line.rstrip() for line in terminal.screen.lines()]
        assert lines[0].split()[:3] == ["picture", "label", "verdict"]
        assert [line.split()[1] for line in lines[1:3]] == ["dog", "hen"]
        assert "--json all" in lines[3]
        row = lines.index("out/output-distill-sheet.png")
        assert any("▀" in line for line in lines[row + 1 :])
        assert terminal.screen.is_restored


def test_an_engine_killed_amid_a_hundred_pictures_goes_on_and_makes_none_twice(folder: Path) -> None:
    arguments = [
        "--units",
        "all",
        "--layer",
        "1",
        "--seeds",
        "13",
        "--recipe",
        "pixel",
        "--set",
        "steps=60",
        "-o",
        "out",
    ]
    command = [sys.executable, "-m", "tuivis", "optimise", "net.py:make", *COMMON, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 60
        while len(list(Path("out").glob("*.json"))) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        (engine,) = children(running.pid)
        os.kill(engine, signal.SIGKILL)
        made = {path.with_suffix(".png") for path in Path("out").glob("1-*.json")}
        before = {path: path.stat().st_mtime_ns for path in made}
        _, errors = running.communicate(timeout=110)
    assert running.returncode == 0, errors
    assert "started again where it was" in errors
    assert len(before) < 104
    assert len(list(Path("out").glob("1-*-pixel-*.json"))) == 104
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert not list(Path("out").glob("unfinished-*"))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_search_ranks_its_draws_and_writes_recipes(folder: Path) -> None:
    arguments = ["--layer", "1", "--unit", "2", "--draws", "3", "--set", "steps=3", "-o", "out", "--json"]
    result = tuivis("search", "net.py:make", *COMMON, *arguments)
    assert result.returncode == 0, result.stderr
    ranked = json.loads(result.stdout)
    scores = [(each["quality"]["ratio"] or 0) * (each["quality"]["robustness"] or 0) for each in ranked]
    assert scores == sorted(scores, reverse=True)
    best = tomllib.loads(Path("out/best-1.toml").read_text())
    assert best["about"].startswith(ranked[0]["run"]["recipe"])
    shown = json.loads(tuivis("recipes", "out/best-1.toml", "--json").stdout)
    assert {**shown, "at": None} == {**ranked[0]["parameters"], "name": "best-1", "about": best["about"]}
    assert Path("out/search.png").exists()

    names = {path.name for path in Path("out").iterdir() if path.suffix == ".png"}
    assert names == {"search.png", *(each["picture"] for each in ranked)}
    arguments[3] = "1"
    assert "out has search.png of another search" in error_of("search", "net.py:make", *COMMON, *arguments)
    assert tomllib.loads(Path("out/best-1.toml").read_text()) == best


@pytest.mark.parametrize(
    ("what", "count"),
    [
        (["optimise", "--layer", "0", "--units", "0-3", "--seeds", "2", "--set", "steps=3"], 8),
        (["optimise", "--layer", "0", "--units", "2", "--recipe", "all", "--set", "steps=3"], 7),
        (["optimise", "--layer", "0", "--units", "2", "--set", "steps=3"], 1),
    ],
)
def test_several_devices_share_the_work_and_refuse_before_any_of_it(folder: Path, what: list[str], count: int) -> None:
    command, *arguments = what
    given = ("net.py:make", "--input", "a.png", "--device", "cpu,cpu", *arguments, "--json")
    result = tuivis(command, *given, "-o", "out")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert len({each["picture"] for each in found}) == len(found) == count
    alone = json.loads(tuivis(command, *given, "-o", "alone", "--device", "cpu").stdout)
    assert [each["picture"] for each in alone] == [each["picture"] for each in found]
    for each in found[:-1]:
        Path("out", each["picture"]).unlink()
        Path("out", each["picture"]).with_suffix(".json").unlink()
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert f"has {found[-1]['picture']} already" in error_of(command, *given, "-o", "out")
    assert before == {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}


def test_ctrl_c_and_a_failure_say_how_to_go_on(folder: Path) -> None:
    arguments = ["--units", "0-2", "--layer", "1", "--recipe", "pixel", "--set", "steps=3000", "-o", "out"]
    command = [sys.executable, "-m", "tuivis", "optimise", "net.py:make", *COMMON, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 60
        while not list(Path("out").glob("unfinished-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "stopped: --resume goes on where it was" in errors
    assert len(list(Path("out").glob("*.checkpoint"))) == 1
    # What a full disk does to the first file, a folder in its place does, too.
    Path("out/1-0-pixel-0.png").mkdir()
    failed = error_of("optimise", "net.py:make", *COMMON, *arguments, "--resume")
    assert "cannot write" in failed and "--resume goes on where it was" in failed
    Path("out/1-0-pixel-0.png").rmdir()
    assert tuivis("optimise", "net.py:make", *COMMON, *arguments, "--resume").returncode == 0
    assert not list(Path("out").glob("*.checkpoint"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "distil", "--units", "1"], "no recipe distil: did you mean distill?"),
        (["--set", "stepz=3", "--units", "1"], "no parameter stepz: did you mean steps?"),
        (["--set", "steps=0", "--units", "1"], "steps = 0 is impossible"),
        (["--set", "decay=0.1", "--units", "1"], "decay works on pixels"),
        (["--classes", "tabby cta"], "no class tabby cta: did you mean tabby cat?"),
        (["--layer", "1", "--units", "8"], "no unit 8 in layer 1: choose from 0 to 7"),
        (["--layer", "9", "--units", "1"], "no layer 9"),
        (["--units", "one"], "no units one: write 0-15,130"),
        (["--units", "3-1"], "no units 3-1: write 1-3"),
        (["--classes", "4"], "no class 4: choose from 0 to 3"),
        (["--classes", "-1"], "no class -1: choose from 0 to 3"),
        (["--towards", "b.png"], "no picture b.png among the inputs: did you mean a.png?"),
        (["--towards", "short.npy"], "short.npy holds 3 numbers: the layer has 4 units"),
        (["--towards", "odd.npy"], "odd.npy is no .npy file of numbers"),
        (["--towards", "none.npy"], "none.npy: No such file"),
        ([], "nothing to do: name --units, --classes or --towards"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(folder: Path, arguments: list[str], message: str) -> None:
    np.save("short.npy", np.zeros(3))
    Path("odd.npy").write_text("no array")
    assert message in error_of("optimise", "net.py:make", *COMMON, *arguments, "-o", "out")
    assert not Path("out").exists()

from __future__ import annotations

import base64
import io
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tuivis import __version__
from tuivis.render import colormap

NETWORKS = '''
import os, sys, time
from pathlib import Path
import torch
from torch import nn

def twins():
    """Unit 0 is the input's red, unit 1 its negative."""
    conv = nn.Conv2d(3, 2, 1, bias=False)
    conv.weight.data = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]]).reshape(2, 3, 1, 1)
    print("networks may print")
    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())

def killed():
    os.kill(os.getpid(), 9)

def slow():
    Path("pid").write_text(str(os.getpid()))
    time.sleep(60)
'''
PALETTE = colormap.palette("ember", 256, 1.0, colormap.CHROMES["dark"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder to stand in, with a configuration of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("net.py").write_text(NETWORKS)
    # Nearest-neighbour whichever way it is resized: halves of one colour each.
    halves = np.zeros((224, 224, 3), np.uint8)
    halves[:, 112:] = 255
    Image.fromarray(halves).save("halves.png")
    return tmp_path / "work"


def tuivis(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuivis", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False, **more
    )


def error_of(*arguments: str, **more: Any) -> str:
    """Return the one line of a command that fails."""
    result = tuivis(*arguments, **more)
    assert (result.returncode, result.stdout) == (2, "")
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1
    assert lines[0].isprintable()
    return lines[0].removeprefix("tuivis: ")


def test_a_snapshot_holds_what_the_network_computes(folder: Path) -> None:
    arguments = ["net.py:twins", "--input", "halves.png", "--layer", "0", "--npz", "raw.npz", "-o", "layer.png"]
    result = tuivis("snapshot", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    raw = np.load("raw.npz")
    assert raw["input"].shape == (3, 224, 224)
    assert raw["activations"].dtype == np.float32
    np.testing.assert_allclose(raw["activations"], [raw["input"][0], -raw["input"][0]], atol=1e-6)
    low, high = float(raw["activations"].min()), float(raw["activations"].max())
    expected = {
        "model": "net.py:twins",
        "layer": "0",
        "kind": "map",
        "shape": [1, 2, 224, 224],
        "units": 2,
        "map": [224, 224],
        "picture": "halves.png",
        "pictures": 1,
        "low": low,
        "high": high,
        "nans": 0,
        "infinities": 0,
        "unit": None,
        "files": ["layer.png", "raw.npz"],
    }
    assert {name: report[name] for name in expected} == expected
    assert report["forward_ms"] > 0
    assert sum(each["probability"] for each in report["top"]) == pytest.approx(1, abs=1e-4)
    sheet = np.asarray(Image.open("layer.png"))
    left, right = raw["input"][0, 100, 10], raw["input"][0, 100, 210]
    for value in (left, right, -left, -right):
        level = round((value - low) / (high - low) * (colormap.LEVELS - 1))
        assert (sheet == PALETTE[level]).all(2).sum() >= 100 * 200 * 4


def test_without_a_terminal_the_default_network_looks_once(folder: Path) -> None:
    result = tuivis("--unit", "3")
    assert result.returncode == 0, result.stderr
    assert re.search(r"^ +\d\d\.\d%  espresso$", result.stdout, re.MULTILINE)
    found = re.search(r"^written +(.*)$", result.stdout, re.MULTILINE)
    layer = re.search(r"^layer +(\S+), \d+ units of \d+ x \d+", result.stdout, re.MULTILINE)
    assert found
    assert layer
    path = Path(found[1])
    assert path == folder / f"efficientnet_lite0-{layer[1]}-3-coffee.png"
    # The photograph of the coffee is the sheet's first panel: brown, and like nothing in the colour map's violet.
    red, green, blue = np.asarray(Image.open(path))[160:560, 30:460].reshape(-1, 3).mean(0)
    assert red > green > blue
    assert {each.name for each in folder.iterdir()} == {"net.py", "halves.png", path.name}


def test_without_a_terminal_no_file_is_replaced(folder: Path) -> None:
    arguments = ["net.py:twins", "--input", "halves.png", "--layer", "0"]
    Path("net.py_twins-0-halves.png").write_bytes(b"mine")
    result = tuivis(*arguments)
    assert result.returncode == 0, result.stderr
    written = f"{folder / 'net.py_twins-0-halves-2.png'} (net.py_twins-0-halves.png was there and is left alone)"
    assert re.search(rf"^written +{re.escape(written)}$", result.stdout, re.MULTILINE)
    assert Path("net.py_twins-0-halves.png").read_bytes() == b"mine"
    assert Image.open("net.py_twins-0-halves-2.png").size > (224, 224)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_without_a_terminal_a_closed_folder_is_refused_before_the_work(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        assert "cannot write" in error_of("net.py:killed")
    finally:
        folder.chmod(0o700)


def test_layers_are_listed(folder: Path) -> None:
    result = tuivis("layers", "net.py:twins", "--all")
    assert result.returncode == 0, result.stderr
    rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert rows[0] == "layer kind module units map shape"
    assert "0 map Conv2d 2 224 x 224 1 x 2 x 224 x 224" in rows
    assert "2 vector Flatten 2 1 x 1 1 x 2" in rows
    assert "networks may print" not in result.stdout + result.stderr


def test_layers_in_json_and_the_configuration_file(folder: Path) -> None:
    configuration = folder.parent / "home" / "config" / "tuivis"
    configuration.mkdir(parents=True)
    (configuration / "config.toml").write_text('device = "cpu"\nweights = "random"')
    layers = json.loads(tuivis("layers", "efficientnet_lite0", "--json").stdout)
    by_name = {layer["name"]: layer for layer in layers}
    assert by_name["_blocks.10"]["units"] == 112
    assert (by_name["_blocks.10"]["height"], by_name["_blocks.10"]["width"]) == (14, 14)
    (configuration / "config.toml").write_text('device = "gpu9"')
    assert "gpu9" in error_of("layers", "efficientnet_lite0")
    (configuration / "config.toml").write_text('divice = "cpu"')
    assert "did you mean device?" in error_of("config")


def test_the_doctor_works_without_a_terminal(folder: Path) -> None:
    report = json.loads(tuivis("doctor", "--json").stdout)
    assert report["terminal"] is None
    assert report["devices"][-1]["name"] == "cpu"
    assert report["devices"][-1]["memory_total"] > 2**29
    assert report["packages"]["torch"].count(".") >= 2
    assert report["config"] == str(folder.parent / "home/config/tuivis/config.toml")
    assert report["advice"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["layers"], "MODEL"),
        (["--unit", "-1"], "--unit"),
        (["--nonsense"], "--nonsense"),
        (["--protocol", "vt100"], "kitty"),
        (["docter"], "did you mean tuivis doctor?"),
        (["layer", "net.py:twins"], "did you mean tuivis layers?"),
        (["snapshot", "net.py:twins", "-o", "none/x.png"], "no folder none"),
        (["snapshot", "net.py:twins", "-o", "x.jpeg"], "ends in .png"),
        (["snapshot", "net.py:twins", "-o", "x.png", "--npz", "x.png"], "ends in .npz"),
        (["snapshot", "net.py:twins", "-o", "folder.png"], "is no file"),
        (["snapshot", "net.py:twins", "--input", "a\udcff", "-o", "x.png"], r"the name a\udcff is not UTF-8"),
    ],
)
def test_what_cannot_work_is_refused_at_once(folder: Path, arguments: list[str], words: str) -> None:
    Path("folder.png").mkdir()
    assert words in error_of(*arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resnet19"], "resnet18"),
        (["snapshot", "net.py:twins", "--layer", "00", "-o", "x.png"], "no layer 00"),
        (["snapshot", "net.py:twins", "--layer", "0", "--unit", "2", "-o", "x.png"], "from 0 to 1"),
        (["snapshot", "net.py:twins", "--input", "a\x1b[31m\nb", "-o", "x.png"], r"a\x1b[31m\nb"),
        (["layers", "net.py:killed"], "was killed (signal 9"),
    ],
)
def test_what_the_engine_cannot_do_is_one_line(folder: Path, arguments: list[str], words: str) -> None:
    assert words in error_of(*arguments)
    assert not Path("x.png").exists()


def test_a_full_disk_leaves_what_was_there(folder: Path) -> None:
    Path("x.png").write_bytes(b"before")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    more: dict[str, Any] = {"preexec_fn": limit}
    assert "cannot write x.png" in error_of("snapshot", "net.py:twins", "-o", "x.png", **more)
    assert Path("x.png").read_bytes() == b"before"
    assert {each.name for each in folder.iterdir()} == {"net.py", "halves.png", "x.png"}


def test_ctrl_c_ends_program_and_engine(folder: Path) -> None:
    command = [sys.executable, "-m", "tuivis", "layers", "net.py:slow"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        until = time.monotonic() + 60
        while not (Path("pid").exists() and Path("pid").read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        engine = int(Path("pid").read_text())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == ""
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)


def test_version_help_and_completion(folder: Path) -> None:
    assert tuivis("--version").stdout == f"tuivis {__version__}\n"
    assert {"--layer", "--protocol", "snapshot", "doctor", "Examples:"} <= set(tuivis("--help").stdout.split())
    assert "_TUIVIS_COMPLETE=zsh_complete" in tuivis("completion", "zsh").stdout

    def offered(*words: str) -> set[str]:
        variables = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        completing = {**os.environ, **variables, "_TUIVIS_COMPLETE": "bash_complete"}
        return set(tuivis(env=completing).stdout.split())

    assert offered("tuivis", "la") == {"file,la", "plain,layers"}
    assert offered("tuivis", "--la") == {"plain,--layer"}
    assert offered("tuivis", "resnet18", "--un") == {"plain,--unit"}
    assert offered("tuivis", "snapshot", "--n") == {"plain,--npz"}
    assert offered("tuivis", "--input", "halv") == {"file,halv"}


class FakeTerminal:
    """A terminal of 80 x 24 cells that answers only what `replies` says, and keeps what it was sent."""

    def __init__(self, replies: Sequence[tuple[bytes, bytes]], *command: str) -> None:
        self.replies = dict(replies)
        self.heard = b""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8", COLUMNS="80", LINES="24")
            os.environ.pop("COLORTERM", None)
            os.environ.pop("TMUX", None)
            os.execv(sys.executable, [sys.executable, *command])
        self.pid = pid

    def run(self) -> Iterator[bytes]:
        """Yield what comes, and answer it in the order of the questions, until the program ends."""
        # A read may end inside a question; DA1's reply ends the program's wait, so no other may come behind it.
        known = re.compile(b"|".join(map(re.escape, self.replies)) or b"(?!)")
        answered = 0
        while select.select([self.fd], [], [], 30)[0]:
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                break
            self.heard += data
            questions = list(known.finditer(self.heard, answered))
            if questions:
                answered = questions[-1].end()
                os.write(self.fd, b"".join(self.replies[each.group()] for each in questions))
            yield data
        os.waitpid(self.pid, 0)
        os.close(self.fd)


SHOW = """
from PIL import Image
from tuivis.inline import show
print("before")
show(Image.new("RGB", (320, 160), (255, 0, 0)), "auto")
print("after")
"""
SIXEL = ((b"\x1b[c", b"\x1b[?62;4c"), (b"\x1b[16t", b"\x1b[6;20;10t"))
KITTY = (
    (b"\x1b[c", b"\x1b[?62c"),
    (b"\x1b[16t", b"\x1b[6;20;10t"),
    (b"\x1b[>0q", b"\x1bP>|kitty(0.41.1)\x1b\\"),
    (b"i=8003329", b"\x1b_Gi=8003329;OK\x1b\\"),
)


@pytest.mark.parametrize("replies", [SIXEL, KITTY])
def test_a_picture_is_printed_by_the_terminals_protocol_and_nothing_is_asked_twice(
    replies: Sequence[tuple[bytes, bytes]],
) -> None:
    terminal = FakeTerminal(replies, "-c", SHOW)
    sent = b"".join(terminal.run())
    assert sent.count(b"\x1b[c") == 1
    assert sent.count(b"\x1b[16t") == 1
    assert sent.count(b"a=q") == 2
    picture = sent[sent.rindex(b"before") : sent.rindex(b"after")]
    if replies is SIXEL:
        # 320 x 160 pixels, the size that they have in cells of 10 x 20.
        assert b'"1;1;320;160' in picture
    else:
        chunks = re.findall(rb"\x1b_G[^;\x1b]*f=100[^;\x1b]*;([^\x1b]*)\x1b", picture)
        image = Image.open(io.BytesIO(base64.b64decode(b"".join(chunks))))
        assert image.size == (320, 160)
        assert image.convert("RGB").getpixel((160, 80)) == (255, 0, 0)
        assert picture.decode().count("\U0010eeee") == 32 * 8


def test_a_terminal_without_pictures_gets_half_blocks() -> None:
    sent = b"".join(FakeTerminal(((b"\x1b[c", b"\x1b[?62c"),), "-c", SHOW).run()).decode()
    # Cells are taken for 8 x 16.
    assert sent.count("▀") == 40 * 10
    assert "\x1b[38;5;196;48;5;196m▀" in sent or "\x1b[38;5;9;48;5;9m▀" in sent


def test_a_theme_that_is_none_is_refused_before_the_explorer_starts(folder: Path) -> None:
    sent = b"".join(FakeTerminal((), "-m", "tuivis", "--theme", "nrod").run()).decode()
    assert sent == "tuivis: no theme nrod: did you mean nord?\r\n"


def test_files_of_the_current_folder_stand_in_for_no_module(tmp_path: Path) -> None:
    (tmp_path / "tuivis").mkdir()
    for name in ("queue", "random", "copy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken for a module')")
    command = [str(Path(sys.executable).with_name("tuivis")), "layers", "squeezenet1_1", "--weights", "random"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0 and "features.0" in result.stdout, result.stderr


def test_a_file_that_asks_for_a_line_gets_none(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def make():\n    return input('which?')\n")
    assert "EOFError" in error_of("layers", f"{tmp_path / 'net.py'}:make")


def test_an_output_that_takes_no_more_is_one_line() -> None:
    for arguments in (["--version"], ["layers", "squeezenet1_1", "--weights", "random"], ["completion", "bash"]):
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-m", "tuivis", *arguments]
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert (result.returncode, result.stderr) == (2, "tuivis: cannot write the output: No space left on device\n")


def test_closed_streams_do_no_harm() -> None:
    command = f"{sys.executable} -m tuivis layers squeezenet1_1 --weights random <&- >&-"
    result = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")

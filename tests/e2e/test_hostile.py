"""Networks and names that mean no good: the program goes on, and nothing of theirs reaches the terminal raw."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.terminal import TUIVIS, Terminal, engine_of, gone_within
from tuivis import __version__
from tuivis.engine import protocol
from tuivis.engine.commands import Hello, Load

pytestmark = pytest.mark.e2e

ATTACK = "\x1b[31;5;7m\x1b]0;owned\x07"
NETWORKS = f"""
import time
from pathlib import Path
import torch
from torch import nn

ATTACK = {ATTACK!r}

class Odd(nn.Module):
    def forward(self, x):
        return (x * 100).long()

class Nothing(nn.Module):
    def forward(self, x):
        return None

class Complex(nn.Module):
    def forward(self, x):
        return torch.fft.fft2(x)

class Strange(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=8)
        self.odd, self.nothing, self.complex = Odd(), Nothing(), Complex()
        self.add_module("a" + ATTACK + "b", nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        x = self.conv(x)
        self.odd(x), self.nothing(x), self.complex(x)
        return self.head(getattr(self, "a" + ATTACK + "b")(x))

def strange():
    model = Strange()
    model.labels = [f"class{{i}}" + ATTACK for i in range(5)]
    return model

class Raises(nn.Module):
    input_size = 64

    def forward(self, x):
        raise ValueError("no" + ATTACK)

def raises():
    return Raises()

class Endless(nn.Module):
    input_size = 64

    def forward(self, x):
        matrix = torch.rand(1500, 1500)
        Path("forward").touch()
        while True:
            matrix = (matrix @ matrix).softmax(1)

def endless():
    return Endless()
"""


@pytest.fixture
def zoo(folder: Path) -> Path:
    """Return a folder with the networks in net.py."""
    (folder / "net.py").write_text(NETWORKS)
    return folder


def test_names_with_control_characters_are_shown_harmless(zoo: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(zoo / f"a{ATTACK}b.png")
    arguments = ("net.py:strange", "--input", f"a{ATTACK}b.png", "--layer", "conv")
    with Terminal([*TUIVIS, *arguments]) as terminal:
        terminal.until_text(r"─ conv · 5 units")
        terminal.until_text(r"─ a\\x1b\[31;5")
        terminal.until_text(r"class\d\\x1b")
        terminal.type("A")
        terminal.until_text(r"odd.*not shown")
        terminal.until_text(r"complex.*not shown")
        terminal.type("o")
        terminal.until_text(r"─ a\\x1b\[31;5;7m\\x1b\]0;owned\\x07b · 5 units")
        terminal.type("y")
        terminal.until(lambda: len(terminal.screen.clipboard) == 1)
        terminal.settle()
        terminal.type("q")
        assert terminal.drain() == 0
        assert b"\x1b[31;5;7m" not in terminal.sent
        assert b"\x1b]0;owned" not in terminal.sent


def test_a_network_that_raises_is_named(zoo: Path) -> None:
    with Terminal([*TUIVIS, "net.py:raises"]) as terminal:
        terminal.until_text(r"no\\x1b\[31;5;7m")
        terminal.until_text("Press r to try again")
        terminal.settle()
        terminal.type("q")
        assert terminal.drain() == 0
        assert b"\x1b[31;5;7m" not in terminal.sent


def test_q_ends_a_forward_pass_without_end(zoo: Path) -> None:
    with Terminal([*TUIVIS, "net.py:endless"]) as terminal:
        terminal.until((zoo / "forward").exists)
        pids = [terminal.process.pid, engine_of(terminal.process.pid)]
        terminal.type("q")
        assert gone_within(3, pids, lambda: terminal.process.poll() or terminal.listen(0.02))
        assert terminal.drain() == 0
        assert terminal.screen.is_restored


def test_an_engine_ends_with_its_stdin_in_the_middle_of_a_forward_pass(zoo: Path) -> None:
    command = [sys.executable, "-m", "tuivis.engine"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as engine:
        assert engine.stdin is not None
        for message in (Hello(protocol.VERSION, f"tuivis {__version__}"), Load("net.py:endless", device="cpu")):
            engine.stdin.write(protocol.encode(message))
        engine.stdin.flush()
        assert _appears(zoo / "forward")
        assert engine.poll() is None
        engine.stdin.close()
        assert gone_within(3, [engine.pid])


def _appears(path: Path) -> bool:
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return path.exists()

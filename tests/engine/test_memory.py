"""Memory while frames go by: what the engine does for each leaves nothing behind, on the model or elsewhere."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from tuivis.engine import models
from tuivis.engine.commands import Show
from tuivis.engine.events import Backward, Failed, Frame, Mosaic, Relations
from tuivis.engine.sources import open_pictures
from tuivis.engine.values import Backpass, BackwardMode, Off, Tiles
from tuivis.engine.viewer import Viewer

NETWORK = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 4)
    def forward(self, x):
        x = F.relu_(self.first(x)).clamp(0, 6)
        x = self.last(F.adaptive_max_pool2d(F.silu(self.second(x)), 30))
        return self.head(torch.maximum(x, torch.zeros(())).mean((2, 3)))

def make():
    torch.manual_seed(0)
    net = Net()
    net.input_size = (3, 64, 64)
    return net
"""

MODES: tuple[BackwardMode, ...] = ("gradient", "deconv", "guided", "input", "gradcam")
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def viewer(tmp_path: Path) -> Viewer:
    (tmp_path / "net.py").write_text(NETWORK)
    for name in ("a.png", "b.png"):
        pixels = np.random.default_rng(ord(name[0])).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    viewer = Viewer(models.load(f"{tmp_path / 'net.py'}:make", None, "cpu", 0, lambda text, fraction: None))
    viewer.open(open_pictures((str(tmp_path / "a.png"), str(tmp_path / "b.png"))))
    return viewer


def asked(number: int) -> Show:
    """One frame after the other, with everything that can be asked about a unit's causes, and then again without."""
    show = Show(number, number % 2, "last", 1, Tiles(0, 8, 30, 30), relations=number % 10 == 0)
    if number % 7 == 6:
        return show
    start = ("map", "strongest", (3, 4))[number % 3]
    passed = Backpass(MODES[number % len(MODES)], "raw", "last", 1, start)  # type: ignore[arg-type]
    off = (Off("second", 2),) if number % 5 == 3 else ()
    return msgspec.structs.replace(show, backward=passed, gradients=number % 5 == 1, off=off)


def resident() -> int:
    """Bytes of memory in use."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def tensors_alive() -> int:
    gc.collect()
    return sum(type(each) is torch.Tensor for each in gc.get_objects())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc")
def test_memory_is_flat_over_a_thousand_frames(viewer: Viewer) -> None:
    def frames(numbers: range) -> int:
        return sum(isinstance(event, Backward) for number in numbers for event in viewer.show(asked(number)))

    frames(range(210))
    memory, tensors = resident(), tensors_alive()
    assert frames(range(210, 1260)) > 800
    assert tensors_alive() <= tensors
    # The graph of one frame is over half a megabyte.
    assert resident() - memory < 30e6


def test_after_backward_passes_the_next_frame_is_bit_for_bit_what_it_was(viewer: Viewer) -> None:
    def plain() -> list[object]:
        events = list(viewer.show(asked(6)))
        return [each.top if isinstance(each, Frame) else each for each in events if isinstance(each, Frame | Mosaic)]

    before = plain()
    for number in range(11, 60):
        assert not any(isinstance(event, Failed) for event in viewer.show(asked(number)))
    assert len(before) == 2 and plain() == before
    modules = viewer.model.module.modules()
    assert not any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in modules)


def test_relations_come_with_backward_passes(viewer: Viewer) -> None:
    events = list(viewer.show(asked(20)))
    found = next(event for event in events if isinstance(event, Relations))
    assert found.field is not None and not found.notes

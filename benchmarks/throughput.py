"""How many steps of how many pictures a GPU takes in a second, and which share of the time it is busy.

`resnet50` up to `layer3` (random weights) and `efficientnet_lite0` up to its classes, 224 pixels, the recipe `distill`;
1, 8, 64 and 256 pictures together. Beside it, at each size, the bare loop: the same network, pixels and Adam.
Busy is the time in which a kernel runs, over all time, as torch's profiler sees it. With `classes`, all 1000 classes of
`efficientnet_lite0` with 512 steps each, by the command that a user would type.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from subprocess import run

import torch
from torch import Generator, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.optimise import SHAPE
from benchmarks.report import report
from tuivis.engine import models, taps
from tuivis.engine.optimise.batch import Batch, Room, Setting
from tuivis.engine.optimise.objectives import Objectives, position
from tuivis.engine.optimise.parametrisations import Space, make, spectrum
from tuivis.engine.optimise.recipes import BUILT_IN
from tuivis.engine.truncation import Truncated

LAYERS = {"resnet50": "layer3", "efficientnet_lite0": ""}
BATCHES = (1, 8, 64, 256)
WARM, PROFILED, SECONDS = 4, 4, 2.0


def main() -> int:
    """Run the benchmark and return the exit code."""
    if not torch.cuda.is_available():
        print("there is no GPU", file=sys.stderr)
        return 2
    torch.backends.cudnn.deterministic = True
    figures: dict[str, float] = {}
    for name, layer in LAYERS.items():
        model = models.load(name, "random" if name == "resnet50" else None, "cuda", 0, lambda *_: None)
        found = taps.discover(model.module, torch.zeros(1, *SHAPE, device=model.device))
        network = Truncated(model.module, found, layer or found.output, torch.zeros(1, *SHAPE, device=model.device))
        for count in BATCHES:
            for what, step in (("bare", bare(network, count)), ("distill", ours(network, count))):
                each = f"{name}_{count}_{what}"
                figures[f"{each}_unit_steps_per_s"] = count / timed(step)
                figures[f"{each}_busy"] = busy(step)
                print(each, figures[f"{each}_unit_steps_per_s"], figures[f"{each}_busy"], file=sys.stderr)
            figures[f"{name}_{count}_gib"] = torch.cuda.max_memory_reserved() / 2**30
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    if "classes" in sys.argv:
        figures["classes_s"] = classes()
    return report("throughput", figures, {})


def bare(network: nn.Module | Truncated, count: int) -> Callable[[], object]:
    """Return a step of the loop that one writes by hand."""
    pixels = torch.rand(count, *SHAPE, device="cuda").requires_grad_()
    adam = torch.optim.Adam([pixels], lr=0.05, maximize=True)

    def step() -> None:
        adam.zero_grad()
        network(pixels * 2 - 1).float().mean((2, 3)).diagonal().sum().backward()
        adam.step()

    return step


def ours(network: Truncated, count: int) -> Callable[[], object]:
    """Return a step of `count` units together."""
    device, recipe = torch.device("cuda", torch.cuda.current_device()), BUILT_IN["distill"]
    space = Space(torch.full((3, 1, 1), -1.0, device=device), torch.full((3, 1, 1), 2.0, device=device))
    made = make(recipe, SHAPE, space, spectrum(torch.rand(2, *SHAPE), True).to(device))
    setting = Setting(recipe, network, space, made, SHAPE, 1.0, device)
    objectives = Objectives(torch.eye(network.shape[0], device=device)[:count], position(recipe, network.shape))
    batch, room = Batch(setting, objectives, [Generator().manual_seed(seed) for seed in range(count)]), Room(count)
    return lambda: batch.step(room)


def timed(step: Callable[[], object]) -> float:
    """Return the seconds of one step."""
    for _ in range(WARM):
        step()
    torch.cuda.synchronize()
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        step()
        steps += 1
        if steps % 8 == 0:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def busy(step: Callable[[], object]) -> float:
    """Return the share of the time in which a kernel runs."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(PROFILED):
            step()
        torch.cuda.synchronize()
        taken = time.perf_counter() - start
    events = [each for each in profiled.events() or [] if str(each.device_type) == "DeviceType.CUDA"]
    spans = sorted((each.time_range.start, each.time_range.end) for each in events)
    total, last = 0.0, 0.0
    for begin, end in spans:
        total += max(0.0, end - max(begin, last))
        last = max(last, end)
    return total / 1e6 / taken


def classes() -> float:
    """Return the seconds in which all classes are done, the start of the program included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        what = ["optimise", "efficientnet_lite0", "--units", "0-999", "--recipe", "distill", "-o", folder]
        run([sys.executable, "-m", "tuivis", *what], check=True, stdout=sys.stderr)
        return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())

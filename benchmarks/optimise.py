"""What a step of an optimisation costs: against lucent, and against the bare loop that one writes by hand.

`resnet50`, `layer2`, 224 pixels, random weights; tuivis has them channels last, as it loads every network. The bare
loop has the network cut off by hand, frozen, pixels, Adam, and nothing else. All take turns in one process; a figure is
the least of its rounds. lucent comes with `pip install --no-deps torch-lucent kornia kornia_rs decorator tqdm`; without
it, its figures are left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import resource
import subprocess
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Generator, nn

from benchmarks.report import report
from tuivis.engine import taps
from tuivis.engine.optimise.batch import Batch, Room, Setting
from tuivis.engine.optimise.objectives import Objectives, position
from tuivis.engine.optimise.parametrisations import Space, make, spectrum
from tuivis.engine.optimise.recipes import BUILT_IN
from tuivis.engine.truncation import Truncated

SHAPE = (3, 224, 224)
LAYER, UNIT = "layer2", 7
ROUNDS, STEPS, LUCENT_STEPS = 3, 3, 2
TARGETS = {
    "lucent_to_one_unit": -12.0,
    "lucent_to_sixteen_units": -16.0,
    "pixel_to_bare": 1.10,
    "yosinski_3_to_bare": 1.35,
    "distill_to_bare": 1.5,
    "memory_to_bare": 1.10,
}
"""The most that a ratio may be; the first two are negative: there, more is better."""


def main() -> int:
    """Run the benchmark and return the exit code."""
    model = network()
    run: dict[str, Callable[[], None]] = {"bare": bare(model)}
    settled = network().to(memory_format=torch.channels_last)
    for name in ("pixel", "yosinski-3", "distill"):
        run[name.replace("-", "_")] = ours(settled, name, 1)
    run["sixteen"] = ours(settled, "distill", 16)
    seconds = {name: float("inf") for name in run}
    for _ in range(ROUNDS):
        for name, step in run.items():
            seconds[name] = min(seconds[name], timed(step, STEPS if name != "sixteen" else 1))
    figures = {f"{name}_step_s": value for name, value in seconds.items()}
    figures |= {f"{name}_to_bare": seconds[name] / seconds["bare"] for name in ("pixel", "yosinski_3", "distill")}
    targets = {name: most for name, most in TARGETS.items() if most > 0}
    if importlib.util.find_spec("lucent"):
        figures["lucent_step_s"] = min(lucent(model) for _ in range(2))
        # More is better: reported as negative numbers, so that a target is the most that a figure may be.
        figures["lucent_to_one_unit"] = -figures["lucent_step_s"] / seconds["distill"]
        figures["lucent_to_sixteen_units"] = -16 * figures["lucent_step_s"] / seconds["sixteen"]
        targets = TARGETS
    figures["memory_to_bare"] = memory("pixel") / memory("bare")
    return report("optimise", figures, targets)


def network() -> nn.Module:
    """Return the model, frozen."""
    torch.manual_seed(0)
    model: nn.Module = torchvision.models.resnet50(weights=None).eval().requires_grad_(False)
    return model


def bare(model: Any) -> Callable[[], None]:
    """Return a step of the loop that one writes by hand."""
    cut = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool, model.layer1, model.layer2)
    pixels = torch.rand(1, *SHAPE).requires_grad_()
    adam = torch.optim.Adam([pixels], lr=0.05, maximize=True)

    def step() -> None:
        adam.zero_grad()
        cut(pixels * 2 - 1)[:, UNIT].mean().backward()
        adam.step()

    return step


def ours(model: nn.Module, name: str, units: int) -> Callable[[], None]:
    """Return a step of `units` units together with one of the recipes."""
    example = torch.zeros(1, *SHAPE)
    truncated = Truncated(model, taps.discover(model, example), LAYER, example)
    recipe, space = BUILT_IN[name], Space(torch.full((3, 1, 1), -1.0), torch.full((3, 1, 1), 2.0))
    made = make(recipe, SHAPE, space, spectrum(torch.rand(2, *SHAPE), True))
    setting = Setting(recipe, truncated, space, made, SHAPE, 1.0, torch.device("cpu"))
    weights = torch.zeros(units, truncated.shape[0])
    weights[range(units), range(UNIT, UNIT + units)] = 1
    generators = [Generator().manual_seed(seed) for seed in range(units)]
    batch, room = Batch(setting, Objectives(weights, position(recipe, truncated.shape)), generators), Room(8)
    return lambda: batch.step(room)


def lucent(model: nn.Module) -> float:
    """Return the seconds of a step of lucent's, with its own transforms."""
    # lucent shows pictures in notebooks, and imports what it needs for that.
    notebook = types.ModuleType("IPython")
    notebook.display = types.ModuleType("IPython.display")  # type: ignore[attr-defined]
    sys.modules |= {"IPython": notebook, "IPython.display": notebook.display}
    # Today's kornia has these elsewhere.
    kornia: Any = importlib.import_module("kornia")
    for name in ("get_rotation_matrix2d", "warp_affine"):
        setattr(kornia, name, getattr(kornia.geometry.transform, name))
    param: Any = importlib.import_module("lucent.optvis.param")
    render: Any = importlib.import_module("lucent.optvis.render")

    start = time.perf_counter()
    render.render_vis(
        model,
        f"{LAYER}:{UNIT}",
        lambda: param.image(SHAPE[1]),
        thresholds=(LUCENT_STEPS,),
        show_image=False,
        progress=False,
    )
    return (time.perf_counter() - start) / LUCENT_STEPS


def timed(step: Callable[[], None], times: int) -> float:
    """Return the seconds of one step, after one that is not counted."""
    step()
    start = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - start) / times


def memory(what: str) -> float:
    """Return the most memory, in bytes, that a process of its own takes for some steps."""
    command = [sys.executable, "-m", "benchmarks.optimise", what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_memory(what: str) -> None:
    """Print the most memory that this process has taken for steps of `what`."""
    model = network()
    step = bare(model) if what == "bare" else ours(model.to(memory_format=torch.channels_last), what, 1)
    for _ in range(4):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_memory(sys.argv[1])
        sys.exit()
    sys.exit(main())

"""What backward passes and rankings cost, against bare passes of torch and against captum.

Everything runs in one process and takes turns; each figure is the median of its rounds, after some that warm up.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from benchmarks.report import report
from tuivis.engine import devices, models, taps, units
from tuivis.engine.backward import Recording
from tuivis.engine.commands import Show
from tuivis.engine.events import Frame
from tuivis.engine.inputs import Inputs
from tuivis.engine.models import Model
from tuivis.engine.ranking import Ablation
from tuivis.engine.sources import Pictures, open_pictures
from tuivis.engine.tiles import Maps
from tuivis.engine.values import Array, Backpass, Tiles
from tuivis.engine.viewer import Viewer

LAYER, UNIT = "layer3", 57
ROUNDS = 9
RANKED = 256
TARGETS = {
    "gradient_ratio": 1.15,
    "deconv_ratio": 1.35,
    "guided_ratio": 1.35,
    "off_ratio": 1.02,
    "class_guided_to_captum": 1.0,
    "class_deconv_to_captum": 1.0,
    "unit_guided_to_captum": 0.6,
    "unit_deconv_to_captum": 0.6,
    "ranking_ratio": 1 / 3,
}


class Stills(Inputs):
    """Inputs that are in memory: what is measured is neither the disk nor the decoder."""

    def __init__(self, model: Model, pictures: Pictures) -> None:
        super().__init__(model, pictures)
        self.ready = tuple(model.preprocess(pictures.read(index)) for index in (0, 1))

    def image(self, show: Show) -> Tensor:
        """Return one of the two."""
        return self.ready[show.picture]


def main() -> int:
    """Run the benchmark and return the exit code."""
    viewer = Viewer(models.load("resnet50", "random", None, 0, lambda text, fraction: None))
    inputs = viewer._inputs = Stills(viewer.model, open_pictures(("demo",)))
    batch = viewer._batch(inputs.ready[0])
    seconds = {**live(viewer, batch), **attributions(viewer, batch), **ranking(viewer, batch)}
    figures = {f"{name}_ms": 1000 * each for name, each in seconds.items()}
    figures |= {f"{mode}_ratio": seconds[mode] / seconds["bare_both"] for mode in ("gradient", "deconv", "guided")}
    figures["off_ratio"] = seconds["off"] / seconds["before"]
    for rule in ("guided", "deconv"):
        for what in ("class", "unit"):
            figures[f"{what}_{rule}_to_captum"] = seconds[f"{what}_{rule}"] / seconds[f"captum_{rule}"]
    figures["ranking_ratio"] = seconds["ranking"] / (RANKED * seconds["bare_forward"])
    return report("backward", figures, TARGETS)


def medians(tasks: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the seconds that each task takes; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 2):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            found[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[2:]) for name, times in found.items()}


def live(viewer: Viewer, batch: Tensor) -> dict[str, float]:
    """Return what a frame costs, with a backward pass, without, and as bare passes."""
    module, layers = viewer.model.module, viewer.layers
    tiles = Tiles(0, 256, 14, 14)
    # Every frame is another picture than the frame before, whatever that showed.
    turns = cycle((0, 1))

    def frame(name: str) -> Callable[[], object]:
        show = Show(1, 0, LAYER, UNIT, tiles)
        if name != "off":
            show = msgspec.structs.replace(show, backward=Backpass(name, "raw", LAYER, UNIT))  # type: ignore[arg-type]
        return lambda: list(viewer.show(msgspec.structs.replace(show, picture=next(turns))))

    def before() -> object:
        output, activation = taps.forward(module, layers, batch, LAYER)
        pixels, top = Array.of(viewer.model.pixels(batch[0])), viewer._top(output)
        event = Frame(1, 0, pixels, top, 0.0, devices.describe(viewer.model.device))
        maps = Maps(activation)
        return event, maps.levels(tiles, "index", "layer", 0.0), units.describe(maps, UNIT)

    def bare_both() -> object:
        kept: list[Tensor] = []
        handle = module.get_submodule(LAYER).register_forward_hook(lambda _m, _i, output: kept.append(output))
        leaf = batch.clone().requires_grad_()
        module(leaf)
        handle.remove()
        return torch.autograd.grad((kept[0][0, UNIT] ** 2).sum() / 2, leaf)

    # Without backward passes in between, whose memory the next frame would have to give back.
    off = medians({"off": frame("off"), "before": before}, 2 * ROUNDS)
    tasks = {name: frame(name) for name in ("gradient", "deconv", "guided")}
    return off | medians({**tasks, "bare_both": bare_both})


def attributions(viewer: Viewer, batch: Tensor) -> dict[str, float]:
    """Return what a class's and a unit's picture costs, and captum's for a class."""
    from captum.attr import Deconvolution, GuidedBackprop

    warnings.simplefilter("ignore")
    module, layers = viewer.model.module, viewer.layers
    tasks: dict[str, Callable[[], object]] = {}
    for rule, rival in (("guided", GuidedBackprop), ("deconv", Deconvolution)):
        tasks[f"captum_{rule}"] = partial(captum, rival(module), batch)
        for what, layer, unit in (("class", layers.output, 285), ("unit", "layer2", UNIT)):

            def picture(layer: str = layer, unit: int = unit, rule: str = rule) -> object:
                return Recording(module, layers, batch, layer, whole=False).backward(unit, None, rule)  # type: ignore[arg-type]

            tasks[f"{what}_{rule}"] = picture
    return medians(tasks)


def captum(method: Any, batch: Tensor) -> object:
    """Return captum's attribution of a class."""
    return method.attribute(batch.clone().requires_grad_(), target=285)


def ranking(viewer: Viewer, batch: Tensor) -> dict[str, float]:
    """Return what ranking 256 units by ablation costs, and one forward pass."""
    module, layers = viewer.model.module, viewer.layers

    def ranked() -> object:
        ablation = Ablation(module, layers, batch, LAYER, None)
        while ablation.fraction * len(ablation.falls) < RANKED:
            ablation.advance()
        assert np.isfinite(ablation.falls[:RANKED].numpy()).all()
        return ablation

    def bare_forward() -> object:
        with torch.no_grad():
            return module(batch)

    return {**medians({"ranking": ranked}, 2), **medians({"bare_forward": bare_forward})}


if __name__ == "__main__":
    sys.exit(main())

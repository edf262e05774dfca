"""How long a whole frame takes, against the bare forward pass of the same network.

The real engine is asked over the pipe as the App asks it, and its answer goes through the state, the composition of the
mosaic, the encoder for Kitty's graphics and a pty. In a frame are: the forward pass with the tap, the reduction to
tiles, the picture of the input and the predictions for the screen, the pipe, the composition, the encoding, and the
write. Not in it: reading and scaling the photograph, for which the engine is asked for another layer of it just before.

The bare pass runs in the same process, on an input that is ready, in inference mode. Both take turns, picture by
picture, and each follows another pass and its answer. Times are medians over the frames of all engines; the ratio is
the median of an engine's frames, and of several engines again the median.

With a video as `--input` it is frames per second that count: all frames are shown as soon as they can be, the next
asked for when the last is shown, while that is composed, encoded and written; against what the bare pass
could do alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from benchmarks.report import report
from benchmarks.session import CELL
from tuivis.engine.client import Engine
from tuivis.engine.commands import ListDevices, Load, Open, Show
from tuivis.engine.events import Failed, Frame, Loaded, Mosaic, Opened, Progress, Shown, Unit
from tuivis.engine.protocol import Command, Event
from tuivis.engine.sources import VIDEOS
from tuivis.engine.values import Tiles
from tuivis.intents import CanvasResized, PictureStepped
from tuivis.playback import Ticked
from tuivis.reduce import reduce
from tuivis.render.damage import difference
from tuivis.render.kitty import KittyPlaceholders
from tuivis.render.picture import Box, Picture
from tuivis.render.quality import Quality
from tuivis.state import State
from tuivis.widgets.mosaic import mosaic_picture

LAYERS = {"efficientnet_lite0": "_blocks.10", "resnet50": "layer3.2"}
ON_GPU = {"resnet50": "layer4.2"}
"""The layer with the most units."""
PROCESSES, WARM, FRAMES = 3, 8, 40
PANE = Box(29, 1, 60, 29)
DRAFT = Quality(16)
"""While things move."""
SMALLEST = 24
"""Pixels of a tile, as `Display` has it."""
TARGET = 1.25
PLAYED, PASSES = 150, 15
"""Frames of a video, and bare passes, that are timed."""
SHARE = {"efficientnet_lite0": 0.75, "resnet50": 0.8}
"""The least share of the bare pass's rate at which a video has to be shown."""


Answer = TypeVar("Answer", bound=Event)


@dataclass(frozen=True)
class Times:
    """Seconds of a bare pass, and of the stages of one frame; `preprocess` is not in the frame, `whole` is."""

    bare: float
    preprocess: float
    forward: float
    answer: float
    reduce: float
    compose: float
    encode: float
    write: float
    whole: float
    size: int


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__.partition("\n")[0])
    parser.add_argument("--input", default="demo", help="pictures: a file, a folder, or demo; or a video")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: there resnet50 alone, with its widest layer")
    given = parser.parse_args()
    layers = LAYERS if given.device == "cpu" else ON_GPU
    if Path(given.input).suffix.lower() in VIDEOS:
        return report_video(layers, given.input, given.device)
    figures: dict[str, float] = {}
    for model, layer in layers.items():
        measured = measure(model, layer, given.input, given.device)
        figures |= {f"{model}_{name}": figure for name, figure in measured.items()}
    return report("live", figures, {f"{model}_ratio": TARGET for model in layers if given.device == "cpu"})


def report_video(layers: Mapping[str, str], source: str, device: str) -> int:
    """Measure and report how fast a video is shown."""
    figures: dict[str, float] = {}
    for model, layer in layers.items():
        runs = [asyncio.run(play(model, layer, source, device)) for _ in range(PROCESSES)]
        figures[f"{model}_fps"] = median(fps for fps, _ in runs)
        figures[f"{model}_bare_fps"] = median(bare for _, bare in runs)
        figures[f"{model}_bare_over_fps"] = median(bare / fps for fps, bare in runs)
    if device != "cpu":
        # More is better: reported as negative numbers, so that a target is the most that a figure may be.
        return report("live", {"negative_fps": -figures["resnet50_fps"], **figures}, {"negative_fps": -60.0})
    return report("live", figures, {f"{model}_bare_over_fps": 1 / share for model, share in SHARE.items()})


async def play(model: str, layer: str, source: str, device: str) -> tuple[float, float]:
    """Return the frames per second of a video, and those of the bare pass in the same engine."""
    with tempfile.TemporaryDirectory() as folder:
        engine = await Engine.start(Path(folder, "engine.log"), (sys.executable, "-m", "benchmarks.engine"))
        try:
            watcher = Watcher(engine)
            await watcher.begin(model, layer, source, device)
            await watcher.play(WARM)
            return await watcher.play(PLAYED), 1 / median([await watcher.bare() for _ in range(PASSES)])
        finally:
            await engine.close()


def measure(model: str, layer: str, source: str, device: str) -> dict[str, float]:
    """Return the figures for one model: milliseconds of each stage, and the ratio."""
    runs = [asyncio.run(run(model, layer, source, device)) for _ in range(PROCESSES)]
    frames = [frame for each in runs for frame in each]
    stages = [field.name for field in fields(Times) if field.type == "float"]
    return {
        **{f"{stage}_ms": 1000 * median(getattr(each, stage) for each in frames) for stage in stages},
        "frame_bytes": median(each.size for each in frames),
        "ratio": median(median(frame.whole / frame.bare for frame in each) for each in runs),
    }


async def run(model: str, layer: str, source: str, device: str) -> list[Times]:
    """Return the times of the frames of one engine."""
    with tempfile.TemporaryDirectory() as folder:
        engine = await Engine.start(Path(folder, "engine.log"), (sys.executable, "-m", "benchmarks.engine"))
        try:
            watcher = Watcher(engine)
            await watcher.begin(model, layer, source, device)
            return [await watcher.step() for _ in range(WARM + FRAMES)][WARM:]
        finally:
            await engine.close()


class Watcher:
    """What the App does with a picture after another, step by step."""

    def __init__(self, engine: Engine) -> None:
        self.state = State()
        self._engine = engine
        self._events = engine.events()
        self._encoder = KittyPlaceholders(2, CELL)
        self._shown: Picture | None = None
        self._generation = 0
        terminal, self._pty = os.openpty()
        tty.setraw(self._pty)
        drain = "import os\ntry:\n while os.read(0, 1 << 16): pass\nexcept OSError: pass"
        subprocess.Popen([sys.executable, "-c", drain], stdin=terminal)
        os.close(terminal)

    async def begin(self, model: str, layer: str, source: str, device: str) -> None:
        """Load the model and open the pictures."""
        canvas = self._encoder.canvas(PANE.columns, PANE.rows)
        self.state = reduce(State(wanted=layer), CanvasResized(canvas, SMALLEST))
        self.state = reduce(self.state, await self._ask(Load(model, "random", device), Loaded))
        self.state = reduce(self.state, await self._ask(Open((source,), every_frame=True), Opened))

    async def step(self) -> Times:
        """Show the next picture."""
        self.state = reduce(self.state, PictureStepped(1))
        start = time.perf_counter()
        frame = await self._ask(self._elsewhere(), Frame)
        preprocessed = time.perf_counter() - start - frame.forward_ms / 1000
        await self._next(Unit)
        begin = time.perf_counter()
        frame = await self._ask(self._show(), Frame)
        framed = time.perf_counter()
        mosaic = await self._next(Mosaic)
        reduced = time.perf_counter()
        picture = self._compose(mosaic)
        composed = time.perf_counter()
        data = await asyncio.to_thread(self._encode, picture)
        encoded = time.perf_counter()
        self._write(data)
        end = time.perf_counter()
        await self._next(Unit)
        await self._ask(ListDevices(), Progress)
        bare = await self.bare()
        forward = frame.forward_ms / 1000
        answer = framed - begin - forward
        return Times(
            bare=bare,
            preprocess=preprocessed - answer,
            forward=forward,
            answer=answer,
            reduce=reduced - framed,
            compose=composed - reduced,
            encode=encoded - composed,
            write=end - encoded,
            whole=end - begin,
            size=len(data),
        )

    async def play(self, frames: int) -> float:
        """Show so many frames of a video; return frames per second."""
        start, drawing = time.perf_counter(), asyncio.create_task(asyncio.sleep(0))
        for _ in range(frames):
            self.state = reduce(self.state, Ticked())
            self._engine.send(self._show())
            mosaic = await self._next(Mosaic)
            await drawing
            drawing = asyncio.create_task(self._draw(mosaic))
            await self._next(Shown)
        await drawing
        return frames / (time.perf_counter() - start)

    async def bare(self) -> float:
        """Return the seconds of a bare pass."""
        passed = (await self._ask(ListDevices(), Progress)).fraction
        assert passed
        return passed

    async def _draw(self, mosaic: Mosaic) -> None:
        self._write(await asyncio.to_thread(self._encode, self._compose(mosaic)))

    def _show(self) -> Show:
        show = self.state.request()
        assert show
        self._generation += 1
        return msgspec.structs.replace(show, generation=self._generation)

    def _elsewhere(self) -> Show:
        """Return the request for the same picture, seen from the model's output."""
        assert self.state.loaded
        return msgspec.structs.replace(self._show(), layer=self.state.loaded.output, tiles=Tiles(0, 1, 1, 1))

    async def _ask(self, command: Command, answer: type[Answer]) -> Answer:
        self._engine.send(command)
        return await self._next(answer)

    async def _next(self, answer: type[Answer]) -> Answer:
        async for event in self._events:
            if isinstance(event, answer):
                return event
            if isinstance(event, Failed):
                raise RuntimeError(event.message)
        raise RuntimeError(f"the engine {await self._engine.ending()}")

    def _compose(self, mosaic: Mosaic) -> Picture:
        self.state = reduce(self.state, mosaic)
        assert self.state.layout
        return mosaic_picture(self.state, mosaic, self.state.layout, DRAFT, "dark")

    def _encode(self, picture: Picture) -> bytes:
        damage = None if self._shown is None else difference(self._shown, picture)
        self._shown = picture
        if damage is None:
            return self._encoder.draw(picture, PANE)
        return self._encoder.update(picture, PANE, damage)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._pty, data) :]


if __name__ == "__main__":
    sys.exit(main())

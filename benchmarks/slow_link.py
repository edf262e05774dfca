"""Live video over a slow link: how many frames come, how old they are on screen, and how soon a key takes effect.

The real program runs behind a real sshd; between its ssh client and the server a relay limits the rate and adds delay.
At the other end a terminal takes what comes and answers as kitty does. It watches a stream whose frames tell their
number, with a network that writes that number into the first tiles of the mosaic: so the mosaic on screen says which
frame it shows. A frame's age is the time from when the stream had it to when the terminal had all of the mosaic.

A key moves the selection down or up; its effect is the first mosaic in which another tile is framed. What a link can
carry is its rate over the bytes of all panes and texts that came for each mosaic.

Beside it, "rival" is a plain textual-image widget in a Textual app, which shows the same tiles at 30 frames per second.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import broadcast
from benchmarks.report import report
from benchmarks.session import CELL, Session
from benchmarks.session import COLUMNS as WIDTH
from benchmarks.traffic import Transmission, mosaics, transmissions
from tests.e2e.relay import Relay
from tests.e2e.ssh import Sshd
from tuivis.render.mosaic import Layout, fit

LINKS = {"2mbit": (2000.0, 0.05), "256kbit": (256.0, 0.2)}
"""Kilobits per second, and seconds of round trip."""
AGE = {"2mbit": 0.25, "256kbit": 0.9}
KEY = {"2mbit": 0.15, "256kbit": 0.4}
"""Seconds, at most, for nineteen of twenty: of a frame's age, and of a key's effect over the round trip."""
UNUSED = 0.15
"""The share of the frames that the faster link could carry, at most, that may be missing."""
SETTLING, WATCHED, KEYS = 15.0, 20.0, 20
PAUSE = 0.7, 1.3
"""Seconds between keys."""
COLUMNS, ROWS = 60, 29
"""Cells of the mosaic's pane in a terminal of the size that `Session` has."""
DOWN, UP = "j", "k"


@dataclass
class Seen:
    """A mosaic as it was on screen from a time on: the number in it, and the tile that is framed."""

    at: float
    number: int
    selected: int | None
    size: int


class Screen:
    """What the terminal makes of the mosaic's transmissions."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._canvas: Image.Image | None = None
        self._scale = 1.0

    def take(self, part: Transmission) -> None:
        """Draw a transmission."""
        image = Image.open(part.file()).convert("RGBA")
        if part.keys["a"] == "T":
            self._canvas = image
            self._scale = image.width * self._layout.scale / (part.cells[0] * CELL.width)
        elif self._canvas is not None:
            x, y = int(part.keys.get("x", 0)), int(part.keys.get("y", 0))
            self._canvas.alpha_composite(image, (x, y))

    def number(self) -> int:
        """Return the number in the first tiles."""
        pixels = self._pixels()
        shades = [int(pixels[self._place(tile, 0.5, 0.5)].astype(int).sum()) for tile in range(broadcast.BITS)]
        middle = (max(shades) + min(shades)) / 2
        return sum(1 << bit for bit, shade in enumerate(shades) if shade > middle)

    def selected(self) -> int | None:
        """Return the tile that is framed."""
        pixels = self._pixels()
        for tile in range(self._layout.units):
            sides = [pixels[self._place(tile, 0.5, side)].astype(int) for side in (0.0, 1.0)]
            if all(green > 200 and red < 180 and blue < 100 for red, green, blue in sides):
                return tile
        return None

    def _place(self, tile: int, down: float, across: float) -> tuple[int, int]:
        frame = self._layout.frame(tile)
        y, x = frame.y + down * (frame.height - 1) + 0.5, frame.x + across * (frame.width - 1) + 0.5
        return int(y * self._scale), int(x * self._scale)

    def _pixels(self) -> NDArray[np.uint8]:
        assert self._canvas is not None
        return np.asarray(self._canvas.convert("RGB"))


@dataclass
class Watched:
    """A session's recording: pictures, the times of keys, the bytes and seconds between begin and end."""

    session: Session
    pressed: list[tuple[float, int]]
    begin: tuple[float, int]
    end: tuple[float, int]


def main() -> int:
    """Run the benchmark and return the exit code."""
    figures: dict[str, float] = {}
    targets: dict[str, float] = {}
    for name, (kbit, trip) in LINKS.items():
        figures |= {f"{name}_{key}": value for key, value in measure(kbit, trip).items()}
        targets |= {f"{name}_age_s": AGE[name], f"{name}_key_s": trip + KEY[name]}
        figures |= {f"{name}_rival_{key}": value for key, value in measure_rival(kbit, trip).items()}
    return report("slow_link", figures, targets | {"2mbit_missing": UNUSED})


def measure(kbit: float, trip: float) -> dict[str, float]:
    """Return the figures of tuivis on one link."""
    stream = broadcast.Broadcast()
    arguments = [f"{broadcast.__file__}:network", "--input", stream.url, "--layer", broadcast.LAYER]
    with far_session(kbit, trip, lambda sshd: sshd.command(*arguments)) as session:
        watched = watch(session, (DOWN, UP))
    stream.close()
    return figures_of(watched, stream.times, kbit, 11)


def measure_rival(kbit: float, trip: float) -> dict[str, float]:
    """Return the figures of the rival on one link."""
    start = time.perf_counter() + 5

    def command(sshd: Sshd) -> list[str]:
        *client, _ = sshd.command()
        folder = Path(__file__).parent.parent
        own = [sys.executable, "-m", "benchmarks.rivals", "live", str(COLUMNS), str(ROWS), str(start)]
        return [*client, f"cd {shlex.quote(str(folder))} && exec {shlex.join(own)}"]

    with far_session(kbit, trip, command) as session:
        watched = watch(session, (DOWN, DOWN))
    times = {number: start + number / broadcast.FPS for number in range(1 << broadcast.BITS)}
    return figures_of(watched, times, kbit, 0)


@contextmanager
def far_session(kbit: float, trip: float, command: Callable[[Sshd], list[str]]) -> Iterator[Session]:
    """Run a command of an ssh client over a slow link."""
    with tempfile.TemporaryDirectory() as folder:
        sshd = Sshd(Path(folder))
        relay = Relay(sshd.port, kbit * 1000 / 8, trip / 2)
        client = [str(relay.port) if word == str(sshd.port) else word for word in command(sshd)]
        try:
            with Session(client) as session:
                yield session
        finally:
            relay.close()
            sshd.close()


def watch(session: Session, keys: Sequence[str]) -> Watched:
    """Wait until all is settled, then press the keys by turns and keep what comes."""
    session.until(lambda: bool(mosaics(transmissions(session.heard), WIDTH)))
    listen(session, SETTLING)
    begin = time.perf_counter(), len(session.heard)
    dice, pressed = Random(1), []
    for press in range(KEYS):
        listen(session, dice.uniform(*PAUSE))
        pressed.append((time.perf_counter(), press % 2))
        session.type(keys[press % 2])
    listen(session, max(2.0, begin[0] + WATCHED - time.perf_counter()))
    return Watched(session, pressed, begin, (time.perf_counter(), len(session.heard)))


def listen(session: Session, seconds: float) -> None:
    """Take what comes for so long."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        session.listen(left)


def figures_of(watched: Watched, times: dict[int, float], kbit: float, step: int) -> dict[str, float]:
    """Return frames per second, ages, delays of keys, and the share of possible frames that is missing."""
    seen = list(sights(watched))
    during = [each for each in seen if watched.begin[0] <= each.at < watched.end[0]]
    seconds, size = watched.end[0] - watched.begin[0], watched.end[1] - watched.begin[1]
    fps = len(during) / seconds
    ages = [each.at - times[each.number] for each in during if each.number in times]
    possible = min(float(broadcast.FPS), kbit * 125 / (size / max(1, len(during))))
    keys = [effect(seen, at, (1 - which) * step if step else None) for at, which in watched.pressed]
    return {
        "fps": fps,
        "frame_kB": size / max(1, len(during)) / 1000,
        "mosaic_kB": sum(each.size for each in during) / max(1, len(during)) / 1000,
        "age_s": worst(ages),
        "age_median_s": float(np.median(ages)) if ages else np.inf,
        "key_s": worst(keys),
        "missing": 1 - fps / possible,
    }


def sights(watched: Watched) -> Iterator[Seen]:
    """Yield the mosaics that the terminal showed, with their times."""
    parts = transmissions(watched.session.heard)
    first = mosaics(parts, WIDTH)[0]
    screen = Screen(fit(112, (14, 14), (COLUMNS * CELL.width, ROWS * CELL.height), 24))
    for part in parts:
        if part.pane == first.pane or part.cells == first.cells:
            screen.take(part)
            at = watched.session.when(part.end) + watched.session.started
            yield Seen(at, screen.number(), screen.selected(), part.size)


def effect(seen: Sequence[Seen], pressed: float, expected: int | None) -> float:
    """Return the seconds from a key to the first mosaic with the expected tile framed, or (None) with another one."""
    before = next((each.selected for each in reversed(seen) if each.at < pressed), None)
    for each in seen:
        is_effect = each.selected != before if expected is None else each.selected == expected
        if each.at > pressed and is_effect:
            return each.at - pressed
    return float("inf")


def worst(values: Sequence[float]) -> float:
    """Return what nineteen of twenty are under."""
    return float(np.quantile(values, 0.95, method="higher")) if values else float("inf")


if __name__ == "__main__":
    sys.exit(main())

"""Video over a slow link: through a real sshd and a relay, with a terminal that answers as kitty does."""

from __future__ import annotations

import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import laptop
from tests.clips import needs_ffmpeg
from tests.e2e.expected import LAYER, drawn, ember, is_shown, layout_in, levels, mosaic, pane
from tests.e2e.live import clip
from tests.e2e.model import KITTY, SIXEL, TRUE_COLOUR, Kind
from tests.e2e.relay import Relay
from tests.e2e.ssh import Sshd, program_id
from tests.e2e.terminal import PATIENCE, Terminal, engine_of
from tuivis.render.mosaic import blended

pytestmark = pytest.mark.e2e

KBIT = 1000 / 8
PAGE = resource.getpagesize()
"""Bytes."""
STALL = 22.0
"""Seconds. What was on screen before is half a video away from what is to be there then."""
GROWTH = 16e6
"""Bytes of memory that are no growth: a tenth of the frames of a stall, as the network sees them."""


@contextmanager
def playing(
    sshd: Sshd, folder: Path, rate: float, delay: float, kind: Kind = KITTY, *options: str
) -> Iterator[tuple[Terminal, Relay]]:
    """Play the clip in `folder` over a link of `rate` bytes per second and `delay` seconds each way."""
    relay = Relay(sshd.port, rate, delay)
    command = sshd.command("--input", "clip.avi", *options, folder=folder)
    command = [str(relay.port) if word == str(sshd.port) else word for word in command]
    with Terminal(command, kind) as terminal:
        terminal.until_text(r"\d+ fps")
        yield terminal, relay
    relay.close()


def frame_shown(
    terminal: Terminal, frames: Sequence[NDArray[np.float32]], colours: int, coarseness: int = 1, unit: int = 0
) -> int | None:
    """Return which frame's mosaic is on screen, in so many colours and that coarse; None if it is none."""
    layout = layout_in(pane(terminal.screen, LAYER), terminal.screen.cell, frames[0], 24)
    # The middle of each value: what is coarse is scaled by the terminal, not quite by a whole number.
    middle = np.s_[layout.scale // 2 :: layout.scale]
    shown = drawn(terminal.screen, LAYER, layout)[middle, middle]
    for number, values in enumerate(frames):
        tiles = blended(levels(values, (layout.height, layout.width)), coarseness)
        if is_shown(
            shown,
            mosaic(tiles, layout, unit)[middle, middle],
            ember(colours),
            2 if terminal.screen.kind == SIXEL else 0,
        ):
            return number
    return None


@pytest.mark.parametrize(
    ("options", "colours", "coarseness"),
    [(("--quality", "16"), 16, 1), (("--quality", "half"), 16, 2), (("--quality", "quarter"), 16, 4)],
)
def test_what_moves_is_shown_in_the_quality_that_was_asked_for(
    sshd: Sshd, folder: Path, options: tuple[str, ...], colours: int, coarseness: int
) -> None:
    frames = clip(folder / "clip.avi")
    with playing(sshd, folder, 2000 * KBIT, 0.02, KITTY, *options) as (terminal, _):
        seen = set()

        def is_seen() -> bool:
            seen.add(frame_shown(terminal, frames, colours, coarseness))
            return len(seen - {None}) >= 2

        terminal.until(is_seen)


@pytest.mark.parametrize(("kind", "colours"), [(KITTY, 256), (SIXEL, 32)], ids=["kitty", "sixel"])
def test_a_paused_video_shows_its_newest_frame_at_full_quality(
    sshd: Sshd, folder: Path, kind: Kind, colours: int
) -> None:
    frames = clip(folder / "clip.avi")
    with playing(sshd, folder, 4000 * KBIT, 0.02, kind) as (terminal, _):
        terminal.type(" ")
        terminal.until_text("paused")
        # One more frame may be under way.
        terminal.settle()
        terminal.until(lambda: frame_shown(terminal, frames, colours) is not None)
        number = frame_shown(terminal, frames, colours)
        assert f"0:0{number} / 0:04" in "\n".join(terminal.screen.lines())
        terminal.type(".")
        terminal.until(lambda: frame_shown(terminal, frames, colours) == ((number or 0) + 1) % len(frames))
        terminal.type(",")
        terminal.until(lambda: frame_shown(terminal, frames, colours) == number)


def test_half_blocks_play_too(sshd: Sshd, folder: Path) -> None:
    clip(folder / "clip.avi")
    with playing(sshd, folder, 4000 * KBIT, 0.02, TRUE_COLOUR) as (terminal, _):
        before = terminal.screen.pixels()
        terminal.until(lambda: float((terminal.screen.pixels() != before).any(axis=2).mean()) > 0.2)


@needs_ffmpeg
def test_the_camera_of_a_laptop_comes_as_the_readme_says(sshd: Sshd, folder: Path) -> None:
    near, far = free_port(), free_port()
    command = sshd.command("--input", f"http://127.0.0.1:{far}/", folder=folder)
    command[1:1] = laptop.forwarding(far, near)
    camera = ["-re", "-f", "lavfi", "-i", "testsrc=size=640x480:rate=30"]
    sending = ["ffmpeg", "-nostdin", "-v", "quiet", *camera, *laptop.output("http").format(port=near).split()]
    with Terminal(command) as terminal:
        terminal.until_text(rf"waiting for http://127\.0\.0\.1:{far}/")
        for _ in range(2):
            with subprocess.Popen(sending) as ffmpeg:
                watch(terminal, lambda: not terminal.find("trying again"))
                watch(terminal, lambda: terminal.find(r" ([2-9]|\d\d) fps .* levels") is not None)
                ffmpeg.kill()
            terminal.until_text("is lost: trying again")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def watch(terminal: Terminal, condition: Callable[[], bool]) -> None:
    """Take in what comes, which is never quiet, until `condition` holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "\n".join(terminal.screen.lines())
        terminal.listen(0.05)


def place(terminal: Terminal) -> int:
    """Return the second of the video that the screen tells."""
    return int(terminal.until_text(r"0:0(\d) / 0:04")[1])


def resident(folder: Path) -> dict[str, int]:
    """Return the bytes of memory of the program in `folder` and of its engine."""
    ui = program_id(folder)
    pids = {"ui": ui, "engine": engine_of(ui)}
    return {name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for name, pid in pids.items()}


def test_after_a_stall_the_present_is_shown_and_keys_have_taken_effect(sshd: Sshd, folder: Path) -> None:
    frames = clip(folder / "clip.avi", rate=25)
    rate = 2000 * KBIT
    with playing(sshd, folder, rate, 0.02, KITTY, "--quality", "16") as (terminal, relay):
        for expected in range(len(frames)):
            terminal.until(lambda expected=expected: frame_shown(terminal, frames, 16) == expected)  # type: ignore[misc]
        before, memory, begin = place(terminal), resident(folder), time.monotonic()
        relay.stall()
        for _ in range(2):
            terminal.type("l")
            until = time.monotonic() + STALL / 2
            while time.monotonic() < until:
                terminal.listen(0.1)
        grown = {name: size - memory[name] for name, size in resident(folder).items()}
        assert max(grown.values()) < GROWTH, grown
        carried = relay.carried
        relay.flow()

        def is_current() -> bool:
            now = before + time.monotonic() - begin
            shown = frame_shown(terminal, frames, 16, unit=2)
            return shown is not None and min((now - shown) % len(frames), (shown - now) % len(frames)) <= 1

        terminal.until(is_current)
        # No more than the link carries in a second has gone before it.
        assert relay.carried - carried < rate
        terminal.until_text(r"unit 2\b")
        grown = {name: size - memory[name] for name, size in resident(folder).items()}
        assert max(grown.values()) < GROWTH, grown


def test_a_video_ends_with_the_program_and_leaves_no_answers_behind(sshd: Sshd, folder: Path) -> None:
    clip(folder / "clip.avi")
    with playing(sshd, folder, 1000 * KBIT, 0.1) as (terminal, _):
        terminal.type("q")
        assert terminal.drain() == 0
        assert not any(line.strip() for line in terminal.screen.lines())
        assert terminal.screen.is_restored

"""A virtual screen with one real terminal on it: what the user sees, as pixels."""

from __future__ import annotations

import io
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from tests.decoders import Pixels
from tests.e2e.ssh import needs
from tests.e2e.terminal import PATIENCE

FONT = "DejaVu Sans Mono"
SIZE = 1600, 986
"""Pixels of the screen: 200 x 58 cells of the font."""

_XTERM = {
    "decTerminalID": "vt340",
    "numColorRegisters": "256",
    "maxGraphicSize": "2000x2000",
    "allowWindowOps": "true",
}
TERMINALS: dict[str, tuple[str, ...]] = {
    "xterm": (
        *("xterm", "-ti", "vt340", "-fa", FONT, "-fs", "10", "-geometry", "200x58+0+0", "-b", "0", "-bw", "0"),
        *(word for name, value in _XTERM.items() for word in ("-xrm", f"XTerm*{name}: {value}")),
        "-e",
    ),
    "kitty": (
        *("kitty", "--config", "NONE", "-o", f"font_family={FONT}", "-o", "font_size=10"),
        *("-o", "update_check_interval=0", "-o", "remember_window_size=no"),
        *("-o", f"initial_window_width={SIZE[0]}", "-o", f"initial_window_height={SIZE[1]}"),
    ),
}


class Desktop:
    """Runs `command` in the real terminal `name` on a screen of its own. A context manager."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        needs("Xvfb", "import", "xdotool", name)
        self._command = [*TERMINALS[name], *command]
        self._folder = folder
        self._environ = {**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1", "LANG": "C.UTF-8"}
        for variable in ("TMUX", "COLORTERM", "WAYLAND_DISPLAY"):
            self._environ.pop(variable, None)
        self._started = ExitStack()

    def __enter__(self) -> Desktop:
        read, write = os.pipe()
        screen = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-nolisten", "tcp"]
        self._start(screen, pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as number:
            # Xvfb writes the number of the display that was free, as soon as it can be used.
            self._environ["DISPLAY"] = f":{int(number.readline())}"
        self._start(self._command)
        return self

    def __exit__(self, *error: object) -> None:
        self._started.close()

    def _start(self, command: Sequence[str], pass_fds: tuple[int, ...] = ()) -> None:
        with (self._folder / f"{command[0]}.log").open("wb") as log:
            process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log, pass_fds=pass_fds)
        self._started.callback(process.wait, 10)
        self._started.callback(process.terminate)

    def press(self, *keys: str) -> None:
        """Press keys, by the names that X gives them."""
        for key in keys:
            subprocess.run(["xdotool", "key", "--clearmodifiers", key], env=self._environ, check=True)
            time.sleep(0.2)

    def look(self) -> Pixels:
        """Return (H, W, 3): a screenshot."""
        shot = subprocess.run(
            ["import", "-window", "root", "png:-"], env=self._environ, check=True, capture_output=True
        )
        return np.asarray(Image.open(io.BytesIO(shot.stdout)).convert("RGB"))

    def until(self, condition: Callable[[Pixels], bool]) -> Pixels:
        """Look until `condition` holds of the screen; return what it looks like."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            pixels = self.look()
            if condition(pixels):
                return pixels
            time.sleep(0.3)
        Image.fromarray(pixels).save(self._folder / "screen.png")
        raise AssertionError(f"never came true: see {self._folder}/screen.png")

    def settle(self, looks: int = 4) -> Pixels:
        """Look until the screen stays as it is; return what it looks like."""
        same = 0
        before = self.look()

        def is_still(pixels: Pixels) -> bool:
            nonlocal same, before
            same, before = (same + 1 if np.array_equal(pixels, before) else 0), pixels
            return same >= looks

        return self.until(is_still)

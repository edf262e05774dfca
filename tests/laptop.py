"""What the README has the laptop do to send its camera."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()
PORT = "8090"


def output(kind: str) -> str:
    """Return what the commands for ffmpeg that send by `kind` of URL do with the camera's frames: all do the same.

    Its port is left open, as {port}.
    """
    lines = [shlex.split(line) for line in README.splitlines() if line.strip().startswith("ffmpeg ")]
    outputs = {" ".join(words[words.index("-i") + 2 :]) for words in lines if words[-1].startswith(f"{kind}://")}
    assert len(outputs) == 1, outputs
    return outputs.pop().replace(f":{PORT}", ":{port}")


def forwarding(far: int, near: int) -> list[str]:
    """Return the options of ssh that bring the laptop's port `near` to the other machine's port `far`."""
    found = re.search(rf"^ +ssh (-.*) {PORT}(:127\.0\.0\.1:){PORT} ", README, re.MULTILINE)
    assert found is not None
    return [*found[1].split(), f"{far}{found[2]}{near}"]

"""The program's standard streams: closed ones, full ones, and those of a locale that lacks a character."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO, cast


def settle() -> None:
    """Put up with streams that are closed, and with characters that a stream's locale lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere(mode))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Let what could not be written be: it must not be tried again at exit."""
    sys.stdout = _nowhere("w")


def close_input() -> None:
    """Give whoever asks for a line from now on the end of the file."""
    sys.stdin = _nowhere("r")
    os.dup2(sys.stdin.fileno(), 0)


def _nowhere(mode: str) -> TextIO:
    return cast(TextIO, Path(os.devnull).open(mode))

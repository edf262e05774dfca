"""Ending when the terminal goes away, or when the system says so; Textual alone would spin or leave it raw."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable

from textual.app import App

LAST_RESORT = 2.0
"""Seconds after which a program whose terminal is gone ends without tidying up: a write to it may block for ever."""

LOOK = 1.0
"""Seconds between two looks whether the terminal is still there."""


def watch(app: App[int], leave: Callable[[int], object]) -> None:
    """Call `leave` with an exit code on SIGTERM and SIGHUP, and when the terminal is lost without a signal."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _end, leave, 128 + number)
    if sys.__stdin__ is not None and sys.__stdin__.isatty():
        app.set_interval(LOOK, lambda: None if os.isatty(0) else _end(leave, 128 + signal.SIGHUP))


def _end(leave: Callable[[int], object], code: int) -> None:
    last_resort = threading.Timer(LAST_RESORT, os._exit, (code,))
    last_resort.daemon = True
    last_resort.start()
    leave(code)

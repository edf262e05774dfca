"""An engine whose parent was killed."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def go_on() -> bool:
    """Let this process go on when its parent ends while it stands still, so that it finds its pipe closed, and ends.

    Return whether that can be: only Linux tells a process of its parent's end.
    """
    return sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT) == 0)

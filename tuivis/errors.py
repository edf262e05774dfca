"""The error that the user caused, or can mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """One clear line for the user: what, which value, what to do instead."""


def no_utf8(error: UnicodeEncodeError) -> UserError:
    """Return what to say of a name whose bytes are no UTF-8, so that it cannot be sent to an engine."""
    return UserError(f"the name {printable(error.object)} is not UTF-8: rename it, or use a link with another name")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether memory ran out, the processor's or a GPU's. torch has no class for the former."""
    text = str(error)
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or any(sign in text for sign in ("can't allocate memory", "not enough memory", "ALLOC_FAILED"))


def printable(value: object) -> str:
    r"""Return `value` as text that is safe on a terminal and fits on one line.

    Whatever does not print (control characters, line breaks, bytes that are no UTF-8 in a file's name) is escaped as
    in a Python string: ``"a\x1bb"`` gives ``a\x1bb``, spelt out.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``": did you mean a, b or c?"`` with the known names closest to `name`, or an empty string."""
    close = closest(name, known, 0.5)
    if not close:
        return ""
    return f": did you mean {' or '.join(filter(None, [', '.join(close[:-1]), close[-1]]))}?"


def closest(name: str, known: Iterable[str], similarity: float) -> list[str]:
    """Return up to three of the known names, the most similar first, safe on a terminal; case does not matter.

    `similarity`, in 0 .. 1, is the least; it is that of `difflib.SequenceMatcher.ratio`.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower, n=3, cutoff=similarity)
    return [printable(by_lower[match]) for match in matches]

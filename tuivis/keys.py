"""The keys: which there are, what they do, and which of them the configuration may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.binding import Binding
from textual.dom import DOMNode

from tuivis.errors import UserError, nearest, printable


def check_keys(keys: Mapping[str, str], owners: Sequence[type[DOMNode]]) -> None:
    """Check that every binding id in `keys` is one of the `owners`' bindings.

    Raises
    ------
    UserError
        If there is no such binding.
    """
    known = [binding.id for owner in owners for binding in owner.BINDINGS if isinstance(binding, Binding)]
    names = [name for name in known if name]
    for name in keys:
        if name not in names:
            near = nearest(name, names) or ": the README lists the ids"
            raise UserError(f"no binding {printable(name)} in [keys]{near}")


def bindings_of(nodes: Sequence[DOMNode], keys: Mapping[str, str]) -> list[tuple[DOMNode, Binding]]:
    """Return each node's bindings as `keys` changes them, a pair for each key."""
    pairs: list[tuple[DOMNode, Binding]] = []
    for node in nodes:
        bound = node._bindings.copy()
        bound.apply_keymap(dict(keys))
        pairs += [(node, binding) for _, binding in bound]
    return pairs

"""The help lists every key that can be bound."""

from __future__ import annotations

import io

from rich.console import Console
from textual.binding import Binding

from tuivis.app import TuivisApp
from tuivis.screens.explore import ExploreScreen
from tuivis.screens.help import help_text, key_name
from tuivis.widgets.jobs import JobsPane
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.unit import UnitMap


def test_every_key_that_can_be_bound_is_in_the_help() -> None:
    nodes = (MosaicPane, UnitMap, JobsPane, ExploreScreen, TuivisApp)
    bindings = [each for node in nodes for each in Binding.make_bindings(node.BINDINGS) if each.id]
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        console.print(help_text(bindings))
    text = captured.get()
    missing = [each.id for each in bindings if each.description not in text]
    assert not missing
    for name in ("play.pause", "record.toggle", "unit.left"):
        (binding,) = (each for each in bindings if each.id == name and each.key in ("space", "R", "left"))
        (line,) = (line for line in text.splitlines() if binding.description in line)
        assert key_name(binding.key) in line

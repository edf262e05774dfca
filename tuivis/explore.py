"""`tuivis` in a terminal: probe it, then run the App in it."""

from __future__ import annotations

import os
import sys

from tuivis import devices
from tuivis.app import TuivisApp
from tuivis.config import Settings
from tuivis.keys import check_keys
from tuivis.render.probe import probe
from tuivis.render.protocols import choose
from tuivis.screens.explore import ExploreScreen
from tuivis.widgets.display import Display
from tuivis.widgets.layers import LayerTree
from tuivis.widgets.mosaic import MosaicPane
from tuivis.widgets.unit import UnitMap


def run(settings: Settings) -> int:
    """Probe the terminal, run the explorer in it, and return the exit code.

    Raises
    ------
    UserError
        If the settings name a binding or a protocol that does not exist.
    """
    settings = devices.named(settings)
    check_keys(settings.keys, (MosaicPane, UnitMap, LayerTree, ExploreScreen, TuivisApp))
    terminal, typed = probe(sys.stdin.fileno(), sys.stdout.fileno(), os.environ)
    choice = choose(terminal, os.environ, settings.protocol)
    display = Display(terminal, choice, settings.max_kbit, settings.quality)
    if terminal.true_colour:
        # Over SSH the variable is lost, and Textual would reduce the placeholders' colour, which is the picture's id.
        os.environ["COLORTERM"] = "truecolor"
    app = TuivisApp(settings, display, typed)
    app.run()
    return app.return_code or 0

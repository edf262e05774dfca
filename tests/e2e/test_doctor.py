"""`tuivis doctor` in a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.model import TRUE_COLOUR
from tests.e2e.terminal import TUIVIS, Terminal

pytestmark = pytest.mark.e2e


def test_the_doctor_examines_the_terminal_that_it_is_in(folder: Path) -> None:
    with Terminal((*TUIVIS, "doctor")) as terminal:
        assert terminal.drain() == 0
        for line in (
            r"terminal +kitty\(0\.41\.1\)",
            r"pictures +kitty: ",
            "cell +8 x 16 pixels",
            "colours +true colour",
        ):
            assert terminal.find(line)
        assert terminal.find(r"\d ms round trip")
        assert terminal.screen.is_restored
    with Terminal((*TUIVIS, "doctor", "--json"), TRUE_COLOUR, size=(200, 100)) as terminal:
        assert terminal.drain() == 0
        text = "\n".join(terminal.screen.lines())
        report = json.loads(text[text.index("{") :])
        assert report["terminal"]["protocol"] == "halfblock"
        assert any("terminal with graphics" in line for line in report["advice"])

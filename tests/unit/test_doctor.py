from __future__ import annotations

import pytest

from tuivis import doctor
from tuivis.render.probe import Terminal
from tuivis.render.protocols import Choice


@pytest.mark.parametrize(
    ("term", "true_colour", "colours"),
    [
        ("dumb", False, "none"),
        (None, False, "none"),
        ("xterm", False, "256"),
        ("xterm", True, "true colour"),
    ],
)
def test_the_colours_are_those_that_the_terminal_has(
    term: str | None, true_colour: bool, colours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    terminal = doctor._describe(Terminal(true_colour=true_colour), Choice("ascii", "why"))
    report = doctor.Report(terminal, (), {"torch": "missing"}, "", "config.toml", "engine.log", ())
    lines = doctor.lines(report)
    assert ("colours", colours) in lines
    assert ("packages", "torch missing") in lines

from __future__ import annotations

import json

import pytest

from tuivis import printing


def test_json_holds_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["Müsli 画", "\x9b31m", "\x1b[31m", "right\u202eleft", "two\nlines", "\U000e0001"]
    printing.print_json({"names": names})
    printed = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert "Müsli 画" in printed
    assert "\\u009b31m" in printed
    assert json.loads(printed) == {"names": names}

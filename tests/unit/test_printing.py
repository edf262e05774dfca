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


def test_json_spells_out_what_is_no_utf8_in_a_files_name(capsys: pytest.CaptureFixture[str]) -> None:
    printing.print_json({"files": ("a\udcff.png",), "Müsli": 1.5, "none": None})
    assert json.loads(capsys.readouterr().out) == {"files": ["a\\udcff.png"], "Müsli": 1.5, "none": None}

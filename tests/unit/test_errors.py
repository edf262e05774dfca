from __future__ import annotations

import os

import pytest

from tuivis.errors import closest, nearest, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photo 1.png", "photo 1.png"),
        ("Müsli 画.png", "Müsli 画.png"),
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x9b31m", r"\x9b31m"),
        ("right\u202eleft", r"right\u202eleft"),
        (os.fsdecode(b"\xff.png"), r"\udcff.png"),
    ],
)
def test_only_what_prints_is_left_as_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).encode()


def test_names_are_near_whatever_their_case() -> None:
    assert nearest("RESNET-18", ["resnet18", "vgg11"]) == ": did you mean resnet18?"
    assert nearest("layer3", ["Layer3", "vgg11"]) == ": did you mean Layer3?"
    assert nearest("xyzzy", ["resnet18"]) == ""
    assert set(closest("xyzzy", ["a", "b", "c\x1b"], 0)) == {"a", "b", r"c\x1b"}

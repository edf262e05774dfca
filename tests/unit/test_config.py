from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from tuivis import config, state
from tuivis.config import Settings
from tuivis.errors import UserError
from tuivis.render import protocols


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


def test_an_absent_file_gives_the_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path / "none.toml") == Settings()
    assert Settings().input == ("demo",)


def test_the_users_file_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "tuivis").mkdir()
    written(tmp_path / "tuivis", 'model = "resnet18"')
    assert config.load().model == "resnet18"
    assert config.log_path().is_relative_to(tmp_path / "state" / "tuivis")


def test_every_setting_can_be_given(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        model = "resnet18"
        weights = "random"
        input = ["a.png", "photos"]
        layer = "layer3"
        unit = 7
        device = "cuda:1"
        protocol = "sixel"
        theme = "nord"
        colours = "gray"
        [keys]
        "view.zoom" = "x"
        """,
    )
    keys = {"view.zoom": "x"}
    expected = Settings("resnet18", "random", ("a.png", "photos"), "layer3", 7, "cuda:1", "sixel", "nord", "gray", keys)
    assert config.load(path) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('colurs = "ember"', ["colurs", "did you mean colours?"]),
        ("xyzzy = 1", ["unknown key xyzzy", "model", "keys"]),
        ('unit = "seven"', ["unit = seven", "expected int"]),
        ("unit = -1", ["unit = -1", ">= 0"]),
        ('input = "demo"', ["input = demo", "expected array"]),
        ("input = [1]", ["input[0] is wrong", "expected str"]),
        ('colours = "purple"', ["colours = purple", "use one of ember, dusk, gray"]),
        ('protocol = "vt100"', ["protocol = vt100", "kitty", "halfblock"]),
        ('[keys]\n"view.zoom" = 3', ["keys", "expected str"]),
        ('model = "a"\nunit = = 3', ["not TOML", "line 2"]),
        ('"a\\u001b[31m" = 1', ["a\\x1b[31m"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        config.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    for word in words:
        assert word in message


def test_unreadable_files_are_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'model = "\xff"')
    with pytest.raises(UserError, match="UTF-8"):
        config.load(tmp_path / "config.toml")
    with pytest.raises(UserError, match="cannot read"):
        config.load(tmp_path)


def test_what_config_prints_is_a_configuration_file(tmp_path: Path) -> None:
    settings = Settings(
        model='a"b\\c', input=("é", "b\n"), unit=3, device="cpu", keys={"view.zoom": "x,y", "layer.next": "ö"}
    )
    assert config.load(written(tmp_path, config.toml(settings))) == settings
    assert config.load(written(tmp_path, config.toml(Settings()))) == Settings()


def test_the_names_are_those_that_the_program_knows() -> None:
    assert get_args(config.Protocol) == protocols.NAMES
    assert get_args(config.Colours) == state.COLOURS


@pytest.mark.parametrize(
    ("given", "devices"),
    [
        (None, (None,)),
        ("cpu", ("cpu",)),
        ("cuda:0,cuda:1", ("cuda:0", "cuda:1")),
        ("all", (None,)),
    ],
)
def test_a_device_may_be_several(given: str | None, devices: tuple[str | None, ...]) -> None:
    assert Settings(device=given).devices == devices

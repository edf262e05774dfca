from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from click.shell_completion import ShellComplete

from tuivis import completion, config
from tuivis.cli import cli
from tuivis.errors import closest


def offered(*words: str) -> set[tuple[str, str]]:
    """Return what the last of `words` is completed to, with the kind."""
    items = ShellComplete(cli, {}, "tuivis", "_TUIVIS_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return {(item.type, item.value) for item in items}


@pytest.mark.parametrize(
    "before", [[], ["layers"], ["snapshot"], ["rank"], ["snapshot", "--unit", "3"], ["--unit", "3"]]
)
def test_a_model_is_a_name_or_a_file(before: list[str]) -> None:
    assert offered(*before, "resnet18") == {("file", "resnet18"), ("plain", "resnet18")}
    assert offered(*before, "./ne") == {("file", "./ne")}
    assert ("plain", "efficientnet_lite0") in offered(*before, "")
    assert "file" not in {kind for kind, _ in offered(*before, "--")}


def test_no_model_is_taken_for_a_mistyped_command() -> None:
    assert [name for name in completion.models() if closest(name, cli.commands, 0.8)] == []


def test_options_take_names_and_files() -> None:
    assert offered("--input", "") == {("file", ""), ("plain", "demo")}
    assert offered("snapshot", "resnet18", "--input", "d") == {("file", "d"), ("plain", "demo")}
    assert offered("layers", "resnet18", "--weights", "r") == {("file", "r"), ("plain", "random")}
    assert offered("--weights", "pho/") == {("file", "pho/")}
    assert offered("--protocol", "") == {("plain", name) for name in get_args(config.Protocol)}
    assert {"tuivis-light", "nord"} <= {name for kind, name in offered("--theme", "") if kind == "plain"}
    assert offered("--theme", "tuivis-d") == {("plain", "tuivis-dark")}


def test_the_models_are_those_of_torchvision_and_need_no_torch() -> None:
    import torchvision

    zoo: Any = torchvision.models
    assert sorted(completion.models()) == sorted(["efficientnet_lite0", *zoo.list_models(module=zoo)])
    script = "import sys; from tuivis.completion import models; models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_without_torchvision_the_default_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert completion.models() == ["efficientnet_lite0"]

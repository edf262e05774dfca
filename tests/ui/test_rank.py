"""`tuivis rank` and `tuivis snapshot --backward`, as a user calls them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from skimage.data import data_dir

from tests.ui.explorer import explorer
from tests.ui.test_backward import LAYER, Reference
from tuivis import cli
from tuivis.config import Settings


def test_a_layer_is_ranked_for_a_class_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    photograph = str(Path(data_dir) / "coffee.png")
    arguments = ["rank", "efficientnet_lite0", "--input", photograph, "--layer", LAYER, "--class", "Espresso"]
    assert cli.run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["target"], report["label"], len(report["units"])) == (967, "espresso", 112)
    falls = [unit["ablation"] for unit in report["units"]]
    assert falls == sorted(falls, reverse=True)
    assert [unit["by_ablation"] for unit in report["units"]] == list(range(1, 113))
    reference = Reference()
    first = report["units"][0]["unit"]

    def zero(_m: torch.nn.Module, _i: object, out: torch.Tensor) -> torch.Tensor:
        return out.index_fill(1, torch.tensor(first), 0)

    with torch.no_grad():
        whole = reference.module(reference.batch)[0, 967]
        reference.module.get_submodule(LAYER).register_forward_hook(zero)
        alone = reference.module(reference.batch)[0, 967]
    assert falls[0] == pytest.approx(float(whole - alone), abs=1e-4)

    assert cli.run([*arguments, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["unit"]) for row in rows] == [unit["unit"] for unit in report["units"]]


@pytest.mark.timeout(300)
def test_several_pictures_count_by_their_means_and_damaged_ones_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("coffee.png", "chelsea.png"):
        shutil.copy(Path(data_dir) / name, folder)
    (folder / "broken.png").write_bytes(b"no picture")

    def ranked(source: Path, *arguments: str) -> Any:
        given = ["--input", str(source), "--layer", "_blocks.15", "--json", *arguments]
        assert cli.run(["rank", "efficientnet_lite0", *given]) == 0
        report = json.loads(capsys.readouterr().out)
        return report | {"units": {unit["unit"]: unit for unit in report["units"]}}

    both = ranked(folder)
    assert (both["pictures"], both["target"]) == (["chelsea.png", "coffee.png"], None)
    assert len(both["notes"]) == 1 and "broken.png" in both["notes"][0]
    alone = [ranked(folder / name) for name in both["pictures"]]
    assert alone[0]["target"] != alone[1]["target"] == 967
    for unit, row in both["units"].items():
        for score in ("ablation", "gradient", "activation"):
            mean = (alone[0]["units"][unit][score] + alone[1]["units"][unit][score]) / 2
            assert row[score] == pytest.approx(mean, rel=1e-4, abs=1e-5)
    assert ranked(folder, "--class", "espresso")["label"] == "espresso"


NETWORK = """
import torch
from torch import nn

class Odd(nn.Module):
    def forward(self, x):
        {forward}

def make():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Odd(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    net.input_size = (3, 16, 16)
    return net
"""


@pytest.mark.parametrize(
    ("forward", "without"),
    [
        # The slope of a root is infinite at 0, and times 0 it is no number.
        ("return torch.cat([(x[:, :1] * 0).sqrt(), x[:, 1:]], 1)", {0}),
        ("return x.detach() * 2", {0, 1, 2, 3}),
    ],
)
def test_a_score_that_is_no_number_is_null_and_has_no_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], forward: str, without: set[int]
) -> None:
    (tmp_path / "net.py").write_text(NETWORK.format(forward=forward))
    model = [f"{tmp_path / 'net.py'}:make", "--input", str(Path(data_dir) / "coffee.png"), "--layer", "0"]
    assert cli.run(["rank", *model, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    units = {unit["unit"]: unit for unit in report["units"]}
    assert {unit for unit, row in units.items() if row["gradient"] is None} == without
    assert {unit for unit, row in units.items() if row["by_gradient"] is None} == without
    assert sorted(row["by_gradient"] for row in units.values() if row["by_gradient"]) == [*range(1, 5 - len(without))]
    assert sorted(row["by_ablation"] for row in units.values()) == [1, 2, 3, 4]
    assert any("No gradient gets from the output" in note for note in report["notes"]) == (len(without) == 4)
    assert cli.run(["rank", *model, "--csv"]) == 0
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert {int(row["unit"]) for row in rows if row["gradient"] == row["by_gradient"] == ""} == without
    assert cli.run(["rank", *model]) == 0
    assert sum(" - " in line for line in capsys.readouterr().out.splitlines()) == len(without)


async def test_the_explorer_sorts_the_mosaic_as_rank_does(capsys: pytest.CaptureFixture[str]) -> None:
    picture, found = str(Path(data_dir) / "coffee.png"), {}
    async with explorer(Settings(layer="_blocks.14", input=(picture,))) as running:

        def answered() -> bool:
            shown, mosaic = running.app._shown, running.state.mosaic
            asked = shown is not None and shown.order == running.state.view.order
            return asked and mosaic is not None and mosaic.generation >= running.state.since.mosaic

        for order in ("gradient", "ablation"):
            while running.state.view.order != order:
                await running.pilot.press("i")
            await running.until(answered)
            assert running.state.mosaic is not None
            found[order] = running.state.mosaic.order.numpy().tolist()
    given = ["rank", "efficientnet_lite0", "--input", picture, "--layer", "_blocks.14", "--json"]
    assert await asyncio.to_thread(cli.run, given) == 0
    units = json.loads(capsys.readouterr().out)["units"]
    for order, shown in found.items():
        assert shown == [unit["unit"] for unit in sorted(units, key=lambda unit: unit[f"by_{order}"])]


def test_what_cannot_be_ranked_or_gone_back_from_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["rank", "efficientnet_lite0", "--class", "expresso"], "did you mean espresso"),
        (["rank", "efficientnet_lite0", "--json", "--csv"], "exclude each other"),
        (["snapshot", "efficientnet_lite0", "--backward", "deconv", "-o", "x.png"], "give --unit"),
        (["snapshot", "efficientnet_lite0", "--at", "1,2", "-o", "x.png"], "give --backward"),
        (["snapshot", "efficientnet_lite0", "--unit", "1", "--backward", "deconv", "--at", "x", "-o", "x.png"], "row"),
        (
            ["snapshot", "efficientnet_lite0", "--backward", "gradcam", "--at", "1,2", "-o", "x.png"],
            "--at is for a unit",
        ),
        (["snapshot", "efficientnet_lite0", "--class", "3", "-o", "x.png"], "--class is for Grad-CAM"),
        (["snapshot", "efficientnet_lite0", "--view", "norm", "-o", "x.png"], "--view needs a backward pass"),
        (
            ["snapshot", "efficientnet_lite0", "--backward", "gradcam", "--view", "norm", "-o", "x.png"],
            "--view norm is for a unit's backward pass",
        ),
    ):
        assert cli.run(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not Path("x.png").exists()

"""Recipes: the paper's table, files of one's own, what is impossible, and random draws."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tuivis.engine.optimise.recipes import BUILT_IN, MEANINGS, Recipe, changed, find, toml
from tuivis.errors import UserError
from tuivis.search import draws

TABLE_1: dict[str, dict[str, Any]] = {
    "yosinski-1": {"blur_radius": 0.5, "blur_every": 4, "small_norm": 50, "steps": 500, "policy": "progress",
                   "max_rate": 100, "desired": 2},
    "yosinski-2": {"decay": 0.3, "small_norm": 20, "steps": 750, "policy": "constant", "rate": 100},
    "yosinski-3": {"decay": 1e-4, "blur_radius": 1, "blur_every": 4, "steps": 1000, "policy": "constant", "rate": 100},
    "yosinski-4": {"blur_radius": 0.5, "blur_every": 4, "absolute_contribution": 90, "steps": 1000,
                   "policy": "progress", "max_rate": 1e8, "desired": 2},
}  # fmt: skip
REGULARISERS = ("decay", "blur_radius", "small_value", "small_norm", "contribution", "absolute_contribution")


@pytest.mark.parametrize("name", TABLE_1)
def test_the_presets_are_the_papers_table(name: str) -> None:
    recipe = BUILT_IN[name]
    assert {key: getattr(recipe, key) for key in TABLE_1[name]} == TABLE_1[name]
    assert not any(getattr(recipe, key) for key in REGULARISERS if key not in TABLE_1[name])
    assert (recipe.objective, recipe.at, recipe.space, recipe.ascent) == (
        "position",
        None,
        "mean-subtracted",
        "gradient",
    )
    assert (recipe.start, recipe.deviation, recipe.keep, recipe.relative) == ("noise", 10, "best", False)
    free = BUILT_IN[f"{name}-free"]
    assert (free.policy, free.relative, free.steps) == ("progress", True, recipe.steps)
    assert all(getattr(free, key) == getattr(recipe, key) for key in (*REGULARISERS, "blur_every"))


def test_distill_and_maco_are_as_published() -> None:
    distill, maco = BUILT_IN["distill"], BUILT_IN["maco"]
    assert (distill.space, distill.ascent, distill.rate, distill.steps) == ("fourier", "adam", 0.05, 512)
    assert (distill.jitter, distill.second_jitter, distill.decorrelate, distill.deviation) == (8, 4, True, 0.01)
    assert distill.scales == pytest.approx([0.9 + 0.02 * i for i in range(11)])
    assert sorted(distill.degrees) == sorted([*range(-10, 11), 0, 0, 0, 0, 0])
    assert (maco.space, maco.ascent, maco.rate, maco.steps) == ("maco", "nadam", 1.0, 256)
    assert (maco.crop_size, maco.crop_deviation, maco.noise) == (0.25, 0.1, 0.1)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_is_shown_of_a_recipe_is_a_file_that_makes_it(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(toml(BUILT_IN[name]), "utf-8")
    assert find(str(file)) == BUILT_IN[name]
    assert all(f"# {meaning}\n" in file.read_text("utf-8") for meaning in MEANINGS.values())
    assert MEANINGS.keys() == {*Recipe.__struct_fields__}


def test_a_file_changes_a_base_and_settings_change_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "maco"\nsteps = 9\nat = [1, 2]\nobjective = "position"')
    recipe = find(str(file), ["rate=0.5", "keep=best"])
    assert recipe == changed(
        BUILT_IN["maco"],
        {"name": "mine", "steps": 9, "at": [1, 2], "objective": "position", "rate": 0.5, "keep": "best"},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 3", "mine.toml: a recipe has no parameter stepz: did you mean steps?"),
        ("steps = 0", "mine.toml: the recipe's steps = 0 is impossible: expected int >= 1"),
        ("small_norm = 101", "small_norm = 101 is impossible: expected float <= 100"),
        ("rate = inf", "rate = inf is impossible: choose a finite number"),
        ("degrees = [1, nan]", "degrees = .* is impossible: choose a finite number"),
        ('keep = "worst"', "keep = worst is impossible: use one of best, last"),
        ('name = "../"', "name = ../ is impossible: files are called by it"),
        ('base = "distil"', "mine.toml: no recipe distil: did you mean distill?"),
        ('base = ["maco"]', "mine.toml: no recipe .*maco"),
        ("steps = ", "mine.toml is not TOML"),
        ('space = "fourier"\ndecay = 0.1', "decay works on pixels"),
        ('policy = "progress01"', "progress01 needs one position"),
        ("at = [1, 2]", "at names a position"),
    ],
)
def test_what_is_impossible_is_said_with_the_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        find(str(tmp_path / "mine.toml"))


def test_draws_lie_in_the_papers_ranges_and_repeat() -> None:
    drawn = draws(300, 7)
    assert drawn == draws(300, 7) != draws(300, 8)
    assert len({recipe.name for recipe in drawn}) == 300
    percentiles: set[float] = {0, 10, 20, 30, 50, 80, 90}
    ranges: dict[str, set[float]] = {
        "decay": {0, 1e-4, 1e-3, 0.01, 0.1, 0.2, 0.3}, "steps": {250, 500, 750, 1000, 1500},
        "blur_radius": {0, 0.3, 0.4, 0.5, 1}, "blur_every": {1, 2, 3, 4}, "small_value": percentiles,
        "small_norm": percentiles, "contribution": percentiles, "absolute_contribution": percentiles,
    }  # fmt: skip
    for name, values in ranges.items():
        assert {getattr(recipe, name) for recipe in drawn} == values
    progress = [recipe for recipe in drawn if recipe.policy == "progress"]
    assert {recipe.max_rate for recipe in progress} == {1e2, 1e4, 1e6, 1e8}
    assert {recipe.desired for recipe in progress} == {0.1, 0.2, 0.5, 1, 2, 5}
    assert {recipe.rate for recipe in drawn if recipe.policy == "constant"} == {10.0**power for power in range(-3, 3)}
    assert 0.55 < len(progress) / 300 < 0.78
    assert all(tomllib.loads(toml(recipe))["name"] == recipe.name for recipe in drawn)

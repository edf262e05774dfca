"""Recipes: named sets of parameters of an optimisation, built in or in TOML files. No torch."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from tuivis.errors import UserError, nearest, printable
from tuivis.files import harmless_name

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Percentile = Annotated[float, msgspec.Meta(ge=0, le=100)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All parameters of an optimisation; `MEANINGS` says what each is."""

    name: str
    about: str = ""
    objective: Literal["position", "channel"] = "channel"
    at: tuple[Count, Count] | None = None
    minimise: bool = False
    space: Literal["mean-subtracted", "pixel", "fourier", "maco"] = "pixel"
    decorrelate: bool = True
    start: Literal["noise", "uniform", "mean"] = "noise"
    deviation: NotNegative = 0.01
    steps: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 512
    keep: Literal["best", "last"] = "last"
    ascent: Literal["gradient", "adam", "nadam"] = "adam"
    policy: Literal["constant", "progress", "progress01"] = "constant"
    rate: Positive = 0.05
    max_rate: Positive = 1e8
    desired: Positive = 2.0
    relative: bool = False
    early_progress: Positive = 0.1
    late_progress: Positive = 0.1
    decay: Share = 0.0
    blur_radius: NotNegative = 0.0
    blur_every: Count = 1
    small_value: Percentile = 0.0
    small_norm: Percentile = 0.0
    contribution: Percentile = 0.0
    absolute_contribution: Percentile = 0.0
    jitter: Count = 0
    scales: tuple[Positive, ...] = ()
    degrees: tuple[float, ...] = ()
    second_jitter: Count = 0
    crops: Count = 0
    crop_size: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.25
    crop_deviation: NotNegative = 0.1
    noise: NotNegative = 0.0


MEANINGS = {
    "name": "what files and tables call it",
    "about": "a line for people",
    "objective": "the unit at one position, or its mean over the map",
    "at": "[row, column] of the position; the centre if left out",
    "minimise": "look for what the unit likes least",
    "space": "what is optimised: pixels in 0..255 minus the mean, or in 0..1; Fourier coefficients; phases (MACO)",
    "decorrelate": "Fourier and MACO of RGB: axes along natural images' colours",
    "start": "normal noise, uniform noise, or the mean picture",
    "deviation": "standard deviation of the noise, in the units of the space",
    "steps": "iterations",
    "keep": "the picture with the highest objective, or the last one",
    "ascent": "plain gradient, Adam or NAdam",
    "policy": "how the rate is set: constant; progress: desired / |g|^2; progress01: the same, on the softmax",
    "rate": "learning rate of the policy constant",
    "max_rate": "the most that progress may choose",
    "desired": "by how much progress wants the objective to rise in a step",
    "relative": "desired counts in standard deviations of the layer over the photographs: right for any network",
    "early_progress": "progress01: the most that is desired of a step",
    "late_progress": "progress01: the desired share of what is missing to 1",
    "decay": "share of every value that is taken off in a step",
    "blur_radius": "standard deviation of the Gaussian blur in pixels; 0 is off",
    "blur_every": "blur each so many steps",
    "small_value": "percentile of |value| under which values become 0",
    "small_norm": "percentile of a pixel's norm under which pixels become 0",
    "contribution": "percentile of a pixel's contribution under which pixels become 0",
    "absolute_contribution": "percentile of a pixel's absolute contribution under which pixels become 0",
    "jitter": "pixels: each step sees the picture shifted by up to half of it",
    "scales": "each step sees the picture at one of these scales",
    "degrees": "each step sees the picture turned by one of these angles",
    "second_jitter": "pixels: shifted again by up to half of it, after turning",
    "crops": "each step sees so many random crops, enlarged; 0 is the whole picture",
    "crop_size": "mean side of a crop as a share of the picture's",
    "crop_deviation": "its standard deviation",
    "noise": "uniform noise of up to so much is added to what a step sees, in 0..1",
}
"""What each parameter means."""

_TABLE_1: dict[str, dict[str, Any]] = {
    "1": {
        "blur_radius": 0.5,
        "blur_every": 4,
        "small_norm": 50.0,
        "steps": 500,
        "policy": "progress",
        "max_rate": 100.0,
    },
    "2": {"decay": 0.3, "small_norm": 20.0, "steps": 750, "rate": 100.0},
    "3": {"decay": 0.0001, "blur_radius": 1.0, "blur_every": 4, "steps": 1000, "rate": 100.0},
    "4": {"blur_radius": 0.5, "blur_every": 4, "absolute_contribution": 90.0, "steps": 1000, "policy": "progress"},
}
_YOSINSKI: dict[str, Any] = {
    "objective": "position",
    "space": "mean-subtracted",
    "deviation": 10.0,
    "keep": "best",
    "ascent": "gradient",
}
_FREE: dict[str, Any] = {"policy": "progress", "relative": True, "max_rate": 1e8}
_DESIRED = {"1": 250.0, "2": 300.0, "3": 400.0, "4": 350.0}
"""What a row's regularisers take off again: found on EfficientNet-Lite0, where a fifth is gray, tenfold is noise."""

_DISTILL: dict[str, Any] = {
    "about": "decorrelated Fourier coefficients under random transforms (Olah et al. 2017)",
    "space": "fourier",
    "jitter": 8,
    "scales": tuple(1 + (i - 5) / 50 for i in range(11)),
    "degrees": (*(float(d) for d in range(-10, 11)), 0.0, 0.0, 0.0, 0.0, 0.0),
    "second_jitter": 4,
}
_MACO: dict[str, Any] = {
    "about": "the photographs' mean spectrum, only phases are free (Fel et al. 2023)",
    "space": "maco",
    "deviation": 1.0,
    "steps": 256,
    "ascent": "nadam",
    "rate": 1.0,
    "crops": 6,
    "crop_size": 0.25,
    "crop_deviation": 0.1,
    "noise": 0.1,
}


def _built_in() -> dict[str, Recipe]:
    recipes = []
    for number, row in _TABLE_1.items():
        paper = f"row {number} of Table 1 (Yosinski et al. 2015)"
        recipes.append(Recipe(name=f"yosinski-{number}", about=f"for CaffeNet's scale: {paper}", **_YOSINSKI | row))
        free = _YOSINSKI | row | _FREE | {"desired": _DESIRED[number]}
        recipes.append(Recipe(name=f"yosinski-{number}-free", about=f"for any network's scale: {paper}", **free))
    recipes.append(Recipe(name="distill", **_DISTILL))
    recipes.append(Recipe(name="maco", **_MACO))
    recipes.append(Recipe(name="pixel", about="gradient ascent on pixels and nothing else, to compare"))
    return {recipe.name: recipe for recipe in recipes}


BUILT_IN = _built_in()
"""The recipes that come along, by name."""
COMPARED = ("yosinski-1-free", "yosinski-2-free", "yosinski-3-free", "yosinski-4-free", "distill", "maco", "pixel")
"""What `--recipe all` runs: one of each kind, right for any network."""

_ON_PIXELS = ("decay", "blur_radius", "small_value", "small_norm", "contribution", "absolute_contribution")


def find(name: str, settings: Iterable[str] = ()) -> Recipe:
    """Return the recipe called `name`, or in the TOML file `name`, changed by `settings` ("steps=100").

    A file may name a `base`, whose parameters it then changes; without one it starts from the defaults.

    Raises
    ------
    UserError
        If there is no such recipe, or a parameter or its value is impossible.
    """
    if name in BUILT_IN:
        recipe = BUILT_IN[name]
    elif name.endswith(".toml"):
        recipe = _read(Path(name))
    else:
        hint = nearest(name, BUILT_IN) or f": use one of {', '.join(BUILT_IN)}, or a .toml file"
        raise UserError(f"no recipe {printable(name)}{hint}")
    return change(recipe, settings)


def change(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Return `recipe` changed by `settings` ("steps=100").

    Raises
    ------
    UserError
        If a parameter or its value is impossible.
    """
    changes = dict(_parse(setting) for setting in settings)
    return changed(recipe, changes) if changes else recipe


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return `recipe` with some parameters changed.

    Raises
    ------
    UserError
        If there is no such parameter, or its value is impossible.
    """
    for key in changes:
        if key not in MEANINGS:
            hint = nearest(key, MEANINGS) or ": tuivis recipes NAME lists them"
            raise UserError(f"a recipe has no parameter {printable(key)}{hint}")
    try:
        result = msgspec.convert({**msgspec.structs.asdict(recipe), **changes}, Recipe)
    except msgspec.ValidationError as error:
        raise UserError(_explain(error, changes)) from None
    check(result)
    return result


def least(recipe: Recipe) -> Recipe:
    """Return the recipe that looks for what a unit likes least, under a name of its own."""
    return changed(recipe, {"name": f"{recipe.name}-least", "minimise": True})


def check(recipe: Recipe) -> None:
    """Refuse parameters that contradict each other, numbers that are not finite, and a name that can be no file's.

    Raises
    ------
    UserError
        If there are any.
    """
    for name, value in msgspec.structs.asdict(recipe).items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(math.isfinite(each) for each in numbers if isinstance(each, float)):
            raise UserError(f"the recipe's {name} = {printable(value)} is impossible: choose a finite number")
    if not harmless_name(recipe.name):
        raise UserError(f"the recipe's name = {printable(recipe.name)} is impossible: files are called by it")
    if recipe.space in ("fourier", "maco"):
        for name in _ON_PIXELS:
            if getattr(recipe, name):
                raise UserError(f"{name} works on pixels: it must be 0 with space {recipe.space}, or set space pixel")
    if recipe.policy == "progress01" and recipe.objective == "channel":
        raise UserError('policy progress01 needs one position: set objective = "position"')
    if recipe.at is not None and recipe.objective == "channel":
        raise UserError('at names a position: set objective = "position" with it')


def toml(recipe: Recipe) -> str:
    """Return `recipe` as a file: every parameter with its meaning; what is not set is a comment."""
    lines = []
    for key, value in msgspec.to_builtins(recipe).items():
        lines.append(f"# {MEANINGS[key]}")
        # A JSON string, number, boolean or list is one in TOML, too.
        lines.append(f"# {key} =" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _read(path: Path) -> Recipe:
    name = printable(path)
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the recipe {name}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"the recipe {name} is not TOML: {printable(error)}") from None
    base = table.pop("base", None)
    if base is not None and str(base) not in BUILT_IN:
        raise UserError(f"{name}: no recipe {printable(base)}{nearest(str(base), BUILT_IN)}")
    start = Recipe(name=path.stem) if base is None else BUILT_IN[str(base)]
    try:
        return changed(start, {"name": path.stem, **table})
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def _parse(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals:
        raise UserError(f"cannot set {printable(setting)}: write name=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    return key.strip(), value


def _explain(error: msgspec.ValidationError, changes: Mapping[str, Any]) -> str:
    """Return which parameter is wrong, why, and what it may be."""
    reason, _, place = str(error).partition(" - at `$.")
    key = place.rstrip("`").partition("[")[0]
    choices = [choice for choice in get_args(get_type_hints(Recipe).get(key)) if isinstance(choice, str)]
    if choices:
        reason = f"use one of {', '.join(choices)}"
    value = f" = {printable(changes[key])}" if key in changes else ""
    return f"the recipe's {printable(key)}{value} is impossible: {reason[:1].lower()}{reason[1:].replace('`', '')}"

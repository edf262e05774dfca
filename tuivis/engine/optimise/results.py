"""What comes out of an optimisation: the record of a run, its numbers, and the names of its files. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import msgspec

from tuivis.engine.optimise.recipes import Recipe
from tuivis.errors import UserError, printable
from tuivis.files import harmless_name


class Verdict(Enum):
    """How a run ended."""

    success = "majority success"
    failure = "majority failure"
    zero_gradient = "zero gradient"
    not_a_number = "not a number"
    none = "no majority of a direction"


class Record(msgspec.Struct):
    """What happened in a run.

    `objective` has one value a step, as the optimiser saw it (through transforms, if any); `rates` likewise. `majority`
    is the first step in which the unit was its layer's strongest. Steps in `undone` met a value that is no number:
    the step before was undone, and the rate halved.
    """

    objective: list[float | None] = []
    rates: list[float | None] = []
    best: float | None = None
    best_step: int | None = None
    majority: int | None = None
    undone: list[int] = []
    verdict: Verdict | None = None


class Quality(msgspec.Struct, frozen=True):
    """A picture in numbers, on the clean picture as it is in the file; None is what is no finite number.

    Attributes
    ----------
    objective
        Its value; `highest` is the highest over the map, `strongest` the highest over the maps of the photographs at
        hand. An objective that is the mean over the map has one value only.
    ratio
        highest / strongest; None where that is not positive.
    maximum, mean
        Of the unit's map as it is read, after the layer's own activation: what the explorer shows of an input, too.
        None for several units and for directions.
    robustness, robustness_5
        Mean and 5th percentile of the objective, as shares of the highest of the clean picture, under shifts and scales
        that no recipe uses.
    rank
        The unit's place in its layer, 1 is the strongest; 0 for a direction.
    diversity
        Mean cosine distance of the layer's mean activations to those of the unit's other seeds.
    slope, natural_slope
        Of the radial log-log power spectrum, and that of the photographs.
    variation, natural_variation
        Mean absolute difference of neighbouring pixels in 0 .. 1, and that of the photographs.
    saturated
        Share of the values that are 0 or 255.
    """

    objective: float | None
    strongest: float | None
    ratio: float | None
    robustness: float | None
    robustness_5: float | None
    rank: int
    slope: float | None
    natural_slope: float | None
    variation: float
    natural_variation: float
    saturated: float
    diversity: float | None = None
    highest: float | None = None
    maximum: float | None = None
    mean: float | None = None


class Target(msgspec.Struct, frozen=True):
    """What one picture is for: `units` of the layer together, or a direction.

    A direction is the file `vector` (.npy, one number a unit), or the activation that the input called `picture`
    causes. `name` is what files and tables call it; by default the units.
    """

    units: tuple[int, ...] = ()
    vector: str = ""
    picture: str = ""
    name: str = ""

    @classmethod
    def like(cls, picture: str) -> Target:
        """Return the direction in which an input goes: more of what is seen there."""
        return cls(picture=picture, name=f"like {Path(picture).stem}")

    @property
    def title(self) -> str:
        """A name that differs from target to target."""
        return self.name or "+".join(map(str, self.units)) or Path(self.vector).stem or self.picture

    @property
    def key(self) -> str:
        """What its noise comes from: whatever a picture is called, the same one gives the same direction."""
        return f"{self.units} {self.vector} {0 if self.picture else None}"


class Run(msgspec.Struct, frozen=True):
    """One picture to make: a target, a seed and a recipe's name."""

    layer: str
    target: Target
    recipe: str
    seed: int

    @property
    def stem(self) -> str:
        """The name of its files without suffix."""
        target = "+".join(map(str, self.target.units)) or self.target.title
        name = "-".join(harmless_name(part) for part in (self.layer, target.replace("+", "_"), self.recipe))
        return f"{name}-{self.seed}"

    @property
    def random_seed(self) -> int:
        """The seed of its generator: the same whatever else is made, and whatever the recipe."""
        digest = hashlib.sha256(f"{self.seed} {self.layer} {self.target.key}".encode()).digest()
        return int.from_bytes(digest[:7], "little")


def runs_of(layer: str, targets: Sequence[Target], recipes: Sequence[Recipe], seeds: Sequence[int]) -> tuple[Run, ...]:
    """Return every run, ordered by recipe, target and seed.

    Raises
    ------
    UserError
        If there is none, or two would have the same files.
    """
    found = tuple(Run(layer, target, recipe.name, seed) for recipe in recipes for target in targets for seed in seeds)
    if not found:
        raise UserError("nothing to do: name units, recipes and at least one seed")
    stems = [run.stem for run in found]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None) if len({*stems}) < len(stems) else None
    if twice:
        raise UserError(f"{printable(twice)} would be made twice: name each unit, recipe and seed once")
    return found


class Result(msgspec.Struct, frozen=True):
    """The sidecar of a picture: how it was made, what happened, and how good it is.

    `weights_sha256` is that of the state dict: names, types, shapes, bytes; `code_sha256` that of the user's file that
    the network is from, "" for any other network; `towards_sha256` that of the pixels of the input whose direction the
    target is, "" for any other target.
    """

    picture: str
    run: Run
    model: str
    weights: str
    weights_sha256: str
    device: str
    versions: dict[str, str]
    parameters: Recipe
    position: tuple[int, int] | None
    label: str
    seconds: float
    record: Record
    quality: Quality
    code_sha256: str = ""
    towards_sha256: str = ""


def sidecar(folder: Path, run: Run) -> Path:
    """Return where the result of `run` is; it is written last, so that a run that has it is complete."""
    return folder / f"{run.stem}.json"


def read(path: Path) -> Result:
    """Return the result in the sidecar `path`.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"cannot read the result {printable(path)}: {printable(error)}") from None

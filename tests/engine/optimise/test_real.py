"""Real classes of a real network: they become their layer's strongest, and do better than every photograph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator

from tests.engine.networks import network, photograph
from tuivis.engine.optimise.batch import Batch, Room, Setting
from tuivis.engine.optimise.objectives import Objectives, position
from tuivis.engine.optimise.parametrisations import Space, make, spectrum
from tuivis.engine.optimise.photographs import Photographs
from tuivis.engine.optimise.quality import Judge
from tuivis.engine.optimise.recipes import BUILT_IN, changed
from tuivis.engine.truncation import Truncated

FLAMINGO = 130
SHAPE = (3, 224, 224)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("distill", {"steps": 24}),
        ("yosinski-1-free", {"steps": 16}),
        ("yosinski-2-free", {"steps": 24}),
        ("yosinski-3-free", {"steps": 24}),
        ("yosinski-4-free", {"steps": 64}),
        ("maco", {"steps": 40, "crops": 3, "crop_size": 0.5}),
        ("pixel", {"steps": 16}),
    ],
)
def test_a_flamingo_reaches_majority_in_a_picture_that_shows_something(name: str, changes: dict[str, Any]) -> None:
    model, batch, layers = network("efficientnet_lite0")
    model.requires_grad_(False)
    truncated = Truncated(model, layers, "output", batch)
    inputs = torch.cat([photograph(each, 224, 224) for each in ("chelsea.png", "coffee.png", "rocket.jpg")])
    with torch.no_grad():
        natural = Photographs((inputs * 128 + 127) / 255, truncated(inputs))
    space = Space(torch.full((3, 1, 1), -127 / 128), torch.full((3, 1, 1), 255 / 128))
    recipe = changed(BUILT_IN[name], changes)
    made = make(recipe, SHAPE, space, spectrum(natural.images, True))
    setting = Setting(recipe, truncated, space, made, SHAPE, natural.scale, torch.device("cpu"))
    objectives = Objectives(torch.eye(1000)[[FLAMINGO]], position(recipe, truncated.shape))
    optimised, room = Batch(setting, objectives, [Generator().manual_seed(0)]), Room()
    while not optimised.done:
        optimised.step(room)
    assert optimised.records[0].majority is not None
    quality = Judge(truncated, space, natural).judge(optimised.kept()[0], objectives)
    assert quality.objective and quality.strongest and quality.natural_slope
    assert quality.objective > 2 * quality.strongest
    assert -4 < quality.natural_slope < -1.5
    # One or two levels of 255 are enough to fool the network, but nobody sees them.
    assert float(optimised.kept()[0].std()) * 255 > 2.5

"""The numbers of a picture, against closed forms and pictures whose spectrum is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from tests.engine.optimise.samples import SPACE, truncated
from tuivis.engine.optimise.objectives import Objectives
from tuivis.engine.optimise.photographs import Photographs
from tuivis.engine.optimise.quality import Judge, slope, variation


def picture_of_slope(power: float, size: int = 128) -> Tensor:
    """Noise whose power falls like frequency to the `power`, in 0 .. 1."""
    rng = np.random.default_rng(0)
    frequencies = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequencies[0, 0] = 1
    phases = np.exp(2j * np.pi * rng.random(frequencies.shape))
    values = np.fft.irfft2(frequencies ** (power / 2) * phases, (size, size))
    values = (values - values.min()) / (values.max() - values.min())
    return torch.from_numpy(values).float().expand(1, 3, -1, -1)


@pytest.mark.parametrize("power", [0.0, -1.0, -2.0, -3.0])
def test_the_slope_of_a_known_spectrum(power: float) -> None:
    assert slope(picture_of_slope(power)) == pytest.approx(power, abs=0.15)


def test_the_variation_of_stripes_and_of_a_board() -> None:
    board = torch.tensor([[0.0, 1.0] * 4, [1.0, 0.0] * 4] * 4)
    assert variation(board.expand(1, 1, 8, 8)) == 1
    stripes = torch.tensor([[0.0, 0.5] * 4] * 8)
    assert variation(stripes.expand(1, 1, 8, 8)) == pytest.approx(0.25)


class Brightness(nn.Module):
    """Unit 0 is the picture's first channel, unit 1 its negative, a third of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Conv2d(3, 2, 1, bias=False)
        self.units.weight.data = torch.tensor([[1.0, 0, 0], [-1 / 3, 0, 0]])[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.units(x)
        return result


def judge(*grays: float) -> Judge:
    """Of `Brightness`, with photographs of one gray each; the network sees -1 .. 1."""
    network = truncated(Brightness().eval().requires_grad_(False), "units")
    images = torch.stack([torch.full((3, 24, 20), gray) for gray in grays])
    return Judge(network, SPACE, Photographs(images, network(SPACE.input(images))))


def test_a_picture_next_to_the_photographs() -> None:
    picture = torch.full((3, 24, 20), 0.5)
    picture[:, 4:8, 4:8] = 1.0
    quality = judge(0.2, 0.7, 0.6).judge(picture, Objectives(torch.tensor([[1.0, 0.0]]), (12, 10)))
    assert quality.objective == pytest.approx(0, abs=1e-6)
    assert quality.highest == quality.maximum == pytest.approx(1)
    assert quality.strongest == pytest.approx(0.4)
    assert quality.ratio == pytest.approx(2.5)
    assert quality.rank == 1
    assert quality.saturated == pytest.approx(16 / 480)
    assert quality.natural_variation == 0 < quality.variation
    downwards = judge(0.2, 0.7, 0.6).judge(picture, Objectives(torch.tensor([[0.0, 1.0]]), None, -1))
    assert downwards.objective == downwards.mean == pytest.approx(-16 / 480 / 3)
    assert downwards.strongest == pytest.approx(-0.4 / 3)
    assert downwards.ratio == pytest.approx(16 / 480 / 0.4)


def test_robust_is_what_shifts_and_scales_leave() -> None:
    """A flat picture keeps its value inside; a board of single pixels averages out to gray."""
    objective = Objectives(torch.tensor([[1.0, 0.0]]), None)
    flat, board = torch.full((3, 24, 20), 0.9), torch.full((3, 24, 20), 0.5)
    board[:, ::2, ::2] = 1.0
    one, other = (judge(0.6).judge(each, Objectives(objective.weights, (12, 10))) for each in (flat, board))
    assert one.robustness == pytest.approx(1, abs=1e-4) and one.robustness_5 == pytest.approx(1, abs=1e-4)
    assert other.robustness is not None and other.robustness < 0.97
    assert other.robustness_5 is not None and other.robustness_5 <= other.robustness


def test_diversity_is_the_mean_distance_to_the_others() -> None:
    bright, dark = torch.full((3, 24, 20), 0.9), torch.full((3, 24, 20), 0.1)
    assert judge(0.5).diversity([bright, bright * 0.9]) == pytest.approx([0, 0], abs=1e-6)
    # Opposite directions are 2 apart.
    assert judge(0.5).diversity([bright, bright, dark]) == pytest.approx([1, 1, 2], abs=1e-5)


def test_what_is_no_number_is_left_out() -> None:
    this = judge(0.2, 0.7)
    spoilt = this.photographs.activations.clone()
    spoilt[1] = math.nan
    judged = Judge(this.network, SPACE, Photographs(this.photographs.images, spoilt))
    picture = torch.rand(3, 24, 20, generator=Generator().manual_seed(0))
    quality = judged.judge(picture, Objectives(torch.tensor([[1.0, 0.0]]), None))
    assert quality.strongest == pytest.approx(-0.6) and quality.ratio is None

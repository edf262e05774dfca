"""Regularisers against scipy and numpy, and against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from tuivis.engine.optimise.recipes import Recipe
from tuivis.engine.optimise.regularisers import blur, clip, percentile, regularise


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 40


def recipe(**parameters: Any) -> Recipe:
    return Recipe(name="test", **parameters)


@pytest.mark.parametrize("radius", [0.3, 0.5, 1.0, 3.0])
def test_blur_is_scipys(radius: float) -> None:
    x = noise(2, 3, 17, 23)
    expected = [[gaussian_filter(plane.astype(np.float64), radius) for plane in picture] for picture in x.numpy()]
    np.testing.assert_allclose(blur(x, radius), expected, atol=1e-4)


@pytest.mark.parametrize("percent", [0.0, 10.0, 33.3, 50.0, 90.0, 100.0])
def test_percentile_is_numpys(percent: float) -> None:
    x = noise(3, 1, 11, 7)
    expected = [np.percentile(sample, percent) for sample in x.numpy().reshape(3, -1)]
    np.testing.assert_allclose(percentile(x, percent), expected, rtol=1e-5)


def test_clip_stays_between_black_and_white() -> None:
    mean = torch.tensor([100.0, 120.0, 140.0]).view(3, 1, 1)
    x = clip(noise(1, 3, 8, 8) * 10, -mean, 255 - mean) + mean
    assert x.min() == 0
    assert x.max() == 255


def without(x: NDArray[np.float32], values: NDArray[np.float32], percent: float) -> NDArray[np.float32]:
    """Zero out, sample by sample, what is strictly under the percentile."""
    under = np.stack([value < np.percentile(value, percent) for value in values])
    return np.where(under, np.float32(0), x)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("small_value", lambda x, g: np.abs(x)),
        ("small_norm", lambda x, g: np.sqrt((x**2).sum(1, keepdims=True))),
        ("contribution", lambda x, g: (g * x).sum(1, keepdims=True)),
        ("absolute_contribution", lambda x, g: np.abs((g * x).sum(1, keepdims=True))),
    ],
)
def test_what_is_small_becomes_zero_sample_by_sample(name: str, measure: Any) -> None:
    x, gradient = noise(2, 3, 9, 10), noise(2, 3, 9, 10, seed=1)
    x[1] *= 100  # the other sample's percentile must not matter
    result = regularise(recipe(**{name: 40.0}), x, gradient, 0)
    expected = without(x.numpy(), measure(x.numpy(), gradient.numpy()), 40.0)
    np.testing.assert_array_equal(result, expected)
    assert 0.3 < (result == 0).float().mean() < 0.5


def test_contribution_keeps_the_pixels_that_help() -> None:
    x, gradient = torch.zeros(1, 1, 1, 4), torch.ones(1, 1, 1, 4)
    x[0, 0, 0] = torch.tensor([-3.0, 1.0, 2.0, 5.0])
    assert regularise(recipe(contribution=50.0), x, gradient, 0).flatten().tolist() == [0, 0, 2, 5]


def test_decay_comes_before_blur_and_blur_only_every_so_often() -> None:
    x, gradient = noise(1, 3, 8, 8), noise(1, 3, 8, 8)
    both = recipe(decay=0.25, blur_radius=1.0, blur_every=4)
    assert torch.equal(regularise(both, x, gradient, 0), blur(x * 0.75, 1.0))
    assert torch.equal(regularise(both, x, gradient, 3), x * 0.75)
    assert torch.equal(regularise(both, x, gradient, 4), blur(x * 0.75, 1.0))

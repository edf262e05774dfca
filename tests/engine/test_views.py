"""Views of gradients against the formulas of the original toolbox."""

from __future__ import annotations

import numpy as np
from skimage.filters import gaussian

from tuivis.engine.views import levels, picture

GRADIENT = np.random.default_rng(0).normal(size=(3, 20, 30)).astype(np.float32)


def test_raw_and_gray_have_zero_in_the_middle_and_the_greatest_value_at_an_end() -> None:
    raw = picture(GRADIENT, "raw")
    expected = GRADIENT / max(2 * GRADIENT.max(), -2 * GRADIENT.min()) + 0.5
    assert np.abs(raw - 255 * expected.transpose(1, 2, 0)).max() <= 0.51
    assert raw.min() == 0 or raw.max() == 255
    gray = picture(GRADIENT, "gray")
    mean = GRADIENT.mean(0)
    expected = mean / max(2 * mean.max(), -2 * mean.min()) + 0.5
    assert np.abs(gray - 255 * expected[..., None]).max() <= 0.51
    assert np.abs(picture(np.zeros((3, 4, 4), np.float32), "raw").astype(int) - 127).max() <= 1


def test_norms_run_from_their_least_to_their_greatest_value() -> None:
    norm = np.sqrt((GRADIENT**2).sum(0))
    expected = (norm - norm.min()) / (norm.max() - norm.min())
    assert np.abs(picture(GRADIENT, "norm") - 250 * expected).max() <= 0.51
    blurred = gaussian(norm, 4, mode="mirror", truncate=4)  # type: ignore[no-untyped-call]
    expected = (blurred - blurred.min()) / (blurred.max() - blurred.min())
    assert np.abs(picture(GRADIENT, "blur") - 250 * expected).max() <= 3
    assert np.array_equal(picture(GRADIENT, "overlay"), picture(GRADIENT, "blur"))
    assert not levels(np.ones((3, 3))).any()


def test_gradients_of_other_than_three_channels_are_gray() -> None:
    gradient = np.concatenate([GRADIENT, GRADIENT])[:5]
    assert np.array_equal(picture(gradient, "raw"), picture(gradient, "gray"))
    assert picture(gradient[:1], "raw").shape == (20, 30, 3)

"""Parametrisations against numpy, spectra against closed forms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator

from tuivis.engine.optimise import parametrisations
from tuivis.engine.optimise.parametrisations import Space, colour_basis, make, spectrum
from tuivis.engine.optimise.recipes import BUILT_IN

SHAPE = (3, 15, 22)
SPACE = Space(torch.full((3, 1, 1), -1.0), torch.full((3, 1, 1), 2.0))
NONE = torch.empty(0)


def test_mean_subtracted_pixels_start_around_the_mean() -> None:
    made = make(BUILT_IN["yosinski-1"], (3, 64, 64), SPACE, NONE)
    start = made.start(Generator().manual_seed(0))
    assert abs(float(start.std()) - 10) < 0.3
    assert torch.allclose(made.image(torch.zeros(1, 3, 64, 64)), torch.tensor(0.5))
    assert torch.allclose(SPACE.input(made.image(torch.full((1, 3, 64, 64), 127.5))), torch.tensor(1.0))


def test_fourier_is_numpys_inverse_transform_of_scaled_coefficients() -> None:
    made = make(BUILT_IN["distill"], SHAPE, SPACE, torch.empty(0))
    parameter = made.start(Generator().manual_seed(1)) * 20
    _, h, w = SHAPE
    frequencies = np.sqrt(np.fft.fftfreq(h)[:, None] ** 2 + np.fft.rfftfreq(w)[None] ** 2)
    scaled = parameter.numpy()[..., 0] + 1j * parameter.numpy()[..., 1]
    scaled = scaled / np.maximum(frequencies, 1 / max(h, w))
    values = np.fft.irfft2(scaled, s=(h, w), norm="ortho") / 4
    basis = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]])
    basis /= np.linalg.norm(basis, axis=0).max()
    expected = 1 / (1 + np.exp(-np.tensordot(basis, values, 1)))
    np.testing.assert_allclose(made.image(parameter[None])[0], expected, atol=1e-5)


def test_a_maco_picture_has_the_spectrum_that_was_given() -> None:
    photographs = torch.rand(4, *SHAPE, generator=Generator().manual_seed(0))
    magnitude = spectrum(photographs, True)
    made = make(BUILT_IN["maco"], SHAPE, SPACE, magnitude)
    image = made.image(made.start(Generator().manual_seed(2))[None])
    values = torch.einsum("ij,njhw->nihw", torch.linalg.inv(colour_basis()), torch.logit(image))
    found = torch.fft.rfft2(values)[0].abs()
    # Standardised: equal up to one factor, but for the mean and what must be real.
    inside = (slice(None), slice(1, None), slice(1, SHAPE[2] // 2))
    ratio = found[inside] / magnitude[inside]
    assert float(ratio.std() / ratio.mean()) < 0.01


def test_networks_of_other_channels_have_no_colours() -> None:
    for channels in (1, 5):
        space = Space(torch.zeros(channels, 1, 1), torch.ones(channels, 1, 1))
        for name in ("distill", "maco", "yosinski-3", "pixel"):
            magnitude = spectrum(torch.rand(2, channels, 8, 9), True)
            made = make(BUILT_IN[name], (channels, 8, 9), space, magnitude)
            image = made.image(made.start(Generator().manual_seed(0))[None])
            assert image.shape == (1, channels, 8, 9)


def test_the_blackest_pixel_is_what_the_network_takes_for_black() -> None:
    assert parametrisations.Space(torch.tensor([[[-2.0]]]), torch.tensor([[[4.0]]])).mean.item() == 0.5

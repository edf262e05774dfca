"""What is optimised, and the picture that it stands for: batches of parameters to (N, C, H, W) in 0 .. 1.

Sources: mean-subtracted pixels, Yosinski et al. 2015; decorrelated Fourier coefficients, Olah et al. 2017 and lucid;
phases under a fixed magnitude, Fel et al. 2023 (MACO).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from tuivis.engine.optimise.recipes import Recipe

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Space:
    """How pixels in 0 .. 1 become the network's input: `low + span * pixel`, (C, 1, 1) each."""

    low: Tensor
    span: Tensor

    @property
    def mean(self) -> Tensor:
        """The pixel that the network sees as zero, (C, 1, 1), or gray where no pixel is."""
        mean = -self.low / self.span
        return torch.where((mean >= 0) & (mean <= 1), mean, torch.full_like(mean, 0.5))

    def input(self, image: Tensor) -> Tensor:
        """Return the network's input for pixels in 0 .. 1."""
        return torch.addcmul(self.low, image, self.span)


class Parametrisation(Protocol):
    """One way to write a picture."""

    def start(self, generator: Generator) -> Tensor:
        """Return the first parameter of one sample, on the CPU."""

    def image(self, parameter: Tensor) -> Tensor:
        """Return the pictures, (N, C, H, W), of a batch of parameters."""

    def bounds(self) -> tuple[Tensor, Tensor] | None:
        """Return the least and the greatest parameter, (C, 1, 1) each, where every step must clip to them."""


@dataclass(frozen=True)
class Pixels:
    """Pixels as they are: `image = (parameter + mean) / scale`."""

    shape: Shape
    mean: Tensor
    scale: float
    start_from: str
    deviation: float

    def start(self, generator: Generator) -> Tensor:
        """Return noise around the mean, uniform noise, or the mean."""
        if self.start_from == "noise":
            return torch.randn(self.shape, generator=generator) * self.deviation
        if self.start_from == "uniform":
            return torch.rand(self.shape, generator=generator) * self.scale - self.mean.cpu()
        return torch.zeros(self.shape)

    def image(self, parameter: Tensor) -> Tensor:
        """Return the pictures."""
        return (parameter + self.mean) / self.scale

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Black and white."""
        return -self.mean, self.scale - self.mean


@dataclass(frozen=True)
class Fourier:
    """Coefficients of the real Fourier transform, divided by their frequency; colours decorrelated; then a sigmoid."""

    shape: Shape
    colours: Tensor | None
    deviation: float
    scale: Tensor

    def start(self, generator: Generator) -> Tensor:
        """Return normal noise, (C, H, W // 2 + 1, 2)."""
        channels, height, width = self.shape
        return torch.randn(channels, height, width // 2 + 1, 2, generator=generator) * self.deviation

    def image(self, parameter: Tensor) -> Tensor:
        """Return the pictures."""
        spectrum = torch.view_as_complex(parameter) * self.scale
        values = torch.fft.irfft2(spectrum, s=self.shape[1:], norm="ortho") / 4
        return torch.sigmoid(_coloured(values, self.colours))

    def bounds(self) -> None:
        """Every coefficient is a picture."""


@dataclass(frozen=True)
class Maco:
    """Phases; the magnitude, (C, H, W // 2 + 1), is fixed."""

    shape: Shape
    colours: Tensor | None
    deviation: float
    magnitude: Tensor

    def start(self, generator: Generator) -> Tensor:
        """Return normal noise."""
        return torch.randn(self.magnitude.shape, generator=generator) * self.deviation

    def image(self, parameter: Tensor) -> Tensor:
        """Return the pictures."""
        values = torch.fft.irfft2(
            torch.polar(self.magnitude.expand_as(parameter), _standard(parameter)), s=self.shape[1:]
        )
        return torch.sigmoid(_coloured(_standard(values), self.colours))

    def bounds(self) -> None:
        """Every phase is a picture."""


def make(recipe: Recipe, shape: Shape, space: Space, magnitude: Tensor) -> Parametrisation:
    """Return the parametrisation of the recipe for pictures of `shape`.

    `magnitude` is the photographs' mean, from `spectrum`; it is on the device of the network.
    """
    if recipe.space == "mean-subtracted":
        return Pixels(shape, space.mean * 255, 255.0, recipe.start, recipe.deviation)
    if recipe.space == "pixel":
        return Pixels(shape, torch.full_like(space.mean, 0.5), 1.0, recipe.start, recipe.deviation)
    colours = colour_basis().to(magnitude) if recipe.decorrelate and shape[0] == 3 else None
    if recipe.space == "fourier":
        return Fourier(shape, colours, recipe.deviation, _inverse_frequencies(*shape[1:]).to(magnitude))
    return Maco(shape, colours, recipe.deviation, magnitude)


def spectrum(images: Tensor, decorrelate: bool) -> Tensor:
    """Return the mean magnitude, (C, H, W // 2 + 1), of pictures (N, C, H, W) in 0 .. 1, as MACO's values have it."""
    values = torch.logit(images.clamp(0.02, 0.98))
    if decorrelate and images.shape[1] == 3:
        values = torch.einsum("ij,njhw->nihw", torch.linalg.inv(colour_basis()).to(values), values)
    magnitude: Tensor = torch.fft.rfft2(values).abs().mean(0)
    return magnitude


def colour_basis() -> Tensor:
    """Return the (3, 3) matrix from decorrelated to RGB colours, lucid's."""
    basis = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    longest: Tensor = torch.linalg.vector_norm(basis, dim=0).max()
    return basis / longest


def _coloured(values: Tensor, basis: Tensor | None) -> Tensor:
    return values if basis is None else torch.einsum("ij,njhw->nihw", basis, values)


def _inverse_frequencies(height: int, width: int) -> Tensor:
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    frequencies: Tensor = (rows.square() + columns.square()).sqrt()
    return frequencies.clamp(min=1 / max(height, width)).reciprocal()


def _standard(values: Tensor) -> Tensor:
    flat = values.flatten(1)
    mean, deviation = flat.mean(1), flat.std(1) + 1e-4
    wide = (-1, *(1,) * (values.ndim - 1))
    return (values - mean.view(wide)) / deviation.view(wide)

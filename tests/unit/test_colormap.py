from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from tuivis.render import colormap
from tuivis.render.colormap import CHROMES, DEFAULTS, GAMMAS, INFINITE, NAN, RESERVED, SIZES, Name, coarsen, palette

DARK = CHROMES["dark"]
NAMES: tuple[Name, ...] = get_args(Name)
SEQUENTIAL: tuple[Name, ...] = ("ember", "dusk", "gray")
DIVERGING: tuple[Name, ...] = ("polar", "polar-light")

# Machado, Oliveira, Fernandes 2009: full dichromacy, on linear RGB.
DICHROMACIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}

Floats = NDArray[np.float64]


def seen_by(colours: NDArray[np.uint8], dichromacy: str | None) -> Floats:
    """CIELAB of the colours (n, 3) as an eye sees them; None is the normal eye."""
    rgb = colours / 255
    if dichromacy:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        linear = np.clip(linear @ np.array(DICHROMACIES[dichromacy]).T, 0, 1)
        rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    lab: Floats = rgb2lab(rgb)
    return lab


def difference(a: Floats, b: Floats) -> Floats:
    """CIEDE2000; about 1 is just visible side by side."""
    distance: Floats = deltaE_ciede2000(a, b)  # type: ignore[no-untyped-call]
    return distance


def values(name: Name, size: int = 256, gamma: float = 1.0) -> NDArray[np.uint8]:
    return palette(name, size, gamma, DARK)[:-RESERVED]


def oklab(colours: NDArray[np.uint8]) -> Floats:
    rgb = colours / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: Floats = np.cbrt(linear @ colormap._RGB_TO_LMS.T) @ colormap._LMS_TO_LAB.T
    return lab


def test_oklab_of_known_colours() -> None:
    # White and red, as the specification of CSS Color 4 gives them.
    white, red = oklab(np.array([[255, 255, 255], [255, 0, 0]], np.uint8))
    assert np.allclose(white, [1, 0, 0], atol=1e-3)
    assert np.allclose(red, [0.62796, 0.22486, 0.12585], atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", CHROMES)
def test_reserved_entries_end_every_palette(size: int, theme: str) -> None:
    colours = palette("dusk", size, 1.0, CHROMES[theme])
    assert colours.shape == (size, 3)
    assert colours.dtype == np.uint8
    assert [tuple(colour) for colour in colours[-RESERVED:]] == list(CHROMES[theme])


@pytest.mark.parametrize("name", SEQUENTIAL)
@pytest.mark.parametrize("eye", [None, *DICHROMACIES])
def test_lightness_rises(name: Name, eye: str | None) -> None:
    lightness = seen_by(values(name), eye)[:, 0]
    # 8 bits per channel leave a third of a unit of lightness to rounding.
    assert (np.diff(lightness) > -0.35).all()
    assert (np.diff(lightness[::10]) > 0).all()
    assert lightness[-1] - lightness[0] > 65


@pytest.mark.parametrize("name", DIVERGING)
def test_lightness_turns_in_the_middle(name: Name) -> None:
    lightness = seen_by(values(name), None)[:, 0]
    outwards = 1 if name == "polar" else -1
    assert (np.diff(lightness[125::10]) * outwards > 0).all()
    assert (np.diff(lightness[125::-10]) * outwards > 0).all()
    assert abs(lightness[0] - lightness[-1]) < 5


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_even(name: Name) -> None:
    # Ten levels to a step, so that rounding to 8 bits (a third of a level) does not count.
    colours = oklab(values(name))[5::10]
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert steps.max() < 1.12 * steps.mean()
    assert steps.min() > 0.88 * steps.mean()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [32, 16])
def test_levels_of_small_palettes_differ_for_every_eye(name: Name, size: int) -> None:
    for eye in (None, *DICHROMACIES):
        lab = seen_by(values(name, size), eye)
        assert difference(lab[:-1], lab[1:]).min() > 1.2, eye


@pytest.mark.parametrize("name", DIVERGING)
def test_signs_differ_for_every_eye(name: Name) -> None:
    colours = values(name)
    for eye in (None, *DICHROMACIES):
        lab = seen_by(colours, eye)
        for distance in (30, 60, 90, 125):
            assert difference(lab[125 - distance], lab[125 + distance]) > 12, (eye, distance)


@pytest.mark.parametrize("name", DIVERGING)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_zero_is_the_neutral_middle(name: Name, size: int, gamma: float) -> None:
    colours = values(name, size, gamma)
    middle = colours[len(colours) // 2].astype(int)
    assert np.ptp(middle) <= 1
    assert (middle == values(name)[125]).all()
    assert middle[0] < 20 if name == "polar" else middle[0] > 200


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8], eye: str | None) -> float:
    return float(difference(seen_by(a, eye)[:, None], seen_by(b, eye)[None]).min())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signal", ["selected", "frozen", "infinite", "nan"])
@pytest.mark.parametrize("theme", CHROMES)
def test_signals_differ_from_every_value(name: Name, signal: str, theme: str) -> None:
    colour = np.array([getattr(CHROMES[theme], signal)], np.uint8)
    assert apart(colour, values(name), None) > 6
    for eye in DICHROMACIES:
        assert apart(colour, values(name), eye) > 3, eye


@pytest.mark.parametrize("theme", CHROMES)
def test_reserved_colours_differ_from_each_other(theme: str) -> None:
    for one, other in combinations(np.array(CHROMES[theme], np.uint8), 2):
        assert apart(one[None], other[None], None) > 6
        for eye in DICHROMACIES:
            assert apart(one[None], other[None], eye) > 3, (one, other, eye)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_gamma_of_a_sequential_map(gamma: float) -> None:
    plain, bent = values("gray"), values("gray", gamma=gamma)
    for level in range(0, 251, 10):
        assert abs(int(bent[level, 0]) - int(plain[round((level / 250) ** gamma * 250), 0])) <= 1


@pytest.mark.parametrize("gamma", GAMMAS)
def test_gamma_of_a_diverging_map_keeps_the_sign(gamma: float) -> None:
    plain, bent = values("polar").astype(int), values("polar", gamma=gamma).astype(int)
    for level in range(0, 251, 5):
        value = (level - 125) / 125
        expected = 125 + np.sign(value) * abs(value) ** gamma * 125
        assert np.abs(bent[level] - plain[round(expected)]).max() <= 2


@pytest.mark.parametrize("name", NAMES)
def test_curves_stay_inside_srgb(name: Name) -> None:
    # Whatever left it would be clipped to 0 or 255.
    assert 0 < values(name).min() < values(name).max() < 255


@pytest.mark.parametrize("size", SIZES)
def test_coarsening_keeps_ends_middle_and_reserved_entries(size: int) -> None:
    top = size - RESERVED - 1
    levels = np.array([[0, 125, 250], [251, INFINITE, NAN]], np.uint8)
    coarse = coarsen(levels, size)
    assert coarse.tolist() == [[0, top // 2, top], [top + 1, size - 2, size - 1]]
    assert coarse.dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
def test_coarsening_is_even_and_symmetric(size: int) -> None:
    coarse = coarsen(np.arange(251, dtype=np.uint8), size).astype(int)
    assert (coarse + coarse[::-1] == size - RESERVED - 1).all()
    assert set(np.diff(coarse)) <= {0, 1}
    counts = np.bincount(coarse)
    assert np.ptp(counts[1:-1]) <= 1


def test_each_normalisation_has_a_map() -> None:
    assert set(DEFAULTS) == {"layer", "unit", "diverging"}
    assert DEFAULTS["diverging"] in DIVERGING
    assert {DEFAULTS["layer"], DEFAULTS["unit"]} <= set(SEQUENTIAL)

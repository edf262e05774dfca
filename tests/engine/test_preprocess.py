from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from tuivis.engine.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Normalisation,
    ResizeAndCrop,
    Transform,
    with_channels,
)
from tuivis.errors import UserError

IMAGENET = Normalisation(IMAGENET_MEAN, IMAGENET_STD)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("size", [(300, 451), (451, 300), (387, 256), (256, 387), (90, 71), (1, 40)])
@pytest.mark.parametrize(
    ("resize", "crop", "mode"), [(256, 224, "BILINEAR"), (232, 224, "BICUBIC"), (64, 64, "BICUBIC")]
)
def test_equals_torchvisions_own(size: tuple[int, int], resize: int, crop: int, mode: str) -> None:
    picture = noise(*size, 3)
    theirs = ImageClassification(crop_size=crop, resize_size=resize, interpolation=InterpolationMode[mode])
    ours = ResizeAndCrop((resize, resize), (crop, crop), IMAGENET, Image.Resampling[mode])
    assert torch.equal(ours(picture), theirs(Image.fromarray(picture)))


def test_the_screen_shows_exactly_what_the_network_saw() -> None:
    picture = noise(80, 60, 3)
    view = ResizeAndCrop((60, 60), (50, 40), IMAGENET)
    # The picture already covers 60 x 60, so that nothing is resampled.
    assert np.array_equal(view.pixels(view(picture)), picture[15:65, 10:50])


def test_an_oblong_input_is_covered_without_distortion() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[:, 50:] = 255
    view = ResizeAndCrop((50, 200), (50, 200), IMAGENET)
    seen = view.pixels(view(picture))
    assert seen.shape == (50, 200, 3)
    assert (seen[:, :97] == 0).all()
    assert (seen[:, 103:] == 255).all()


def test_gray_networks_see_luminance() -> None:
    picture = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)]], np.uint8)
    assert with_channels(picture, 1)[0, :, 0].tolist() == [76, 150, 29, 90]
    view = ResizeAndCrop((4, 4), (4, 4), Normalisation((0.0,), (1.0,)))
    values = view(np.full((4, 4, 3), 51, np.uint8))
    assert torch.allclose(values, torch.full((1, 4, 4), 0.2))
    assert (view.pixels(values) == 51).all()


def test_channels_repeat_in_a_circle() -> None:
    picture = np.array([[(1, 2, 3)]], np.uint8)
    assert with_channels(picture, 5)[0, 0].tolist() == [1, 2, 3, 1, 2]
    assert with_channels(np.array([[(1, 2, 3, 4, 5)]], np.uint8), 3)[0, 0].tolist() == [1, 2, 3]
    assert with_channels(np.array([[[9]]], np.uint8), 3)[0, 0].tolist() == [9, 9, 9]


def test_every_channel_of_many_is_resized_and_normalised_by_itself() -> None:
    picture = np.broadcast_to(np.array([0, 51, 102, 153, 204], np.uint8), (30, 40, 5))
    view = ResizeAndCrop((16, 16), (16, 16), Normalisation((0.0, 0.0, 0.0, 0.0, 0.1), (1.0, 1.0, 1.0, 0.5, 1.0)))
    values = view(picture)
    assert torch.allclose(values.mean((1, 2)), torch.tensor([0, 0.2, 0.4, 1.2, 0.7]))
    assert view.pixels(values)[0, 0].tolist() == [0, 51, 102]


def test_a_thread_of_a_picture_is_refused() -> None:
    with pytest.raises(UserError, match="100000 x 1"):
        ResizeAndCrop((256, 256), (224, 224), IMAGENET)(np.zeros((1, 100_000, 3), np.uint8))


def test_a_transform_of_unknown_range_is_shown_from_black_to_white() -> None:
    view = Transform(lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1).float() * 7 - 3, 3)
    picture = noise(9, 8, 3)
    picture[0, 0], picture[0, 1] = 0, 255
    assert np.array_equal(view.pixels(view(picture)), picture)
    flat = Transform(lambda image: torch.zeros(2, 4, 4), 2)
    assert (flat.pixels(flat(picture)) == 0).all()


def test_a_transform_of_gray_gets_a_gray_picture_and_one_of_many_channels_the_array() -> None:
    assert Transform(lambda image: torch.ones(1, *image.size) * (image.mode == "L"), 1)(noise(4, 4, 3)).all()
    assert Transform(lambda array: np.ones((5, *array.shape[:2])), 5)(noise(4, 6, 5)).shape == (5, 4, 6)


def test_a_batch_of_one_is_unpacked_and_other_results_are_refused() -> None:
    assert Transform(lambda image: torch.ones(1, 3, 5, 6), 3)(noise(4, 4, 3)).shape == (3, 5, 6)
    with pytest.raises(UserError, match=r"\(2, 5, 6\)"):
        Transform(lambda image: torch.ones(2, 5, 6), 3)(noise(4, 4, 3))
    with pytest.raises(UserError, match="str"):
        Transform(lambda image: "no tensor", 3)(noise(4, 4, 3))

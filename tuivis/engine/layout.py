"""Where the units are in a module's output: any tensor of a vision network, laid out as (units, height, width).

torch does not say which axis of a tensor holds the channels, nor how tokens lie on the picture. `Evidence` watches
one forward pass, output by output, and infers both.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tuivis.engine.values import Kind

Path = tuple[str, ...]

MAX_PREFIX = 16
"""Class, distillation and register tokens that may stand before the picture's tokens."""

_CHANNELS_FIRST = (
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.BatchNorm2d,
    nn.InstanceNorm2d,
    nn.GroupNorm,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Upsample,
    nn.PixelShuffle,
)


@dataclass(frozen=True)
class Arrangement:
    """How a tensor of `shape` becomes (units, height, width).

    `batch` is the axis of the batch; `unit` is the axis of the units once the batch is gone; `prefix` is the number of
    leading positions that are not on the picture.
    """

    kind: Kind
    shape: tuple[int, ...]
    batch: int
    unit: int
    prefix: int
    units: int
    height: int
    width: int

    def apply(self, tensor: Tensor) -> Tensor:
        """Return the first picture of `tensor` as (units, height, width); a view where that is possible."""
        positions = tensor.select(self.batch, 0).movedim(self.unit, 0).reshape(self.units, -1)
        return positions[:, self.prefix :].reshape(self.units, self.height, self.width)

    def apply_batch(self, tensor: Tensor) -> Tensor:
        """Return all pictures of `tensor` as (pictures, units, height, width); a view where that is possible."""
        pictures = tensor.movedim(self.batch, 0)
        positions = pictures.movedim(1 + self.unit, 1).flatten(2) if tensor.ndim > 2 else pictures[..., None]
        on_picture = positions[..., self.prefix :]
        return on_picture.reshape(*on_picture.shape[:2], self.height, self.width)

    @property
    def axis(self) -> int:
        """The axis of the units in the whole tensor."""
        return self.unit + (self.unit >= self.batch)

    def seed(self, unit: int, values: Tensor) -> Tensor:
        """Return a tensor of `shape` that is zero but for one unit's map, which is `values` (height, width)."""
        seed = values.new_zeros(self.shape)
        positions = seed.select(self.batch, 0).movedim(self.unit, 0)[unit]
        target = positions[self.prefix :] if self.prefix else positions
        target.copy_(values.reshape(target.shape))
        return seed


def tensors(output: Any) -> Iterator[tuple[Path, Tensor]]:
    """Yield every tensor in a module's output with its path of keys.

    A tensor has the empty path; those in dicts, tuples, lists and dataclasses, nested at will, have their keys.
    """
    if isinstance(output, Tensor):
        yield (), output
        return
    for key, value in _items(output):
        for path, tensor in tensors(value):
            yield (key, *path), tensor


def replaced(output: Any, path: Path, tensor: Tensor) -> Any:
    """Return a module's output with `tensor` in place of the one at `path`; the output itself stays as it is."""
    if not path:
        return tensor
    inside = {key: replaced(value, path[1:], tensor) if key == path[0] else value for key, value in _items(output)}
    if isinstance(output, Mapping):
        changed = copy.copy(output)
        for key in output:
            changed[key] = inside[str(key)]  # type: ignore[index]
        return changed
    if isinstance(output, tuple | list):
        return type(output)(*inside.values()) if hasattr(output, "_fields") else type(output)(inside.values())
    return dataclasses.replace(output, **inside)


def _items(output: Any) -> list[tuple[str, Any]]:
    if isinstance(output, Mapping):
        return [(str(key), value) for key, value in output.items()]
    if isinstance(output, tuple | list):
        keys = getattr(output, "_fields", range(len(output)))
        return [(str(key), value) for key, value in zip(keys, output, strict=True)]
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in dataclasses.fields(output)]
    return []


class Evidence:
    """What one forward pass on a single picture tells about the layout of its tensors.

    Feature maps: the channel axis is, by the first of these that decides,

    1. 1 after a convolution, batch or group norm or pooling, 3 after a linear layer or `nn.LayerNorm` itself
       (subclasses of it may permute inside);
    2. where the input's channels went, if the output is a view of the input (a permutation);
    3. that of the last output of the same shape (activations, containers, sums);
    4. the one that leaves a map with the aspect of the network's input, or else 1.

    Tokens: the grid is that feature map seen before which leaves the fewest tokens over, or else the one that has
    the aspect of the network's input; the tokens left over are the prefix. Where nothing fits, tokens are a single row.

    Parameters
    ----------
    example
        The network's input, (1, C, H, W).
    """

    def __init__(self, example: Tensor) -> None:
        self._height, self._width = example.shape[-2:]
        self._grids: list[tuple[int, int]] = []
        self._axes: dict[tuple[int, ...], int] = {tuple(example.shape): 1}

    def arrange(self, module: nn.Module, inputs: tuple[Any, ...], tensor: Tensor) -> Arrangement | str:
        """Return how `tensor`, an output of `module` for `inputs`, is laid out, or why it has no units."""
        reason = _unusable(tensor)
        if reason:
            return reason
        shape = tuple(tensor.shape)
        if len(shape) == 2:
            return Arrangement("vector", shape, 0, 0, 0, shape[1], 1, 1)
        if len(shape) == 3:
            return self._tokens(shape)
        return self._map(module, inputs, tensor)

    def _tokens(self, shape: tuple[int, ...]) -> Arrangement:
        batch = 0 if shape[0] == 1 else 1
        height, width = self._grid(shape[1 - batch])
        prefix = shape[1 - batch] - height * width
        return Arrangement("tokens", shape, batch, 1, prefix, shape[2], height, width)

    def _grid(self, tokens: int) -> tuple[int, int]:
        seen = [(h, w) for h, w in reversed(self._grids) if _fits(h * w, tokens)]
        if seen:
            return max(seen, key=math.prod)
        for patches in range(tokens, 0, -1):
            height = max(1, math.isqrt(patches * self._height // self._width))
            width = patches // height
            same_aspect = height * width == patches and height * self._width == width * self._height
            if same_aspect and _fits(patches, tokens):
                return height, width
        return 1, tokens

    def _map(self, module: nn.Module, inputs: tuple[Any, ...], tensor: Tensor) -> Arrangement:
        shape = tuple(tensor.shape)
        axis = self._axes[shape] = self._channel_axis(module, inputs, tensor)
        height, width = (shape[2], shape[3]) if axis == 1 else (shape[1], shape[2])
        if height * width > 1:
            self._grids.append((height, width))
        return Arrangement("map", shape, 0, axis - 1, 0, shape[axis], height, width)

    def _channel_axis(self, module: nn.Module, inputs: tuple[Any, ...], tensor: Tensor) -> int:
        if isinstance(module, _CHANNELS_FIRST):
            return 1
        if isinstance(module, nn.Linear) or (type(module) is nn.LayerNorm and len(module.normalized_shape) == 1):
            return 3
        shape = tuple(tensor.shape)
        return self._permuted(inputs, tensor) or self._axes.get(shape) or self._by_aspect(shape)

    def _permuted(self, inputs: tuple[Any, ...], tensor: Tensor) -> int | None:
        for source in inputs:
            if not isinstance(source, Tensor) or _unusable(source):
                continue
            axis = self._axes.get(tuple(source.shape))
            if axis is None or source.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr():
                continue
            channels = (source.shape[axis], source.stride(axis))
            matches = [axis for axis in (1, 3) if (tensor.shape[axis], tensor.stride(axis)) == channels]
            if len(matches) == 1:
                return matches[0]
        return None

    def _by_aspect(self, shape: tuple[int, ...]) -> int:
        wanted = math.log(self._height / self._width)
        first = abs(math.log(shape[2] / shape[3]) - wanted)
        last = abs(math.log(shape[1] / shape[2]) - wanted)
        return 3 if last < first else 1


def _fits(patches: int, tokens: int) -> bool:
    prefix = tokens - patches
    return 0 <= prefix <= MAX_PREFIX and prefix < patches


def _unusable(tensor: Tensor) -> str:
    """Return why the output of a single picture has no units, or an empty string."""
    if tensor.is_nested or tensor.is_quantized or tensor.layout != torch.strided:
        return "not a dense tensor"
    if not tensor.is_floating_point():
        return f"its values are {str(tensor.dtype).removeprefix('torch.')}"
    shape = tuple(tensor.shape)
    if len(shape) not in (2, 3, 4):
        return f"it has {len(shape)} dimensions, not 2 (a vector), 3 (tokens) or 4 (a feature map)"
    if not tensor.numel():
        return "it is empty"
    if shape[0] != 1 and not (len(shape) == 3 and shape[1] == 1):
        return f"its first dimension is {shape[0]}, not the batch of 1"
    return ""

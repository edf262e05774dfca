"""What commands and events are made of: arrays, layers, devices, tiles, boxes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

LEVELS = 251
"""Values of a quantised activation are 0 .. LEVELS - 1; odd, so that zero has a level of its own in the middle."""


INFINITE = 254
"""The level of an infinite activation."""


NOT_A_NUMBER = 255
"""The level of a NaN activation."""


Kind = Literal["map", "vector", "tokens", "unusable"]


Normalisation = Literal["layer", "unit", "diverging"]


Order = Literal["index", "strength", "gradient", "ablation"]


SourceKind = Literal["picture", "video", "stream", "camera"]


BackwardMode = Literal["gradient", "deconv", "guided", "input", "gradcam"]
"""How to go back to the pixels; "input" is gradient x input."""


BackwardView = Literal["raw", "gray", "norm", "blur", "overlay"]


class Array(msgspec.Struct, frozen=True):
    """A numpy array on the wire: row-major bytes with their shape and type."""

    shape: tuple[int, ...]
    dtype: str
    data: bytes

    @classmethod
    def of(cls, array: NDArray[Any]) -> Array:
        """Pack `array`."""
        return cls(array.shape, array.dtype.str, np.ascontiguousarray(array).tobytes())

    def numpy(self) -> NDArray[Any]:
        """Return the array, read-only, without a copy."""
        return np.frombuffer(self.data, dtype=np.dtype(self.dtype)).reshape(self.shape)


class LayerInfo(msgspec.Struct, frozen=True):
    """One layer: a module output that has units.

    `name` is the module's name in `model.named_modules()`; `#1` follows for the module's second call in one
    forward pass, and `[key]` for one tensor out of a tuple, dict or dataclass. `height` and `width` are those of a
    unit's map (1 x 1 for a vector). `shape` is the module's output shape as torch gives it. A layer of kind
    "unusable" has no units; `reason` says why. `listed` marks what people look at first: blocks, convolutions, linear
    layers, the output.
    """

    name: str
    module: str
    kind: Kind
    units: int
    height: int
    width: int
    shape: tuple[int, ...]
    listed: bool = True
    reason: str = ""


def in_tree_order(infos: tuple[LayerInfo, ...]) -> tuple[LayerInfo, ...]:
    """Return the layers in the order of the forward pass, each module before the modules inside it."""
    first: dict[str, int] = {}
    prefixes = {info.name: [info.name[:i] for i in _ends(info.name)] for info in infos}
    for place, info in enumerate(infos):
        for prefix in prefixes[info.name]:
            first.setdefault(prefix, place)
    return tuple(sorted(infos, key=lambda info: [first[prefix] for prefix in prefixes[info.name]]))


def _ends(name: str) -> list[int]:
    """Return where each of the modules around `name` ends in it, and its own end."""
    return [i for i, character in enumerate(name) if character == "."] + [len(name)]


class DeviceInfo(msgspec.Struct, frozen=True):
    """A device, as torch names it; memory in bytes (for the CPU: used is this process's resident memory)."""

    name: str
    title: str
    memory_used: int
    memory_total: int


class Prediction(msgspec.Struct, frozen=True):
    """One class of the model's output; `probability` in 0 .. 1."""

    index: int
    label: str
    probability: float


class Box(msgspec.Struct, frozen=True):
    """A rectangle of the network's input, in pixels."""

    top: int
    left: int
    height: int
    width: int


class Off(msgspec.Struct, frozen=True):
    """A unit that is switched off, or with None a whole layer: zero, or its mean over the photographs."""

    layer: str
    unit: int | None
    mean: bool = False


class Backpass(msgspec.Struct, frozen=True):
    """A backward pass: from where, how, and as what picture.

    `start` is "map" (1/2 of the squared norm of the unit's own map), "strongest" (1 at the position of its maximum),
    or a picked (row, column). Grad-CAM starts from a class instead, `target`, None for the predicted one, and its heat
    is that of `layer`.
    """

    mode: BackwardMode
    view: BackwardView
    layer: str
    unit: int
    start: Literal["map", "strongest"] | tuple[int, int] = "map"
    target: int | None = None


class Tiles(msgspec.Struct, frozen=True):
    """Which tiles of the layer on screen: slots `first` ..

    `first + count - 1` of the order, each `height` x `width` values.
    """

    first: int
    count: int
    height: int
    width: int


class Share(msgspec.Struct, frozen=True):
    """What another unit, or a class, has to do with a unit: gradient x activation."""

    unit: int
    value: float
    label: str = ""

"""Arrays on the wire."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


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

"""A computation on a GPU, recorded once and replayed: a processor that starts its kernels one by one is too slow."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from tuivis.errors import UserError

Function = Callable[..., tuple[Tensor, ...]]
Shapes = tuple[torch.Size | None, ...]


class Replay:
    """Computes `function` of tensors, by a recording of its kernels where that gives the same bytes.

    It does not for a network that looks at its numbers while it runs, or draws some: then `function` itself is called.
    What comes with shapes that are new is not recorded yet, as it may not come again. Results are overwritten by the
    next call.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._recorded: dict[Shapes, _Recording | None] = {}
        self._last: list[Shapes] = []

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        """Return what `function` returns.

        Raises
        ------
        torch.OutOfMemoryError
            If it takes too much memory, even without a recording.
        """
        shapes = tuple(None if each is None else each.shape for each in inputs)
        if shapes not in self._last:
            # A whole part of a batch and what is left of it: no other shapes come in turns.
            self._last = [*self._last[-1:], shapes]
            self._recorded = {each: self._recorded[each] for each in self._last if each in self._recorded}
            return self._function(*inputs)
        if shapes not in self._recorded:
            self._recorded[shapes] = _record(self._function, inputs)
        recording = self._recorded[shapes]
        return self._function(*inputs) if recording is None else recording(*inputs)

    @property
    def holds(self) -> bool:
        """Whether there are recordings, and so memory that they keep."""
        return any(self._recorded.values())

    def forget(self) -> None:
        """Give back the memory of all recordings."""
        self._recorded.clear()


class _Recording:
    def __init__(self, function: Function, inputs: tuple[Tensor | None, ...]) -> None:
        self._inputs = tuple(None if each is None else each.detach().clone() for each in inputs)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = function(*self._inputs)

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        for mine, given in zip(self._inputs, inputs, strict=True):
            if mine is not None and given is not None:
                mine.copy_(given)
        self._graph.replay()
        return self._outputs


def _record(function: Function, inputs: tuple[Tensor | None, ...]) -> _Recording | None:
    """Return a recording of `function`, None if it cannot be recorded faithfully, or there is no memory for it."""
    try:
        expected = _beside(function, inputs)
        # The recording has its own memory: that of the call before it must not stay beside it.
        torch.cuda.empty_cache()
        recording = _Recording(function, inputs)
        got = recording(*inputs)
        return recording if all(map(torch.equal, expected, got)) else None
    except (RuntimeError, UserError):
        pass  # what the failure holds is free after this
    _recover()
    return None


def _beside(function: Function, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
    """Call `function` on a stream of its own, so that what is made at a stream's first call is there.

    Raises
    ------
    RuntimeError, UserError
        If it waits for the GPU: a recording that it breaks off would leave traces.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with warnings.catch_warnings(action="ignore"), torch.cuda.stream(stream):
            torch.cuda.set_sync_debug_mode("error")
            return function(*inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.current_stream().wait_stream(stream)


def _recover() -> None:
    """Make a recording of nothing: one that was broken off leaves the GPU's random numbers unusable."""
    torch.cuda.empty_cache()
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        torch.zeros(1, device="cuda")

"""The engine itself, which in addition times bare forward passes: `python -m benchmarks.engine`.

Asked for its devices, it answers with the seconds of a pass, as the fraction of a `Progress`. The same process must do
both: the same network takes 13 ms in one process and 17 ms in the next, depending on where its memory lies.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from unittest import mock

import torch

from tuivis.engine import server
from tuivis.engine.commands import ListDevices, Show
from tuivis.engine.events import Progress
from tuivis.engine.protocol import Command, Event


class TimingServer(server.Server):
    """Carries out all commands but one as the engine does."""

    def carry_out(self, command: Command, skipped: tuple[Show, ...] = ()) -> Iterable[Event]:
        """Yield the answers to `command`."""
        if isinstance(command, ListDevices):
            return [Progress("bare forward pass", self._bare())]
        return super().carry_out(command, skipped)

    def _bare(self) -> float:
        model = self._loaded_viewer().model
        batch = torch.rand(1, *model.input_shape, device=model.device)
        with torch.inference_mode():
            start = time.perf_counter()
            model.module(batch)
            if model.device.type == "cuda":
                torch.cuda.synchronize(model.device)
            return time.perf_counter() - start


if __name__ == "__main__":
    with mock.patch.object(server, "Server", TimingServer):
        server.main()

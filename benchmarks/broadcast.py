"""A stream whose frames tell their number, and a network that writes the number into the tiles of a layer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import count

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

BITS = 12
FPS = 30
LAYER = "_blocks.8"
SIZE = 480, 640
_TOP, _LEFT, _SIDE, _COLUMNS = 176, 256, 32, 4
"""Pixels: where the blocks are that stand for the bits of a frame's number."""


def picture(number: int, photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a part of the photograph, (480, 640, 3), that moves with the frame's number, with its bits in it."""
    shift = number * 3 % (photograph.shape[1] - SIZE[1])
    frame = photograph[: SIZE[0], shift : shift + SIZE[1]].copy()
    for bit in range(BITS):
        y, x = _TOP + bit // _COLUMNS * _SIDE, _LEFT + bit % _COLUMNS * _SIDE
        frame[y : y + _SIDE, x : x + _SIDE] = 255 * (number >> bit & 1)
    return frame


class Broadcast:
    """Serves MJPEG over HTTP to everybody who connects. `times` has when each frame was new, by its number."""

    def __init__(self) -> None:
        from skimage import data

        self.times: dict[int, float] = {}
        photograph = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
        self._photograph = np.asarray(cv2.resize(photograph, (1200, 600)), np.uint8)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._send, args=(client,), daemon=True).start()

    def _send(self, client: socket.socket) -> None:
        client.recv(4096)
        head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        try:
            client.sendall(head)
            for jpeg in self._frames():
                part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                client.sendall(part + jpeg + b"\r\n")
        except OSError:
            return

    def _frames(self) -> Iterator[bytes]:
        start = time.perf_counter()
        for number in count():
            time.sleep(max(0.0, start + number / FPS - time.perf_counter()))
            self.times[number % (1 << BITS)] = time.perf_counter()
            frame = cv2.cvtColor(picture(number % (1 << BITS), self._photograph), cv2.COLOR_RGB2BGR)
            yield cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()

    def close(self) -> None:
        """End it."""
        self._server.close()


def network() -> torch.nn.Module:
    """Return efficientnet_lite0, in one of whose layers the first units show the bits of the frame's number."""
    from tuivis.engine import models

    model = models.load("efficientnet_lite0", None, "cpu", 0, lambda *_: None)
    seen: list[torch.Tensor] = []

    def look(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[:] = [inputs[0]]

    def write(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        low, high = output.amin(), output.amax()
        output = output.clone()
        # 640 x 480 becomes 341 x 256, of which the middle 224 x 224 is seen.
        scale, left, top = 256 / SIZE[0], 58.5, 16.0
        for bit in range(BITS):
            y = round((_TOP + (bit // _COLUMNS + 0.5) * _SIDE) * scale - top)
            x = round((_LEFT + (bit % _COLUMNS + 0.5) * _SIDE) * scale - left)
            output[:, bit] = torch.where(seen[0][0, :, y - 3 : y + 3, x - 3 : x + 3].mean() > 0, high, low)
        return output

    module = model.module
    module.register_forward_pre_hook(look)
    module.get_submodule(LAYER).register_forward_hook(write)
    module.preprocess = lambda image: model.preprocess(np.asarray(image))  # type: ignore[assignment]
    module.input_size = model.input_shape[1:]  # type: ignore[assignment]
    return module

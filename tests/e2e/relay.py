"""A relay on loopback that makes a slow link: a rate, a delay, and stalls."""

from __future__ import annotations

import queue
import socket
import threading
import time

CHUNK = 2048
"""Bytes that travel together."""
BUFFER = 0.1
"""Seconds of the link's rate that wait in the relay; what is more waits in front of it."""


class Relay:
    """Passes connections on to `port` at `rate` bytes per second from there, with `delay` seconds each way."""

    def __init__(self, port: int, rate: float, delay: float) -> None:
        self.rate, self.delay = rate, delay
        self.carried = 0
        self._target = port
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Let nothing through from now on, in either direction."""
        self._flows.clear()

    def flow(self) -> None:
        """Let everything through again."""
        self._flows.set()

    def close(self) -> None:
        """Cut all connections."""
        self._server.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.socket()
            # A small window keeps what waits where it is counted.
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            far.connect(("127.0.0.1", self._target))
            self._sockets += [near, far]
            for source, target, is_down in ((near, far, False), (far, near, True)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                under_way: queue.Queue[tuple[float, bytes]] = queue.Queue()
                threading.Thread(target=self._take, args=(source, under_way, is_down), daemon=True).start()
                threading.Thread(target=self._deliver, args=(target, under_way), daemon=True).start()

    def _take(self, source: socket.socket, under_way: queue.Queue[tuple[float, bytes]], is_down: bool) -> None:
        free = time.monotonic()
        while True:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            if not self._flows.is_set():
                self._flows.wait()
                free = time.monotonic()
            if is_down:
                free = max(free, time.monotonic()) + len(data) / self.rate
                self.carried += len(data)
                time.sleep(max(0.0, free - time.monotonic() - BUFFER))
            else:
                free = time.monotonic()
            under_way.put((free + self.delay, data))
            if not data:
                return

    def _deliver(self, target: socket.socket, under_way: queue.Queue[tuple[float, bytes]]) -> None:
        while True:
            at, data = under_way.get()
            time.sleep(max(0.0, at - time.monotonic()))
            self._flows.wait()
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return

"""A small RTSP server (RFC 2326) that sends JPEGs over the connection they are asked for on (RTP, RFC 2435)."""

from __future__ import annotations

import re
import socketserver
import struct
import threading
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

RATE = 25
"""Frames per second."""
_TICKS = 90_000
"""RTP's clock, in Hz."""
_JPEG = 26
"""The number of JPEG among RTP's payloads."""
_LONGEST = 1400
"""Bytes of a JPEG in one packet."""
_DESCRIPTION = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP {_JPEG}\r\na=control:0\r\n"


class Rtsp(socketserver.ThreadingTCPServer):
    """Plays `frames`, (height, width, 3) uint8 of multiples of 16, round and round; with 0 on a free port."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, frames: Sequence[NDArray[np.uint8]], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.frames = [_payload(frame) for frame in frames]
        self.size = frames[0].shape[1] // 8, frames[0].shape[0] // 8
        self.stopped = threading.Event()
        self.port = int(self.server_address[1])
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Cut all connections and take no more."""
        self.stopped.set()
        self.shutdown()
        self.server_close()


def _payload(frame: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """Return a JPEG's two quantisation tables and its scan: RTP leaves out what all JPEGs have."""
    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
    tables, at = b"", 2
    while jpeg[at + 1] != 0xDA:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xDB:
            tables += jpeg[at + 5 : at + 2 + length]
        at += 2 + length
    scan = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return tables, jpeg[scan:-2]


class _Session(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        """Answer requests until frames are asked for; send these until the server stops."""
        while request := self._request():
            method, number = request
            headers = {
                "OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(_DESCRIPTION)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
            }.get(method, "")
            body = _DESCRIPTION if method == "DESCRIBE" else ""
            self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n{headers}\r\n{body}".encode())
            if method == "PLAY":
                self._play()
                return

    def _request(self) -> tuple[str, int] | None:
        """Return the method of the next request, and its number."""
        text = ""
        while (line := self.rfile.readline().decode()).strip():
            text += line
        found = re.search(r"^(?P<method>\w+) (.*\n)*?CSeq: *(?P<number>\d+)", text)
        return (found["method"], int(found["number"])) if found else None

    def _play(self) -> None:
        sequence = 0
        try:
            for count, (tables, scan) in enumerate(cycle(self.server.frames)):
                for start in range(0, len(scan), _LONGEST):
                    last = start + _LONGEST >= len(scan)
                    ticks = count * _TICKS // RATE
                    packet = struct.pack(">BBHII", 0x80, _JPEG | last << 7, sequence & 0xFFFF, ticks & 0xFFFFFFFF, 1)
                    # Type 1 has half the colour both ways; quality 255 says that its tables come along.
                    packet += struct.pack(">IBBBB", start, 1, 255, *self.server.size)
                    packet += struct.pack(">HH", 0, len(tables)) + tables if start == 0 else b""
                    packet += scan[start : start + _LONGEST]
                    self.wfile.write(b"$" + struct.pack(">BH", 0, len(packet)) + packet)
                    sequence += 1
                if self.server.stopped.wait(1 / RATE):
                    return
        except OSError:
            return

"""Films that are recorded: pictures come at any times, and go to an MP4 at a constant rate."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tuivis.engine.commands import Append, EndRecording, Record
from tuivis.engine.events import Recorded
from tuivis.errors import UserError, printable
from tuivis.files import partial, refusal, unused

NO_ROOM = "no room is left for it: make some, or write elsewhere"


class Recorder:
    """Writes one film at a time. Threads may share it."""

    def __init__(self) -> None:
        self._film: Film | None = None
        self._lock = threading.Lock()

    def obey(self, command: Record | Append | EndRecording) -> Recorded:
        """Carry out a command; a film that fails leaves nothing behind.

        Raises
        ------
        UserError
            If the film cannot be written, or there is none.
        """
        with self._lock:
            if isinstance(command, Record):
                self._film = Film(command)
                return self._film.state()
            if self._film is None:
                raise UserError("nothing is being recorded")
            try:
                if isinstance(command, EndRecording):
                    film, self._film = self._film, None
                    return film.end(command.at)
                self._film.append(None if command.pixels is None else command.pixels.numpy(), command.at)
                return self._film.state()
            except UserError:
                self._film = None
                raise

    def close(self) -> None:
        """End the film, if there is one, with what it has."""
        with self._lock, contextlib.suppress(UserError):
            film, self._film = self._film, None
            if film is not None:
                film.end(0.0)


class Film:
    """An MP4 that grows, under another name until it is whole.

    Raises
    ------
    UserError
        If it cannot be begun; from the methods, if it cannot be written. Then nothing is left behind.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._path = Path(record.path)
        self._partial = partial(self._path, os.getpid())
        self._newest: NDArray[np.uint8] | None = None
        self._frames = self._dropped = 0
        self._waits = False
        try:
            self._partial.touch()
        except (OSError, ValueError) as error:
            raise refusal(self._path, error) from None
        size = record.width, record.height
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer: Any = cv2.VideoWriter(os.fspath(self._partial), cv2.CAP_FFMPEG, code, record.rate, size)
        if not self._writer.isOpened():
            raise self._failure("this OpenCV writes no MP4 of its size and rate")

    def append(self, pixels: NDArray[np.uint8] | None, at: float) -> None:
        """Show `pixels`, (height, width, 3) uint8 RGB, from second `at` on; None changes nothing until then."""
        self._fill(at)
        if pixels is not None:
            self._dropped += self._waits
            self._newest, self._waits = np.ascontiguousarray(pixels[..., ::-1]), True

    def end(self, at: float) -> Recorded:
        """Show the last picture until second `at`, for a frame at least, and give the film its name."""
        self._fill(max(at, (self._frames + 1) / self._record.rate))
        self._writer.release()
        # Where write errors are not told, the film lacks its end and cannot be opened.
        written = cv2.VideoCapture(os.fspath(self._partial), cv2.CAP_FFMPEG)
        whole = self._frames > 0 and written.isOpened() and written.get(cv2.CAP_PROP_FRAME_COUNT) == self._frames
        written.release()
        if not whole:
            raise self._failure(NO_ROOM if self._frames else "no picture came")
        state = self.state()
        path = self._path if self._record.replace else unused(self._path)
        try:
            with self._partial.open("rb") as file:
                os.fsync(file.fileno())
            self._partial.replace(path)
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise refusal(path, error) from None
        return Recorded(state.frames, state.bytes, state.seconds, str(path), state.dropped)

    def state(self) -> Recorded:
        """Return how long and how large the film is now."""
        try:
            size = self._partial.stat().st_size
        except OSError as error:
            raise refusal(self._path, error) from None
        return Recorded(self._frames, size, self._frames / self._record.rate, dropped=self._dropped)

    def _fill(self, at: float) -> None:
        """Write the newest picture until second `at`: a picture that was followed by another at once is dropped."""
        while self._newest is not None and self._frames < round(at * self._record.rate):
            if self._writer.write(self._newest) is False:
                raise self._failure(NO_ROOM)
            self._frames += 1
            self._waits = False

    def _failure(self, reason: str) -> UserError:
        self._writer.release()
        self._partial.unlink(missing_ok=True)
        return UserError(f"cannot write {printable(self._path)}: {reason}")

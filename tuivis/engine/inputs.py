"""The network's input for what is to be shown: a picture, or the newest frame of a moving source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from tuivis.engine.commands import Hold, Seek, Show
from tuivis.engine.events import SourceState
from tuivis.engine.feeds import Feed, Moment, Prepare
from tuivis.engine.models import Model
from tuivis.engine.sources import Pictures
from tuivis.errors import UserError

PATIENCE = 0.2
"""Seconds that a frame is waited for before the screen hears that there is none."""
BAR = 127
"""The gray of the bars beside a picture that is shown whole."""


class Inputs:
    """Makes the network's inputs out of `pictures`; at most one moving source is open, the one on screen.

    Parameters
    ----------
    model
        Whose preprocessing is used.
    pictures
        The sources.
    every_frame
        Whether videos show all their frames.
    waits
        Whether a newer command waits: then no frame is waited for.
    """

    def __init__(
        self, model: Model, pictures: Pictures, every_frame: bool = False, waits: Callable[[], bool] = lambda: False
    ) -> None:
        self.pictures = pictures
        self._model = model
        self._every_frame = every_frame
        self._waits = waits
        self._image: tuple[tuple[object, ...], torch.Tensor] | None = None
        self._arranged: tuple[bool, bool] = False, False
        self._prepare = self._preparation(*self._arranged)
        self._feed: tuple[int, Feed] | None = None
        self._frame: Moment | None = None
        self._serial = 0
        self._asked: int | None = None
        self._told = ""

    def refresh(self, show: Show) -> tuple[Show | None, bool]:
        """Take a newer frame if `show` wants one and there is one.

        Returns
        -------
        Show or None
            `show` with the number of the frame that it gets as its moment; None while the source gave no frame yet.
        bool
            Whether the frame is new.
        """
        if (show.mirror, show.whole) != self._arranged:
            self._arranged = show.mirror, show.whole
            self._prepare = self._preparation(*self._arranged)
        if self._kind(show.picture) == "picture":
            self.close()
            return msgspec.structs.replace(show, moment=0), False
        feed, fresh = self._open(show.picture), False
        if show.moment != self._asked:
            frame = feed.newest(PATIENCE, self._waits)
            if frame is not None:
                self._frame, fresh = frame, True
                self._serial += 1
            if frame is not None or not self._waits():
                self._asked = show.moment
        return (None if self._frame is None else msgspec.structs.replace(show, moment=self._serial)), fresh

    def image(self, show: Show) -> torch.Tensor:
        """Return the input, (C, h, w) float32, for a `show` that went through `refresh`."""
        if self._image is None or self._image[0] != show.seen:
            if self._feed is None or self._frame is None:
                values = self._prepare(self.pictures.read(show.picture))
            else:
                values = self._feed[1].prepared(self._frame, self._prepare)
            self._image = show.seen, values
        return self._image[1]

    def still(self, picture: int) -> torch.Tensor:
        """Return the input for a picture as it was shown last, or for a moving source's first frame."""
        self._kind(picture)
        if self._image is not None and self._image[0][0] == picture:
            return self._image[1]
        return self._model.preprocess(self.pictures.read(picture))

    def time(self) -> tuple[Moment | None, Feed | None]:
        """Return the frame that is shown and where it comes from, None for a picture."""
        return self._frame, self._feed and self._feed[1]

    def state(self, picture: int) -> SourceState | None:
        """Return what is wrong with the moving source, if that is another thing than was told before."""
        feed = self._feed and self._feed[1]
        message = feed.message if feed else ""
        if message == self._told:
            return None
        self._told = message
        return SourceState(picture, message, feed.reason, feed.final) if feed else SourceState(picture, message)

    def hold(self, hold: Hold) -> None:
        """Stop a video's clock, or let it go on."""
        if self._kind(hold.picture) != "picture":
            self._open(hold.picture).hold(hold.held)

    def seek(self, seek: Seek) -> None:
        """Move a video."""
        if self._kind(seek.picture) != "picture":
            self._open(seek.picture).seek(seek.seconds, seek.frames)

    def close(self) -> None:
        """Close the moving source."""
        if self._feed is not None:
            self._feed[1].close()
        self._feed = self._frame = self._asked = None

    def _kind(self, picture: int) -> str:
        if not 0 <= picture < len(self.pictures):
            raise UserError(f"there is no picture {picture}: open a source first")
        return self.pictures.sources[picture].kind

    def _open(self, picture: int) -> Feed:
        if self._feed is None or self._feed[0] != picture:
            self.close()
            self._feed = picture, self._made(picture)
        return self._feed[1]

    def _made(self, picture: int) -> Feed:
        # OpenCV is imported for what moves only: it takes a while.
        from tuivis.engine.streams import Camera, Stream
        from tuivis.engine.videos import Video

        source = self.pictures.sources[picture]
        if source.kind == "video":
            return Video(Path(source.address), self._prepare, self._every_frame)
        if source.kind == "camera":
            return Camera(int(source.address), self._prepare)
        return Stream(source.address, self._prepare)

    def _preparation(self, mirror: bool, whole: bool) -> Prepare:
        return partial(_prepared, self._model, mirror, whole)


def _prepared(model: Model, mirror: bool, whole: bool, pixels: NDArray[np.uint8]) -> torch.Tensor:
    if mirror:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    return model.preprocess(with_bars(pixels, model.input_shape[1:], model.margin) if whole else pixels)


def with_bars(pixels: NDArray[np.uint8], shape: tuple[int, ...], margin: float) -> NDArray[np.uint8]:
    """Return `pixels`, (H, W, C), between gray bars, so that cutting out the centre leaves all of them.

    `shape` is (h, w) of what is cut out, `margin` how many times larger than that the scaled picture is.
    """
    height, width = pixels.shape[:2]
    unit = max(height / shape[0], width / shape[1]) * margin
    full = max(height, round(shape[0] * unit)), max(width, round(shape[1] * unit))
    framed = np.full((*full, pixels.shape[2]), BAR, np.uint8)
    top, left = (full[0] - height) // 2, (full[1] - width) // 2
    framed[top : top + height, left : left + width] = pixels
    return framed

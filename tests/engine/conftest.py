"""Videos that play by a clock of the test, and end with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.playing import (
    PATIENCE,
    Clock,
    Play,
    prepare,
)
from tuivis.engine.videos import Video


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def play(clock: Clock) -> Iterator[Play]:
    """Open videos, and end their threads: one that decodes while Python ends would abort it."""
    opened: list[Video] = []

    def play(path: Path, **options: bool) -> Video:
        video = clock.video = Video(path, prepare, clock=clock, **options)
        opened.append(video)
        return video

    yield play
    for video in opened:
        video.close()
    for video in opened:
        if video.thread.ident:
            video.thread.join(PATIENCE)
            assert not video.thread.is_alive()

"""Video files that are not as they should be, and what goes wrong while one plays."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.clips import ffmpeg, needs_ffmpeg, number_in, numbered, write_clip
from tests.engine.playing import PATIENCE, Clock, Play, never, number, take, until, until_late
from tuivis.engine.decoder import Decoder, first_frame
from tuivis.engine.videos import Video
from tuivis.errors import UserError


@needs_ffmpeg
@pytest.mark.parametrize("size", [(63, 47), (1, 1), (1001, 33)])
def test_odd_sizes_are_played(tmp_path: Path, play: Play, size: tuple[int, int]) -> None:
    source, path = write_clip(tmp_path / "source.mp4", range(3)), tmp_path / "a.mkv"
    ffmpeg("-i", source, "-vf", f"scale={size[0]}:{size[1]}", "-c:v", "ffv1", "-pix_fmt", "bgr0", path)
    video = play(path, every_frame=True)
    for _ in range(4):
        assert take(video).pixels.shape == (size[1], size[0], 3)
    assert first_frame(path).shape == (size[1], size[0], 3)


def test_colours_are_those_of_the_file(tmp_path: Path, play: Play) -> None:
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    writer.write(np.full((64, 64, 3), (20, 60, 220), np.uint8))
    writer.release()
    red, green, blue = take(play(tmp_path / "a.avi")).pixels[32, 32].tolist()
    assert red == pytest.approx(220, abs=8)
    assert green == pytest.approx(60, abs=8)
    assert blue == pytest.approx(20, abs=8)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_said_in_one_line(tmp_path: Path, play: Play, content: bytes) -> None:
    path = tmp_path / "a\x1b[31m.mp4"
    path.write_bytes(content)
    video = play(path)
    assert video.newest(0, never) is None
    until(lambda: bool(video.message))
    assert "is no video that can be read" in video.message
    assert "\x1b" not in video.message
    with pytest.raises(UserError, match=r"is no video that can be read, or has no frames"):
        first_frame(path)


def test_a_video_without_frames_is_said(tmp_path: Path, play: Play) -> None:
    video = play(write_clip(tmp_path / "a.avi", [], codec="MJPG"))
    assert video.newest(0, never) is None
    until(lambda: bool(video.message))
    assert video.message in ("a.avi has no frames", "a.avi is no video that can be read")


def test_a_missing_file_is_played_once_it_is_there(tmp_path: Path, play: Play) -> None:
    video = play(tmp_path / "a.mp4")
    assert video.newest(0, never) is None
    until(lambda: video.message == "a.mp4 is gone")
    write_clip(tmp_path / "new.mp4", range(40, 50))
    (tmp_path / "new.mp4").rename(tmp_path / "a.mp4")
    assert number(video) == 40
    assert not video.message


def test_a_truncated_video_plays_as_far_as_it_goes(tmp_path: Path, play: Play) -> None:
    path = write_clip(tmp_path / "a.avi", range(40), codec="MJPG")
    os.truncate(path, path.stat().st_size // 2)
    video = play(path, every_frame=True)
    shown = [number(video)]
    while (next_one := number(video)) != 0:
        shown.append(next_one)
    assert 5 < len(shown) < 40
    assert shown == list(range(len(shown)))


def test_damaged_frames_do_not_end_a_video(tmp_path: Path, play: Play) -> None:
    path = write_clip(tmp_path / "a.avi", range(40), codec="MJPG")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    video = play(path, every_frame=True)
    shown = [number(video) for _ in range(100)]
    assert shown.count(1) >= 2
    assert shown.count(38) >= 2


def test_a_file_that_is_replaced_is_played_from_its_beginning(tmp_path: Path, play: Play, clock: Clock) -> None:
    path = write_clip(tmp_path / "a.mp4", range(30))
    video = play(path)
    assert number(video) == 0
    write_clip(tmp_path / "new.mp4", range(100, 130), size=(128, 96)).rename(path)
    until_late(clock, lambda: video._newest is not None and number_in(video._newest.pixels) >= 100)
    moment = take(video)
    assert moment.pixels.shape == (96, 128, 3)


def test_a_file_that_is_overwritten_by_a_longer_one_has_its_length_and_rate(tmp_path: Path, play: Play) -> None:
    path = write_clip(tmp_path / "a.avi", range(10), codec="MJPG")
    video = play(path, every_frame=True)
    assert number(video) == 0
    assert (video.length, video.rate) == pytest.approx((1, 10))
    data = write_clip(tmp_path / "new.avi", range(100, 150), rate=25, codec="MJPG", size=(128, 96)).read_bytes()
    # As cp does, but never shorter than before.
    with path.open("r+b") as file:
        file.write(data)
    until(lambda: take(video).pixels.shape == (96, 128, 3))
    until(lambda: take(video).lap > 1)
    assert (video.length, video.rate) == pytest.approx((2, 25))


def test_a_file_that_is_deleted_is_said_and_its_return_is_noticed(tmp_path: Path, play: Play, clock: Clock) -> None:
    path = write_clip(tmp_path / "a.mp4", range(30))
    shutil.copy(path, tmp_path / "kept.mp4")
    video = play(path)
    assert number(video) == 0
    path.unlink()
    until_late(clock, lambda: video.message == "a.mp4 is gone")
    (tmp_path / "kept.mp4").rename(path)
    until(lambda: not video.message)
    clock.advance(0.2)
    assert take(video).seconds is not None


def test_a_decoder_that_raises_is_said_and_tried_again(
    tmp_path: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(5)))
    offer, failures = video._offer, iter([True])

    def fail(decoder: Decoder, place: float, era: int) -> None:
        if next(failures, False):
            raise RuntimeError("bad\x1bdata")
        offer(decoder, place, era)

    monkeypatch.setattr(video, "_offer", fail)
    assert video.newest(0, never) is None
    until(lambda: bool(video.message))
    assert video.message.startswith("the source cannot be read: bad")
    assert "\x1b" not in video.message
    assert number(video) == 0
    assert not video.message


# Feeds.


def test_who_waits_for_a_frame_is_interrupted(tmp_path: Path, play: Play) -> None:
    video = play(tmp_path / "missing.mp4")
    start = time.monotonic()
    assert video.newest(PATIENCE, lambda: True) is None
    assert time.monotonic() - start < PATIENCE / 2


def test_a_preparation_that_fails_fails_for_who_asks_and_not_in_the_thread(tmp_path: Path) -> None:
    def refuse(pixels: NDArray[np.uint8]) -> torch.Tensor:
        raise UserError("five channels")

    video = Video(write_clip(tmp_path / "a.mp4", range(5)), refuse, every_frame=True)
    try:
        for expected in (0, 1, 2):
            moment = take(video)
            assert number_in(moment.pixels) == expected
            with pytest.raises(UserError, match="five channels"):
                video.prepared(moment, refuse)
    finally:
        video.close()
        video.thread.join(PATIENCE)


def test_numbers_survive_their_pictures() -> None:
    assert [number_in(numbered(n)) for n in range(256)] == list(range(256))

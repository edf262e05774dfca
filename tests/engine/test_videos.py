"""Video files as moving sources: which frame shows when, whatever happens to the file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.clips import ffmpeg, needs_ffmpeg, number_in, numbered, write_clip
from tuivis.engine.decoder import Decoder, first_frame
from tuivis.engine.feeds import Feed, Moment
from tuivis.engine.videos import Video
from tuivis.errors import UserError

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""
QUIET = 0.1
"""Seconds in which a source that has nothing to show would have shown it, mostly."""


def prepare(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32))


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.video: Video | None = None

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        assert self.video is not None
        with self.video.changed:
            # Sums of tenths are a little less, or more.
            self.now += seconds + 1e-6
            self.video.changed.notify_all()


Play = Callable[..., Video]


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


def never() -> bool:
    return False


def take(feed: Feed) -> Moment:
    """Wait for the next frame."""
    moment = feed.newest(PATIENCE, never)
    assert moment is not None, feed.message
    return moment


def number(feed: Feed) -> int:
    return number_in(take(feed).pixels)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def until_newest(video: Video, number: int) -> None:
    """Wait until the frame has come, and do not take it."""
    until(lambda: video._newest is not None and number_in(video._newest.pixels) == number)


def until_late(clock: Clock, condition: Callable[[], bool]) -> None:
    """Let time pass until `condition` holds."""

    def holds() -> bool:
        clock.advance(0.05)
        return condition()

    until(holds)


# The clock.


def test_each_frame_shows_at_its_time_and_not_before(tmp_path: Path, play: Play, clock: Clock) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(10)))
    first = take(video)
    assert (number_in(first.pixels), first.seconds, first.at) == (0, 0.0, 1000.0)
    for expected in range(1, 10):
        clock.advance(0.09)
        assert video.newest(QUIET, never) is None
        clock.advance(0.01)
        moment = take(video)
        assert number_in(moment.pixels) == expected
        assert moment.seconds == pytest.approx(expected / 10)
        assert moment.at == pytest.approx(1000 + expected / 10, abs=1e-3)
    assert video.length == pytest.approx(1)
    assert video.dropped == 0


def test_a_video_plays_round_and_round_and_its_last_frame_is_shown_as_long_as_the_others(
    tmp_path: Path, play: Play, clock: Clock
) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(4)))
    shown = [take(video)]
    for _ in range(11):
        clock.advance(0.1)
        shown.append(take(video))
    assert [number_in(each.pixels) for each in shown] == [0, 1, 2, 3] * 3
    assert [each.at for each in shown] == pytest.approx([1000 + n / 10 for n in range(12)], abs=1e-3)


def test_frames_that_nobody_takes_are_dropped_and_counted(tmp_path: Path, play: Play, clock: Clock) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(10)))
    assert number(video) == 0
    for expected in range(1, 6):
        clock.advance(0.1)
        until_newest(video, expected)
    assert video.dropped == 4
    assert number(video) == 5


def test_frames_that_are_decoded_too_late_are_dropped(tmp_path: Path, play: Play, clock: Clock) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(10)))
    assert number(video) == 0
    clock.advance(0.4)
    assert number(video) == 4
    assert video.dropped == 3


def test_the_clock_waits_for_a_decoder_that_falls_far_behind(tmp_path: Path, play: Play, clock: Clock) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(10)))
    assert number(video) == 0
    clock.advance(60)
    moment = take(video)
    assert number_in(moment.pixels) == 1
    assert moment.at == pytest.approx(1060, abs=1e-3)
    clock.advance(0.1)
    assert number(video) == 2


def test_held_a_video_stands_still_and_goes_on_from_there(tmp_path: Path, play: Play, clock: Clock) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(10)))
    assert number(video) == 0
    clock.advance(0.1)
    assert number(video) == 1
    video.hold(True)
    clock.advance(30)
    assert video.newest(QUIET, never) is None
    video.hold(False)
    moment = take(video)
    assert number_in(moment.pixels) in (2, 3)
    assert moment.at == pytest.approx(1030.1, abs=1e-3)
    clock.advance(0.1)
    assert number(video) == number_in(moment.pixels) + 1


def test_every_frame_is_shown_in_order_however_slowly_they_are_taken(tmp_path: Path, play: Play, clock: Clock) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(7)), every_frame=True)
    shown = []
    for _ in range(14):
        shown.append(number(video))
        clock.advance(5)
    assert shown == [*range(7), *range(7)]
    assert video.dropped == 0


@needs_ffmpeg
def test_a_variable_frame_rate_is_kept(tmp_path: Path, play: Play, clock: Clock) -> None:
    places = [0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 1.0, 1.1]
    path = varying(tmp_path, len(places))
    video = play(path)
    assert number(video) == 0
    for expected in range(1, len(places)):
        gap = places[expected] - places[expected - 1]
        clock.advance(gap - 0.02)
        assert video.newest(QUIET, never) is None
        clock.advance(0.02)
        moment = take(video)
        assert number_in(moment.pixels) == expected
        assert moment.seconds == pytest.approx(places[expected], abs=0.001)
    for expected in (6, 5, 4, 3, 2):
        video.seek(0, -1)
        assert number(video) == expected


def varying(folder: Path, frames: int) -> Path:
    """Write a video with 0.1 s from frame to frame, and 0.3 s after every third."""
    times = "settb=1/1000,setpts=(N/10+floor(N/3)*0.2)/TB"
    source, path = write_clip(folder / "source.mp4", range(frames)), folder / "varying.mp4"
    options = ["-vsync", "passthrough", "-enc_time_base", "1/1000", "-video_track_timescale", "1000", "-c:v", "mpeg4"]
    ffmpeg("-i", source, "-vf", times, *options, path)
    return path


# Moving about.


def test_steps_are_exact_in_both_directions_and_wrap_at_the_end(tmp_path: Path, play: Play) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(30)))
    video.hold(True)
    assert number(video) == 0
    shown = []
    for frames in (1, 1, 5, -1, -3, 20, -10, 2, -1):
        video.seek(0, frames)
        shown.append(number(video))
    assert shown == [1, 2, 7, 6, 3, 23, 13, 15, 14]
    video.seek(0, -20)
    assert number(video) == 0
    video.seek(0, 29)
    assert number(video) == 29
    video.seek(0, 1)
    assert number(video) == 0


def test_steps_count_from_the_frame_that_was_taken_though_others_came_since(
    tmp_path: Path, play: Play, clock: Clock
) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(30)))
    assert number(video) == 0
    for expected in range(1, 6):
        clock.advance(0.1)
        until_newest(video, expected)
    video.hold(True)
    video.seek(0, 1)
    assert number(video) == 1
    video.seek(0, 1)
    assert number(video) == 2


def test_steps_that_come_faster_than_they_are_shown_add_up(tmp_path: Path, play: Play) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(30)))
    assert number(video) == 0
    video.hold(True)
    for _ in range(7):
        video.seek(0, 1)
    until(lambda: not video.is_taken())
    video.seek(0, 1)
    assert number(video) == 8


def test_a_video_is_moved_by_seconds_within_its_ends(tmp_path: Path, play: Play, clock: Clock) -> None:
    video = play(write_clip(tmp_path / "a.mp4", range(200)))
    assert number(video) == 0
    shown = []
    for seconds in (5, 5, -2, 0.25, -100, 100):
        video.seek(seconds, 0)
        moment = take(video)
        shown.append(number_in(moment.pixels))
        assert moment.seconds == pytest.approx(shown[-1] / 10)
    assert shown == [50, 100, 80, 82, 0, 199]
    video.seek(-10, 0)
    assert number(video) == 99
    clock.advance(0.1)
    assert number(video) == 100


@needs_ffmpeg
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp4", "-c:v libx264 -bf 3 -g 250"),
        ("mkv", "-c:v libx264 -g 30"),
        ("ts", "-c:v libx264 -g 30"),
        ("mpg", "-c:v mpeg2video -r 25"),
        ("mjpeg", "-c:v mjpeg -f mjpeg"),
        ("avi", "-c:v mjpeg"),
        ("webm", "-c:v libvpx"),
    ],
)
def test_places_are_found_to_the_frame_in_every_container(tmp_path: Path, suffix: str, options: str) -> None:
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-i", write_clip(tmp_path / "source.mp4", range(120), rate=25), *options.split(), path)
    decoder = Decoder(path)
    places = []
    while decoder.grab():
        assert decoder.place is not None
        places.append(decoder.place)
    assert len(places) == 120
    for wanted in (100, 3, 60, 119, 31, 0):
        assert decoder.find(places[wanted] + 0.001, False, never)
        assert shown(decoder) == wanted
        assert decoder.find(places[wanted], True, never)
        assert shown(decoder) == max(wanted - 1, 0)
        assert decoder.grab()
        assert shown(decoder) == max(wanted, 1)
    decoder.rewind()
    assert decoder.grab()
    assert shown(decoder) == 0
    decoder.close()


def shown(decoder: Decoder) -> int:
    pixels = decoder.pixels()
    assert pixels is not None
    return number_in(pixels)


# Files that are not as they should be.


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

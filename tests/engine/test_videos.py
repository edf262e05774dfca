"""Video files as moving sources: which frame shows when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clips import ffmpeg, needs_ffmpeg, number_in, write_clip
from tests.engine.playing import QUIET, Clock, Play, never, number, take, until, until_newest
from tuivis.engine.decoder import Decoder

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

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image

from tuivis.engine.sources import Pictures, open_pictures
from tuivis.errors import UserError

RED, GREEN, BLUE = (200, 10, 20), (30, 180, 40), (50, 60, 220)
CORNERS = np.array([[RED, GREEN, BLUE], [(0, 0, 0), (255, 255, 255), (90, 90, 90)]], np.uint8)


def read(path: Path) -> np.ndarray:
    return open_pictures([str(path)]).read(0)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    return text


def png(width: int, height: int) -> bytes:
    """Return the beginning of a bilevel picture, without the pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9999) + b"IDAT"


# What a file holds and what is read.


def test_colours_are_read_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, CORNERS)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_gray_and_bilevel_pictures_become_rgb(tmp_path: Path, mode: str) -> None:
    Image.fromarray(np.array([[0, 255, 255], [255, 0, 0]], np.uint8)).convert(mode).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").tolist() == [[[0] * 3, [255] * 3, [255] * 3], [[255] * 3, [0] * 3, [0] * 3]]


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8), "P")
    image.putpalette([*RED, *GREEN, *BLUE])
    image.save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(RED)]]


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    pixels = np.array([[(*RED, 255), (*RED, 0), (100, 100, 100, 128)]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    assert np.allclose(read(tmp_path / "rgba.png"), [[RED, (255, 255, 255), (177, 177, 177)]], atol=1)

    gray = Image.fromarray(np.array([[[80, 255], [80, 0]]], np.uint8), "LA")
    gray.save(tmp_path / "la.png")
    assert read(tmp_path / "la.png").tolist() == [[[80] * 3, [255] * 3]]

    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([*RED, *GREEN])
    palette.save(tmp_path / "p.png", transparency=1)
    assert read(tmp_path / "p.png").tolist() == [[list(RED), [255] * 3]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path, suffix: str) -> None:
    gray, colour = tmp_path / f"gray{suffix}", tmp_path / f"colour{suffix}"
    cv2.imwrite(str(gray), np.array([[0x0000, 0x7F00, 0xFFFF]], np.uint16))
    assert read(gray).tolist() == [[[0] * 3, [127] * 3, [255] * 3]]
    if suffix == ".png":
        cv2.imwrite(str(colour), (CORNERS[..., ::-1].astype(np.uint16) << 8) + 0x80)
        assert np.array_equal(read(colour), CORNERS)


def test_floating_point_from_0_to_1_takes_the_whole_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0, -3, 1]], np.float32)).save(tmp_path / "b.tif")
    assert "-3.0 .. 1.0" in refusal(tmp_path / "b.tif")


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    ink = np.array([[(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 0, 255)]], np.uint8)
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").tolist() == [[[255] * 3, [0, 255, 255], [0] * 3]]
    Image.fromarray(ink.repeat(16, 0).repeat(16, 1), "CMYK").save(tmp_path / "a.jpg", quality=100)
    centres = read(tmp_path / "a.jpg")[8, [8, 24, 40]]
    assert np.allclose(centres, [[255] * 3, [0, 255, 255], [0] * 3], atol=6)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, CORNERS), (2, CORNERS[:, ::-1]), (3, CORNERS[::-1, ::-1]), (6, np.rot90(CORNERS, -1)), (8, np.rot90(CORNERS))],
)
def test_a_camera_that_was_turned_is_turned_back(tmp_path: Path, orientation: int, upright: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(CORNERS).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "a.png"), upright)


def test_arrays_keep_their_channels(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(read(tmp_path / "a.npy"), array)
    np.save(tmp_path / "b.npy", array[..., 0].astype(np.uint16) << 8)
    assert np.array_equal(read(tmp_path / "b.npy"), array[..., :1])
    np.save(tmp_path / "d.npy", array.astype(np.int64))
    assert np.array_equal(read(tmp_path / "d.npy"), array)
    np.save(tmp_path / "e.npy", array > 3)
    assert np.array_equal(read(tmp_path / "e.npy"), np.where(array > 3, 255, 0))
    np.save(tmp_path / "c.npy", np.asfortranarray(array / 255))
    picture = read(tmp_path / "c.npy")
    assert np.array_equal(picture, array)
    assert picture.flags.writeable


# What is refused.


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(30000, 30000))
    assert "30000 x 30000 is over the limit of 100 megapixels" in refusal(tmp_path / "a.png")


def test_pillow_has_no_limit_of_its_own_below_ours(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(9900, 9900))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "damaged" in refusal(tmp_path / "a.png")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name in ("a.png", "a.jpg", "a.gif", "a.tif", "a.webp"):
        Image.fromarray(noise).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        assert "damaged" in refusal(tmp_path / name), name
    (tmp_path / "empty.png").touch()
    assert "is empty" in refusal(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no picture at all")
    assert "is not a picture" in refusal(tmp_path / "text.png")


def test_arrays_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "shape.npy", np.zeros((2, 3, 4, 5)))
    assert "(2, 3, 4, 5)" in refusal(tmp_path / "shape.npy")
    np.save(tmp_path / "range.npy", np.array([[-1.0, 300.0]]))
    assert "-1.0 .. 300.0" in refusal(tmp_path / "range.npy")
    np.save(tmp_path / "nan.npy", np.array([[np.nan, 0.5]]))
    assert "nan" in refusal(tmp_path / "nan.npy")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    refusal(tmp_path / "object.npy")
    (tmp_path / "short.npy").write_bytes((tmp_path / "shape.npy").read_bytes()[:-8])
    refusal(tmp_path / "short.npy")


def test_the_message_never_holds_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2Jb\n.png"
    path.write_text("no picture")
    assert r"a\x1b[2Jb\n.png" in refusal(path)


def test_sources_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    assert "missing.png" in refusal(tmp_path / "missing.png")
    assert "no picture or video in the folder" in refusal(tmp_path)
    assert {".png", ".mp4"} <= set(refusal(tmp_path).split())
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in refusal(tmp_path / "pipe")


# Which pictures there are.


def save(path: Path, level: int) -> None:
    Image.fromarray(np.full((2, 2, 3), level, np.uint8)).save(path)


def levels(pictures: Pictures) -> list[int]:
    return [int(pictures.read(index)[0, 0, 0]) for index in range(len(pictures))]


def test_a_folder_is_in_natural_order_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    for name, level in (("p10.png", 10), ("p2.png", 2), ("P1.PNG", 1), (".hidden.png", 99)):
        save(tmp_path / name, level)
    (tmp_path / "readme.md").touch()
    (tmp_path / "inside").mkdir()
    save(tmp_path / "inside" / "p3.png", 3)
    pictures = open_pictures([str(tmp_path)])
    assert pictures.names == ("P1.PNG", "p2.png", "p10.png")
    assert levels(pictures) == [1, 2, 10]
    assert len(pictures.notes) == 1
    assert "readme.md" in pictures.notes[0]


def test_a_damaged_picture_does_not_hide_the_others(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 1)
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    save(tmp_path / "c.png", 3)
    pictures = open_pictures([str(tmp_path)])
    assert pictures.names == ("a.png", "b.png", "c.png")
    with pytest.raises(UserError, match=r"b\.png"):
        pictures.read(1)
    assert int(pictures.read(2)[0, 0, 0]) == 3


def test_a_list_is_relative_to_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    save(tmp_path / "up.png", 1)
    save(tmp_path / "lists" / "with space.png", 2)
    save(tmp_path / "far.png", 3)
    text = f"../up.png\r\n\r\nwith space.png\n{tmp_path / 'far.png'}"
    (tmp_path / "lists" / "list.txt").write_bytes(text.encode("utf-8-sig"))
    assert levels(open_pictures([str(tmp_path / "lists" / "list.txt")])) == [1, 2, 3]
    (tmp_path / "empty.txt").write_text("\n\n")
    assert "empty" in refusal(tmp_path / "empty.txt")


def test_a_list_may_name_folders_and_the_demo_but_no_list(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "notes.md").touch()
    for name in ("b2.png", "b10.png"):
        save(tmp_path / "inside" / name, 7)
    save(tmp_path / "a.png", 1)
    (tmp_path / "list.txt").write_text("a.png\ninside\ndemo\n")
    pictures = open_pictures([str(tmp_path / "list.txt")])
    assert pictures.names == ("a.png", "b2.png", "b10.png", *open_pictures(["demo"]).names)
    assert "notes.md" in pictures.notes[0]
    (tmp_path / "outer.txt").write_text("a.png\nlist.txt\n")
    assert "names the list list.txt" in refusal(tmp_path / "outer.txt")


def test_sources_follow_each_other(tmp_path: Path) -> None:
    save(tmp_path / "b.png", 2)
    save(tmp_path / "a.png", 1)
    pictures = open_pictures([str(tmp_path / "b.png"), str(tmp_path)])
    assert levels(pictures) == [2, 1, 2]


def test_names_can_be_sent_on(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.png"
    save(Path(os.fsdecode(path)), 7)
    pictures = open_pictures([str(tmp_path)])
    assert levels(pictures) == [7]
    assert msgspec.msgpack.encode(pictures.names)


def test_the_demo_shows_photographs() -> None:
    pictures = open_pictures(["demo"])
    assert pictures.names[:4] == ("coffee.png", "camera.png", "chelsea.png", "rocket.jpg")
    assert len(pictures) >= 10
    assert pictures.read(0).shape == (400, 600, 3)
    assert all(pictures.read(index).shape[2] == 3 for index in range(len(pictures)))


def test_pictures_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "list.txt").write_text("~/a.png\n../a.png\n")
    assert open_pictures(["~/a.png", "~/lists/list.txt", "~"]).names == ("a.png",) * 4
    assert np.array_equal(open_pictures(["~/lists/list.txt"]).read(0), CORNERS)
    with pytest.raises(UserError, match="no picture or folder ~nouser"):
        open_pictures(["~nouser/a.png"])


# What moves.


def test_pictures_videos_streams_and_cameras_mix(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("2.PNG", "10.mp4", "1.mkv", "notes.md"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_text("mixed/1.mkv\nrtsp://u:p@host/door\ncam:2\nmixed/2.PNG\n")
    pictures = open_pictures([str(folder), "http://u:p@host:8090/", "cam:0", str(tmp_path / "list.txt")])
    assert list(zip(pictures.names, pictures.kinds, strict=True)) == [
        ("1.mkv", "video"),
        ("2.PNG", "picture"),
        ("10.mp4", "video"),
        ("http://host:8090/", "stream"),
        ("camera 0", "camera"),
        ("1.mkv", "video"),
        ("rtsp://host/door", "stream"),
        ("camera 2", "camera"),
        ("2.PNG", "picture"),
    ]
    assert pictures.stills == (1, 8)
    assert "notes.md" in pictures.notes[0]


@pytest.mark.parametrize("scheme", ["http", "https", "rtsp", "udp", "tcp", "HTTP"])
def test_the_urls_of_streams_are_not_taken_for_paths(scheme: str) -> None:
    assert open_pictures([f"{scheme}://host:1/"]).kinds == ("stream",)


@pytest.mark.parametrize("source", ["cam:", "cam:x", "cam:-1", "cam:0.5", "cam:\x1b"])
def test_cameras_have_numbers(source: str) -> None:
    with pytest.raises(UserError, match=r"cameras have numbers, such as cam:0") as caught:
        open_pictures([source])
    assert "\x1b" not in str(caught.value)

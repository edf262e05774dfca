from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.pictures import mosaic
from tuivis.cli import run
from tuivis.errors import UserError
from tuivis.export import export_picture
from tuivis.files import check_target, expanded, unused, write_whole

IMPOSSIBLE = [("x" * 300 + ".png", "too long"), ("y" * 300 + "/a.png", "too long"), ("a\0b.png", "null")]


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        act()
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(("name", "reason"), IMPOSSIBLE)
def test_a_name_that_can_be_no_file_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    assert reason in refusal(lambda: check_target(tmp_path / name, ".png"))
    assert reason in refusal(lambda: write_whole(tmp_path / name, b"data"))
    line = export_picture(mosaic(200), str(tmp_path / name))
    assert reason in line
    assert line.isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_file_cannot_serve_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "no folder" in refusal(lambda: check_target(tmp_path / "file" / "a.png", ".png"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may go and write anywhere")
@pytest.mark.parametrize(("mode", "name"), [(0o000, "inner/a.png"), (0o000, "a.png"), (0o500, "a.png")])
def test_a_closed_folder_is_refused_before_the_work(tmp_path: Path, mode: int, name: str) -> None:
    folder = tmp_path / "closed"
    (folder / "inner").mkdir(parents=True)
    folder.chmod(mode)
    try:
        assert "cannot write" in refusal(lambda: check_target(folder / name, ".png"))
        assert "cannot write" in refusal(lambda: write_whole(folder / name, b"data"))
    finally:
        folder.chmod(0o700)


def test_home_folders_are_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a.png") == tmp_path / "a.png"
    assert expanded("b/~/a.png") == Path("b/~/a.png")
    assert "no folder ~nouser" in export_picture(mosaic(200), "~nouser/a.png")
    assert export_picture(mosaic(200), "~/a.png").startswith(f"wrote {tmp_path / 'a.png'}")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_long_name_on_the_command_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "efficientnet_lite0", "-o", "x" * 300 + ".png"]) == 2
    assert "too long" in capsys.readouterr().err


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    path = tmp_path / "net-_blocks.10.png"
    assert unused(path) == path
    path.touch()
    (tmp_path / "net-_blocks.10-2.png").symlink_to("nowhere")
    assert unused(path) == tmp_path / "net-_blocks.10-3.png"


def test_a_full_disk_asks_for_room_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"a\.png: no space left on device: make room there"):
        write_whole(tmp_path / "a.png", b"picture")
    assert not list(tmp_path.iterdir())

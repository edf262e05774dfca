"""The files of a job: films hold every frame, or are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from tuivis.engine.optimise import files

SMALL_DISK = """
import pathlib, resource, sys
import numpy as np
from tuivis.engine.optimise import files
from tuivis.errors import UserError

noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), dtype=np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    files.write_film(pathlib.Path(sys.argv[1]), [files.compressed(frame) for frame in noise])
except UserError as error:
    print(error)
"""


def test_a_film_holds_the_frames_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "run.mp4"
    grays = [np.full((32, 48, 3), level, np.uint8) for level in (20, 120, 220)]
    files.write_film(path, [files.compressed(gray) for gray in grays])
    film = cv2.VideoCapture(str(path))
    for gray in grays:
        there, frame = film.read()
        assert there and frame.shape == gray.shape
        assert abs(float(frame.mean()) - float(gray.mean())) < 4
    assert not film.read()[0]


def test_a_film_that_the_disk_has_no_room_for_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.mp4"
    script = [sys.executable, "-c", SMALL_DISK, str(path)]
    result = subprocess.run(script, capture_output=True, text=True, check=True)
    assert f"cannot write {path}" in result.stdout and "full" in result.stdout
    assert not list(tmp_path.iterdir())

"""What the network gets of a moving source: exactly what it would get of the frame as a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from tests.clips import number_in, numbered, write_clip
from tuivis.engine import models
from tuivis.engine.commands import Hold, Seek, Show
from tuivis.engine.decoder import Decoder
from tuivis.engine.feeds import Feed
from tuivis.engine.inputs import BAR, Inputs, with_bars
from tuivis.engine.models import Model
from tuivis.engine.sources import open_pictures
from tuivis.engine.values import Tiles
from tuivis.errors import UserError

PATIENCE = 60.0
SIZE = (320, 240)
SHOW = Show(1, 0, "_blocks.10", 0, Tiles(0, 1, 14, 14))


@pytest.fixture(scope="module")
def model() -> Model:
    return models.load("efficientnet_lite0", None, "cpu", 0, lambda text, fraction: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_clip(folder / "a.mp4", range(20), size=SIZE)
    write_clip(folder / "b.mp4", range(100, 120), size=SIZE)
    Image.fromarray(numbered(200, SIZE)).save(folder / "c.png")
    return folder


Open = Callable[..., Inputs]


@pytest.fixture
def open_inputs(model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open sources, and end their threads: one that decodes while Python ends would abort it."""
    opened: list[Inputs] = []
    feeds: list[Feed] = []
    make = Inputs._made

    def made(inputs: Inputs, picture: int) -> Feed:
        feeds.append(make(inputs, picture))
        return feeds[-1]

    monkeypatch.setattr(Inputs, "_made", made)

    def open_inputs(*names: str, every_frame: bool = True) -> Inputs:
        pictures = open_pictures([str(folder / name) for name in names])
        opened.append(Inputs(model, pictures, every_frame))
        return opened[-1]

    yield open_inputs
    for inputs in opened:
        inputs.close()
    for feed in feeds:
        if feed.thread.ident:
            feed.thread.join(PATIENCE)
            assert not feed.thread.is_alive()


def frame(path: Path, number: int) -> np.ndarray:
    """Return a frame by OpenCV alone."""
    decoder = Decoder(path)
    for _ in range(number + 1):
        assert decoder.grab()
    pixels = decoder.pixels()
    decoder.close()
    assert pixels is not None
    return pixels


def refreshed(inputs: Inputs, show: Show) -> Show:
    """Ask until the source gives a frame."""
    for _ in range(int(PATIENCE / 0.2)):
        answer, fresh = inputs.refresh(show)
        if answer is not None and fresh:
            return answer
    raise AssertionError("no frame came")


def at(moment: int, **changes: object) -> Show:
    return msgspec.structs.replace(SHOW, moment=moment, **changes)


def test_a_frame_goes_into_the_network_as_the_same_picture_would(model: Model, folder: Path, open_inputs: Open) -> None:
    inputs = open_inputs("a.mp4")
    for number in range(8):
        show = refreshed(inputs, at(number + 1))
        expected = model.preprocess(frame(folder / "a.mp4", number))
        assert torch.equal(inputs.image(show), expected)
        assert torch.equal(inputs.still(0), expected)


def test_a_mirrored_frame_is_the_mirrored_picture(model: Model, folder: Path, open_inputs: Open) -> None:
    inputs = open_inputs("a.mp4")
    for number in range(4):
        show = refreshed(inputs, at(number + 1, mirror=True))
        pixels = np.ascontiguousarray(frame(folder / "a.mp4", number)[:, ::-1])
        assert torch.equal(inputs.image(show), model.preprocess(pixels))


def test_a_frame_stays_when_it_is_looked_at_otherwise(model: Model, folder: Path, open_inputs: Open) -> None:
    inputs = open_inputs("a.mp4")
    refreshed(inputs, at(1))
    first = frame(folder / "a.mp4", 0)
    whole = with_bars(first, model.input_shape[1:], model.margin)
    for changes, pixels in (
        ({"mirror": True}, np.ascontiguousarray(first[:, ::-1])),
        ({"whole": True}, whole),
        ({}, first),
    ):
        show, fresh = inputs.refresh(at(1, **changes))
        assert not fresh
        assert show is not None
        assert torch.equal(inputs.image(show), model.preprocess(pixels))


def test_pictures_are_mirrored_and_shown_whole_as_well(model: Model, open_inputs: Open) -> None:
    inputs = open_inputs("c.png")
    pixels = numbered(200, SIZE)
    mirrored, _ = inputs.refresh(at(0, mirror=True))
    assert mirrored is not None
    assert torch.equal(inputs.image(mirrored), model.preprocess(np.ascontiguousarray(pixels[:, ::-1])))
    whole, _ = inputs.refresh(at(0, whole=True))
    assert whole is not None
    assert torch.equal(inputs.image(whole), model.preprocess(with_bars(pixels, model.input_shape[1:], model.margin)))


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (300, 300), (1000, 40), (3, 200)])
@pytest.mark.parametrize("margin", [1.0, 1.14, 256 / 224])
def test_bars_keep_all_of_the_picture_in_the_centre(size: tuple[int, int], margin: float) -> None:
    pixels = np.full((size[1], size[0], 3), 255, np.uint8)
    framed = with_bars(pixels, (224, 224), margin)
    height, width = framed.shape[:2]
    crop = round(min(height, width) / margin)
    top, left = (height - crop) // 2, (width - crop) // 2
    inside = framed[top : top + crop, left : left + crop]
    rows, columns = (inside == 255).all(2).any(1).sum(), (inside == 255).all(2).any(0).sum()
    assert abs(int(rows) - size[1]) <= 2
    assert abs(int(columns) - size[0]) <= 2
    assert set(np.unique(framed)) <= {BAR, 255}


def test_the_whole_picture_reaches_the_network(model: Model, open_inputs: Open) -> None:
    """The outermost columns of a wide picture are cut off in the centre view, and are there in the whole one."""
    inputs = open_inputs("c.png")
    seen = {}
    for whole in (False, True):
        show, _ = inputs.refresh(at(0, whole=whole))
        assert show is not None
        seen[whole] = model.pixels(inputs.image(show))
    assert number_in(seen[True][28:196]) == 200
    assert abs(int(seen[True][5, 112, 0]) - BAR) <= 2
    assert abs(int(seen[False][5, 112, 0]) - BAR) > 20


def test_only_the_source_on_screen_is_open(folder: Path, open_inputs: Open) -> None:
    inputs = open_inputs("a.mp4", "b.mp4", "c.png")
    refreshed(inputs, at(1))
    first = inputs.time()[1]
    refreshed(inputs, at(2, picture=1))
    assert first is not None and first.closed
    second = inputs.time()[1]
    show, fresh = inputs.refresh(at(3, picture=2))
    assert second is not None and second.closed
    assert inputs.time() == (None, None)
    assert show is not None and show.moment == 0 and not fresh


def test_the_same_moment_gets_the_same_frame_and_the_next_one_another(open_inputs: Open) -> None:
    inputs = open_inputs("a.mp4")
    first = refreshed(inputs, at(1))
    again, fresh = inputs.refresh(at(1, unit=5))
    assert again is not None and again.seen == first.seen and not fresh
    assert refreshed(inputs, at(2)).seen != first.seen


def test_a_held_video_is_stepped(model: Model, folder: Path, open_inputs: Open) -> None:
    inputs = open_inputs("a.mp4", every_frame=False)
    inputs.hold(Hold(0, True))
    refreshed(inputs, at(1))
    inputs.seek(Seek(0, frames=7))
    show = refreshed(inputs, at(2))
    assert torch.equal(inputs.image(show), model.preprocess(frame(folder / "a.mp4", 7)))
    inputs.seek(Seek(0, seconds=-0.3))
    show = refreshed(inputs, at(3))
    assert torch.equal(inputs.image(show), model.preprocess(frame(folder / "a.mp4", 4)))


def test_what_is_wrong_is_told_once(folder: Path, open_inputs: Open) -> None:
    (folder / "broken.mp4").write_bytes(b"no video")
    inputs = open_inputs("broken.mp4", "c.png")
    said = None
    for moment in range(1, int(PATIENCE / 0.2)):
        show, fresh = inputs.refresh(at(moment))
        assert show is None and not fresh
        if said := inputs.state(0):
            break
    assert said is not None and said.message == "broken.mp4 is no video that can be read"
    assert inputs.state(0) is None
    inputs.refresh(at(1, picture=1))
    over = inputs.state(1)
    assert over is not None and not over.message


def test_of_a_moving_source_that_is_not_open_the_first_frame_is_read(
    model: Model, folder: Path, open_inputs: Open
) -> None:
    inputs = open_inputs("a.mp4", "b.mp4")
    assert torch.equal(inputs.still(1), model.preprocess(frame(folder / "b.mp4", 0)))
    with pytest.raises(UserError, match="no picture 2"):
        inputs.still(2)

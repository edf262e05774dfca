from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tuivis.engine import weights
from tuivis.errors import UserError


def network(outputs: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, outputs))


def same(module: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True))


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    return text


def test_a_state_dict_comes_back_from_every_kind_of_file(tmp_path: Path) -> None:
    source = network()
    state = source.state_dict()
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "nested.pt")
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "parallel.pth")
    save_file(state, tmp_path / "safe.safetensors")
    for name in ("plain.pth", "nested.pt", "parallel.pth", "safe.safetensors"):
        target = network()
        assert not same(target, source)
        assert weights.put(weights.read(tmp_path / name), target, tmp_path / name) == ()
        assert same(target, source), name


def test_a_prefix_that_is_the_networks_own_stays(tmp_path: Path) -> None:
    source, target = nn.DataParallel(network()), nn.DataParallel(network())
    assert weights.put(source.state_dict(), target, tmp_path / "own.pth") == ()
    assert same(target, source)


def test_the_prefix_of_a_compiled_network_is_taken_off(tmp_path: Path) -> None:
    source, target = network(), network()
    state = {f"_orig_mod.module.{key}": value for key, value in source.state_dict().items()}
    assert weights.put(state, target, tmp_path / "compiled.pth") == ()
    assert same(target, source)


def test_missing_and_unexpected_keys_are_counted_and_the_first_five_named() -> None:
    source, target = network(), network()
    state = source.state_dict()
    del state["0.bias"], state["1.num_batches_tracked"]
    state |= {f"extra{index}": torch.zeros(1) for index in range(7)}
    notes = weights.put(state, target, Path("a.pth"))
    assert notes == (
        "1 missing key: 0.bias",
        "7 unexpected keys: extra0, extra1, extra2, extra3, extra4, ...",
    )
    assert torch.equal(target.get_parameter("0.weight"), source.get_parameter("0.weight"))
    assert not torch.equal(target.get_parameter("0.bias"), source.get_parameter("0.bias"))


def test_weights_of_another_network_are_refused() -> None:
    text = refusal(lambda: weights.put({"stem.\x1bweight": torch.zeros(1)}, network(), Path("a.pth")))
    assert r"stem.\x1bweight" in text
    assert "0.weight" in text
    text = refusal(lambda: weights.put(network(7).state_dict(), network(), Path("a.pth")))
    assert "3.weight is (7, 2), here it is (4, 2)" in text


def test_what_needs_unpickling_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(network(), path)
    assert "torch.nn.modules.container.Sequential" in refusal(lambda: weights.read(path))
    torch.save({"state_dict": network().state_dict(), "args": argparse.Namespace(lr=1)}, path)
    assert "needs unpickling (argparse.Namespace)" in refusal(lambda: weights.read(path))
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    assert "TorchScript" in refusal(lambda: weights.read(path))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_hold_no_weights_are_refused(tmp_path: Path, suffix: str) -> None:
    state = network().state_dict()
    path = tmp_path / f"a{suffix}"
    assert "no weights file" in refusal(lambda: weights.read(path))
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"hello " * 50, bytes(range(255, 0, -1))):
        path.write_bytes(damaged)
        assert "is damaged or is no weights file" in refusal(lambda: weights.read(path))


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    assert "no state dict" in refusal(lambda: weights.read(tmp_path / "a.pth"))
    torch.save([torch.zeros(1)], tmp_path / "a.pth")
    assert "no state dict" in refusal(lambda: weights.read(tmp_path / "a.pth"))


def test_no_unpickling_holds_for_calls_that_ask_for_it(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "a.pth")
    with weights.no_unpickling(), pytest.raises(Exception, match="GLOBAL"):
        torch.load(tmp_path / "a.pth", weights_only=False)
    assert isinstance(torch.load(tmp_path / "a.pth", weights_only=False), nn.Sequential)


def test_seeded_repeats_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    with weights.seeded(3):
        first = network()
    with weights.seeded(3):
        second = network()
    with weights.seeded(4):
        third = network()
    assert same(first, second)
    assert not same(first, third)
    assert torch.equal(before, torch.get_rng_state())


# Downloads.


def published(folder: Path, content: bytes, digest: str | None = None) -> str:
    folder.mkdir()
    path = folder / f"net-{digest or hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    return path.as_uri()


def test_a_download_is_whole_and_reports_its_progress(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    url = published(tmp_path / "server", content)
    reports: list[tuple[str, float | None]] = []
    path = weights.fetch(url, tmp_path / "cache" / "deep", lambda *report: reports.append(report))
    assert path.read_bytes() == content
    fractions = [fraction for _, fraction in reports if fraction is not None]
    assert len(fractions) > 2
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert all(path.name in text for text, _ in reports)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "net-00000000.pth").write_bytes(b"mine")
    path = weights.fetch("https://nowhere.invalid/net-00000000.pth", tmp_path, lambda *_: None)
    assert path.read_bytes() == b"mine"


def test_a_download_with_the_wrong_checksum_leaves_nothing(tmp_path: Path) -> None:
    url = published(tmp_path / "server", b"tampered", digest="0123abcd")
    text = refusal(lambda: weights.fetch(url, tmp_path / "cache", lambda *_: None))
    assert "wrong checksum" in text
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_that_fails_names_the_file_and_the_folder(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/net-0123abcd.pth"
    text = refusal(lambda: weights.fetch(url, tmp_path / "cache", lambda *_: None))
    assert "net-0123abcd.pth" in text
    assert url in text
    assert str(tmp_path / "cache") in text
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = published(tmp_path / "server", b"content")
    assert str(tmp_path / "file") in refusal(lambda: weights.fetch(url, tmp_path / "file" / "x", lambda *_: None))

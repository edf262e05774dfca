from __future__ import annotations

import mmap
import os

import pytest
import torch

from tuivis.engine import devices
from tuivis.errors import UserError


def test_the_cpu_is_chosen_by_name_and_where_there_is_no_gpu() -> None:
    assert devices.pick("cpu") == devices.pick("CPU") == torch.device("cpu")
    assert devices.pick(None).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("free", "chosen"), [((3, 9, 5), 1), ((9, 3, 5), 0), ((3, 5, 9), 2), ((0, 7, 7), 1), ((10, 9), 0), ((0,), 0)]
)
def test_the_gpu_with_the_most_free_memory_is_chosen_and_of_equals_the_first(
    free: tuple[int, ...], chosen: int
) -> None:
    table = {torch.device("cuda", index): size << 30 for index, size in enumerate(free)}
    assert devices.roomiest(table) == torch.device("cuda", chosen)


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "cpu\x1b[2J"])
def test_a_device_that_is_not_there_is_answered_with_those_that_are(name: str) -> None:
    with pytest.raises(UserError, match=r"cpu \(.+\)") as caught:
        devices.pick(name)
    assert "\x1b" not in str(caught.value)


def test_memory_of_the_cpu_is_what_this_process_holds() -> None:
    before = devices.describe(torch.device("cpu"))
    size = 64 << 20
    # Mapped here: an array may get memory that the process has freed but still holds.
    with mmap.mmap(-1, size) as held:
        held.write(b"x" * size)
        after = devices.describe(torch.device("cpu"))
    assert size * 0.9 < after.memory_used - before.memory_used < size * 2
    assert after.memory_total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_every_device_is_listed_once_and_the_cpu_last() -> None:
    names = [device.name for device in devices.all_devices()]
    assert names == [f"cuda:{index}" for index in range(torch.cuda.device_count())] + ["cpu"]
    assert all(device.title for device in devices.all_devices())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_memory_of_a_gpu_grows_with_what_lies_on_it() -> None:
    device = devices.pick("cuda")
    before = devices.describe(device)
    held = torch.ones(256 << 20, dtype=torch.uint8, device=device)
    assert devices.describe(device).memory_used - before.memory_used >= held.nbytes
    assert before.memory_total > before.memory_used > 0

"""The devices of this machine, and the one to compute on."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

from tuivis.engine.values import DeviceInfo
from tuivis.errors import UserError, printable


def pick(device: str | None) -> torch.device:
    """Return the device called `device` ("cpu", "cuda:1"); by default the GPU with the most free memory, else the CPU.

    "cuda" without a number is the GPU with the most free memory, too.

    Raises
    ------
    UserError
        If this machine has no such device. The message lists those that it has.
    """
    device = device and device.lower()
    gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if device in (None, "cuda") and gpus:
        return gpus[0] if len(gpus) == 1 else roomiest({gpu: _free_memory(gpu) for gpu in gpus})
    if device is None:
        return torch.device("cpu")
    devices = [*gpus, torch.device("cpu")]
    for candidate in devices:
        if str(candidate) == device:
            return candidate
    there = ", ".join(f"{each} ({_title(each)})" for each in devices)
    raise UserError(f"no device {printable(device)}: use one of {there}")


def roomiest(free: Mapping[torch.device, int]) -> torch.device:
    """Return the device with the most free memory, in bytes; of equals the first."""
    return max(free, key=lambda device: free[device])


def describe(device: torch.device) -> DeviceInfo:
    """Return what `device` is and how much of its memory is used: by everybody on a GPU, by this process on the CPU."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return DeviceInfo(str(device), _title(device), total - free, total)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return DeviceInfo(str(device), _title(device), _resident_memory(), total)


def all_devices() -> tuple[DeviceInfo, ...]:
    """Return every device of this machine, the GPUs first."""
    gpus = (torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    return tuple(describe(device) for device in (*gpus, torch.device("cpu")))


def _free_memory(device: torch.device) -> int:
    """Return bytes. The driver is asked first: `mem_get_info` starts CUDA, which itself takes memory on every GPU."""
    try:
        total: int = torch.cuda.get_device_properties(device).total_memory
        return total - torch.cuda.device_memory_used(device)
    except Exception:  # the driver's library is missing, or knows no slices of a GPU
        return torch.cuda.mem_get_info(device)[0]


@cache
def _title(device: torch.device) -> str:
    if device.type == "cuda":
        return printable(torch.cuda.get_device_name(device))
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return printable(next(models, "") or platform.processor() or platform.machine())


def _resident_memory() -> int:
    """Return bytes."""
    try:
        with Path("/proc/self/statm").open("rb", buffering=0) as file:
            pages = int(file.read().split()[1])
    except OSError:  # not Linux: the most that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")

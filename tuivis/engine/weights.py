"""Weights: fetching a file, reading it, putting it into a network."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuivis.errors import UserError, printable

Report = Callable[[str, float | None], None]
"""Told what goes on, and which share of it is done, in 0 .. 1 or None."""

_CHUNK = 1 << 20
_TIMEOUT = 30.0
_NAMED = 5
_WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")


@contextmanager
def no_unpickling() -> Iterator[None]:
    """Make every `torch.load` refuse what is not plain weights, other packages' calls too."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers on the CPU from `seed`, and leave the generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def read(path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict in a .safetensors file or in one of `torch.save`; nothing in the file is executed.

    A state dict inside a training checkpoint is found under "state_dict", "model_state_dict" or "model".

    Raises
    ------
    UserError
        If there is no such file, it is damaged, would have to be unpickled, or holds no state dict.
    """
    if not path.is_file():
        raise UserError(f"no weights file {printable(path)}: use DEFAULT, random, or a .pth, .pt or .safetensors file")
    try:
        content = _load(path)
    except Exception as error:  # damaged files make torch raise nearly anything
        raise unreadable(path, error) from error
    state = _state_dict(content)
    if not state:
        raise UserError(f"{printable(path)} holds no state dict: save model.state_dict()")
    return state


def unreadable(path: Path, error: Exception) -> UserError:
    """Return the one line that says why `path` cannot be loaded."""
    text = str(error)
    refused = re.search(r"GLOBAL (\S+)", text)
    if refused:
        return UserError(
            f"{printable(path)} needs unpickling ({printable(refused[1])}), which can run any code: "
            "save model.state_dict() instead"
        )
    if "TorchScript" in text:
        return UserError(f"{printable(path)} is a TorchScript program, not weights: save model.state_dict() instead")
    if isinstance(error, PermissionError):
        return UserError(f"cannot read {printable(path)}: permission denied")
    return UserError(f"{printable(path)} is damaged or is no weights file: fetch it again")


def put(state: dict[str, torch.Tensor], module: nn.Module, path: Path) -> tuple[str, ...]:
    """Load `state`, read from `path`, into `module`; return a note on missing and one on unexpected keys.

    The prefixes of a network that was trained in parallel or compiled are taken off, unless they are the network's own.

    Raises
    ------
    UserError
        If no key matches, or a tensor has another shape than the network's.
    """
    own = module.state_dict()
    for prefix in _WRAPPERS:
        if not any(key.startswith(prefix) for key in own):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    shared = own.keys() & state.keys()
    if not shared:
        raise UserError(
            f"{printable(path)} fits another network: it has {_some(list(state))}, this one has {_some(list(own))}"
        )
    for key in own:
        if key in shared and own[key].shape != state[key].shape:
            theirs, ours = tuple(state[key].shape), tuple(own[key].shape)
            raise UserError(
                f"{printable(path)} fits another network: {printable(key)} is {theirs}, here it is {ours}; "
                "build yours in a FILE.py:FACTORY"
            )
    module.load_state_dict({key: state[key] for key in shared}, strict=False)
    # Batch normalisation's counter of batches plays no part in evaluation, and old files lack it.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    return tuple(
        f"{len(keys)} {kind} {'key' if len(keys) == 1 else 'keys'}: {_some(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    )


def fetch(url: str, folder: Path, report: Report) -> Path:
    """Return the file of `url` in `folder`, downloaded if it is not there yet.

    The hexadecimal digits before the name's suffix are the beginning of the file's SHA-256, as in torch's hub; the
    file appears only when it is whole.

    Raises
    ------
    UserError
        If it cannot be had. The line names the address and the folder.
    """
    path = folder / url.rpartition("/")[2]
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _download(url, path, report)
    except (OSError, http.client.HTTPException) as error:
        reason = printable(getattr(error, "reason", error))
        raise UserError(
            f"cannot download {path.name} ({reason}): put the file from {url} into {printable(folder)}, "
            "or use random weights"
        ) from error
    return path


def _download(url: str, path: Path, report: Report) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as file, urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            total, done = int(response.headers.get("Content-Length") or 0), 0
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                report(f"downloading {path.name}", done / total if total else None)
        expected = re.search(r"-([0-9a-f]{8,})\.", path.name)
        if done < total:
            raise OSError(f"only {done} of {total} bytes came")
        if expected and not digest.hexdigest().startswith(expected[1]):
            raise OSError("what came has the wrong checksum")
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _load(path: Path) -> Any:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _state_dict(content: Any) -> dict[str, torch.Tensor]:
    while isinstance(content, dict):
        inner = (content.get(key) for key in ("state_dict", "model_state_dict", "model"))
        nested = next((value for value in inner if isinstance(value, dict)), None)
        if nested is None:
            return {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
        content = nested
    return {}


def _some(keys: Sequence[str]) -> str:
    more = ", ..." if len(keys) > _NAMED else ""
    return ", ".join(printable(key) for key in keys[:_NAMED]) + more

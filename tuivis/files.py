"""Files that tuivis writes: their names, and writing them whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from tuivis.errors import UserError, printable


def harmless_name(*parts: str) -> str:
    """Return the parts that are not empty as one file name, of characters that are harmless in a shell."""
    name = "-".join(re.sub(r"[^\w.]+", "_", part, flags=re.ASCII) for part in parts if part)
    return name.lstrip("._-")[:200]


def check_target(path: Path, suffix: str) -> None:
    """Refuse a file that could not be written, before the work is done.

    Raises
    ------
    UserError
        If its name has another suffix, its folder is missing, or something that is no file has its name.
    """
    if path.suffix.lower() != suffix:
        raise UserError(f"cannot write {printable(path)}: give it a name that ends in {suffix}")
    if path.exists() and not path.is_file():
        raise UserError(f"cannot write {printable(path)}: it is there and is no file")
    if not path.parent.is_dir():
        raise UserError(f"no folder {printable(path.parent)}: make it first, or name another file")


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`: to a temporary file beside it first, which then takes its name.

    Raises
    ------
    UserError
        If the folder is missing or cannot be written, or the disk is full. Nothing is left behind.
    """
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"no folder {printable(folder)}: make it first, or name another file")
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name[:40]}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise UserError(f"cannot write {printable(path)}: {error.strerror or error}") from None

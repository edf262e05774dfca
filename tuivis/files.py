"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from tuivis.errors import UserError, printable


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

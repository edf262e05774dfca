"""Files that tuivis writes, their names, and writing them whole or not at all; and lists of files that it reads."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import stat
import tempfile
from itertools import chain, count
from pathlib import Path

from tuivis.errors import UserError, printable


def harmless_name(*parts: str) -> str:
    """Return the parts that are not empty as one file name, of characters that are harmless in a shell."""
    name = "-".join(re.sub(r"[^\w.]+", "_", part, flags=re.ASCII) for part in parts if part)
    return name.lstrip("._-")[:200]


def expanded(path: str) -> Path:
    """Return `path` with ~ or ~user at its start as that user's home folder; the ~ of nobody stays, as in a shell."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def entries(path: Path) -> list[str]:
    """Return the lines of a list of files, without those that are blank."""
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    return [os.fsdecode(line.strip()) for line in lines if line.strip()]


def check_folder(folder: Path) -> None:
    """Refuse a folder that nothing could be written into.

    Raises
    ------
    UserError
        If it is missing, no folder, closed to this user, or if its name cannot be one.
    """
    try:
        there = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        there = False
    except (OSError, ValueError) as error:
        raise refusal(folder, error) from None
    if not there:
        raise UserError(f"no folder {printable(folder)}: make it first, or name another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write into the folder {printable(folder)}: you may not; name a file in another")


def check_target(path: Path, suffix: str) -> None:
    """Refuse a file that could not be written, before the work is done.

    Raises
    ------
    UserError
        If its name has another suffix or cannot be one, its folder is missing or closed to this user, or something
        that is no file has its name.
    """
    if path.suffix.lower() != suffix:
        raise UserError(f"cannot write {printable(path)}: give it a name that ends in {suffix}")
    check_folder(path.parent)
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise refusal(path, error) from None
    if not regular:
        raise UserError(f"cannot write {printable(path)}: it is there and is no file")


def unused(path: Path) -> Path:
    """Return `path`, or if something has that name, the first of name-2, name-3, ... that nothing has."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(each for each in chain([path], others) if not os.path.lexists(each))


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`: to a temporary file beside it first, which then takes its name.

    Raises
    ------
    UserError
        If the folder is missing or cannot be written, or the disk is full. Nothing is left behind.
    """
    folder = path.parent
    check_folder(folder)
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
    except (OSError, ValueError) as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise refusal(path, error) from None


def partial(path: Path, pid: int) -> Path:
    """Return the name under which the process `pid` writes `path` until it is whole."""
    return path.with_name(f".{path.stem[:40]}-{pid}{path.suffix}")


def refusal(path: Path, error: OSError | ValueError) -> UserError:
    """Return the line that says why `path` cannot be written."""
    reason = str(getattr(error, "strerror", None) or error)
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there" if full else "name another file"
    return UserError(f"cannot write {printable(path)}: {printable(reason[:1].lower() + reason[1:])}: {advice}")

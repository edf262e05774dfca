"""Unfinished jobs: a file in a job's folder says how to start it again. No torch."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

from tuivis.engine.commands import Load, Optimise
from tuivis.files import write_whole

_PATTERN = "unfinished-*.json"


class Manifest(msgspec.Struct, frozen=True):
    """What an engine needs to go on with a job: send `load`, `Open(sources)`, and `optimise` with existing="resume"."""

    load: Load
    sources: tuple[str, ...]
    optimise: Optimise

    @property
    def path(self) -> Path:
        """Where it is written: the same for the same work, whatever the job's number."""
        work = msgspec.json.encode((self.load.model, self.load.weights, self.optimise.layer))
        work += msgspec.json.encode((self.optimise.targets, self.optimise.recipes, self.optimise.seeds))
        return Path(self.optimise.folder) / f"unfinished-{hashlib.sha256(work).hexdigest()[:12]}.json"

    def write(self) -> None:
        """Write it, before the work starts."""
        resumable = msgspec.structs.replace(self.optimise, existing="resume")
        write_whole(self.path, msgspec.json.encode(msgspec.structs.replace(self, optimise=resumable)))


def unfinished(folder: Path) -> list[Manifest]:
    """Return the unfinished jobs whose files lie in `folder` or in its folders."""
    found = []
    for path in sorted({*folder.glob(_PATTERN), *folder.glob(f"*/{_PATTERN}")}):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Manifest))
    return found

"""The pictures on disk, as the explorer shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tuivis.engine.optimise.results import Verdict, read
from tuivis.errors import UserError
from tuivis.jobstate import Made, shortened

LARGEST = 224
"""Pixels of the longer side of a picture that is kept in memory."""


def pictures(folder: Path) -> tuple[Made, ...]:
    """Return all pictures of a folder that can be read."""
    found = (picture(path) for path in sorted(folder.glob("*.json")) if not path.name.startswith("unfinished-"))
    return tuple(made for made in found if made is not None)


def picture(sidecar: Path) -> Made | None:
    """Return the picture of a sidecar, None where it cannot be read or is of several units, or of a vector."""
    from PIL import Image

    try:
        result = read(sidecar)
        if len(result.run.target.units) != 1 and not result.run.target.picture:
            return None
        with Image.open(sidecar.with_name(result.picture)) as image:
            small = image.convert("RGB")
    except (OSError, UserError):
        return None
    small.thumbnail((LARGEST, LARGEST))
    channel = result.parameters.objective == "channel"
    return Made(
        run=result.run,
        path=str(sidecar.with_name(result.picture)),
        pixels=np.asarray(small),
        curve=shortened(tuple(value for value in result.record.objective if value is not None)),
        value=result.quality.objective,
        strongest=result.quality.strongest,
        verdict=(result.record.verdict or Verdict.none).value,
        majority=result.record.majority,
        channel=channel,
        robustness=1.0 if result.quality.robustness is None else result.quality.robustness,
        seen=result.quality.mean if channel else result.quality.maximum,
        ratio=result.quality.ratio,
        rank=result.quality.rank,
        least=result.parameters.minimise,
    )

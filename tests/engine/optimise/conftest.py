"""An engine that has loaded a network and opened two photographs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.engine.optimise.running import NETWORK, ready
from tuivis.engine.client import Engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "net.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
async def engine(tmp_path: Path, folder: Path) -> AsyncIterator[Engine]:
    started = await ready(tmp_path, folder)
    yield started
    await started.close()

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE_ONLY = ("torch", "torchvision", "cv2", "skimage", "timm", "safetensors", "efficientnet_lite_pytorch")


def modules_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("tuivis.cli", (*ENGINE_ONLY, "PIL", "numpy", "textual", "rich", "asyncio")),
        ("tuivis.app", (*ENGINE_ONLY, "PIL", "textual_image")),
        ("tuivis.snapshot", (*ENGINE_ONLY, "PIL", "textual", "textual_image")),
        ("tuivis.engine.server", (*ENGINE_ONLY, "PIL", "textual")),
    ],
)
def test_nothing_heavy_is_imported_early(module: str, absent: tuple[str, ...]) -> None:
    assert modules_after(f"import {module}").isdisjoint(absent)


def test_a_wheel_holds_all_that_the_program_reads(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tuivis", tmp_path / "tuivis", ignore=shutil.ignore_patterns("__pycache__"))
    script = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    (tmp_path / "dist").mkdir()
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    sources = (path for path in (ROOT / "tuivis").rglob("*") if path.suffix in (".py", ".tcss", ".typed"))
    assert {str(path.relative_to(ROOT)) for path in sources} <= inside
    assert any(name.endswith(".tcss") for name in inside)

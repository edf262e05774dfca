from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_file_that_the_readme_links_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text("utf-8"))
    files = [target for target in targets if "://" not in target]
    assert "CONTRIBUTING.md" in files
    assert [file for file in files if not (ROOT / file).exists()] == []

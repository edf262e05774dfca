"""The names of the classes."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path


@cache
def imagenet() -> tuple[str, ...]:
    """Return the names of the 1000 classes of ImageNet (ILSVRC 2012), in the order of every model's output.

    They come from torchvision; only the file that holds them is run, since all of torchvision takes more than a
    second to import, and the default model does without.
    """
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return ()
    path = Path(package.origin).parent / "models" / "_meta.py"
    spec = importlib.util.spec_from_file_location("_tuivis_imagenet", path)
    if spec is None or spec.loader is None or not path.is_file():
        return ()
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(module._IMAGENET_CATEGORIES)

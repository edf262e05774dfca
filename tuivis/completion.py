"""What the shell is offered for a word of the command line: names that are known, and files."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from click import Context, Parameter
from click.shell_completion import CompletionItem

Complete = Callable[[Context, Parameter, str], list[CompletionItem]]

_REGISTERED = re.compile(r"^@register_model\(\).*?^def (\w+)\(", re.MULTILINE | re.DOTALL)
"""How torchvision's sources mark a model."""


def names_and_files(names: Callable[[], Iterable[str]]) -> Complete:
    """Return a completion that offers files beside `names`."""

    def complete(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
        # The files first: bash forgets what comes before them, and shows them where no name fits.
        return [CompletionItem(incomplete, type="file"), *_fitting(names(), incomplete)]

    return complete


def themes(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the themes of the program and of Textual."""
    return _fitting(theme_names(), incomplete)


def theme_names() -> list[str]:
    """Return the names of all themes, the program's own first."""
    from textual.theme import BUILTIN_THEMES

    from tuivis.themes import THEMES

    return [*(theme.name for theme in THEMES), *BUILTIN_THEMES]


def models() -> list[str]:
    """Return the names of the models that are installed: the default and torchvision's classifiers.

    They are read from torchvision's sources: importing it, and torch with it, would take seconds.
    """
    package = importlib.util.find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    files = [file for folder in folders or () for file in sorted(Path(folder, "models").glob("*.py"))]
    return ["efficientnet_lite0", *(name for file in files for name in _REGISTERED.findall(file.read_text("utf-8")))]


def _fitting(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]

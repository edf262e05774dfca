"""What commands print: pairs, JSON, tables, pictures, notes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from tuivis import config
from tuivis.errors import printable


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print a line for each pair of a name and a text."""
    for name, text in pairs:
        click.echo(f"{name:<10} {text}")


def print_json(value: Any) -> None:
    """Print `value` as JSON; what does not print on a terminal is escaped."""
    text = msgspec.json.format(msgspec.json.encode(_encodable(msgspec.to_builtins(value)))).decode()
    click.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def _encodable(value: Any) -> Any:
    """Return `value` with the bytes of file names that are no UTF-8 spelt out, as `printable` does."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value


def print_results(results: Sequence[Any], compare: bool, as_json: bool) -> None:
    """Print the table of optimised pictures, and that of their recipes to `compare` them; or JSON."""
    if as_json:
        print_json(results)
        return
    from rich.console import Console

    from tuivis import comparison

    console = Console(width=None if sys.stdout.isatty() else 100_000)
    console.print(comparison.pictures(results, console.width))
    if compare:
        console.print()
        console.print(comparison.recipes(results, console.width))


def print_pictures(paths: Iterable[Path]) -> None:
    """Print pictures in the terminal, if there is one."""
    from tuivis import inline

    if sys.stdin.isatty() and sys.stdout.isatty():
        inline.show_files(paths, config.load().protocol)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes on stderr."""
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)

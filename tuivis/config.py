"""What the user chose for good: one TOML file, and where it and the logs are."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
import platformdirs

from tuivis.errors import UserError, nearest, printable

Protocol = Literal["auto", "kitty", "sixel", "iterm", "halfblock", "ascii"]
Colours = Literal["ember", "dusk", "gray"]
Quality = Literal["256", "64", "16", "half", "quarter"]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration file may hold; the command line overrides it.

    Attributes
    ----------
    model, weights, device
        As `tuivis.engine.commands.Load` takes them; `device` may be several with commas between them, or "all": one
        shows activations, all make pictures.
    input
        Pictures, videos, folders, list files, URLs of streams, "cam:0", or "demo".
    layer, unit
        What to look at first; "" is a layer in the middle of the network.
    protocol
        How to draw pictures; "auto" asks the terminal.
    theme, colours
        The program's theme, and the colour map of the activations.
    keys
        A key, or several with commas between them, for the id of a binding.
    every_frame
        Whether videos show all their frames, however long that takes.
    fps
        Frames per second at most, of what moves.
    max_kbit
        Kilobits per second, at most, that pictures take.
    quality
        The best quality of what moves: levels, or 16 levels in half or quarter detail.
    """

    model: str = "efficientnet_lite0"
    weights: str | None = None
    input: tuple[str, ...] = ("demo",)
    layer: str = ""
    unit: Annotated[int, msgspec.Meta(ge=0)] = 0
    device: str | None = None
    protocol: Protocol = "auto"
    theme: str = "tuivis-dark"
    colours: Colours = "ember"
    keys: dict[str, str] = {}
    every_frame: bool = False
    fps: Annotated[float, msgspec.Meta(gt=0)] | None = None
    max_kbit: Annotated[float, msgspec.Meta(gt=0)] | None = None
    quality: Quality | None = None

    @property
    def devices(self) -> tuple[str | None, ...]:
        """Every device that `device` names; None is the one that suits the engine, as it is the first of "all"."""
        return tuple(self.device.split(",")) if self.device and self.device != "all" else (None,)


def config_path() -> Path:
    """Return where the configuration file is, or would be."""
    return platformdirs.user_config_path("tuivis") / "config.toml"


def log_path() -> Path:
    """Return the file that engines log to."""
    return platformdirs.user_log_path("tuivis") / "engine.log"


def pictures_path() -> Path:
    """Return the folder of the pictures that the explorer has made, a folder for each network."""
    return platformdirs.user_data_path("tuivis") / "pictures"


def load(path: Path | None = None) -> Settings:
    """Return the settings in the file `path`, by default the user's; an absent file gives the defaults.

    Raises
    ------
    UserError
        If the file cannot be read, is not TOML, or holds a key or a value that is none.
    """
    path = path or config_path()
    name = printable(path)
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        return msgspec.convert(table, Settings)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8: save it as UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name} is not TOML: {printable(error)}") from error
    except msgspec.ValidationError as error:
        raise UserError(f"{name}: {_explain(error, table)}") from error


def _explain(error: msgspec.ValidationError, table: dict[str, Any]) -> str:
    """Return which key is wrong, why, and what it may be."""
    types = get_type_hints(Settings)
    for key in table:
        if key not in types:
            hint = nearest(key, types) or f": use {', '.join(types)}"
            return f"unknown key {printable(key)}{hint}"
    reason, _, place = str(error).partition(" - at `$.")
    key = place.rstrip("`")
    choices = [choice for choice in get_args(types.get(key)) if isinstance(choice, str)]
    if choices:
        reason = f"use one of {', '.join(choices)}"
    value = f" = {printable(table[key])}" if key in table else ""
    return f"{printable(key)}{value} is wrong: {reason[:1].lower()}{reason[1:].replace('`', '')}"


def toml(settings: Settings) -> str:
    """Return `settings` as a configuration file; what is not set is a comment."""
    values = msgspec.to_builtins(settings)
    keys = values.pop("keys")
    # A JSON string, number or list of strings is one in TOML, too.
    lines = [f"# {key} =" if value is None else f"{key} = {json.dumps(value)}" for key, value in values.items()]
    table = ["", "[keys]", *(f"{json.dumps(binding)} = {json.dumps(key)}" for binding, key in keys.items())]
    return "\n".join([*lines, *(table if keys else [])])

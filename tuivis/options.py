"""The arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click

from tuivis import completion, config

Function = TypeVar("Function", bound=Callable[..., Any])


def together(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Return the decorator that adds several options, in their order in the help."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def output(metavar: str, what: str) -> Callable[[Function], Function]:
    """Return the option for the one file that a command writes."""
    text = f"Where the {what} goes; a file of that name is replaced."
    return click.option("-o", "--output", metavar=metavar, required=True, type=click.Path(path_type=Path), help=text)


MODEL = click.argument("model", shell_complete=completion.names_and_files(completion.models))
WEIGHTS = click.option(
    "--weights",
    metavar="W",
    shell_complete=completion.names_and_files(lambda: ("DEFAULT", "random")),
    help="DEFAULT, random, or a .pth, .pt or .safetensors file.",
)
DEVICE = click.option(
    "--device", metavar="D", help="cpu, cuda, cuda:1, ...; the GPU with most free memory if left out."
)
DEVICES = click.option(
    "--device", metavar="D[,D]", help="Devices to work on, or all; by default the GPU with most free memory."
)
INPUT = click.option(
    "--input",
    metavar="SRC",
    multiple=True,
    shell_complete=completion.names_and_files(lambda: ("demo",)),
    help="A picture, video, folder, .txt list, stream's URL, cam:0, or demo; may be given several times.",
)
EVERY_FRAME = click.option(
    "--every-frame", is_flag=True, default=None, help="Show all frames of a video, however slow."
)
MAX_KBIT = click.option(
    "--max-kbit",
    metavar="K",
    type=click.FloatRange(min=0, min_open=True),
    help="Kilobits a second at most, for pictures.",
)
QUALITY = click.option(
    "--quality", type=click.Choice(get_args(config.Quality)), help="The best quality of what moves: levels, or detail."
)
FPS = click.option("--fps", metavar="F", type=click.FloatRange(min=0, min_open=True), help="Frames per second at most.")
LAYER = click.option("--layer", metavar="L", help="The layer's name, as `tuivis layers` lists it.")
UNIT = click.option("--unit", metavar="N", type=click.IntRange(min=0), help="The unit's number, from 0.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


MAKING = together(
    click.option(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="The folder for pictures, sidecars and sheets; made if it is missing.",
    ),
    click.option("--set", "changes", metavar="NAME=VALUE", multiple=True, help="Change one parameter of every recipe."),
    click.option("--overwrite", "existing", flag_value="overwrite", help="Make anew what is there already."),
    click.option("--resume", "existing", flag_value="resume", help="Make what is missing, from where it stopped."),
    click.option("--show", is_flag=True, help="Print the pictures in the terminal, too."),
    JSON,
)

BackwardMode = Literal["gradient", "deconv", "guided", "input", "gradcam"]
BackwardView = Literal["raw", "gray", "norm", "blur", "overlay"]
BACKWARD_HELP = "Go back to the pixels; input is gradient x input, gradcam needs no unit, but a class."
VIEW_HELP = "The backward pass as raw (default), gray, norm, blur (blurred norm), or overlay on the input."
BACKWARD = together(
    click.option("--backward", metavar="MODE", type=click.Choice(get_args(BackwardMode)), help=BACKWARD_HELP),
    click.option("--at", metavar="Y,X", help="Start the backward pass from one position of the map, or: strongest."),
    click.option("--class", "target", metavar="C", help="The class of gradcam, by number or name; else the predicted."),
    click.option("--view", metavar="V", type=click.Choice(get_args(BackwardView)), help=VIEW_HELP),
)

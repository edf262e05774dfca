"""The command line: options in, exit codes out."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from tuivis import __version__, completion, config, options, printing, stdio
from tuivis.config import Settings
from tuivis.errors import UserError, nearest, no_utf8, printable
from tuivis.files import check_folder, check_target, unused
from tuivis.group import ExploreByDefault

EXAMPLES = """\b
Examples:
  tuivis                                       the default network, on photographs that come along
  tuivis resnet18 --input photos/              a network of torchvision on your own pictures
  tuivis net.py:make --weights best.pth        your own network: the function make in net.py returns it
  tuivis layers resnet18                       the names of its layers
  tuivis snapshot resnet18 --layer layer3 -o layer3.png
  tuivis doctor                                what your terminal can do, and what to do about it
"""

MODEL_HELP = "MODEL: efficientnet_lite0 (default), a classifier of torchvision, timm:NAME, or FILE.py:FUNCTION."


@click.group(
    cls=ExploreByDefault,
    invoke_without_command=True,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="tuivis %(version)s")
def cli() -> None:
    """See what a trained vision network computes: every layer and unit, live, in the terminal.

    MODEL: efficientnet_lite0 (default), a classifier of torchvision, timm:NAME, or FILE.py:FUNCTION.
    Without a terminal, tuivis writes one picture of a layer, over no other file, and says what is in it.
    """


@cli.command(hidden=True, epilog=MODEL_HELP)
@click.argument("model", required=False, shell_complete=completion.names_and_files(completion.models))
@options.together(options.WEIGHTS, options.INPUT, options.LAYER, options.UNIT, options.DEVICES)
@options.together(options.EVERY_FRAME, options.FPS, options.MAX_KBIT, options.QUALITY)
@click.option("--protocol", type=click.Choice(get_args(config.Protocol)), help="How to draw pictures; auto asks.")
@click.option(
    "--theme",
    metavar="T",
    shell_complete=completion.themes,
    help="tuivis-dark, tuivis-light, tuivis-high-contrast, or one of Textual's.",
)
def explore(**given: Any) -> int:
    """Browse the layers and units of MODEL."""
    settings = _settings(**given)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from tuivis import explore

        _check_theme(settings.theme)
        return explore.run(settings)
    from tuivis import snapshot

    check_folder(Path())
    taken = snapshot.take(settings, given["unit"])
    printing.print_notes(taken.notes)
    derived = snapshot.derived_name(taken.report())
    path = unused(derived)
    snapshot.write(taken, taken.draw(settings), path, None)
    there = "" if path == derived else f" ({derived} was there and is left alone)"
    printing.print_pairs([*snapshot.summary(taken.report()), ("written", printable(f"{path.absolute()}{there}"))])
    return 0


@cli.command(epilog=MODEL_HELP)
@options.MODEL
@options.together(options.WEIGHTS, options.DEVICE)
@click.option("--all", "show_all", is_flag=True, help="List every layer, not only those that people look at first.")
@options.JSON
def layers(show_all: bool, as_json: bool, **given: Any) -> None:
    """List the layers of MODEL.

    Layers do not depend on the weights: unless given, they are random, and nothing is downloaded.
    """
    from tuivis import listing

    loaded = listing.layers(_settings(**given))
    if as_json:
        printing.print_json(loaded.layers)
        return
    printing.print_notes(loaded.notes)
    infos = loaded.layers if show_all else listing.listed(loaded.layers)
    from rich.console import Console

    # In a pipe a row is a line, however long.
    Console(width=None if sys.stdout.isatty() else 100_000).print(listing.table(infos))


@cli.command(epilog=MODEL_HELP)
@options.MODEL
@options.together(options.WEIGHTS, options.INPUT, options.LAYER, options.UNIT, options.DEVICE)
@options.output("FILE.png", "picture")
@click.option(
    "--npz",
    metavar="FILE.npz",
    type=click.Path(path_type=Path),
    help="Write the network's input and the layer's raw activations, too (and the gradient, with --backward).",
)
@options.BACKWARD
@options.JSON
def snapshot(output: Path, npz: Path | None, as_json: bool, **given: Any) -> None:
    """Write a picture of one layer or unit, or of what drives a unit.

    It shows the first picture of SRC. Without a layer it takes one in the middle of the network.
    """
    from tuivis import snapshot as work

    target = given.pop("target")
    passed = work.backpass(given.pop("backward"), given.pop("view"), given.pop("at"), given["unit"], target)
    settings = _settings(**given)
    check_target(output, ".png")
    if npz is not None:
        check_target(npz, ".npz")
    taken = work.take(settings, given["unit"], passed, target)
    printing.print_notes(taken.notes)
    picture = taken.draw(settings)
    work.write(taken, picture, output, npz)
    report = taken.report([output, *([npz] if npz else [])])
    if as_json:
        printing.print_json(report)
        return
    printing.print_pairs(work.summary(report))
    if sys.stdin.isatty() and sys.stdout.isatty():
        from tuivis import inline

        inline.show(picture, settings.protocol)


@cli.command(epilog=MODEL_HELP)
@options.MODEL
@options.together(options.WEIGHTS, options.INPUT, options.LAYER, options.UNIT, options.DEVICE)
@options.output("FILE.mp4", "film")
@click.option("--seconds", metavar="S", type=click.FloatRange(min=0, min_open=True), help="Stop after so long.")
@options.JSON
def record(output: Path, seconds: float | None, as_json: bool, **given: Any) -> int:
    """Record a video's way through MODEL: input and mosaic side by side, as MP4.

    Every frame of the first video of SRC, once, at the video's rate; of a stream or a camera what comes in S seconds.
    With --unit that unit's map takes the mosaic's place. ctrl+c keeps what is there.
    """
    from tuivis import record as work

    check_target(output, ".mp4")
    report = work.record(work.Request(_settings(**given), output, given["unit"], seconds))
    printing.print_notes(report.notes)
    if as_json:
        printing.print_json(report)
    else:
        printing.print_pairs(work.summary(report))
    return 0 if report.complete else 130


@cli.command(epilog=MODEL_HELP)
@click.argument("model")
@options.together(options.WEIGHTS, options.INPUT, options.LAYER, options.DEVICES)
@click.option("--units", default="", metavar="U", help="0-15,130; those joined by + together; or all.")
@click.option("--classes", default="", metavar="C", help="Classes by name or number, with commas between them.")
@click.option("--towards", metavar="F", multiple=True, help="A direction: a .npy vector, or an input picture's name.")
@click.option("--recipe", default="distill", metavar="R[,R2]", help="Names, .toml files, or all (to compare).")
@click.option("--seeds", default=1, type=click.IntRange(1, 1000), help="How many pictures of each unit.")
@click.option("--minimise", is_flag=True, help="What the unit likes least.")
@click.option("--video", "film", is_flag=True, help="Write each run as MP4, too.")
@options.MAKING
def optimise(recipe: str, seeds: int, minimise: bool, **given: Any) -> None:
    """Make pictures of what units of MODEL want to see."""
    from tuivis import sheets
    from tuivis.engine.optimise import recipes

    names = recipes.COMPARED if recipe == "all" else tuple(recipe.split(","))
    found = tuple(recipes.find(name.strip(), given["changes"]) for name in names)
    found = tuple(map(recipes.least, found)) if minimise else found
    results = _make(found, seeds=tuple(range(seeds)), **given)
    written = sheets.write(given["output"], results)
    printing.print_results(results, len(names) > 1, given["as_json"])
    if given["show"]:
        own = [given["output"] / each.picture for each in results]
        printing.print_pictures(written if written and len(own) > 1 else own)


@cli.command(epilog=MODEL_HELP)
@click.argument("model")
@options.together(options.WEIGHTS, options.INPUT, options.LAYER, options.DEVICES)
@click.option("--unit", metavar="N", required=True, type=click.IntRange(min=0), help="The unit's number, from 0.")
@click.option("--draws", default=300, type=click.IntRange(1, 10_000), help="How many recipes to try.")
@click.option("--seed", default=0, type=click.IntRange(min=0), help="The same seed draws the same recipes.")
@options.MAKING
def search(unit: int, draws: int, seed: int, **given: Any) -> None:
    """Search for a recipe at random, as the paper did: each draw's picture, ranked, and the best as files."""
    from tuivis import search as work
    from tuivis.engine.optimise import recipes

    if given["existing"] is None:
        work.refuse_existing(given["output"])
    drawn = tuple(recipes.change(recipe, given["changes"]) for recipe in work.draws(draws, seed))
    results = _make(drawn, seeds=(0,), units=str(unit), **given)
    ranked, written = work.write(given["output"], results)
    printing.print_results(ranked, False, given["as_json"])
    if given["show"]:
        printing.print_pictures(written[:1])


@cli.command("recipes")
@click.argument("name", required=False)
@click.option("--set", "changes", metavar="NAME=VALUE", multiple=True, help="Change a parameter.")
@options.JSON
def show_recipes(name: str | None, changes: tuple[str, ...], as_json: bool) -> None:
    """List the recipes, or print the recipe NAME with the meaning of every parameter, as a file of one's own."""
    from tuivis.engine.optimise import recipes

    found = [recipes.find(each, changes) for each in ([name] if name else recipes.BUILT_IN)]
    if as_json:
        printing.print_json(found[0] if name else found)
    elif name:
        click.echo(recipes.toml(found[0]), nl=False)
    else:
        printing.print_pairs((f"{recipe.name:<16}", recipe.about) for recipe in found)


@cli.command(epilog=MODEL_HELP)
@options.MODEL
@options.together(options.WEIGHTS, options.INPUT, options.LAYER, options.DEVICE)
@click.option(
    "--class",
    "target",
    metavar="C",
    help="The class: its number or its name; if left out, the one predicted for each picture.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@options.JSON
def rank(target: str | None, as_csv: bool, as_json: bool, **given: Any) -> None:
    """Rank a layer's units by what they do for a class.

    Three ways: by ablation (how far the class's output falls when the unit is zero), by gradient x activation, and by
    activation. Scores are means over the pictures of SRC.
    """
    from tuivis import rank as work

    if as_csv and as_json:
        raise UserError("--csv and --json exclude each other: give one of them")
    report = work.rank(_settings(**given), target)
    printing.print_notes(report.notes)
    if as_json:
        printing.print_json(report)
    elif as_csv:
        click.echo(work.as_csv(report), nl=False)
    else:
        from rich.console import Console

        click.echo(work.heading(report))
        Console(width=None if sys.stdout.isatty() else 100_000).print(work.table(report))


@cli.command()
@options.JSON
def doctor(as_json: bool) -> None:
    """Examine the terminal, the link and the devices.

    For each weakness it says what to do.
    """
    from tuivis import doctor as work

    report = work.examine(_settings())
    if as_json:
        printing.print_json(report)
    else:
        printing.print_pairs(work.lines(report))


@cli.command("config")
def show_config() -> None:
    """Print the settings and their file."""
    path, settings = config.config_path(), config.load()
    click.echo(f"# {printable(path)}{'' if path.exists() else ' (not there: these are the defaults)'}")
    click.echo(config.toml(settings))


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def print_completion(shell: str) -> None:
    r"""Print the completion script for SHELL.

    \b
    bash: eval "$(tuivis completion bash)" in ~/.bashrc
    zsh:  eval "$(tuivis completion zsh)" in ~/.zshrc
    fish: tuivis completion fish > ~/.config/fish/completions/tuivis.fish
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "tuivis", "_TUIVIS_COMPLETE").source())


_alias = copy.copy(optimise)
_alias.hidden = True
cli.add_command(_alias, "optimize")


def run(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code: 0, 2 for what the user can mend, 130 after ctrl+c."""
    stdio.settle()
    try:
        code = cli.main(arguments, "tuivis", standalone_mode=False) or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        message = str(error)
    except OSError as error:
        if error.filename is not None:
            raise
        stdio.abandon_output()
        if isinstance(error, BrokenPipeError):
            return 1
        message = f"cannot write the output: {error.strerror}"
    except click.ClickException as error:
        message = f"{printable(error.format_message())} (tuivis --help tells more)"
    except click.Abort:
        return 130
    click.echo(f"tuivis: {message}", err=True)
    return 2


def _settings(**given: Any) -> Settings:
    """Return the settings of the file, overridden by what was given on the command line."""
    settings = msgspec.structs.replace(config.load(), **{k: v for k, v in given.items() if v not in (None, ())})
    try:
        msgspec.msgpack.encode(settings)
    except UnicodeEncodeError as error:
        raise no_utf8(error) from error
    return settings


def _check_theme(name: str) -> None:
    known = completion.theme_names()
    if name not in known:
        hint = nearest(name, known) or f": use one of {', '.join(known)}"
        raise UserError(f"no theme {printable(name)}{hint}")


def _make(recipes: tuple[Any, ...], **given: Any) -> list[Any]:
    """Return the results of `tuivis.optimise.make`."""
    from tuivis import optimise as work

    settings = _settings(**{name: given[name] for name in ("model", "weights", "input", "layer", "device")})
    own = {name: given[name] for name in ("units", "classes", "towards", "film") if name in given}
    existing: Any = given["existing"] or "refuse"
    request = work.Request(settings, recipes, given["seeds"], given["output"], existing=existing, **own)
    try:
        outcome = work.make(request)
    except KeyboardInterrupt:
        printing.print_notes(["stopped: --resume goes on where it was"])
        raise
    printing.print_notes(outcome.notes)
    results: list[Any] = outcome.results
    return results

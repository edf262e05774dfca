"""The group of commands: `tuivis MODEL` explores, `tuivis COMMAND` does what the command says."""

from __future__ import annotations

import click

from tuivis.errors import UserError, closest, printable


class ExploreByDefault(click.Group):
    """A group whose command is `explore` unless another is named, so that `tuivis resnet18` works."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `explore` in front of what names no command."""
        own = {*self.commands, *ctx.help_option_names, "--version"}
        # Completion comes here with the words before the one to complete, perhaps none.
        if not (args and args[0] in own) and not (ctx.resilient_parsing and not args):
            meant = closest(args[0], self.commands, 0.8) if args and not ctx.resilient_parsing else []
            if meant:
                raise UserError(f"no command or model {printable(args[0])}: did you mean tuivis {meant[0]}?")
            args = ["explore", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        """Offer the commands, and the options and models of `explore`."""
        explore = self.commands["explore"]
        models = explore.params[0].shell_complete(ctx, incomplete) if incomplete[:1] != "-" else []
        return [*models, *super().shell_complete(ctx, incomplete), *explore.shell_complete(ctx, incomplete)]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show both ways to call the program."""
        formatter.write_usage("tuivis", "[MODEL] [OPTIONS]")
        formatter.write_usage("tuivis", "COMMAND [ARGUMENTS]", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of `explore`, then the commands."""
        params = [*self.commands["explore"].params, *self.get_params(ctx)]
        records = [param.get_help_record(ctx) for param in params if isinstance(param, click.Option)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record])
        self.format_commands(ctx, formatter)

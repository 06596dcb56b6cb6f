"""How words on the command line become a command, and where its errors become messages."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from mmbase.errors import MmError
from mmcli.console import fail, name_study_in_hints
from mmcli.failures import explain, leave_to_torchrun, without_values
from mmcli.machine import write_any_text
from mmcli.options import with_study_first

_UsageError: Any = typer.BadParameter.__base__
"""Of whichever click typer is made with; one of its own from 0.29 on."""


class Command(TyperCommand):
    """A command that tells what a word too many may have been meant as."""

    allow_extra_args = True  # to refuse them here

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of a command."""
        super().parse_args(ctx, args)
        if ctx.args:
            ctx.fail(f"Got a word too many{self._what_was_meant(ctx.args)}")
        return []

    def _what_was_meant(self, words: list[str]) -> str:
        options = {option for parameter in self.params for option in parameter.opts}
        if "--set" in options:  # beside it a word may be the salt
            return ", which is not repeated here. A setting is given as --set NAME=VALUE."
        hint = f" Did you mean --target {words[0]}?" if "--target" in options else ""
        return f": {' '.join(words)}.{hint}"


class CommandGroup(TyperGroup):
    """All commands of mm, behind the border where errors become messages."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Begin: from here on any text can be printed."""
        write_any_text()
        return super().main(*args, **options)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take ``--study`` wherever it stands."""
        return super().parse_args(ctx, with_study_first(args))

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        source = ctx.get_parameter_source("study")
        is_named = source is not None and source.name == "COMMANDLINE"
        name_study_in_hints(self.commands, ctx.params["study"] if is_named else None)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("Interrupted. What was stored is kept; run the same command again to continue.")
        except typer.Exit:
            raise
        except _UsageError as error:
            error.message = without_values(error.message)
            raise
        except Exception as error:
            message = explain(error)
            leave_to_torchrun(MmError(message) if message else error)
            if message is None:
                raise
            fail(message)

"""Whatever the documentation shows of the command line exists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import app
from tests.documented import named_commands, pages, shown_commands

UsageError: Any = typer.BadParameter.__base__
"""Of whichever click typer is made with."""


def every_command(command: Any) -> Iterator[Any]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from every_command(below)


@pytest.fixture(scope="module")
def parser() -> Any:
    """The command line of mm without what its commands do, and without options that do something at once."""
    root: Any = typer.main.get_command(app)
    for option in root.params:
        option.callback = None  # --install-completion writes to the home folder
    for command in every_command(root):
        command.callback = None
    return root


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def known_options(root: Any, words: list[str]) -> set[str]:
    """Return the options of mm and of the command that some words name; of a group: of all commands in it."""
    command = root
    for word in words:
        below = getattr(command, "commands", {})
        if word not in below:
            break
        command = below[word]
    below = [] if command is root else every_command(command)
    return {"--help"}.union(options_of(root), *map(options_of, below))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_command_in_a_block_can_be_parsed(page: Path, parser: Any) -> None:
    refused = []
    for words in shown_commands(page.read_text(encoding="utf-8")):
        try:
            parser.main(words, standalone_mode=False)
        except UsageError as error:
            refused.append(f"mm {' '.join(words)}: {error.format_message()}")
    assert refused == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_command_that_the_text_names_has_the_options_that_it_names(page: Path, parser: Any) -> None:
    unknown = []
    for words in named_commands(page.read_text(encoding="utf-8")):
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        unknown += [f"mm {' '.join(words)}: {option}" for option in options - known_options(parser, words)]
    assert unknown == []


def test_a_command_that_does_not_exist_would_be_found(parser: Any) -> None:
    for words in (["trian", "--target", "age"], ["train", "--tagret", "age"], ["sweep", "stauts"], ["status", "now"]):
        with pytest.raises(UsageError):
            parser.main(words, standalone_mode=False)

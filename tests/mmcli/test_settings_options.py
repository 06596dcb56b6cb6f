"""A command has the options that the fields of its sections ask for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from mmcli.settings_options import with_settings
from tests.mmcli.sections import Fitting, Reading

Run = Callable[..., Result]


def app_of(*sections: type, only: tuple[str, ...] = ()) -> typer.Typer:
    """An application of one command that prints what it was given."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    @app.command()
    @with_settings(*sections, only=only)
    def train(
        *,
        target: Annotated[str, typer.Option(help="What to predict.")] = "age",
        given: dict[str, Any],
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Do nothing.")] = False,
    ) -> None:
        typer.echo(repr((target, given, dry_run)))

    return app


@pytest.fixture(scope="module")
def run() -> Run:
    """Run one command line."""
    app = app_of(Reading, Fitting)
    return lambda *words: CliRunner().invoke(app, list(words), catch_exceptions=False, env={"COLUMNS": "200"})


def given(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return eval(result.stdout)


def test_only_options_that_were_given_are_passed_on(run: Run) -> None:
    assert given(run()) == ("age", {}, False)
    assert given(run("--epochs", "3", "--dry-run", "--target", "sex")) == ("sex", {"epochs": 3}, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--inputs t1,flair", {"inputs": ("t1", "flair")}),
        ("--inputs t1+flair,dwi", {"inputs": ("t1", "flair", "dwi")}),
        ("--metadata-block disease --metadata-block serology", {"metadata_blocks": ("disease", "serology")}),
        ("--prefetch-mb 8", {"prefetch_bytes": 8 * 2**20}),
        ("--stores /fast", {"stores": "/fast"}),
        ("--channels 2,4,8", {"channels": ("2", "4", "8")}),
        ("--rate 1e-3", {"rate": 1e-3}),
        ("--clip-norm 2", {"clip_norm": 2.0}),
        ("--precision float32", {"precision": "float32"}),
        ("--compile", {"compile": True}),
        ("--sync-batch-norm", {"sync_batch_norm": True}),
        ("--no-sync-batch-norm", {"sync_batch_norm": False}),
        ("--no-shuffle", {"shuffle": False}),
    ],
)
def test_an_option_gives_the_value_of_its_setting(run: Run, words: str, expected: dict[str, Any]) -> None:
    assert given(run(*words.split()))[1] == expected


def test_a_wrong_choice_is_left_to_whoever_validates_the_settings(run: Run) -> None:
    assert given(run("--precision", "float7", "--channels", "many"))[1] == {
        "precision": "float7",
        "channels": ("many",),
    }


@pytest.mark.parametrize(
    "words", ["--epochs many", "--prefetch-mb 0", "--no-compile", "--shuffle", "--extent-mm 1", "--changes 1"]
)
def test_what_is_no_value_or_no_option_is_wrong_usage(run: Run, words: str) -> None:
    assert run(*words.split()).exit_code == 2


def test_help_has_docstrings_choices_and_defaults_in_the_order_of_the_fields(run: Run) -> None:
    lines = run("--help").stdout.splitlines()
    options = [line.split()[0] for line in lines if line.startswith("  --")]
    assert options == [
        *("--target", "--inputs", "--metadata-block", "--prefetch-mb", "--stores", "--channels", "--epochs", "--rate"),
        *("--clip-norm", "--precision", "--compile", "--sync-batch-norm", "--no-shuffle", "--dry-run", "--help"),
    ]
    text = " ".join(" ".join(lines).split())
    for expected in (
        "--inputs NAME,... Modalities, e.g. t1; empty: all. --metadata-block NAME Group",
        "Memory for batches, in MiB. [default: 96]",
        "--channels INTEGER,... Width of each stage. [default: 16,32]",
        "--precision [auto|float32] Number type: auto | float32. [default: auto]",
        "--compile Fuse operations. --sync-batch-norm / --no-sync-batch-norm Batch norm over all ranks. [default: on]",
        "Longest gradient. --precision",
    ):
        assert expected in text


def test_a_command_may_offer_some_of_the_settings() -> None:
    app = app_of(Reading, Fitting, only=("epochs", "inputs"))
    lines = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    options = [line.split()[0] for line in lines if line.startswith("  --")]
    assert options == ["--target", "--inputs", "--epochs", "--dry-run", "--help"]


def test_mistakes_of_ours_show_when_the_command_is_made() -> None:
    @dataclass
    class Odd:
        table: dict[str, int] | None = None
        """No option can be made of it."""

    with pytest.raises(TypeError, match=r"Odd\.table, of type dict\[str, int\] \| None: mark it DERIVED"):
        app_of(Odd)
    with pytest.raises(TypeError, match="names of options, got epoch, extent_mm"):
        app_of(Reading, Fitting, only=("epoch", "extent_mm"))
    with pytest.raises(TypeError, match="a command with a parameter 'given', got target"):
        with_settings(Fitting)(lambda target: target)

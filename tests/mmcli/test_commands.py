"""What holds for every command."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from cli import app
from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING
from tests.mmcli.outcome import complaint, snapshot

DOCS = "".join(
    (Path(__file__).parents[2] / "docs" / name).read_text(encoding="utf-8") for name in ("cli.md", "settings.md")
)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["ingest", "ukb"], "ingest ukb FOLDER"),
        (["status"], "init"),
        (["precompute-augs"], "init"),
        (["train", "--target", "age"], "init"),
        (["train", "--resume", "x"], "init"),
    ],
)
def test_without_a_study_every_command_says_what_to_do(
    run_mm: RunMm, tmp_path: Path, words: list[str], hint: str
) -> None:
    assert hint in complaint(run_mm("--study", tmp_path / "study", *words))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["status"], ["precompute-augs"], ["train", "--target", "age"]])
def test_before_the_first_ingest_every_command_says_so(
    run_mm: RunMm, tmp_path: Path, make_study: Callable[..., Path], words: list[str]
) -> None:
    root = make_study(tmp_path / "study")
    assert "ingest ukb" in complaint(run_mm("--study", root, *words))
    assert not any((root / "runs").iterdir())


def test_a_study_of_another_schema_version_is_refused(
    run_mm: RunMm, tmp_path: Path, make_study: Callable[..., Path]
) -> None:
    path = make_study(tmp_path / "study") / "study.toml"
    path.write_text(path.read_text().replace("schema_version = 1", "schema_version = 99"))
    for words in (["status"], ["ingest", "ukb"], ["precompute-augs"], ["train", "--target", "age"]):
        message = complaint(run_mm("--study", tmp_path / "study", *words))
        assert "schema_version 99; this mm reads version 1" in message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--target", "aeg"], "Did you mean age?"),
        (["train", "--target", "age", "--inputs", "t1,t2"], "Expected inputs among flair, t1, dwi"),
        (["train", "--target", "age", "--inputs", "metadata"], "--metadata-block"),
        (["train", "--target", "age", "--inputs", "metadata", "--metadata-block", "blood"], "Unknown block 'blood'"),
        (["train", "--target", "age", "--side", 48], "Side 48 is not stored"),
        (["train", "--target", "age", "--batch-size", 1], "batch_size"),
        (["train", "--target", "age", "--channels", "8,many"], "channels.1"),
        (["train", "--target", "age", "--device", "tpu"], "'tpu'"),
        (["train", "--target", "age", "--copies", -1], "copies"),
        (["train", "--resume", "nothing"], "There is no run 'nothing'"),
        (["precompute-augs", "--side", 48], "Side 48 is not stored; this study has 64, 32. Give --side"),
        (["precompute-augs", "--copies", 0], "Expected 1 to 1000 copies, got 0"),
        (["init"], "is a study already"),
    ],
)
def test_a_mistyped_option_is_one_line_and_changes_nothing(
    run_mm: RunMm, study: Path, words: list[object], expected: str
) -> None:
    before = snapshot(study)
    assert expected in complaint(run_mm("--study", study, *words))
    assert snapshot(study) == before


@pytest.mark.parametrize(
    "words",
    [
        ["init", "--set", "volumes.sides"],
        ["init", "--set", "volumes=1", "--set", "volumes.sides=[64]"],
        ["train"],
        ["train", "--target", "age", "--epochs", "many"],
        ["train", "--resume", "x", "--dry-run"],
        ["ingest", "ukb", "--workers", "-1"],
        ["synth", "ukb"],
        ["nonsense"],
        ["status", "--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(run_mm: RunMm, study: Path, words: list[str]) -> None:
    before = snapshot(study)
    complaint(run_mm("--study", study, *words), exit_code=2)
    assert snapshot(study) == before


def test_a_locked_catalogue_is_one_line_that_names_the_process(run_mm: RunMm, locked: Path) -> None:
    for words in (["status"], ["ingest", "ukb"], ["precompute-augs"], ["train", "--target", "age"]):
        assert re.search(r"catalog\.duckdb is in use by process \d+", complaint(run_mm("--study", locked, *words)))


def test_json_is_one_object_on_stdout(run_mm: RunMm, copy: Path, tmp_path: Path) -> None:
    ingested = {"read_now", "new_samples", "samples", "participants", "scans", "rejected"}
    commands: list[tuple[list[object], set[str]]] = [
        (["ingest", "ukb", "--dry-run"], {"scans", "shards", "disk_bytes", "workers", "worker_bytes"}),
        (["ingest", "ukb", "--workers", 0], ingested),
        (["precompute-augs", "--copies", 2, "--dry-run"], {"volumes", "shards", "disk_bytes"}),
        (["precompute-augs", "--copies", 2, "--workers", 0], {"copies", "sides", "volumes_stored_now"}),
        (["train", "--target", "age", "--inputs", "t1", "--dry-run"], {"n", "train"}),
        (["train", "--target", "age", *SMALL_TRAINING], {"run_id", "target", "kind", "inputs", "n", "val", "test"}),
        (["status"], {"study", "samples", "participants", "scans", "splits", "features", "runs", "arrays"}),
        (
            ["synth", "ukb", tmp_path / "synth", "--participants", 4, "--voxel-mm", 4, "--workers", 0],
            {"participants", "visits", "scans", "absent", "withdrawn"},
        ),
    ]
    for words, keys in commands:
        result = run_mm("--study", copy, *words, "--json")
        assert result.exit_code == 0, result.output
        content = json.loads(result.stdout)
        assert isinstance(content, dict)
        assert keys <= set(content)


@pytest.mark.parametrize(
    "words",
    [
        ["ingest", "ukb", "--dry-run"],
        ["precompute-augs", "--copies", 4, "--dry-run"],
        ["train", "--target", "age", "--inputs", "t1", "--dry-run"],
    ],
)
def test_a_dry_run_changes_no_byte(run_mm: RunMm, copy: Path, words: list[object]) -> None:
    before = snapshot(copy)
    result = run_mm("--study", copy, *words)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Would ")
    assert snapshot(copy) == before


def test_the_study_may_be_named_by_the_environment(run_mm: RunMm, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MM_STUDY", str(study))
    assert json.loads(run_mm("status", "--json").stdout)["study"] == str(study)


def commands_below(command: click.Command, name: str = "mm") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        if not below.hidden:  # those are for mm itself
            yield from commands_below(below, f"{name} {word}")


COMMANDS = dict(commands_below(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_documentation(name: str) -> None:
    assert re.search(rf"(?<![\w-]){name}(?![\w-])", DOCS)
    options = [
        option
        for parameter in COMMANDS[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    ]
    missing = [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", DOCS)]
    assert missing == []


def test_the_commands_are_those_promised() -> None:
    assert {"mm init", "mm ingest ukb", "mm precompute-augs", "mm train", "mm status", "mm synth ukb"} <= set(COMMANDS)


@pytest.mark.parametrize("words", [[], ["synth"], ["ingest"]], ids=" ".join)
def test_each_command_fits_into_a_line_of_the_list(words: list[str]) -> None:
    _, heading, listed = CliRunner().invoke(app, [*words, "--help"]).stdout.partition("Commands:\n")
    assert heading and all(line.endswith(".") for line in listed.splitlines())
    assert "..." not in listed

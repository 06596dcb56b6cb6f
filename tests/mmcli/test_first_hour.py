"""What people type in their first hour gets what was meant, or a hint that can be copied."""

from pathlib import Path

import pytest

from mmcli.console import name_study_in_hints, with_study
from mmstudy.doctor.installation import told_version
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint


@pytest.mark.parametrize("words", [("status", "--study", "{}"), ("--study={}", "status"), ("status", "--study={}")])
def test_the_study_may_be_named_before_or_behind_the_command(
    run_mm: RunMm, study: Path, words: tuple[str, ...]
) -> None:
    result = run_mm(*(word.format(study) for word in words))
    assert result.exit_code == 0 and f"{study.resolve()}: " in result.stdout


@pytest.mark.parametrize("words", [("-h",), ("train", "-h"), ("ingest", "ukb", "-h")])
def test_h_is_help(run_mm: RunMm, words: tuple[str, ...]) -> None:
    assert run_mm(*words).stdout.startswith("Usage: ")


def test_the_version_is_printed(run_mm: RunMm) -> None:
    assert run_mm("--version").stdout == f"mm {told_version()}\n"


@pytest.mark.parametrize(
    ("name", "kind"), [("sub-01", "bids"), ("dataset_description.json", "bids"), ("TRAIN", "folder"), ("Bulk", "ukb")]
)
def test_a_folder_without_its_kind_is_told_which_it_looks_like(
    run_mm: RunMm, tmp_path: Path, name: str, kind: str
) -> None:
    (tmp_path / "my data" / name).mkdir(parents=True)
    message = complaint(run_mm("ingest", tmp_path / "my data"), exit_code=2)
    assert f"mm ingest {kind} '{tmp_path / 'my data'}'" in " ".join(message.split())


@pytest.mark.parametrize("command", ["train", "audit", "bench"])
def test_a_target_without_its_option_is_told_how(run_mm: RunMm, command: str) -> None:
    assert "Did you mean --target age?" in complaint(run_mm(command, "age"), exit_code=2)


def test_a_word_too_many_is_named(run_mm: RunMm) -> None:
    assert "Got a word too many: now." in complaint(run_mm("status", "now"), exit_code=2)


@pytest.mark.parametrize("words", [("--set", "salt"), ("salt",), ()])
def test_a_salt_that_is_given_wrongly_is_not_told(run_mm: RunMm, words: tuple[str, ...]) -> None:
    salt = "9f86d081884c7d659a2feaa0c55ad015"
    told = complaint(run_mm("init", *words, salt), exit_code=2)
    assert salt not in told and "NAME=VALUE" in told


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--target", "agee"), "Did you mean age?"),
        (("--target", "age", "--inputs", "t1+flare"), "Did you mean flair?"),
        (("--target", "age", "--inputs", "metadata", "--metadata-block", "diseases"), "Did you mean disease?"),
        (("--target", "age", "--side", 65), "Side 65 is not stored; this study has 64, 32. Give --side 64."),
        (("--target", ""), "A target has no name."),
        (("--target", "age,"), "A target has no name."),
        (("--target", "age", "--batch-size", 1), "batch_size must be at least 3"),
        (("--target", "age", "--batch-size", 0), "batch_size must be a positive number, got 0"),
    ],
)
def test_a_wrong_name_or_number_is_told_for_what_it_is(
    run_mm: RunMm, study: Path, words: tuple[object, ...], hint: str
) -> None:
    assert hint in complaint(run_mm("--study", study, "train", *words))


def test_hints_name_the_study_that_was_named(run_mm: RunMm, tmp_path: Path) -> None:
    root = tmp_path / "my study"
    assert run_mm("--study", root, "init", "--set", "salt=salt-of-the-test-study").exit_code == 0
    assert f"mm --study '{root}' ingest ukb" in complaint(run_mm("--study", root, "status"))


def test_hints_of_a_study_that_was_not_named_are_short(
    run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_mm("init", "--set", "salt=salt-of-the-test-study").exit_code == 0
    assert "Run: mm ingest ukb" in complaint(run_mm("status"))


def test_hints_in_brackets_name_the_study_too(tmp_path: Path) -> None:
    name_study_in_hints(["status"], tmp_path)
    assert with_study("See (mm status says why), not comm status.") == (
        f"See (mm --study {tmp_path} status says why), not comm status."
    )
    name_study_in_hints([], None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--resume", "x", "--fold", "1/5", "--dry-run"), "so leave out --fold, --dry-run"),
        (("--resume", "x", "--finish", "y"), "so leave out --finish"),
        (("--finish", "x", "--gpus", 2), "so leave out --gpus"),
    ],
)
def test_what_does_not_go_with_a_run_that_has_begun_is_named(
    run_mm: RunMm, study: Path, words: tuple[object, ...], told: str
) -> None:
    assert told in " ".join(complaint(run_mm("--study", study, "train", *words), exit_code=2).split())

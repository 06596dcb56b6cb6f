import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
import typer
from typer.testing import Result

import mmdata.copies.precompute
from cli import app
from mmdata.store.array import StoredArray, open_array

RunMm = Callable[..., Result]
SMALL_TRAINING = ("--inputs", "t1", "--channels", "2,2", "--epochs", 1, "--copies", 0, "--device", "cpu")
DOCS = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def copy(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the study that tests may add to, with enough samples of every split to train on."""
    root = Path(shutil.copytree(study, tmp_path_factory.mktemp("copy") / "study"))
    with duckdb.connect(str(root / "catalog.duckdb")) as catalog:
        catalog.execute(
            "UPDATE sample SET split = CASE place % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'val' ELSE 'train' END "
            "FROM (SELECT participant_key, min(row) AS place FROM sample GROUP BY participant_key) first "
            "WHERE first.participant_key = sample.participant_key"
        )
    shutil.rmtree(root / "augmented.zarr")  # of those who trained before
    (root / "receipts" / "copies.jsonl").unlink()
    return root


@pytest.fixture
def locked(study: Path, tmp_path: Path) -> Iterator[Path]:
    """A study whose catalogue another process has open to write."""
    root = Path(shutil.copytree(study, tmp_path / "study"))
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(root / "catalog.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield root


def complaint(result: Result, *, exit_code: int = 1) -> str:
    """Return the one line on stderr of a command that failed."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if exit_code == 2:
        assert result.stderr.startswith("Usage: ")
        return result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def snapshot(root: Path) -> dict[str, str]:
    """Return every path below a directory with a hash of what it holds."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(root.rglob("*"))
    }


def test_a_source_folder_that_is_missing_is_named(run_mm: RunMm, tmp_path: Path) -> None:
    message = complaint(run_mm("--study", tmp_path / "study", "ingest", "ukb", tmp_path / "nowhere"))
    assert f"{tmp_path / 'nowhere'} is not a folder" in message
    assert not (tmp_path / "study").exists()


def test_a_folder_without_archives_is_refused_with_what_was_expected(run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = complaint(run_mm("--study", tmp_path / "study", "ingest", "ukb", tmp_path / "empty"))
    assert "EID_FIELD_INSTANCE_ARRAY.zip" in message
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["ingest", "ukb"], "mm ingest ukb FOLDER"),
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
    assert "mm ingest ukb" in complaint(run_mm("--study", root, *words))
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
        (["train", "--target", "age", "--side", 48], "no default network for side 48"),
        (["train", "--target", "age", "--batch-size", 1], "batch_size"),
        (["train", "--target", "age", "--channels", "8,many"], "channels.1"),
        (["train", "--target", "age", "--device", "tpu"], "'tpu'"),
        (["train", "--target", "age", "--copies", -1], "copies"),
        (["train", "--resume", "nothing"], "There is no run 'nothing'"),
        (["precompute-augs", "--side", 48], "Side 48 is not stored"),
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
    ("words", "expected"),
    [
        (
            ["train", "--target", "age", "--inputs", "t1", "--side", 128],
            "Side 128 is not stored; this study has (64, 32)",
        ),
        (["train", "--target", "age", "--inputs", "t1", "--copies", 9], "mm precompute-augs --copies 9 --side 32"),
    ],
)
def test_a_run_that_asks_for_what_is_not_stored_is_one_line(
    run_mm: RunMm, copy: Path, words: list[object], expected: str
) -> None:
    assert expected in complaint_last(run_mm("--study", copy, *words))


def complaint_last(result: Result) -> str:
    """Return the last line on stderr of a command that failed after it had begun."""
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == result.stderr.splitlines()[-1:]
    return errors[0]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("volumes.sides=[64,48]", "sides"),
        ("volumes.side=64", "volumes.side"),
        ("salt=short", "16 characters"),
        ("splits.val=0.95", "val"),
        ("train.side=48", "train.side is 48"),
        ("volumes.dtype=int3", "got 'int3'"),
        ("schema_version=2", "schema_version 2"),
    ],
)
def test_a_setting_that_cannot_be_used_makes_no_study(
    run_mm: RunMm, tmp_path: Path, setting: str, expected: str
) -> None:
    assert expected in complaint(run_mm("--study", tmp_path / "study", "init", "--set", setting))
    assert not (tmp_path / "study").exists()


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


def test_a_file_in_place_of_the_study_is_one_line(run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "study").write_text("not a folder")
    for words in (["init"], ["status"]):
        complaint(run_mm("--study", tmp_path / "study", *words))


def test_a_locked_catalogue_is_one_line_that_names_the_process(run_mm: RunMm, locked: Path) -> None:
    for words in (["status"], ["ingest", "ukb"], ["precompute-augs"], ["train", "--target", "age"]):
        assert re.search(r"catalog\.duckdb is in use by process \d+", complaint(run_mm("--study", locked, *words)))


def test_a_disk_too_small_is_refused_before_work_begins(
    run_mm: RunMm, tmp_path: Path, make_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_study(tmp_path / "study")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 1000))
    message = complaint(run_mm("--study", root, "ingest", "ukb", "--workers", 0))
    assert "on disk and 0.00 GB are free" in message
    assert not (root / "volumes.zarr").exists()


class FullDisk:
    """A tensorstore handle whose writes find the disk full."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)

    def __getitem__(self, index: Any) -> Any:
        return FullDisk(self.handle[index])

    def write(self, _: Any) -> Any:
        return self

    def result(self) -> Any:
        raise ValueError("RESOURCE_EXHAUSTED: Error writing 'zarr.json.__lock': No space left on device [OS error 28]")


def test_a_disk_that_fills_up_is_one_line_and_the_command_can_be_run_again(
    run_mm: RunMm, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    words = ("--study", root, "precompute-augs", "--copies", 3, "--workers", 0)

    def open_on_full_disk(path: Path) -> StoredArray:
        array = open_array(path)
        return dataclasses.replace(array, handle=FullDisk(array.handle))

    with monkeypatch.context() as patch:
        patch.setattr(mmdata.copies.precompute, "open_array", open_on_full_disk)
        message = complaint_last(run_mm(*words))
    assert "disk filled up" in message
    assert "run the same command again" in message
    assert run_mm("--study", root, "status").exit_code == 0
    assert run_mm(*words).exit_code == 0


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


def test_memory_for_batches_read_ahead_is_given_in_mib(run_mm: RunMm, copy: Path) -> None:
    command = ["--study", copy, "train", "--target", "age", "--inputs", "t1", "--prefetch-mb", 8, "--dry-run", "--json"]
    assert json.loads(run_mm(*command).stdout)["train"]["prefetch_bytes"] == 8 * 1024**2


def test_a_finished_run_is_in_the_catalogue_the_status_and_its_directory_without_any_eid(
    run_mm: RunMm, copy: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(copy, tmp_path / "study", ignore=shutil.ignore_patterns("age_*")))
    result = run_mm("--study", root, "train", "--target", "age", *SMALL_TRAINING, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    run = root / "runs" / content["run_id"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"] == content["test"]
    assert all(Path(picture).is_file() for picture in content["pictures"])

    (entry,) = json.loads(run_mm("--study", root, "status", "--json").stdout)["runs"]
    assert (entry["run_id"], entry["target"], entry["inputs"]) == (run.name, "age", "t1")
    assert entry["test_mae"] == metrics["test"]["mae"]
    assert run.name in run_mm("--study", root, "status").stdout
    assert run.name in complaint(run_mm("--study", root, "train", "--resume", run.name))

    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as catalog:
        eids = [str(eid) for (eid,) in catalog.execute("SELECT eid FROM samples").fetchall()]
    assert len(eids) > 20
    written = {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    written["what was printed"] = result.output.encode()
    assert len(written) > 10
    for place, content_bytes in written.items():
        assert not any(eid in place or eid.encode() in content_bytes for eid in eids), place
    assert all(path.stat().st_mode & 0o077 == 0 for path in [run, *run.rglob("*")])


def test_ingesting_and_augmenting_again_change_nothing(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    before = snapshot(root)
    for words in (("ingest", "ukb"), ("precompute-augs", "--copies", 2)):
        assert run_mm("--study", root, *words, "--workers", 0).exit_code == 0
    after = snapshot(root)
    for name in ("catalog.duckdb", "receipts/writer.lock"):
        before.pop(name), after.pop(name)
    assert after == before


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


def test_a_dry_run_of_the_first_ingest_makes_no_study(run_mm: RunMm, release: Path, tmp_path: Path) -> None:
    result = run_mm("--study", tmp_path / "study", "ingest", "ukb", release, "--dry-run")
    assert result.exit_code == 0, result.output
    assert not any(tmp_path.iterdir())


def test_ingest_makes_the_study_where_there_is_none(run_mm: RunMm, tmp_path: Path) -> None:
    source, root = tmp_path / "ukb", tmp_path / "study"
    words = ("synth", "ukb", source, "--participants", 4, "--voxel-mm", 4, "--workers", 0)
    assert run_mm(*words).exit_code == 0
    result = run_mm("--study", root, "ingest", "ukb", source, "--workers", 0)
    assert result.exit_code == 0, result.output
    assert (root / "study.toml").is_file()
    assert (root / "volumes.zarr" / "t1" / "128").is_dir()
    assert str(source) in (root / "study.toml").read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (root, root / "study.toml", root / "catalog.duckdb"))


@pytest.mark.parametrize(("option", "exit_code"), [("--strict", 1), ("--no-strict", 0)])
def test_strict_fails_where_scans_were_rejected(
    run_mm: RunMm, copy: Path, status: dict[str, Any], option: str, exit_code: int
) -> None:
    assert any(status["rejected"].values())
    result = run_mm("--study", copy, "ingest", "ukb", "--workers", 0, option)
    assert result.exit_code == exit_code
    assert "rejected" in result.stdout


def test_the_study_may_be_named_by_the_environment(run_mm: RunMm, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MM_STUDY", str(study))
    assert json.loads(run_mm("status", "--json").stdout)["study"] == str(study)


def commands_below(command: click.Command, name: str = "mm") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
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


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Put back what the command line sets for its process."""
    old = os.umask(0o022)
    os.umask(old)
    yield
    os.umask(old)

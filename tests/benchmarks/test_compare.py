"""What `benchmarks.compare_commits` tells of two commits."""

import dataclasses
import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.compare.command_line import environment
from benchmarks.compare.differences import Check, check, count_values
from benchmarks.compare.results import hash_files, is_advice, read_table, without_varying
from benchmarks.compare.source import export_source
from benchmarks.compare_commits import Spent, is_allowed, parse_options, report, to_json

LOSSES = {"epoch 1": {"train_loss": 0.5, "val": {"mae": 6.0}}, "epoch 2": {"train_loss": 0.25, "val": {"mae": 5.0}}}


def test_what_is_the_same_has_no_difference() -> None:
    same = check("losses", LOSSES, json.loads(json.dumps(LOSSES)))
    assert (same.differences, same.added, same.num_values) == ((), (), 4)


def test_a_loss_that_differs_in_its_last_digit_is_named_with_its_relative_difference() -> None:
    after = {**LOSSES, "epoch 2": {"train_loss": math.nextafter(0.25, 1), "val": {"mae": 5.0}}}
    found = check("losses", LOSSES, after)
    (difference,) = found.differences
    assert (difference.where, difference.kind) == ("epoch 2/train_loss", "changed")
    assert found.largest_relative == pytest.approx(2.2e-16, rel=0.02)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (1, True),
        (None, 0.0),
        ([1, 2], [1]),
        ("a", "b"),
        (np.zeros(3, np.float32), np.zeros(3)),
        (np.zeros(3), np.zeros((3, 1))),
        (np.zeros(3), np.array([0.0, 0.0, math.nan])),
        ({"a": 1}, [1]),
        ({"a": 1}, None),
    ],
    ids=str,
)
def test_values_that_are_alike_but_not_the_same_differ(before: Any, after: Any) -> None:
    assert check("value", before, after).differences
    assert check("value", after, before).differences


def test_nan_is_nan() -> None:
    assert not check("auc", {"auc": math.nan}, {"auc": math.nan}).differences


def test_the_largest_difference_of_an_array_is_relative_to_the_larger_value() -> None:
    found = check("weights", {"w": np.array([1.0, 4.0, 0.0])}, {"w": np.array([1.0, 5.0, 0.0])})
    assert found.largest_relative == pytest.approx(0.2)


def test_a_new_metric_is_added_and_a_lost_one_differs() -> None:
    more = {**LOSSES, "epoch 2": {**LOSSES["epoch 2"], "extra": 1.0}}
    assert check("losses", LOSSES, more) == Check(name="losses", num_values=4, added=("epoch 2/extra",))
    (difference,) = check("losses", more, LOSSES).differences
    assert (difference.where, difference.kind) == ("epoch 2/extra", "missing")


def test_of_files_a_changed_a_lost_and_a_new_one_are_named(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, files in (
        (before, {"zarr.json": "a", "c/0": "b", "c/1": "c"}),
        (after, {"zarr.json": "a", "c/0": "x"}),
    ):
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
    (after / "c" / "2").write_text("new")
    found = check("files", hash_files(before), hash_files(after), may_add=False)
    assert {one.where: one.kind for one in found.differences} == {"c/0": "changed", "c/1": "missing", "c/2": "added"}


def test_times_paths_and_run_ids_are_not_compared() -> None:
    status = {"study": "/a", "samples": 2, "runs": [{"run_id": "x", "test_mae": 1.0}]}
    assert without_varying(status) == {"samples": 2, "runs": [{"test_mae": 1.0}]}


def test_the_order_of_predictions_and_their_types_are_compared(tmp_path: Path) -> None:
    frame = pl.DataFrame({"sample_id": ["a", "b"], "prediction": [1.0, 2.0]})
    others = [frame.reverse(), frame.cast({"prediction": pl.Float32})]
    for number, table in enumerate([frame, *others]):
        table.write_parquet(tmp_path / f"{number}.parquet")
    tables = [read_table(tmp_path / f"{number}.parquet") for number in range(3)]
    assert count_values(tables[0]) == 6
    assert all(check("predictions", tables[0], table).differences for table in tables[1:])


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("error: The catalogue is of an older mm. Run mm ingest ukb to bring it up to date.\n", True),
        ("error: The catalogue is damaged.\n", False),
        ("Traceback:\nerror: Run mm ingest ukb.\n", False),
    ],
)
def test_advice_is_one_line_with_a_command(messages: str, expected: bool) -> None:
    assert is_advice(messages) is expected


def test_both_commits_get_the_same_environment_but_for_their_source() -> None:
    inherited = {"PATH": "/bin", "MM_STUDY": "s", "PYTHONPATH": "/else", "OMP_NUM_THREADS": "8"}
    one, other = environment(Path("/one"), inherited), environment(Path("/other"), inherited)
    assert one.pop("PYTHONPATH") == "/one"
    assert other.pop("PYTHONPATH") == "/other"
    assert one == other
    assert (one["OMP_NUM_THREADS"], "MM_STUDY" in one) == ("1", False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "kept.py").write_text("committed")
    (root / "gone.py").write_text("committed")
    (root / ".gitignore").write_text("ignored.py\n")
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "First")):
        subprocess.run(["git", "-C", root, *words], check=True)
    (root / "kept.py").write_text("edited")
    (root / "gone.py").unlink()
    (root / "new.py").write_text("new")
    (root / "ignored.py").write_text("ignored")
    return root


def test_a_revision_is_exported_as_it_was_committed(repository: Path, tmp_path: Path) -> None:
    assert export_source(repository, "HEAD", tmp_path / "tree").endswith(" First")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == [".gitignore", "gone.py", "kept.py"]
    assert (tmp_path / "tree" / "kept.py").read_text() == "committed"


def test_the_working_tree_is_exported_as_it_is_without_what_git_ignores(repository: Path, tmp_path: Path) -> None:
    assert export_source(repository, ".", tmp_path / "tree").startswith("working tree on ")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == [".gitignore", "kept.py", "new.py"]
    assert (tmp_path / "tree" / "kept.py").read_text() == "edited"


def test_an_unknown_revision_is_one_line(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^git log -1 failed: .*nonsense"):
        export_source(repository, "nonsense", tmp_path / "tree")


def test_the_report_says_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [check("age: losses", {"train_loss": 0.5}, {"train_loss": 0.25}), check("status", {"n": 1}, {"n": 1})]
    commits = {"before": "abc One", "after": "def Two"}
    report(checks, commits, Spent(60, 90))
    printed = capsys.readouterr().out
    assert "age: losses: train_loss changed: 0.5 | 0.25" in printed
    assert "1 of 2 results differ" in printed
    content = json.loads(json.dumps(to_json(checks, commits, Spent(60, 90))))
    assert content["is_same"] is False
    assert content["checks"][0]["differences"][0]["relative"] == 0.5


def test_what_may_differ_is_shown_and_does_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        dataclasses.replace(check(name, {"n": 1}, {"n": n}), may_differ=is_allowed(name, ["model card"]))
        for name, n in (("age: model card", 2), ("status", 1))
    ]
    report(checks, {}, Spent(60, 90))
    printed = capsys.readouterr().out
    assert "1 differ, allowed" in printed
    assert "age: model card: n changed: 1 | 2" in printed
    assert "all 1 results are the same beside 1 that were allowed to differ" in printed
    assert to_json(checks, {}, Spent(60, 90))["is_same"] is True
    assert not is_allowed("age: model", ["model card"])


def test_a_folder_that_exists_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options(["HEAD", ".", "--keep", str(tmp_path)])
    assert "exists already" in capsys.readouterr().err

"""`mm train` as its user meets it, in one process."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING
from tests.mmcli.outcome import complaint_last


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["train", "--target", "age", "--inputs", "t1", "--side", 128],
            "Side 128 is not stored; this study has 64, 32",
        ),
        (["train", "--target", "age", "--inputs", "t1", "--copies", 9], "precompute-augs --copies 9 --side 32"),
    ],
)
def test_a_run_that_asks_for_what_is_not_stored_is_one_line(
    run_mm: RunMm, copy: Path, words: list[object], expected: str
) -> None:
    assert expected in complaint_last(run_mm("--study", copy, *words))


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
    assert all(Path(picture).is_file() for picture in (*content["pictures"], content["page"]))

    runs = json.loads(run_mm("--study", root, "status", "--json").stdout)["runs"]
    (entry,) = [entry for entry in runs if entry["run_id"] == run.name]
    assert (entry["target"], entry["inputs"]) == ("age", "t1")
    assert entry["test_mae"] == metrics["test"]["mae"]
    assert run.name in run_mm("--study", root, "status").stdout
    again = run_mm("--study", root, "train", "--resume", run.name)
    assert again.exit_code == 0 and f"Run {run.name} is finished already." in again.stderr

    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as catalog:
        eids = [str(eid) for (eid,) in catalog.execute("SELECT eid FROM samples").fetchall()]
    assert len(eids) > 20
    written = {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    written["what was printed"] = result.output.encode()
    assert len(written) > 10
    for place, content_bytes in written.items():
        assert not any(eid in place or eid.encode() in content_bytes for eid in eids), place
    assert all(path.stat().st_mode & 0o077 == 0 for path in [run, *run.rglob("*")])


def test_a_wiring_check_that_finds_no_label_fails_and_is_not_entered(run_mm: RunMm, copy: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(copy, tmp_path / "study", ignore=shutil.ignore_patterns("age_*")))
    result = run_mm("--study", root, "train", "--target", "age", *SMALL_TRAINING, "--diagnostic", "--json")
    assert "did not find the label in its inputs" in complaint_last(result)  # one epoch is too short
    content = json.loads(result.stdout)
    assert content["diagnostic"] is True and content["entered"] is False
    (verdict,) = content["wiring"]
    assert (verdict["target"], verdict["metric"], verdict["ok"]) == ("age", "r2", False)
    assert content["run_id"].startswith("diagnostic_age_t1_")
    assert json.loads(run_mm("--study", root, "status", "--json").stdout)["runs"] == []


def test_a_run_is_finished_in_one_process(
    run_mm: RunMm, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "error.json"
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "TORCHELASTIC_ERROR_FILE": str(file)}.items():
        monkeypatch.setenv(name, value)
    assert run_mm("--study", study, "train", "--finish", "age_t1_20260101-000000").exit_code == 1
    assert "run it without torchrun" in json.loads(file.read_text())["message"]["message"]

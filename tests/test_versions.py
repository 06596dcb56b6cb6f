"""Studies, runs and settings of earlier versions: one small archive of each, made by `versions/make_archive.py`."""

import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import zarr
from typer.testing import Result

from mmbase.lines import lacks_checksums
from mmdata.ledger.receipts import read_copy_receipts, read_samples, read_scan_receipts
from mmdata.store.schema import StudyLayout
from mmstudy.upgrade import keep_checksums

RunMm = Callable[..., Result]
ARCHIVES = sorted((Path(__file__).parent / "versions").glob("*.tar.xz"))
LARGEST_DIFFERENCE = 1e-4
"""Of losses, relative. The runs are in float32, which keeps the archives small. The instructions of other processors
changed the losses by up to 1e-5, a lost state of the optimiser by 7e-2."""
NEW_RUN = (
    "--target",
    "age",
    "--inputs",
    "t1",
    "--epochs",
    1,
    "--channels",
    "4,8",
    "--batch-size",
    4,
    "--device",
    "cpu",
)


@dataclass(frozen=True)
class OldStudy:
    """A study that an earlier version made, and what that version said of it."""

    root: Path
    expected: dict[str, Any]


@pytest.fixture(params=ARCHIVES, ids=[archive.name.removesuffix(".tar.xz") for archive in ARCHIVES])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> OldStudy:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return OldStudy(tmp_path / "study", json.loads((tmp_path / "expected.json").read_text()))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def require_same(expected: Any, found: Any) -> None:
    """Check that everything that was said before is still said; more may be."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            require_same(value, found[name])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for value, value_found in zip(expected, found, strict=True):
            require_same(value, value_found)
    else:
        assert found == expected


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def test_there_is_an_archive_of_the_first_version() -> None:
    assert "0.1.0.tar.xz" in [archive.name for archive in ARCHIVES]


def test_stored_rows_are_read_unchanged(run_mm: RunMm, old: OldStudy) -> None:
    arrays = {
        name: hashlib.sha256(zarr.open_array(old.root / name, mode="r")[...].tobytes()).hexdigest()
        for name in old.expected["arrays"]
    }
    assert arrays == old.expected["arrays"]
    verified = done(run_mm("--study", old.root, "verify", "--workers", 0, "--json"))
    assert json.loads(verified.stdout) == {"damaged": [], "files": [], "unreachable_runs": []}


def test_receipts_and_runs_are_given_checksums(run_mm: RunMm, old: OldStudy) -> None:
    layout = StudyLayout(old.root)
    before = read_scan_receipts(layout.receipts), read_copy_receipts(layout.receipts), read_samples(layout.receipts)
    keep_checksums(layout)
    assert not any(lacks_checksums(path) for path in layout.receipts.glob("*.jsonl"))
    assert (
        read_scan_receipts(layout.receipts),
        read_copy_receipts(layout.receipts),
        read_samples(layout.receipts),
    ) == before
    cohorts = sorted(layout.runs.glob("*/cohort.parquet"))
    for cohort in cohorts:
        content = bytearray(cohort.read_bytes())
        content[len(content) // 2] ^= 1
        cohort.write_bytes(content)
    verified = run_mm("--study", old.root, "verify", "--workers", 0, "--json")
    files = [file["file"] for file in json.loads(verified.stdout)["files"]]
    assert verified.exit_code == 1
    assert files == [f"runs/{cohort.parent.name}/cohort.parquet" for cohort in cohorts] != []


def test_status_tells_the_same_or_which_command_to_run_first(run_mm: RunMm, old: OldStudy) -> None:
    result = run_mm("--study", old.root, "status", "--json")
    if result.exit_code:
        assert re.fullmatch(r"error: [^\n]*\bmm (train|ingest|init)\b[^\n]*\n", result.output)
        return
    require_same({**old.expected["status"], "study": str(old.root)}, json.loads(result.stdout))


def test_an_unfinished_run_is_resumed_to_the_losses_that_it_would_have_had(run_mm: RunMm, old: OldStudy) -> None:
    run = old.root / "runs" / old.expected["unfinished"]["run_id"]
    assert not (run / "metrics.json").exists()
    done(run_mm("--study", old.root, "train", "--resume", run.name, "--device", "cpu"))
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    expected = old.expected["unfinished"]["epochs"]
    assert len(entries) == len(expected) > 1
    for entry, whole in zip(entries, expected, strict=True):
        for loss in ("train_loss", "val_loss"):
            assert entry[loss] == pytest.approx(whole[loss], rel=LARGEST_DIFFERENCE)
    runs = json.loads(done(run_mm("--study", old.root, "status", "--json")).stdout)["runs"]
    found = {entry["run_id"]: entry for entry in runs}
    require_same({entry["run_id"]: entry for entry in old.expected["status"]["runs"]}, found)
    assert run.name in found


def test_a_new_run_is_trained_on_it(run_mm: RunMm, old: OldStudy) -> None:
    content = json.loads(done(run_mm("--study", old.root, "train", *NEW_RUN, "--json")).stdout)
    status = json.loads(done(run_mm("--study", old.root, "status", "--json")).stdout)
    assert content["run_id"] in [entry["run_id"] for entry in status["runs"]]
    require_same({name: old.expected["status"][name] for name in ("samples", "scans", "splits", "arrays")}, status)

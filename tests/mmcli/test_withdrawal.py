"""Withdrawal lists as the user of `mm ingest` and `mm withdraw` meets them."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from mmbase.printable import without_numbers
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint, snapshot


def eids_of(study: Path) -> list[int]:
    with duckdb.connect(str(study / "catalog.duckdb"), read_only=True) as catalog:
        return [eid for (eid,) in catalog.execute("SELECT eid FROM participants ORDER BY eid").fetchall()]


def write_list(path: Path, eids: list[int]) -> Path:
    path.write_text("".join(f"{eid}\n" for eid in eids))
    return path


@pytest.fixture
def study_copy(study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study, tmp_path / "study"))


@pytest.mark.parametrize("command", [("withdraw",), ("ingest", "ukb", "--workers", 0, "--withdrawals")])
def test_many_are_removed_only_after_a_yes(
    run_mm: RunMm, study_copy: Path, tmp_path: Path, command: tuple[object, ...]
) -> None:
    eids = eids_of(study_copy)
    path = write_list(tmp_path / "many.txt", eids[:12])
    before = snapshot(study_copy)
    message = complaint(run_mm("--study", study_copy, *command, path))
    assert f"name 12 of the {len(eids)} participants stored" in message and "--yes" in message
    assert snapshot(study_copy) == before

    assert run_mm("--study", study_copy, *command, path, "--yes").exit_code == 0
    assert eids_of(study_copy) == eids[12:]
    again = run_mm("--study", study_copy, *command, path)
    assert again.exit_code == 0, again.output  # they are gone: there is nothing to ask


def test_fewer_than_ten_are_removed_without_a_question(run_mm: RunMm, study_copy: Path, tmp_path: Path) -> None:
    eids = eids_of(study_copy)
    path = write_list(tmp_path / "few.txt", eids[:9])
    assert run_mm("--study", study_copy, "withdraw", path, "--workers", 0).exit_code == 0
    assert eids_of(study_copy) == eids[9:]


@pytest.mark.parametrize("name", ["withdraw98032_19.txt", "W12345_20260101.csv"])
def test_a_list_that_cannot_be_read_whole_stops_the_ingest_before_anything_is_made(
    run_mm: RunMm, tmp_path: Path, name: str
) -> None:
    (tmp_path / "bids" / "sub-01" / "anat").mkdir(parents=True)
    (tmp_path / "bids" / "sub-01" / "anat" / "sub-01_T1w.nii.gz").touch()
    (tmp_path / "bids" / name).write_text("sub-01\nsub-02,moved away\n")
    message = complaint(run_mm("--study", tmp_path / "study", "ingest", "bids", tmp_path / "bids"))
    assert f"withdrawal list {without_numbers(name)}, line 2: expected one participant number" in message
    assert not (tmp_path / "study").exists()


def test_other_numbers_withdraw_nobody_and_lists_in_use_are_not_mentioned(
    run_mm: RunMm, release: Path, study_copy: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(release, tmp_path / "ukb"))
    eids = eids_of(study_copy)
    write_list(source / "download.txt", eids[:3])
    tested = write_list(source / "withdraw_test.txt", eids[3:6])
    words = ("ingest", "ukb", source, "--test-list", tested, "--workers", 0, "--json")
    result = run_mm("--study", tmp_path / "other", *words)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["withdrawal_lists"] == 1 and content["number_lists"] == ["download.txt"]
    assert "download.txt holds numbers that may be participants. It withdraws nobody" in " ".join(content["warnings"])
    assert eids_of(tmp_path / "other") == eids


def test_an_ingest_says_that_it_found_no_list(run_mm: RunMm, release: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(release, tmp_path / "ukb"))
    (lists,) = source.glob("w*_*.csv")
    lists.unlink()
    result = run_mm("--study", tmp_path / "study", "ingest", "ukb", source, "--workers", 0)
    assert result.exit_code == 0 and "Withdrawal lists read: none was found." in result.stdout

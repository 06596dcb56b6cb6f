import json
from pathlib import Path

import pytest

from mmbase.records import EnrolledSample
from mmdata.ledger.forget import count_receipts, find_duplicates, forget_samples, forget_scans, samples_on_record
from mmdata.ledger.receipt_kinds import CopyReceipt, ScanReceipt
from mmdata.ledger.receipts import (
    COPY_RECEIPTS,
    SAMPLE_RECEIPTS,
    SCAN_RECEIPTS,
    ReceiptChange,
    append_receipts,
    read_copy_receipts,
    read_scan_receipts,
    rewrite_receipts,
)

NOBODY: frozenset[int] = frozenset()


def sample(row: int) -> EnrolledSample:
    return EnrolledSample(sample_id=f"sample{row}", row=row, split="train", participant_key=f"key{row // 2}")


def scan(row: int, content: str, modality: str = "t1", status: str = "stored") -> ScanReceipt:
    checksums = {"64": content + "64", "32": content + "32"} if content else {}
    return ScanReceipt(
        sample_id=f"sample{row}",
        row=row,
        modality=modality,
        status=status,
        checksums=checksums,
        fingerprint="as-it-was",
        measures={"brain_ml": 1000.0 + row},
        provenance={"brain": "mask"},
    )


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    append_receipts(tmp_path / SAMPLE_RECEIPTS, [sample(row) for row in range(5)])
    scans = [
        scan(0, "same"),
        scan(0, "same", "flair"),
        scan(1, "other"),
        scan(2, "same"),  # a duplicate of row 0
        scan(2, "own", "flair"),
        scan(3, "", status="rejected"),
        scan(4, "same", "dwi"),  # the same text under another modality is nothing
    ]
    append_receipts(tmp_path / SCAN_RECEIPTS, scans)
    copies = [
        CopyReceipt(modality="t1", side=32, copy=1, rows=[0, 1, 2]),
        CopyReceipt(modality="t1", side=32, copy=2, rows=[0, 2]),
        CopyReceipt(modality="flair", side=32, copy=1, rows=[2, 0], status="damaged"),
    ]
    append_receipts(tmp_path / COPY_RECEIPTS, copies)
    return tmp_path


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_scan_with_the_very_same_bytes_is_a_duplicate(receipts: Path) -> None:
    assert find_duplicates(receipts, frozenset({0})) == {"t1": frozenset({2})}
    assert find_duplicates(receipts, frozenset({2})) == {"t1": frozenset({0})}
    assert find_duplicates(receipts, frozenset({0, 2})) == find_duplicates(receipts, frozenset({1})) == {}
    assert find_duplicates(receipts, NOBODY) == {}


def test_one_equal_array_makes_a_duplicate_also_where_the_scan_is_damaged(receipts: Path) -> None:
    duplicate = ScanReceipt(
        sample_id="sample3", row=3, modality="t1", status="rejected", reason="damaged", checksums={"32": "other32"}
    )
    append_receipts(receipts / SCAN_RECEIPTS, [duplicate])
    assert find_duplicates(receipts, frozenset({1})) == {"t1": frozenset({3})}


def test_samples_are_known_by_their_participant_or_their_row(receipts: Path) -> None:
    first, second = ("key0", "sample0", 0), ("key0", "sample1", 1)
    assert samples_on_record(receipts, frozenset({"key0"}), NOBODY) == [first, second]
    assert samples_on_record(receipts, frozenset(), frozenset({1, 9})) == [second]
    assert samples_on_record(receipts, frozenset({"somebody"}), NOBODY) == []


def test_the_lines_of_rows_go_and_all_others_stay_as_they_are(receipts: Path) -> None:
    before = {name: lines(receipts / name) for name in (SAMPLE_RECEIPTS, SCAN_RECEIPTS, COPY_RECEIPTS)}
    forget_scans(receipts, frozenset({1, 3}), {})
    forget_samples(receipts, frozenset({1, 3}))
    assert lines(receipts / SAMPLE_RECEIPTS) == [before[SAMPLE_RECEIPTS][i] for i in (0, 2, 4)]
    assert lines(receipts / SCAN_RECEIPTS) == [before[SCAN_RECEIPTS][i] for i in (0, 1, 3, 4, 6)]
    assert lines(receipts / COPY_RECEIPTS)[1:] == before[COPY_RECEIPTS][1:]
    assert json.loads(lines(receipts / COPY_RECEIPTS)[0])["rows"] == [0, 2]
    assert not list(receipts.glob("*.tmp"))


def test_a_duplicate_stays_rejected_and_what_was_measured_of_it_goes(receipts: Path) -> None:
    forget_scans(receipts, frozenset({0}), find_duplicates(receipts, frozenset({0})))
    scans = read_scan_receipts(receipts)
    assert ("sample0", "t1") not in scans and ("sample0", "flair") not in scans
    duplicate = scans["sample2", "t1"]
    assert (duplicate.status, duplicate.reason, duplicate.fingerprint) == ("rejected", "duplicate", "as-it-was")
    assert not duplicate.checksums and not duplicate.measures and "sample0" not in duplicate.detail
    assert scans["sample2", "flair"] == scan(2, "own", "flair")
    assert read_copy_receipts(receipts) == {("t1", 32, 1): {1}, ("flair", 32, 1): set()}
    assert read_copy_receipts(receipts, "damaged")["flair", 32, 1] == {2}


def test_what_would_change_is_counted_and_afterwards_nothing_would(receipts: Path) -> None:
    rows = frozenset({0})
    duplicates = find_duplicates(receipts, rows)
    assert count_receipts(receipts, rows, duplicates) == {SAMPLE_RECEIPTS: 1, SCAN_RECEIPTS: 3, COPY_RECEIPTS: 3}
    forget_scans(receipts, rows, duplicates)
    forget_samples(receipts, rows)
    assert set(count_receipts(receipts, rows, duplicates).values()) == {0}


def test_a_kill_between_the_files_leaves_the_duplicates_to_be_found(
    receipts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = frozenset({0})
    duplicates = find_duplicates(receipts, rows)
    calls: list[str] = []

    def rewrite_one(path: Path, change: ReceiptChange) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(path.name)
        rewrite_receipts(path, change)

    with monkeypatch.context() as patch:
        patch.setattr("mmdata.ledger.forget.rewrite_receipts", rewrite_one)
        with pytest.raises(KeyboardInterrupt):
            forget_scans(receipts, rows, duplicates)
    assert find_duplicates(receipts, rows) == duplicates
    assert count_receipts(receipts, rows, duplicates)[calls[0]] == 0


def test_doing_it_again_writes_no_file(receipts: Path) -> None:
    def forget() -> None:
        forget_scans(receipts, frozenset({1}), {})
        forget_samples(receipts, frozenset({1}))

    forget()
    before = {path: path.stat().st_mtime_ns for path in receipts.iterdir()}
    forget()
    assert {path: path.stat().st_mtime_ns for path in receipts.iterdir()} == before


def test_a_study_without_receipts_has_nothing_to_forget(tmp_path: Path) -> None:
    forget_scans(tmp_path, frozenset({1}), {})
    assert set(count_receipts(tmp_path, frozenset({1}), {}).values()) == {0} and not list(tmp_path.iterdir())

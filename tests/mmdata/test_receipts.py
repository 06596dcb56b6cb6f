import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.records import EnrolledSample
from mmdata.receipts import (
    COPY_RECEIPTS,
    SCAN_RECEIPTS,
    CopyReceipt,
    ScanReceipt,
    append_receipts,
    read_copy_receipts,
    read_samples,
    read_scan_receipts,
    record_samples,
)


def scan(number: int, status: str = "stored", modality: str = "t1", **more: object) -> ScanReceipt:
    return ScanReceipt(sample_id=f"s{number}", row=number, modality=modality, status=status, **more)


def written(folder: Path, num_receipts: int) -> Path:
    path = folder / "scans.jsonl"
    path.unlink(missing_ok=True)
    append_receipts(path, [scan(number, measures={"clamp_high": 0.1 * number}) for number in range(num_receipts)])
    return path


def test_receipts_come_back(tmp_path: Path) -> None:
    receipts = [
        scan(1, measures={"brain_ml": 1.5}),
        scan(2, "rejected", reason="truncated", detail="ä", fingerprint="f"),
    ]
    append_receipts(tmp_path / SCAN_RECEIPTS, receipts[:1])
    append_receipts(tmp_path / SCAN_RECEIPTS, receipts[1:])
    assert read_scan_receipts(tmp_path) == {("s1", "t1"): receipts[0], ("s2", "t1"): receipts[1]}


def test_no_file_means_no_receipts(tmp_path: Path) -> None:
    assert read_scan_receipts(tmp_path) == {} and read_copy_receipts(tmp_path) == {}


def test_newest_receipt_of_a_scan_counts(tmp_path: Path) -> None:
    append_receipts(tmp_path / SCAN_RECEIPTS, [scan(1, "rejected"), scan(1, modality="flair"), scan(1)])
    receipts = read_scan_receipts(tmp_path)
    assert {key: receipt.status for key, receipt in receipts.items()} == {
        ("s1", "t1"): "stored",
        ("s1", "flair"): "stored",
    }


def test_rows_of_a_copy_add_up(tmp_path: Path) -> None:
    copies = [
        CopyReceipt(modality="t1", side=32, copy=copy, rows=rows) for copy, rows in ((1, [0, 2]), (2, [0]), (1, [9]))
    ]
    append_receipts(tmp_path / COPY_RECEIPTS, copies)
    assert read_copy_receipts(tmp_path) == {("t1", 32, 1): {0, 2, 9}, ("t1", 32, 2): {0}}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_torn_line_is_passed_over_and_cut_by_the_next_writer(data: st.DataObject, tmp_path_factory: object) -> None:
    path = written(tmp_path_factory.getbasetemp(), 5)  # type: ignore[attr-defined]
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = [f"s{number}" for number in range(content[:cut].count(b"\n"))]
    assert [name for name, _ in read_scan_receipts(path.parent)] == whole
    append_receipts(path, [scan(77)])
    assert [name for name, _ in read_scan_receipts(path.parent)] == [*whole, "s77"]
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"" and [json.loads(line)["sample_id"] for line in lines] == [*whole, "s77"]


def test_torn_line_longer_than_one_block_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    with path.open("ab") as file:
        file.write(b'{"sample_id":"' + b"x" * 20_000)
    append_receipts(path, [scan(9)])
    assert [name for name, _ in read_scan_receipts(path.parent)] == ["s0", "s1", "s2", "s9"]


def test_file_of_one_torn_line_is_emptied_first(tmp_path: Path) -> None:
    path = tmp_path / SCAN_RECEIPTS
    path.write_bytes(b"{" * 9_000)
    append_receipts(path, [scan(1)])
    assert list(read_scan_receipts(path.parent)) == [("s1", "t1")]


def test_a_damaged_row_of_a_copy_is_no_longer_stored_until_it_is_made_again(tmp_path: Path) -> None:
    def append(rows: list[int], status: str) -> None:
        receipt = CopyReceipt(modality="t1", side=32, copy=1, rows=rows, status=status)
        append_receipts(tmp_path / COPY_RECEIPTS, [receipt])

    append([0, 1, 2], "stored")
    append([1, 2], "damaged")
    append([2], "stored")
    assert read_copy_receipts(tmp_path) == {("t1", 32, 1): {0, 2}}
    assert read_copy_receipts(tmp_path, "damaged") == {("t1", 32, 1): {1}}


def test_receipts_of_an_older_mm_are_read_without_what_they_lack(tmp_path: Path) -> None:
    entry = {"sample_id": "s1", "row": 3, "modality": "t1", "sides": [64], "status": "stored", "reason": ""}
    (tmp_path / SCAN_RECEIPTS).write_text(json.dumps(entry) + "\n")
    receipt = read_scan_receipts(tmp_path)["s1", "t1"]
    assert (receipt.row, receipt.status, receipt.checksums) == (3, "stored", {})


def test_a_sample_gets_one_receipt_for_good(tmp_path: Path) -> None:
    first = EnrolledSample(sample_id="a", row=1, split="test")
    record_samples(tmp_path, [first, EnrolledSample(sample_id="b", row=0, split="val")])
    record_samples(tmp_path, [EnrolledSample(sample_id="a", row=9, split="train")])
    assert read_samples(tmp_path) == {"a": first, "b": EnrolledSample(sample_id="b", row=0, split="val")}
    assert (tmp_path / "samples.jsonl").read_text().count("\n") == 2

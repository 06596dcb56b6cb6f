import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.receipts import CopyReceipt, ScanReceipt, append_receipts, read_copy_receipts, read_scan_receipts


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
    append_receipts(tmp_path / "r", receipts[:1])
    append_receipts(tmp_path / "r", receipts[1:])
    assert read_scan_receipts(tmp_path / "r") == {("s1", "t1"): receipts[0], ("s2", "t1"): receipts[1]}


def test_no_file_means_no_receipts(tmp_path: Path) -> None:
    assert read_scan_receipts(tmp_path / "r") == {} and read_copy_receipts(tmp_path / "r") == {}


def test_newest_receipt_of_a_scan_counts(tmp_path: Path) -> None:
    append_receipts(tmp_path / "r", [scan(1, "rejected"), scan(1, modality="flair"), scan(1)])
    receipts = read_scan_receipts(tmp_path / "r")
    assert {key: receipt.status for key, receipt in receipts.items()} == {
        ("s1", "t1"): "stored",
        ("s1", "flair"): "stored",
    }


def test_rows_of_a_copy_add_up(tmp_path: Path) -> None:
    copies = [
        CopyReceipt(modality="t1", side=32, copy=copy, rows=rows) for copy, rows in ((1, [0, 2]), (2, [0]), (1, [9]))
    ]
    append_receipts(tmp_path / "r", copies)
    assert read_copy_receipts(tmp_path / "r") == {("t1", 32, 1): {0, 2, 9}, ("t1", 32, 2): {0}}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_torn_line_is_passed_over_and_cut_by_the_next_writer(data: st.DataObject, tmp_path_factory: object) -> None:
    path = written(tmp_path_factory.getbasetemp(), 5)  # type: ignore[attr-defined]
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = [f"s{number}" for number in range(content[:cut].count(b"\n"))]
    assert [name for name, _ in read_scan_receipts(path)] == whole
    append_receipts(path, [scan(77)])
    assert [name for name, _ in read_scan_receipts(path)] == [*whole, "s77"]
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"" and [json.loads(line)["sample_id"] for line in lines] == [*whole, "s77"]


def test_torn_line_longer_than_one_block_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    with path.open("ab") as file:
        file.write(b'{"sample_id":"' + b"x" * 20_000)
    append_receipts(path, [scan(9)])
    assert [name for name, _ in read_scan_receipts(path)] == ["s0", "s1", "s2", "s9"]


def test_file_of_one_torn_line_is_emptied_first(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_bytes(b"{" * 9_000)
    append_receipts(path, [scan(1)])
    assert list(read_scan_receipts(path)) == [("s1", "t1")]

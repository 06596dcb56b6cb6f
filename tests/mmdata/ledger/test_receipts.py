import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbase.records import EnrolledSample
from mmdata.errors import StoreError
from mmdata.ledger.receipt_kinds import CopyReceipt, RemovalReceipt, ScanReceipt, WithdrawalReceipt
from mmdata.ledger.receipts import (
    COPY_RECEIPTS,
    REMOVAL_RECEIPTS,
    REMOVED,
    SCAN_RECEIPTS,
    WITHDRAWAL_RECEIPTS,
    append_receipts,
    read_copy_receipts,
    read_samples,
    read_scan_receipts,
    record_samples,
    rewrite_receipts,
)
from mmdata.ledger.tombstones import (
    read_removals,
    read_retired_rows,
    read_tombstones,
    read_withdrawal_receipts,
    record_withdrawals,
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


def test_tombstones_of_an_older_mm_are_read_as_begun(tmp_path: Path) -> None:
    (tmp_path / WITHDRAWAL_RECEIPTS).write_text('{"participant_key":"a"}\n')
    record_withdrawals(tmp_path, frozenset({"a", "b"}))
    assert read_withdrawal_receipts(tmp_path) == {"a", "b"}
    assert read_tombstones(tmp_path) == {key: WithdrawalReceipt(participant_key=key) for key in ("a", "b")}
    assert (tmp_path / WITHDRAWAL_RECEIPTS).read_text().count("\n") == 2


def test_the_newest_tombstone_counts_and_no_row_is_ever_given_back(tmp_path: Path) -> None:
    steps = [
        WithdrawalReceipt(participant_key="a"),
        WithdrawalReceipt(participant_key="a", rows=[4, 2], removal=1, date="2026-01-02"),
        WithdrawalReceipt(participant_key="b", rows=[9], removal=2),
        WithdrawalReceipt(participant_key="a", status=REMOVED, removal=1, date="2026-01-03"),
    ]
    for step in steps:
        append_receipts(tmp_path / WITHDRAWAL_RECEIPTS, [step])
    tombstones = read_tombstones(tmp_path)
    assert tombstones["a"] == WithdrawalReceipt(
        participant_key="a", status=REMOVED, removal=1, date="2026-01-03", rows=[2, 4]
    )
    assert tombstones["b"].status == "begun"
    assert read_retired_rows(tmp_path) == {2, 4, 9}


def test_the_newest_receipt_of_a_removal_counts(tmp_path: Path) -> None:
    def removal(number: int, status: str) -> RemovalReceipt:
        return RemovalReceipt(
            removal=number,
            status=status,
            date="2026-01-02",
            participants=1,
            known=1,
            samples=2,
            places={"volumes.zarr/t1/64": 2},
            runs=["age_1"],
        )

    receipts = [removal(1, "begun"), removal(2, "begun"), removal(1, REMOVED)]
    append_receipts(tmp_path / REMOVAL_RECEIPTS, receipts)
    assert read_removals(tmp_path) == {1: receipts[2], 2: receipts[1]}


def drop_s1(entry: dict[str, Any]) -> dict[str, Any] | None:
    return None if entry["sample_id"] == "s1" else entry


def test_receipts_that_stay_keep_their_bytes_and_a_torn_line_goes(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    before = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(before) + b'{"sample_id":"s1","row')
    path.chmod(0o600)
    rewrite_receipts(path, drop_s1)
    assert path.read_bytes() == before[0] + before[2]
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(before[0] + b'{"sample_id":"s1","row')
    rewrite_receipts(path, drop_s1)
    assert path.read_bytes() == before[0]


def test_without_a_change_nothing_is_written(tmp_path: Path) -> None:
    path = written(tmp_path, 1)
    before = path.stat().st_mtime_ns
    rewrite_receipts(path, drop_s1)
    rewrite_receipts(tmp_path / "none.jsonl", drop_s1)
    assert path.stat().st_mtime_ns == before and [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_disk_that_fills_up_while_receipts_are_rewritten_costs_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, 3)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mmbase.files.os.fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            rewrite_receipts(path, drop_s1)
    assert path.read_bytes() == before
    rewrite_receipts(path, drop_s1)
    assert len(read_scan_receipts(tmp_path)) == 2 and not list(tmp_path.glob("*.tmp"))


def test_a_damaged_line_stops_a_rewrite_because_nobody_knows_of_whom_it_speaks(tmp_path: Path) -> None:
    path = written(tmp_path, 2)
    path.write_bytes(b"{damaged\n" + path.read_bytes())
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"Line 1 of receipts/scans\.jsonl is damaged"):
        rewrite_receipts(path, drop_s1)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "line", "why"),
    [
        (SCAN_RECEIPTS, '{"sample_id":"a","row":1,"modality":"t1"}', "status: Field required"),
        (SCAN_RECEIPTS, '{"sample_id":"a","row":"1","modality":"t1","status":"stored"}', "row: "),
        (SCAN_RECEIPTS, '{"sample_id":"a","row":1,"modality":"../t1","status":"stored"}', "modality: "),
        (SCAN_RECEIPTS, '{"sample_id":"a","row":1,"modality":"t1","status":"storeb"}', "status: "),
        (SCAN_RECEIPTS, "[]", "content: "),
        (SCAN_RECEIPTS, "null", "content: "),
        (SCAN_RECEIPTS, "", "content: "),
        (COPY_RECEIPTS, '{"modality":"t1","side":32,"copy":1,"rows":{"0":1}}', "rows: "),
        (COPY_RECEIPTS, '{"modality":"t1","side":32,"copy":1,"rows":[0],"statuz":"damaged"}', "statuz: "),
        (WITHDRAWAL_RECEIPTS, '{"participant_key":"a","rowz":[4]}', "rowz: "),
        (REMOVAL_RECEIPTS, '{"removal":1}', "status: "),
        ("samples.jsonl", '{"sample_id":"a","row":1,"split":"tesd"}', "split: "),
        ("samples.jsonl", '{"sample_id":"a","row":-1,"split":"test"}', "row: "),
    ],
)
def test_a_receipt_of_another_shape_is_refused_with_its_line_and_the_remedy(
    tmp_path: Path, name: str, line: str, why: str
) -> None:
    (tmp_path / name).write_text(line + "\n")
    read = {
        SCAN_RECEIPTS: read_scan_receipts,
        COPY_RECEIPTS: read_copy_receipts,
        WITHDRAWAL_RECEIPTS: read_tombstones,
        REMOVAL_RECEIPTS: read_removals,
    }.get(name, read_samples)
    with pytest.raises(StoreError, match=rf"^Line 1 of receipts/{name} is damaged \({why}.*(line|it) out") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)

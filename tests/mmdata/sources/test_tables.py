from collections.abc import Callable
from pathlib import Path

import pytest

from mmdata.errors import SourceError
from mmdata.sources.tables import is_withdrawal_list, sort_tables

KINDS = ("tables", "withdrawal_lists", "number_lists", "passed_over")


def kind_of(path: Path) -> str:
    """Return which of the kinds a file is, empty for none."""
    found = sort_tables([path])
    return next((name for name in KINDS if path in getattr(found, name)), "")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("ukb.csv", b'"eid","31-0.0"\n', "tables"),
        ("ukb.tab", b"f.eid\tf.31.0.0\n", "tables"),
        ("rap.csv", b"participant.eid,participant.p31\n", "tables"),
        ("participants.tsv", b"participant_id\tage\n", "tables"),
        ("r.csv", b'"","eid","X31.0.0"\n"1",1000001,0\n', "tables"),
        ("pandas.csv", b",eid,31-0.0\n0,1000001,0\n", "tables"),
        ("janitor.csv", b"f_eid,f_31_0_0\n", "tables"),
        ("upper.csv", b"EID,p31\n", "tables"),
        ("cr.tsv", b"participant_id\tage\rsub-01\t60\r", "tables"),
        ("bom.tsv", b"\xef\xbb\xbfeid\tp31\n", "tables"),
        ("utf-16.csv", "eid,p31\n1000001,0\n".encode("utf-16"), "tables"),
        ("notes-utf-16.csv", "note,eid\n".encode("utf-16"), "passed_over"),
        ("notes.txt", b"eid is secret\n", "tables"),
        ("other.csv", b"id,value\n", "passed_over"),
        ("empty.tsv", b"", "passed_over"),
        ("header.csv", b"eid\n", "passed_over"),
        ("readme.txt", b"Read me\n", ""),
        ("ukb_rel.txt", b"ID1 ID2 HetHet IBS0 Kinship\n1000001 1000002 0.06 0.01 0.25\n", ""),
        ("ukb_rel.csv", b"ID1,ID2,Kinship\n1000001,1000002,0.25\n", "passed_over"),
        ("ages.csv", b"61\n62\n", "passed_over"),
        ("w12345_20260101.csv", b"eid,\n1000001\n", "withdrawal_lists"),
        ("W12345_20260101.TXT", b"", "withdrawal_lists"),
    ],
)
def test_text_is_known_by_its_name_and_first_column(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == kind


@pytest.mark.parametrize(
    "content",
    [
        b"1000001\n1000002\n",
        b'"1000003"\n',
        b"1000003,\r\n",
        b"1000003\r1000004\r",
        b"eid\n1000001\n",
        b"-1\n1000001\n",
        b"# to download\n\n1000001\n",
        b"1000001 1000001\n1000002 1000002\n",
        b"1000001\t2026-01-01\n",
        b"1000001.0\n",
        "1000001\n1000002\n".encode("utf-16"),
        b"1000001\n" * 10_000,
    ],
)
@pytest.mark.parametrize("name", ["download.txt", "train_ids.csv", "numbers.tsv"])
def test_numbers_under_another_name_are_a_list_that_withdraws_nobody(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == "number_lists"
    (tmp_path / name).rename(tmp_path / f"Withdraw_{name}")
    assert kind_of(tmp_path / f"Withdraw_{name}") == "withdrawal_lists"


@pytest.mark.parametrize(
    "name",
    [
        "w12345_20260101.csv",
        "w12345_2026-01-01.csv",
        "w12345_20260101 (1).csv",
        "W98032.txt",
        "withdraw98032_19.txt",
        "withdraw98032_20250818.csv",
        "Withdrawals 2026.tsv",
        "withdrawn.lst",
        "WITHDREW",
        "withdrawals.xlsx",
        "withdraw98032_19.txt.gz",
        "Withdrawal letter.pdf",
        "w12345_20260101.csv.part",
    ],
)
def test_a_withdrawal_list_is_known_by_its_name(name: str) -> None:
    assert is_withdrawal_list(name)


@pytest.mark.parametrize("name", ["w1_wave.csv", "weights.csv", "._w12345_20260101.csv", "withdraw.py", "noise.txt"])
def test_another_name_is_no_withdrawal_lists(name: str) -> None:
    assert not is_withdrawal_list(name)


def test_text_that_cannot_be_read_is_refused_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "w12345_20260101.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"No such file.*: w12345_…\.csv\. .*Make it readable"):
        sort_tables([tmp_path / "w12345_20260101.csv"])


def test_text_without_permission_is_refused(tmp_path: Path, locked: Callable[[str], None]) -> None:
    (tmp_path / "gone.csv").write_bytes(b"1000001\n")
    locked("gone.csv")
    with pytest.raises(SourceError, match="Permission denied"):
        sort_tables([tmp_path / "gone.csv"])


def test_an_unfinished_download_of_a_withdrawal_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w12345_20260101.csv.part").write_bytes(b"1000001\n")
    with pytest.raises(SourceError, match=r"not complete: w12345_…\.csv\.part.*Download it again"):
        sort_tables([tmp_path / "w12345_20260101.csv.part"])

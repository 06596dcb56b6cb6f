from collections.abc import Callable
from pathlib import Path

import pytest

from mmdata.errors import SourceError
from mmdata.sources.tables import sort_tables


def kind_of(path: Path, *, any_list_withdraws: bool = True) -> str:
    """Return which of the three kinds a file is, empty for none."""
    found = sort_tables([path], any_list_withdraws=any_list_withdraws)
    return next((name for name in ("tables", "withdrawal_lists", "passed_over") if path in getattr(found, name)), "")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("ukb.csv", b'"eid","31-0.0"\n', "tables"),
        ("ukb.tab", b"f.eid\tf.31.0.0\n", "tables"),
        ("rap.csv", b"participant.eid,participant.p31\n", "tables"),
        ("participants.tsv", b"participant_id\tage\n", "tables"),
        ("bom.tsv", b"\xef\xbb\xbfeid\tp31\n", "tables"),
        ("utf-16.csv", "eid,p31\n1000001,0\n".encode("utf-16"), "tables"),
        ("utf-16.txt", "1000001\n1000002\n".encode("utf-16"), "withdrawal_lists"),
        ("notes-utf-16.csv", "note,eid\n".encode("utf-16"), "passed_over"),
        ("notes.txt", b"eid is secret\n", "tables"),
        ("other.csv", b"id,value\n", "passed_over"),
        ("eids.csv", b"eid\n1000001\n", "passed_over"),
        ("empty.tsv", b"", "passed_over"),
        ("readme.txt", b"Read me\n", ""),
        ("ukb_rel.txt", b"ID1 ID2 HetHet IBS0 Kinship\n1000001 1000002 0.06 0.01 0.25\n", ""),
        ("ukb_rel.csv", b"ID1,ID2,Kinship\n1000001,1000002,0.25\n", "passed_over"),
        ("gone.txt", b"1000001\n1000002\n", "withdrawal_lists"),
        ("quoted.csv", b'"1000003"\n', "withdrawal_lists"),
        ("crlf.csv", b"1000003,\r\n", "withdrawal_lists"),
        ("ages.csv", b"61\n62\n", "passed_over"),
        ("w12345_20260101.csv", b"eid,\n1000001\n", "withdrawal_lists"),
        ("W12345_20260101.TXT", b"", "withdrawal_lists"),
    ],
)
def test_text_is_known_by_its_name_and_first_column(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "kind"), [("train_ids.csv", "passed_over"), ("train_ids.txt", ""), ("w1_20260101.csv", "withdrawal_lists")]
)
def test_where_lists_are_common_only_their_names_make_them_withdrawals(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(b"1000001\n1000002\n")
    assert kind_of(tmp_path / name, any_list_withdraws=False) == kind


def test_text_that_cannot_be_read_is_refused_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "w12345_20260101.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"No such file.*: w…_…\.csv\. .*Make it readable"):
        sort_tables([tmp_path / "w12345_20260101.csv"])


def test_text_without_permission_is_refused(tmp_path: Path, locked: Callable[[str], None]) -> None:
    (tmp_path / "gone.csv").write_bytes(b"1000001\n")
    locked("gone.csv")
    with pytest.raises(SourceError, match="Permission denied"):
        sort_tables([tmp_path / "gone.csv"])

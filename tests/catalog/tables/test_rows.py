from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import TableError
from catalog.tables.headers import read_header
from catalog.tables.rows import TableRows, read_rows
from mmbase.records import participant_number


def read(folder: Path, content: str | bytes, *positions: int, eids: tuple[int, ...] = (1000001, 1000003)) -> TableRows:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(path, read_header(path), positions, pl.Series("eid", eids, pl.Int64))


def test_wanted_columns_are_text_by_position_in_the_order_of_the_table(tmp_path: Path) -> None:
    found = read(tmp_path, 'eid,a,b,c\n1000003,1,"x, y",2\n1000002,3,4,5\n1000001,,7,8\n', 2, 1)
    assert found.wanted.rows(named=True) == [
        {"eid": 1000003, "2": "x, y", "1": "1"},
        {"eid": 1000001, "2": "7", "1": None},
    ]
    assert found.eids.to_list() == [1000003, 1000002, 1000001]


@pytest.mark.parametrize(
    "content",
    [
        '"eid","a","b"\n"1000001","1","2"\n"1000003","3"\n"1000001","5","6"\n',
        '"eid","a","b"\n"1000001","1","2"\n"1000003","3","4","5"\n',
        '"eid","a","b"\n"1000001"\n"1000003","3","4"\n',
        "eid,a,b\n1000001,1,2\n1000003,3,4,5\n1000001,5,6\n",
        "eid,a,b\n1000001,1,2\n1000003,3,4,5,6,7\n1000001,5,6\n",
        "eid,a,b\n1000001,1,2,3\n1000003,3,4\n",
        "eid\ta\tb\n1000001\t1\t2\n1000003\t3\t4\t5\n",
        "f.eid\tf.31.0.0\tf.3.0.0\n1000001\t1\t2\n1000003\t3\t4\t5\n",
    ],
)
@pytest.mark.parametrize("positions", [(), (1,), (1, 2)])
def test_rows_that_are_not_as_long_as_the_header_are_refused(
    tmp_path: Path, content: str, positions: tuple[int, ...]
) -> None:
    with pytest.raises(TableError, match=r"table\.csv cannot be read as a table") as caught:
        read(tmp_path, content, *positions)
    assert "100000" not in str(caught.value)


@pytest.mark.parametrize("content", ["eid,a,b\n1000001,1,2,3,4\n", 'eid,a\n1000001,"1\n1000003,2\n'])
def test_what_the_parser_refuses_is_refused_by_name_without_its_words(tmp_path: Path, content: str) -> None:
    with pytest.raises(TableError, match=r"table\.csv (cannot be read as a table|ends in the middle)") as caught:
        read(tmp_path, content, 1)
    assert "100000" not in str(caught.value)


@pytest.mark.parametrize("content", ["eid,a\n", "eid,a", "eid,a\n\n\n"])
def test_a_table_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(TableError, match=r"table\.csv holds a header and no rows"):
        read(tmp_path, content, 1)


@pytest.mark.parametrize("eid", ["1000001.0", "total", "-3", "0", ""])
def test_an_eid_column_of_nothing_but_nobodies_is_named_as_the_fault(tmp_path: Path, eid: str) -> None:
    with pytest.raises(TableError, match=r"The eid column of table\.csv holds no whole numbers above 0"):
        read(tmp_path, f"eid,a\n{eid},0\n", 1)


def test_trailing_separators_are_no_values(tmp_path: Path) -> None:
    assert read(tmp_path, "eid,a\n1000001,1\n1000003,2,\n", 1).wanted["1"].to_list() == ["1", "2"]


def test_quotes_of_unquoted_forms_are_text(tmp_path: Path) -> None:
    found = read(tmp_path, 'f.eid\tf.1.0.0\tf.2.0.0\n1000001\t"x\t1\n1000003\ty"\t2\n', 1, 2)
    assert found.wanted.rows() == [(1000001, '"x', "1"), (1000003, 'y"', "2")]


@pytest.mark.parametrize(
    "text",
    [
        "eid,a,b\r1000001,1,é\r1000003,3,4\r",
        "eid,a,b\r1000001,1,é\r1000003,3,4",
        "\ufeffeid,a,b\r1000001,1,é\n1000003,3,4\r\n",
        '"eid","a","b"\r"1000001","1","é"\r"1000003","3","4"\r',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_lines_may_end_with_cr(tmp_path: Path, text: str, encoding: str) -> None:
    found = read(tmp_path, text.lstrip("\ufeff" if encoding == "latin-1" else "").encode(encoding), 1, 2)
    assert found.wanted.rows() == [(1000001, "1", "é"), (1000003, "3", "4")]


def test_labels_are_read_whatever_their_zeros_and_numbers_mean_labels_too(tmp_path: Path) -> None:
    labels = {participant_number(label): label for label in ("00", "01", "A1")}
    for content, header in (("sub-00,1\n1,2\nA1,3\n-1,4\n", "participant_id"), ("0,1\n1,2\nA1,3\n-1,4\n", "eid")):
        path = tmp_path / f"{header}.csv"
        path.write_text(f"{header},a\n{content}")
        found = read_rows(path, read_header(path), [1], pl.Series("eid", list(labels), pl.Int64), labels)
        known = {labels[eid]: cell for eid, cell in found.wanted.iter_rows()}
        expected = {"01": "2"} | ({} if header == "eid" else {"00": "1", "A1": "3"})
        assert (known, found.num_respelled, found.num_without_eid) == (expected, 1, 3 if header == "eid" else 1)


def test_a_folder_with_the_signs_of_a_pattern_is_read(tmp_path: Path) -> None:
    (tmp_path / "release [1]*").mkdir()
    assert read(tmp_path / "release [1]*", "eid,a\n1000001,1\n", 1).wanted["1"].to_list() == ["1"]


CELLS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00\r"), min_size=1, max_size=8)


@given(st.lists(st.tuples(st.integers(1, 10**9), CELLS, CELLS), min_size=1, max_size=9))
def test_any_text_in_quotes_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, str, str]]
) -> None:
    text = "".join(
        f'"{eid}",' + ",".join('"' + c.replace('"', '""') + '"' for c in cells) + "\n" for eid, *cells in lines
    )
    eids = tuple({eid for eid, *_ in lines})
    found = read(tmp_path_factory.mktemp("any"), '"eid","a","b"\n' + text, 1, 2, eids=eids)
    assert found.wanted.rows() == lines

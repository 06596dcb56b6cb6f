from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from catalog.database import open_catalog
from catalog.errors import TableError
from catalog.identity import participant_key
from catalog.splits.kinship import Relatives, find_families, hide_identities, read_kinship, record_kinship, related_keys
from mmbase.records import participant_number

SALT = "salt-of-the-test-study"
HEADER = "ID1 ID2 HetHet IBS0 Kinship"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Any]:
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        yield connection


def read(folder: Path, text: str, name: str = "ukb_rel.dat") -> list[Relatives]:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return read_kinship(folder / name)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n1000223 1000224 0.062 0.0081 0.2461\n1000225 1000226 0.03 0.01 0.0442\n",
        "ID1,ID2,HetHet,IBS0,Kinship\r\n1000223,1000224,,,0.2461\r\n1000225,1000226,,,0.0442\r\n",
        '\ufeff"kinship"\t"id2"\t"id1"\n0.2461\t1000224\t1000223\n\n0.0442\t"1000226"\t"1000225"\n',
        "FID1 ID1 FID2 ID2 N_SNP Kinship\n1 1000223 1 1000224 9 0.2461\n0 1000225 0 1000226 9 0.0442",
        "  ID1   ID2  Kinship \n1000223   1000224 0.2461 \n  1000225 1000226  4.42e-2\n",
    ],
    ids=["ukb_rel.dat", "csv", "quoted tsv", "KING", "blanks"],
)
def test_pairs_are_read_whatever_separates_the_columns_and_whatever_their_order(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [Relatives(1000223, 1000224, 0.2461), Relatives(1000225, 1000226, 0.0442)]


def test_distant_pairs_the_withdrawn_and_people_paired_with_themselves_are_no_relatives(tmp_path: Path) -> None:
    lines = ("1 2 0 0 0.0441", "1 2 0 0 -0.3", "-4 2 0 0 0.25", "1 -3 0 0 0.25", "0 2 0 0 0.25", "2 2 0 0 0.5")
    assert read(tmp_path, "\n".join((HEADER, *lines, "1 2 0 0 0.25"))) == [Relatives(1, 2, 0.25)]


def test_participants_may_be_labels(tmp_path: Path) -> None:
    pairs = read(tmp_path, "ID1\tID2\tKinship\nsub-A01\tsub-B02\t0.25\n")
    assert pairs == [Relatives(participant_number("A01"), participant_number("B02"), 0.25)]


@pytest.mark.parametrize(
    "line",
    [
        "1000224 1000225 0.1 0.1",
        "1000224 1000225 0.1 0.1 0.25 7",
        "1000224 1000225 0.1 0.1 close",
        "1000224 1000225 0.1 0.1 nan",
        "1000224 x1000225 0.1 0.1 0.25",
    ],
)
def test_a_line_unlike_the_header_is_named_by_number_and_not_repeated(tmp_path: Path, line: str) -> None:
    text = f"{HEADER}\n1000223 1000224 0.1 0.1 0.25\n{line}\n"
    with pytest.raises(TableError, match=r"ukb_rel\.dat, line 3: expected 5 values") as caught:
        read(tmp_path, text)
    assert "10002" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "lacking"),
    [("", "id1, id2, kinship"), ("1000223 1000224 0.25\n", "id1, id2, kinship"), ("ID1,ID2,PI_HAT\n", "kinship")],
)
def test_a_file_without_the_columns_is_refused_with_what_is_expected(tmp_path: Path, text: str, lacking: str) -> None:
    with pytest.raises(TableError, match=f"no column {lacking} in its first line. Expected .*ukb_rel") as caught:
        read(tmp_path, text)
    assert "10002" not in str(caught.value)


def test_a_file_that_is_no_text_or_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ukb_rel.dat").write_bytes(b"PK\x03\x04\xff\xfe")
    for name in ("ukb_rel.dat", "missing.dat"):
        with pytest.raises(TableError, match=f"kinship file {name} cannot be read"):
            read_kinship(tmp_path / name)


def test_relatives_hide_their_eids_from_their_repr() -> None:
    assert "10002" not in repr(Relatives(1000223, 1000224, 0.25))


def test_a_pair_named_twice_either_way_round_counts_once_with_its_larger_kinship() -> None:
    kinship = hide_identities(SALT, [Relatives(1, 2, 0.1), Relatives(2, 1, 0.25), Relatives(1, 2, 0.2)])
    (pair,) = kinship
    assert pair == tuple(sorted(participant_key(SALT, eid) for eid in (1, 2)))
    assert kinship[pair] == 0.25


people = st.integers(0, 30)


@given(st.lists(st.tuples(people, people), max_size=40))
def test_families_are_the_connected_components_that_scipy_finds(pairs: list[tuple[int, int]]) -> None:
    families = find_families((f"{one:02}", f"{other:02}") for one, other in pairs)
    members = sorted({person for pair in pairs for person in pair})
    assert sorted(families) == [f"{person:02}" for person in members]
    ones, others = np.array(pairs, dtype=int).reshape(-1, 2).T
    _, component = connected_components(
        coo_array((np.ones(len(pairs)), (ones, others)), shape=(31, 31)), directed=False
    )
    for person in members:
        family = {f"{other:02}" for other in members if component[other] == component[person]}
        assert families[f"{person:02}"] == min(family)


def test_a_family_of_a_hundred_thousand_in_one_chain_is_found() -> None:
    keys = [f"{number:06}" for number in range(100_000)]
    assert set(find_families(zip(keys[1:], keys, strict=False)).values()) == {"000000"}


def test_recorded_kinship_is_replaced_and_shows_only_those_who_take_part(catalog: Any) -> None:
    catalog.execute("INSERT INTO participant (participant_key, eid) VALUES ('a', 1), ('b', 2), ('c', 3)")
    record_kinship(catalog, {("a", "b"): 0.25, ("b", "c"): 0.1, ("c", "z"): 0.1})
    assert sorted(related_keys(catalog)) == [("a", "b"), ("b", "c")]
    catalog.execute("INSERT INTO withdrawn VALUES ('b')")
    assert related_keys(catalog) == []
    record_kinship(catalog, {("a", "c"): 0.25})
    assert catalog.execute("SELECT * FROM kinship").fetchall() == [("a", "c", 0.25)]
    record_kinship(catalog, {})
    assert related_keys(catalog) == []

"""Kinship: who is related to whom, so that nobody is tested on whose relative was trained on.

Relatives are pairs with a kinship coefficient of at least `THIRD_DEGREE`, as KING infers it from genotypes; a family is
everybody whom a chain of such pairs connects.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from catalog.errors import TableError
from catalog.identity import participant_key
from catalog.participant_lists import parse_participant, read_text
from catalog.statements import insert_frame
from mmbase.printable import shown

THIRD_DEGREE = 0.0442
"""The least kinship of third-degree relatives, 2**-4.5 (Manichaikul et al. 2010, Bioinformatics 26:2867, table 1); UK
Biobank's file holds the pairs above it (Bycroft et al. 2018, Nature 562:203)."""
_COLUMNS = ("id1", "id2", "kinship")
_EXPECTED = "the columns ID1, ID2 and Kinship, as UK Biobank's ukb_rel.dat"


@dataclass(frozen=True, slots=True)
class Relatives:
    """Two participants who are related."""

    eid: int = field(repr=False)
    relative_eid: int = field(repr=False)
    coefficient: float
    """Kinship: about 0.5 for twins of one egg, 0.25 for siblings, parents and children."""


def read_kinship(path: Path) -> list[Relatives]:
    """Return the pairs of relatives in a file such as UK Biobank's ``ukb_rel.dat``.

    Columns ID1, ID2 and Kinship in any case, separated by commas, tabs or blanks; others are passed over, and so are
    pairs below `THIRD_DEGREE` and participants whose number is below 1, who have withdrawn.

    Raises
    ------
    TableError
        It cannot be read as text, lacks a column, or a line is not as the header says.
    """
    lines = read_text(path, "kinship file", _EXPECTED).splitlines()
    first_line = lines[0] if lines else ""
    separator = next((mark for mark in ",\t" if mark in first_line), None)  # None: any blanks
    header = [name.lower() for name in _split(first_line, separator)]
    if missing := [name for name in _COLUMNS if name not in header]:
        raise TableError(
            f"The kinship file {shown(path)} has no column {', '.join(missing)} in its first line.",
            f"Expected {_EXPECTED}.",
        )
    positions = [header.index(name) for name in _COLUMNS]
    pairs = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = _split(line, separator)
        pair = _parse_pair([cells[position] for position in positions]) if len(cells) == len(header) else None
        if pair is None:
            raise TableError(
                f"{shown(path)}, line {number}: expected {len(header)} values as in the header, with two participant "
                "numbers and a kinship coefficient; got something else."
            )
        if pair.eid and pair.relative_eid and pair.eid != pair.relative_eid and pair.coefficient >= THIRD_DEGREE:
            pairs.append(pair)
    return pairs


def hide_identities(salt: str, pairs: Iterable[Relatives]) -> dict[tuple[str, str], float]:
    """Return the kinship of pairs of participant keys, the smaller key first; the largest where a pair comes twice."""
    kinship: dict[tuple[str, str], float] = {}
    for pair in pairs:
        one, other = sorted((participant_key(salt, pair.eid), participant_key(salt, pair.relative_eid)))
        kinship[one, other] = max(pair.coefficient, kinship.get((one, other), pair.coefficient))
    return kinship


def find_families(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for everyone who has a relative the smallest key of their family.

    >>> find_families([("c", "b"), ("a", "b"), ("x", "y")])
    {'c': 'a', 'b': 'a', 'a': 'a', 'x': 'x', 'y': 'x'}
    """
    smaller: dict[str, str] = {}

    def smallest(key: str) -> str:
        smaller.setdefault(key, key)
        while smaller[key] != key:
            smaller[key] = smaller[smaller[key]]  # halves the way for those who come later
            key = smaller[key]
        return key

    for one, other in pairs:
        roots = smallest(one), smallest(other)
        smaller[max(roots)] = min(roots)
    return {key: smallest(key) for key in smaller}


def record_kinship(connection: duckdb.DuckDBPyConnection, kinship: Mapping[tuple[str, str], float]) -> None:
    """Put pairs of participant keys in place of those that the catalogue held."""
    connection.execute("DELETE FROM kinship")
    frame = pl.DataFrame(
        [(*pair, coefficient) for pair, coefficient in kinship.items()],
        schema={"participant_key": pl.String, "relative_key": pl.String, "coefficient": pl.Float64},
        orient="row",
    )
    insert_frame(connection, "INSERT INTO kinship BY NAME SELECT * FROM incoming", frame)


def related_keys(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return the pairs of participant keys of relatives who both take part."""
    return connection.execute(
        "SELECT participant_key, relative_key FROM kinship SEMI JOIN participants USING (participant_key) "
        "WHERE relative_key IN (SELECT participant_key FROM participants)"
    ).fetchall()


def _split(line: str, separator: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(separator)]


def _parse_pair(cells: Sequence[str]) -> Relatives | None:
    eid, relative_eid = map(parse_participant, cells[:2])
    try:
        coefficient = float(cells[2])
    except ValueError:
        return None
    if eid is None or relative_eid is None or not math.isfinite(coefficient):
        return None
    return Relatives(eid, relative_eid, coefficient)

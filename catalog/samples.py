"""Enrol participants and their visits: rows are allocated once and never reused, splits never change."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count

import duckdb
import polars as pl

from catalog.database import fetch_integer, insert_frame, transaction
from catalog.errors import CatalogError
from catalog.identity import participant_key, salt_hash, sample_id, split_of
from catalog.records import EnrolledSample, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """Who takes part."""

    samples: Mapping[Visit, EnrolledSample]
    """Every enrolled visit of participants who have not withdrawn."""
    num_rows: int
    """Rows allocated so far, by this call and all before it."""
    num_new: int
    num_withdrawn: int
    """Participants of the visits asked for who have withdrawn."""
    withdrawn_keys: frozenset[str]
    """Keys of everyone who has withdrawn."""


def enrol(
    connection: duckdb.DuckDBPyConnection,
    visits: Collection[Visit],
    *,
    salt: str,
    val: float,
    test: float,
    withdrawn_eids: frozenset[int] = frozenset(),
    withdrawn_keys: frozenset[str] = frozenset(),
    allocated_rows: Mapping[str, int] | None = None,
) -> Enrolment:
    """Give every new visit a sample id, a row and a split; leave those who withdrew out.

    New rows follow the order of sample ids, which tells nothing of the order of eids.

    Parameters
    ----------
    val, test
        Shares of participants.
    withdrawn_eids
        Of the withdrawal lists.
    withdrawn_keys
        Participant keys of earlier withdrawals, from the receipts.
    allocated_rows
        Sample id to row, from the receipts: a catalogue that was lost gets its rows back.

    Raises
    ------
    CatalogError
        The catalogue was made with another salt.
    """
    allocated_rows = allocated_rows or {}
    with transaction(connection):
        _require_salt(connection, salt)
        _add_withdrawn(connection, withdrawn_keys.union(participant_key(salt, eid) for eid in withdrawn_eids))
        withdrawn = {key for (key,) in connection.execute("SELECT participant_key FROM withdrawn").fetchall()}
        known = _known_samples(connection)
        known_splits = {visit.eid: sample.split for visit, sample in known.items()}
        num_rows = max(num_allocated_rows(connection), max(allocated_rows.values(), default=-1) + 1)
        keys = {eid: participant_key(salt, eid) for eid in {visit.eid for visit in visits}}
        new = {
            sample_id(salt, visit.eid, visit.instance): visit
            for visit in visits
            if visit not in known and keys[visit.eid] not in withdrawn
        }
        fresh_rows = count(num_rows)
        added = {
            visit: EnrolledSample(
                sample_id=name,
                row=allocated_rows[name] if name in allocated_rows else next(fresh_rows),
                split=known_splits.get(visit.eid) or split_of(salt, visit.eid, val=val, test=test),
            )
            for name, visit in sorted(new.items())
        }
        num_rows = next(fresh_rows)
        _insert_samples(connection, added, keys)
        connection.execute("UPDATE counter SET value = ? WHERE name = 'next_row'", [num_rows])
    return Enrolment(
        samples={**known, **added},
        num_rows=num_rows,
        num_new=len(added),
        num_withdrawn=len(withdrawn & set(keys.values())),
        withdrawn_keys=frozenset(withdrawn),
    )


def num_allocated_rows(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many rows the study has ever allocated."""
    return fetch_integer(connection, "SELECT value FROM counter WHERE name = 'next_row'")


def _known_samples(connection: duckdb.DuckDBPyConnection) -> dict[Visit, EnrolledSample]:
    rows = connection.execute(
        "SELECT eid, instance, sample_id, row, split FROM samples JOIN splits USING (sample_id)"
    ).fetchall()
    return {
        Visit(eid, instance): EnrolledSample(sample_id=name, row=row, split=split)
        for eid, instance, name, row, split in rows
    }


def _require_salt(connection: duckdb.DuckDBPyConnection, salt: str) -> None:
    expected = salt_hash(salt)
    found = [value for (value,) in connection.execute("SELECT hash FROM salt_check").fetchall()]
    if not found:
        connection.execute("INSERT INTO salt_check VALUES (?)", [expected])
    elif found != [expected]:
        raise CatalogError(
            "The salt in study.toml is not the one this catalogue was made with: sample ids, splits and withdrawals "
            "would not match. Put the old salt back, or start a new study."
        )


def _add_withdrawn(connection: duckdb.DuckDBPyConnection, keys: frozenset[str]) -> None:
    if keys:
        connection.executemany("INSERT OR IGNORE INTO withdrawn VALUES (?)", [[key] for key in sorted(keys)])


def _insert_samples(
    connection: duckdb.DuckDBPyConnection, added: Mapping[Visit, EnrolledSample], keys: Mapping[int, str]
) -> None:
    if not added:
        return
    frame = pl.DataFrame(
        [
            (keys[visit.eid], visit.eid, sample.sample_id, visit.instance, sample.row, sample.split)
            for visit, sample in added.items()
        ],
        schema=["participant_key", "eid", "sample_id", "instance", "row", "split"],
        orient="row",
    )
    insert_frame(
        connection, "INSERT OR IGNORE INTO participant SELECT DISTINCT participant_key, eid FROM incoming", frame
    )
    insert_frame(
        connection,
        "INSERT INTO sample SELECT sample_id, participant_key, instance, row, split FROM incoming",
        frame,
    )

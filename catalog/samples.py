"""Enrol participants and their visits: rows are allocated once and never reused, splits never change."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

import duckdb
import polars as pl

from catalog.identity import participant_key, salt_hash, sample_id, split_position
from catalog.removal import hidden_participants, hide_participants, require_same_salt
from catalog.splits.allocation import Newcomer, Shares, allocate
from catalog.splits.kinship import Relatives, find_families, hide_identities, record_kinship
from catalog.statements import fetch_integer, insert_frame, transaction
from mmbase.records import NOT_TEST, EnrolledSample, Visit


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
    num_kept_splits: int
    """Participants who stay in the split they were in, though a source now says another."""
    num_related_pairs: int
    """Pairs of relatives who both take part."""
    num_divided_pairs: int
    """Of these, the pairs whose splits differ: both had theirs before they were known as relatives, or by a list."""
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
    allocated: Mapping[str, EnrolledSample] | None = None,
    retired_rows: Collection[int] = (),
    labels: Mapping[int, str] | None = None,
    fixed_splits: Mapping[int, str] | None = None,
    strata: Mapping[int, str] | None = None,
    kinship: Iterable[Relatives] = (),
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
    allocated
        Samples by sample id, from the receipts: a catalogue that was lost gets its rows and splits back.
    retired_rows
        Rows of removed participants, from the receipts: they are never given to anybody else.
    labels
        Participant number to label, for those whom the source does not name by numbers.
    fixed_splits
        Participant number to the split that the source has settled; ``not-test`` leaves training and validation open.
    strata
        Participant number to stratum, of whoever comes and whoever is enrolled: each split gets its share of each.
        None: do not stratify.
    kinship
        Pairs of relatives, who go to the same split; the catalogue keeps those where both take part, as keys.

    Raises
    ------
    CatalogError
        The catalogue was made with another salt.
    """
    allocated, fixed_splits = allocated or {}, fixed_splits or {}
    with transaction(connection):
        _record_salt(connection, salt)
        hide_participants(connection, withdrawn_keys.union(participant_key(salt, eid) for eid in withdrawn_eids))
        withdrawn = hidden_participants(connection)
        known = known_samples(connection)
        keys = {eid: participant_key(salt, eid) for eid in {visit.eid for visit in visits}}
        new = {
            sample_id(salt, visit.eid, visit.instance): visit
            for visit in visits
            if visit not in known and keys[visit.eid] not in withdrawn
        }
        settled = _settled_splits(new, keys, known, allocated)
        kin = {pair: value for pair, value in hide_identities(salt, kinship).items() if withdrawn.isdisjoint(pair)}
        splits = settled | allocate(
            _newcomers(salt, new.values(), keys, settled, fixed_splits),
            Shares(val=val, test=test),
            settled=settled,
            families=find_families(kin),
            strata=_strata_by_key(strata, keys, known),
        )
        first_free_row = max(num_allocated_rows(connection), _first_row_behind(allocated, retired_rows))
        added, num_rows = _allocate_rows(connection, new, keys, splits, allocated, first_free_row)
        _insert_samples(connection, added, keys, labels or {})
        samples = {**known, **added}
        related = _related_samples(kin, samples)
        record_kinship(connection, related)
    return Enrolment(
        samples=samples,
        num_rows=num_rows,
        num_new=len(added),
        num_withdrawn=len(withdrawn & set(keys.values())),
        num_kept_splits=sum(
            _differs(settled[key], fixed_splits.get(eid)) for eid, key in keys.items() if key in settled
        ),
        num_related_pairs=len(related),
        num_divided_pairs=sum(splits[one] != splits[other] for one, other in related),
        withdrawn_keys=withdrawn,
    )


def _strata_by_key(
    strata: Mapping[int, str] | None, keys: Mapping[int, str], known: Mapping[Visit, EnrolledSample]
) -> dict[str, str] | None:
    """Return the strata of whoever comes and whoever is enrolled."""
    if strata is None:
        return None
    every = {**keys, **{visit.eid: sample.participant_key for visit, sample in known.items()}}
    return {every[eid]: strata[eid] for eid in strata.keys() & every}


def _settled_splits(
    new: Mapping[str, Visit],
    keys: Mapping[int, str],
    known: Mapping[Visit, EnrolledSample],
    allocated: Mapping[str, EnrolledSample],
) -> dict[str, str]:
    """Return the split of every participant who has one already, by key."""
    settled = {sample.participant_key: sample.split for sample in (*allocated.values(), *known.values())}
    return settled | {keys[visit.eid]: allocated[name].split for name, visit in new.items() if name in allocated}


def _first_row_behind(allocated: Mapping[str, EnrolledSample], retired_rows: Collection[int]) -> int:
    """Return the first row that no receipt names."""
    return max((*(sample.row for sample in allocated.values()), *retired_rows), default=-1) + 1


def _related_samples(
    kin: Mapping[tuple[str, str], float], samples: Mapping[Visit, EnrolledSample]
) -> dict[tuple[str, str], float]:
    """Return the pairs of relatives who both take part."""
    taking_part = {sample.participant_key for sample in samples.values()}
    return {pair: value for pair, value in kin.items() if taking_part.issuperset(pair)}


def num_allocated_rows(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many rows the study has ever allocated."""
    return fetch_integer(connection, "SELECT value FROM counter WHERE name = 'next_row'")


def known_samples(connection: duckdb.DuckDBPyConnection) -> dict[Visit, EnrolledSample]:
    """Return every enrolled visit of participants who have not withdrawn."""
    rows = connection.execute(
        "SELECT eid, instance, sample_id, row, split, participant_key FROM samples JOIN splits USING (sample_id)"
    ).fetchall()
    return {
        Visit(eid, instance): EnrolledSample(sample_id=name, row=row, split=split, participant_key=key)
        for eid, instance, name, row, split, key in rows
    }


def known_labels(connection: duckdb.DuckDBPyConnection) -> dict[int, str]:
    """Return the labels of participants whom sources do not call by their number."""
    return dict(connection.execute("SELECT eid, label FROM participants WHERE label IS NOT NULL").fetchall())


def participant_labels(connection: duckdb.DuckDBPyConnection) -> dict[int, str]:
    """Return the label of every enrolled participant who has not withdrawn: their number where there is no other."""
    return dict(connection.execute("SELECT eid, coalesce(label, eid::TEXT) FROM participants").fetchall())


def knows_participants(connection: duckdb.DuckDBPyConnection, eids: Collection[int]) -> bool:
    """Return whether one of some numbers is a participant's."""
    known = {eid for (eid,) in connection.execute("SELECT eid FROM participants").fetchall()} if eids else set()
    return not known.isdisjoint(eids)


def _newcomers(
    salt: str,
    visits: Iterable[Visit],
    keys: Mapping[int, str],
    settled: Mapping[str, str],
    fixed_splits: Mapping[int, str],
) -> list[Newcomer]:
    return [
        Newcomer(key=keys[eid], position=split_position(salt, eid), fixed=fixed_splits.get(eid))
        for eid in {visit.eid for visit in visits}
        if keys[eid] not in settled
    ]


def _allocate_rows(
    connection: duckdb.DuckDBPyConnection,
    new: Mapping[str, Visit],
    keys: Mapping[int, str],
    splits: Mapping[str, str],
    allocated: Mapping[str, EnrolledSample],
    first_free_row: int,
) -> tuple[dict[Visit, EnrolledSample], int]:
    """Return the new samples with their rows, and how many rows are allocated then; the catalogue remembers that."""
    fresh_rows = count(first_free_row)
    added = {
        visit: EnrolledSample(
            sample_id=name,
            row=allocated[name].row if name in allocated else next(fresh_rows),
            split=splits[keys[visit.eid]],
            participant_key=keys[visit.eid],
        )
        for name, visit in sorted(new.items())
    }
    num_rows = next(fresh_rows)
    connection.execute("UPDATE counter SET value = ? WHERE name = 'next_row'", [num_rows])
    return added, num_rows


def _differs(split: str, fixed: str | None) -> bool:
    return fixed is not None and (split == "test" if fixed == NOT_TEST else split != fixed)


def _record_salt(connection: duckdb.DuckDBPyConnection, salt: str) -> None:
    """Remember the salt of a new catalogue; refuse another one of an old."""
    require_same_salt(connection, salt)
    connection.execute("INSERT INTO salt_check SELECT ? WHERE NOT EXISTS (FROM salt_check)", [salt_hash(salt)])


def _insert_samples(
    connection: duckdb.DuckDBPyConnection,
    added: Mapping[Visit, EnrolledSample],
    keys: Mapping[int, str],
    labels: Mapping[int, str],
) -> None:
    if not added:
        return
    rows = []
    for visit, sample in added.items():
        participant = (keys[visit.eid], visit.eid, labels.get(visit.eid))
        rows.append((*participant, sample.sample_id, visit.instance, sample.row, sample.split))
    frame = pl.DataFrame(
        rows,
        schema={
            "participant_key": pl.String,
            "eid": pl.Int64,
            "label": pl.String,
            "sample_id": pl.String,
            "instance": pl.Int32,
            "row": pl.Int64,
            "split": pl.String,
        },
        orient="row",
    )
    insert_frame(
        connection, "INSERT OR IGNORE INTO participant SELECT DISTINCT participant_key, eid, label FROM incoming", frame
    )
    insert_frame(
        connection,
        "INSERT INTO sample SELECT sample_id, participant_key, instance, row, split FROM incoming",
        frame,
    )

"""Read the lists of participants who have withdrawn, and find whom they mean."""

from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from catalog.participant_lists import find_listed, read_participant_list
from catalog.samples import participant_labels
from mmbase.records import FoundSources


def read_withdrawals(paths: Sequence[Path]) -> frozenset[str]:
    """Return the labels of withdrawal lists.

    Raises
    ------
    TableError
        A list cannot be read as text, or a line is not a participant.
    """
    return frozenset[str]().union(*(read_participant_list(path, "withdrawal list") for path in paths))


def find_withdrawn_eids(
    listed: Collection[str], connection: duckdb.DuckDBPyConnection | None, found: FoundSources | None = None
) -> frozenset[int]:
    """Return the participants that withdrawal lists mean, of those who are enrolled and of those in the sources.

    Parameters
    ----------
    connection
        None: there is no catalogue, so nobody is enrolled.
    found
        None: the sources are not read.

    Raises
    ------
    TableError
        A label may mean several participants.
    """
    label_of = participant_labels(connection) if connection else {}
    if found:
        label_of |= {scan.visit.eid: str(scan.visit.eid) for scan in found.scans} | dict(found.labels)
    return find_listed(listed, label_of, "withdrawal lists")

"""Enter what was found in the sources: participants and their visits, files, and the values of tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from catalog.features import import_tables
from catalog.records import EnrolledSample, FoundSources
from catalog.samples import Enrolment, enrol
from catalog.scans import record_sources


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRules:
    """What of a study's settings decides who takes part and where they go."""

    salt: str
    val: float
    test: float
    modalities: Sequence[str]


def register(
    connection: duckdb.DuckDBPyConnection,
    found: FoundSources,
    rules: StudyRules,
    *,
    withdrawn_eids: frozenset[int],
    withdrawn_keys: frozenset[str],
    allocated: Mapping[str, EnrolledSample],
) -> tuple[Enrolment, int]:
    """Enrol every visit that was found, and derive the features of the tables.

    Returns
    -------
    Enrolment
        Who takes part.
    int
        Feature values stored.

    Raises
    ------
    CatalogError
        The study's salt is another, or a table cannot be used.
    """
    enrolment = enrol(
        connection,
        {scan.visit for scan in found.scans},
        salt=rules.salt,
        val=rules.val,
        test=rules.test,
        withdrawn_eids=withdrawn_eids,
        withdrawn_keys=withdrawn_keys,
        allocated=allocated,
        labels=found.labels,
        fixed_splits=found.splits,
    )
    record_sources(connection, enrolment.samples, found.scans, rules.modalities)
    return enrolment, import_tables(connection, found.tables) if found.tables else 0

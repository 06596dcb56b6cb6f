"""Enter what was found in the sources: participants and their visits, files, and the values of tables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from catalog.errors import TableError
from catalog.features import (
    SAMPLE_SCHEMA,
    count_unplaced,
    record_definitions,
    store_features,
    wanted_fields,
    wanted_names,
)
from catalog.fields import Dictionary
from catalog.identity import sample_id
from catalog.participant_lists import find_listed, read_test_list
from catalog.samples import Enrolment, enrol, known_labels, known_samples
from catalog.scans import record_sources
from catalog.splits.allocation import fix_test_list
from catalog.splits.kinship import read_kinship
from catalog.splits.strata import find_strata
from catalog.statements import insert_frame, transaction
from catalog.tables.reports import TableReport
from catalog.tables.tables import TableValues, read_tables
from mmbase.records import EnrolledSample, FoundSources, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRules:
    """What of a study's settings decides who takes part, where they go, and what is known of them."""

    salt: str
    val: float
    test: float
    modalities: Sequence[str]
    dictionary: Dictionary
    tables: Sequence[Path] = ()
    """Beside those that are found in the sources."""
    stratify: Sequence[str] = ()
    """Features."""
    test_list: Path | None = None
    kinship: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """Who takes part, and what the tables say of them."""

    enrolment: Enrolment
    tables: tuple[TableReport, ...]
    num_values: int
    """Feature values stored."""
    without_values: tuple[str, ...] = ()
    """Targets and inputs that no table gave anybody a value of; none where no table was read."""
    unplaced: Mapping[str, int] = field(default_factory=dict)
    """Participants of whom tables give a feature, but for no visit with a scan, by feature."""
    num_test_listed: int = 0
    num_test_found: int = 0
    """Of the test list, those who have a scan in the sources."""


def register(
    connection: duckdb.DuckDBPyConnection,
    found: FoundSources,
    rules: StudyRules,
    *,
    withdrawn_eids: frozenset[int],
    withdrawn_keys: frozenset[str],
    allocated: Mapping[str, EnrolledSample],
    retired_rows: Collection[int] = (),
) -> Registration:
    """Enrol every visit that was found, and derive the features of the tables.

    Raises
    ------
    CatalogError
        The study's salt is another, or a table or list cannot be used.
    """
    visits = {scan.visit for scan in found.scans}
    eids = {visit.eid for visit in visits}
    all_visits = visits.union(known_samples(connection))
    tables = _read_tables(connection, found, rules, all_visits)
    test_list, num_test_listed = _read_test_list(found, rules)
    enrolment = enrol(
        connection,
        visits,
        salt=rules.salt,
        val=rules.val,
        test=rules.test,
        withdrawn_eids=withdrawn_eids,
        withdrawn_keys=withdrawn_keys,
        allocated=allocated,
        retired_rows=retired_rows,
        labels=found.labels,
        fixed_splits=fix_test_list(test_list, eids, found.splits) if rules.test_list else found.splits,
        strata=_find_strata(tables, all_visits, rules) if rules.stratify else None,
        kinship=read_kinship(rules.kinship) if rules.kinship else (),
    )
    record_sources(connection, enrolment.samples, found.scans, rules.modalities)
    with transaction(connection):
        record_definitions(connection, rules.dictionary)
        num_values = _store_tables(connection, tables, rules.dictionary) if tables.reports else 0
    return Registration(
        enrolment=enrolment,
        tables=tables.reports,
        num_values=num_values,
        without_values=_without_values(connection, rules.dictionary) if tables.reports else (),
        unplaced=count_unplaced(connection, tables, rules.dictionary),
        num_test_listed=num_test_listed,
        num_test_found=len(test_list & eids),
    )


def _read_tables(
    connection: duckdb.DuckDBPyConnection, found: FoundSources, rules: StudyRules, visits: Collection[Visit]
) -> TableValues:
    paths = tuple(dict.fromkeys([*found.tables, *rules.tables]))
    tables = read_tables(
        paths,
        wanted_fields(rules.dictionary),
        wanted_names(rules.dictionary),
        {visit.eid for visit in visits},
        labels={**known_labels(connection), **found.labels},
        visit_tables=found.visit_tables,
        sessionless=found.sessionless,
    )
    reports = tables.reports[: len(paths)]
    if visits and reports and not any(report.num_imaged for report in reports):
        raise TableError(
            f"The tables ({', '.join(report.name for report in reports)}) name no participant with a scan in "
            "this study.",
            "Identifiers differ from one UK Biobank application to another: check that tables and images belong to the "
            "same one.",
        )
    return tables


def _read_test_list(found: FoundSources, rules: StudyRules) -> tuple[frozenset[int], int]:
    """Return who is to be tested on, and how many are listed.

    A list of strangers is refused, because splits are settled for good.
    """
    if not rules.test_list:
        return frozenset(), 0
    labels = read_test_list(rules.test_list)
    label_of = {scan.visit.eid: str(scan.visit.eid) for scan in found.scans} | dict(found.labels)
    listed = find_listed(labels, label_of, "test list")
    if found.scans and listed.isdisjoint(label_of):
        raise TableError(
            f"The test list {rules.test_list.name} names {len(labels)} participants, none of whom has a scan in the "
            "sources.",
            "Identifiers differ from one UK Biobank application to another: check that list and images belong to the "
            "same one.",
        )
    return listed, len(labels)


def _without_values(connection: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> tuple[str, ...]:
    having = {name for (name,) in connection.execute("SELECT DISTINCT name FROM feature").fetchall()}
    wanted = [name for name, definition in dictionary.items() if definition.target or definition.block]
    return tuple(name for name in wanted if name not in having)


def _find_strata(tables: TableValues, visits: Collection[Visit], rules: StudyRules) -> dict[int, str]:
    rows = [(sample_id(rules.salt, visit.eid, visit.instance), visit.eid, visit.instance) for visit in visits]
    samples = pl.DataFrame(rows, schema=SAMPLE_SCHEMA, orient="row")
    return find_strata(tables, samples, rules.dictionary, rules.stratify)


def _store_tables(connection: duckdb.DuckDBPyConnection, tables: TableValues, dictionary: Dictionary) -> int:
    connection.execute("DELETE FROM feature_table")
    columns = [name for name, *_ in connection.execute("DESCRIBE feature_table").fetchall()]
    reports = [{name: getattr(report, name) for name in columns} for report in tables.reports]
    insert_frame(connection, "INSERT INTO feature_table BY NAME SELECT * FROM incoming", pl.DataFrame(reports))
    samples = pl.DataFrame(
        connection.execute("SELECT sample_id, eid, instance FROM samples").fetchall(),
        schema=SAMPLE_SCHEMA,
        orient="row",
    )
    return store_features(connection, tables, samples, dictionary)

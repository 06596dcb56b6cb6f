"""What an audit looks at: samples and values, laid out for its questions.

Terms
-----
audited    the features whose columns are judged: with a target, the target and what the model is shown; without one,
           every number of the dictionary.
The checks of this package ask their questions of temporary tables, and of one view, since a copy of a large study's
values would not fit in memory:

audit_sample(row, sample_id, participant_key, instance, split)
audit_value(row, name, value, field, instance, days_from_scan)   of those samples: the audited features and the judges
audit_drawn(row, name, value)                                    of at most `MAX_DRAWN` of them, drawn at random; the
                                                                 possible inputs too
audit_count(name, value, num)                                    of audited features: how many samples have a value
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from catalog.fields import Dictionary
from catalog.statements import fetch_integer, insert_frame
from mmbase.names import SPLITS

CENTRE, SCAN_DATE, RECRUITMENT_AGE, BIRTH_YEAR = "centre", "scan_date", "recruitment_age", "birth_year"
HEAD_MOTION = ("head_motion", "head_motion_t1")
"""Features of mm's dictionary that others are judged by."""
_JUDGES = (CENTRE, SCAN_DATE, RECRUITMENT_AGE, BIRTH_YEAR, *HEAD_MOTION)
MAX_DRAWN = 5000
"""Samples over which features are compared with each other: a correlation is then known to 0.014, and an AUC of 0.98 to
0.003, or to 0.02 where 1 in 100 belongs to a class."""
_NUMBERS = ("continuous", "binary")
_LAID_OUT = ("VIEW audit_value", "TABLE audit_sample", "TABLE audit_drawn", "TABLE audit_count")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What one audit looks at."""

    connection: duckdb.DuckDBPyConnection
    dictionary: Dictionary
    target: str | None
    """The target of the run that is audited; None: the whole study is."""
    shown: frozenset[str]
    """Features that the model is shown."""
    modalities: tuple[str, ...]
    """Modalities that the samples have; none: all samples, whatever was stored of them."""
    audited: tuple[str, ...]
    num_samples: int
    splits: dict[str, int]
    """Samples of train, val and test."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The target audited, or every number that the dictionary offers as one."""
        if self.target is not None:
            return (self.target,)
        return tuple(name for name in self.audited if self.dictionary[name].target)

    def of_kind(self, names: Sequence[str], kind: str) -> list[str]:
        """Return those of some features that are of a kind."""
        return [name for name in names if self.dictionary[name].kind == kind]

    @property
    def inputs(self) -> list[str]:
        """Features that could stand beside the images as input to one target or other, and those that do."""
        of_blocks = [name for name, definition in self.dictionary.items() if definition.block]
        return list(dict.fromkeys((*of_blocks, *sorted(self.shown))))

    def fetch(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a query yields."""
        return self.connection.execute(query, parameters or None).fetchall()


def features_read(dictionary: Dictionary, target: str | None, shown: Sequence[str]) -> frozenset[str]:
    """Return every feature whose values an audit looks at."""
    of_blocks = (name for name, definition in dictionary.items() if definition.block)
    return frozenset((*_audited(dictionary, target, shown), *_JUDGES, *of_blocks))


@contextmanager
def open_scope(
    connection: duckdb.DuckDBPyConnection,
    dictionary: Dictionary,
    *,
    target: str | None,
    shown: Sequence[str],
    modalities: Sequence[str],
    cohort: pl.DataFrame | None,
) -> Iterator[Scope]:
    """Lay out what an audit looks at, and clear it away in the end.

    Parameters
    ----------
    cohort
        Samples and the splits they have in one run (columns sample_id, split); None: every sample that has the
        modalities, in the split of the study.
    """
    audited = _audited(dictionary, target, shown)
    try:
        _lay_out_samples(connection, modalities, cohort)
        wanted = {*audited, *_JUDGES}
        connection.execute(_VALUES_SQL.format(names=", ".join(f"'{name}'" for name in sorted(wanted))))
        drawn = sorted(features_read(dictionary, target, shown))
        connection.execute(_DRAWN_SQL, {"names": drawn, "limit": MAX_DRAWN})
        connection.execute(_COUNTS_SQL, {"names": audited})
        counts = dict(connection.execute("SELECT split, count(*) FROM audit_sample GROUP BY split").fetchall())
        yield Scope(
            connection=connection,
            dictionary=dictionary,
            target=target,
            shown=frozenset(shown),
            modalities=tuple(modalities),
            audited=tuple(audited),
            num_samples=fetch_integer(connection, "SELECT count(*) FROM audit_sample"),
            splits={split: counts.get(split, 0) for split in SPLITS},
        )
    finally:
        for relation in _LAID_OUT:
            connection.execute("DROP {} IF EXISTS temp.{}".format(*relation.split()))


def _audited(dictionary: Dictionary, target: str | None, shown: Sequence[str]) -> list[str]:
    if target is None:
        return [name for name, definition in dictionary.items() if definition.kind in _NUMBERS]
    return [name for name in dictionary if name == target or name in shown]


def _lay_out_samples(
    connection: duckdb.DuckDBPyConnection, modalities: Sequence[str], cohort: pl.DataFrame | None
) -> None:
    connection.execute(_SAMPLES_SQL, {"modalities": list(modalities)})
    if cohort is not None:
        insert_frame(connection, _COHORT_SQL, cohort.select("sample_id", "split"))


_SAMPLES_SQL = """
    CREATE OR REPLACE TEMP TABLE audit_sample AS
    SELECT row, sample_id, participant_key, instance, split
    FROM samples JOIN splits USING (sample_id)
    WHERE len($modalities) = 0 OR sample_id IN (
        SELECT sample_id FROM scans
        WHERE status = 'stored' AND list_contains($modalities, modality)
        GROUP BY sample_id HAVING count(*) = len($modalities)
    )
"""
_COHORT_SQL = """
    CREATE OR REPLACE TEMP TABLE audit_sample AS
    SELECT audit_sample.* REPLACE (incoming.split AS split) FROM audit_sample JOIN incoming USING (sample_id)
"""
# a view takes no parameters; names of features are words, so that they need no quoting
_VALUES_SQL = """
    CREATE OR REPLACE TEMP VIEW audit_value AS
    SELECT feature.row, name, value, field, feature.instance, days_from_scan
    FROM feature SEMI JOIN audit_sample USING (row)
    WHERE name IN ({names})
"""
_DRAWN_SQL = """
    CREATE OR REPLACE TEMP TABLE audit_drawn AS
    SELECT feature.row, name, value
    FROM feature SEMI JOIN (
        SELECT row FROM audit_sample ORDER BY sample_id LIMIT $limit  -- a keyed hash: a random order
    ) USING (row)
    WHERE list_contains($names, name)
"""
_COUNTS_SQL = """
    CREATE OR REPLACE TEMP TABLE audit_count AS
    SELECT name, value, count(*) AS num FROM audit_value WHERE list_contains($names, name) GROUP BY ALL
"""

"""Enter what became of every scan, and answer which are stored."""

from collections.abc import Iterable, Mapping, Sequence

import duckdb
import polars as pl

from catalog.statements import insert_frame, transaction
from mmbase.records import MEASURES, EnrolledSample, ScanCandidate, ScanOutcome, Visit

_PROVENANCE = ("brain", "transform")


def record_sources(
    connection: duckdb.DuckDBPyConnection,
    samples: Mapping[Visit, EnrolledSample],
    candidates: Iterable[ScanCandidate],
    modalities: Sequence[str],
) -> None:
    """Remember which file each scan comes from, and which modalities the study stores."""
    incoming = pl.DataFrame(
        [
            (samples[scan.visit].sample_id, scan.modality, str(scan.path))
            for scan in candidates
            if scan.visit in samples and scan.modality in modalities
        ],
        schema={"sample_id": pl.String, "modality": pl.String, "source": pl.String},
        orient="row",
    )
    with transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO modality VALUES (?)", [[modality] for modality in modalities])
        insert_frame(connection, "INSERT OR REPLACE INTO scan_source SELECT * FROM incoming", incoming)


def record_used_copies(
    connection: duckdb.DuckDBPyConnection,
    samples: Mapping[Visit, EnrolledSample],
    candidates: Iterable[ScanCandidate],
    outcomes: Iterable[ScanOutcome],
) -> None:
    """Remember the file of each scan that is stored from another copy than its first, in place of the first's."""
    used = {(one.sample_id, one.modality): one.num_passed_over for one in outcomes if one.num_passed_over}
    rows = [
        (sample.sample_id, scan.modality, str(scan.copies[position].path))
        for scan in candidates
        if scan.alternatives and (sample := samples.get(scan.visit))
        if 0 < (position := used.get((sample.sample_id, scan.modality), 0)) < len(scan.copies)
    ]
    if rows:
        with transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO scan_source VALUES (?, ?, ?)", rows)


def record_outcomes(connection: duckdb.DuckDBPyConnection, outcomes: Iterable[ScanOutcome]) -> None:
    """Enter what became of every scan; newer outcomes replace older ones."""
    columns = ("sample_id", "modality", "status", "reason", "detail")
    incoming = pl.DataFrame(
        [
            (
                *(getattr(outcome, name) for name in columns),
                *(outcome.provenance.get(name) for name in _PROVENANCE),
                *(outcome.measures.get(name) for name in MEASURES),
            )
            for outcome in outcomes
        ],
        schema={**dict.fromkeys((*columns, *_PROVENANCE), pl.String), **dict.fromkeys(MEASURES, pl.Float64)},
        orient="row",
    )
    with transaction(connection):
        insert_frame(
            connection,
            "INSERT OR REPLACE INTO scan_outcome BY NAME SELECT * FROM incoming SEMI JOIN sample USING (sample_id)",
            incoming,
        )


def scan_frame(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return every scan with its row, status and measures, by row and modality; neither eids nor sources."""
    names = ["sample_id", "row", "modality", "status", "reason", "detail", *MEASURES]
    schema = dict.fromkeys(names, pl.String) | {"row": pl.Int64} | dict.fromkeys(MEASURES, pl.Float64)
    rows = connection.execute(
        f"SELECT {', '.join(names)} FROM scans JOIN samples USING (sample_id) ORDER BY row, modality"
    ).fetchall()
    return pl.DataFrame(rows, schema=schema, orient="row")


def stored_training_rows(connection: duckdb.DuckDBPyConnection, modalities: Sequence[str]) -> dict[str, dict[int, str]]:
    """Return for each modality the rows of stored training scans and their sample ids."""
    return {
        modality: dict(
            connection.execute(
                "SELECT row, sample_id FROM samples JOIN splits USING (sample_id) JOIN scans USING (sample_id) "
                "WHERE split = 'train' AND modality = ? AND status = 'stored' ORDER BY row",
                [modality],
            ).fetchall()
        )
        for modality in modalities
    }


def count_stored(connection: duckdb.DuckDBPyConnection, modalities: Sequence[str]) -> dict[str, int]:
    """Return how many participants of each split have all of some modalities stored, of one visit or more."""
    whole = (
        "SELECT sample_id FROM scans WHERE status = 'stored' AND list_contains(?, modality) "
        "GROUP BY sample_id HAVING count(*) = ?"
    )
    return dict(
        connection.execute(
            "SELECT split, count(DISTINCT participant_key) FROM samples JOIN splits USING (sample_id) "
            f"WHERE sample_id IN ({whole}) GROUP BY split",
            [list(modalities), len(modalities)],
        ).fetchall()
    )

"""Scans that look like something else than their modality."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, rounded
from catalog.audit.scope import Scope
from mmbase.doubts import DOUBTS, Doubt


def find_mistaken_scans(scope: Scope) -> Iterator[Finding]:
    """Find stored scans of which a measure says that they are not of their modality."""
    for doubt in DOUBTS:
        for modality in doubt.modalities:
            if not scope.modalities or modality in scope.modalities:
                yield from _find(scope, doubt, modality)


def _find(scope: Scope, doubt: Doubt, modality: str) -> Iterator[Finding]:
    ((num_scans, num_doubted, least, most, example),) = scope.fetch(
        _DOUBTED_SQL.format(measure=doubt.measure), modality=modality, lowest=doubt.lowest, highest=doubt.highest
    )
    if num_doubted:
        yield Finding(
            code=doubt.code,
            severity="warning",
            subject=modality,
            message=f"{num_doubted} of {num_scans} {modality} scans look like {doubt.suspicion} (e.g. sample "
            f"{example}).",
            remedy="Look at them in mm qc. Where the file is not what its name says, replace it in the source and "
            "run mm ingest again.",
            num_samples=num_doubted,
            numbers=rounded(
                {"scans": num_doubted, "of": num_scans, f"least_{doubt.measure}": least, f"most_{doubt.measure}": most}
            ),
        )


_DOUBTED_SQL = """
    SELECT count(*), count(*) FILTER (is_doubted), min(value) FILTER (is_doubted), max(value) FILTER (is_doubted),
        min(sample_id) FILTER (is_doubted)
    FROM (
        SELECT sample_id, {measure} AS value, {measure} NOT BETWEEN $lowest AND $highest AS is_doubted
        FROM audit_sample JOIN scans USING (sample_id)
        WHERE modality = $modality AND status = 'stored' AND {measure} IS NOT NULL
    )
"""

"""The same person or the same data under two names, and people who should not be there."""

from collections.abc import Collection, Iterator

from catalog.audit.findings import Finding, rounded
from catalog.audit.scope import Scope

IDENTICAL_SIMILARITY = 0.99999
"""Beyond it two scans differ by no more than rounding."""
MIN_COPIED = 10
"""Identical measurements that make a copied row; two people share some ages and scores, never so many."""
_COPIED_SHARE = 0.5
"""Of the measurements that both have."""
_MAX_TIED = 0.1
"""Chance that two people have the same value of a measurement that tells people apart."""
_MAX_COMPARED = 30
"""Measurements that are compared: those with most different values; more would take long and tell nothing new."""
_RARE = 10
"""A value that no more samples share makes a pair worth comparing, if they share two such."""


def find_duplicates(scope: Scope) -> Iterator[Finding]:
    """Tell of scans that were rejected because another has the very same voxels."""
    if scope.target is not None:
        return  # no run uses them
    for modality, num_scans in scope.fetch(_DUPLICATES_SQL):
        yield Finding(
            code="duplicate-scans",
            severity="warning",
            subject=modality,
            message=f"{num_scans} {modality} scans have the very same voxels as another and are rejected, all of them.",
            remedy="Find out in the source whose they are, remove the wrong files and run mm ingest again. They are: "
            "mm query \"SELECT sample_id, detail FROM scans WHERE reason = 'duplicate'\"",
            num_samples=num_scans,
            numbers={"scans": num_scans},
        )


def find_similar_scans(scope: Scope) -> Iterator[Finding]:
    """Find scans of different participants that are one scan, as far as the last mm audit compared them."""
    for modality, across, identical, num_pairs, num_samples, least, most, example in scope.fetch(
        _SIMILAR_SQL, modalities=list(scope.modalities), identical=IDENTICAL_SIMILARITY
    ):
        what = "identical but for rounding" if identical else "nearly identical"
        where = "in different splits: the model is tested on images it was trained on" if across else "in one split"
        yield Finding(
            code="identical-scans" if identical else "similar-scans",
            severity="critical" if across else "warning",
            subject=modality,
            message=f"{num_pairs} pairs of {modality} scans of different participants are {what} and {where} "
            f"(similarity up to {most:.4f}, e.g. samples {example}).",
            remedy="Look at both in mm qc. Find out in the source whose scan it is, remove the other file and run "
            "mm ingest again.",
            num_samples=num_samples,
            numbers=rounded(
                {
                    "pairs": num_pairs,
                    "across_splits": int(across),
                    "least_similarity": least,
                    "most_similarity": most,
                    "example": example,
                }
            ),
        )


def find_copied_participants(scope: Scope) -> Iterator[Finding]:
    """Find participants whose measurements are another's, as when a table's row was copied."""
    if scope.target is not None and len(scope.of_kind(scope.audited, "continuous")) < MIN_COPIED:
        return
    names = scope.of_kind(scope.audited, "continuous")
    for across, num_pairs, num_samples, most_equal, example in scope.fetch(
        _COPIED_SQL, names=names, tied=_MAX_TIED, most=_MAX_COMPARED, rare=_RARE, least=MIN_COPIED, share=_COPIED_SHARE
    ):
        yield Finding(
            code="copied-participants",
            severity="critical" if across else "warning",
            subject="tables",
            message=f"{num_pairs} pairs of samples of different participants share up to {most_equal} measurements to "
            f"the last digit and are in {'different splits' if across else 'one split'} (e.g. samples {example}).",
            remedy="Look for copied rows in the table, or for one person under two eids: remove one of the two and run "
            "mm ingest again.",
            num_samples=num_samples,
            numbers={
                "pairs": num_pairs,
                "across_splits": int(across),
                "most_identical_values": most_equal,
                "example": example,
            },
        )


def find_withdrawn(scope: Scope, pending: Collection[str]) -> Iterator[Finding]:
    """Find participants who withdrew and of whom something is left.

    Parameters
    ----------
    pending
        Keys of participants who withdrew and whose removal is not known to be finished.
    """
    # the views hide who withdrew, so that no run has them; the table does not
    relation = "sample" if scope.target is None else "audit_sample"
    [(num_participants, num_samples)] = scope.fetch(
        f"SELECT count(DISTINCT participant_key), count(*) FROM {relation} WHERE list_contains($keys, participant_key)",
        keys=sorted(pending),
    )
    if num_samples:
        yield Finding(
            code="withdrawn-participants",
            severity="critical",
            subject="participants",
            message=f"{num_participants} participants who withdrew and {num_samples} samples are not removed yet.",
            remedy="Run mm withdraw: it finishes what is still to be done.",
            num_samples=num_samples,
            numbers={"participants": num_participants, "samples": num_samples},
        )


_DUPLICATES_SQL = """
    SELECT modality, count(*) FROM scans WHERE status = 'rejected' AND reason = 'duplicate'
    GROUP BY modality ORDER BY modality
"""
_SIMILAR_SQL = """
    WITH pair AS (
        SELECT
            modality, similarity, one.sample_id AS one_id, other.sample_id AS other_id,
            one.split <> other.split AS across, similarity >= $identical AS is_identical
        FROM similar_scans
        JOIN audit_sample one USING (sample_id)
        JOIN audit_sample other ON other.sample_id = other_sample_id
        WHERE len($modalities) = 0 OR list_contains($modalities, modality)
    ),
    stored AS (SELECT sample_id, modality FROM scan_outcome WHERE status = 'stored'),
    both_stored AS (
        SELECT pair.* FROM pair
        SEMI JOIN stored one ON one.sample_id = one_id AND one.modality = pair.modality
        SEMI JOIN stored other ON other.sample_id = other_id AND other.modality = pair.modality
    )
    SELECT
        modality, across, is_identical, count(*), len(list_distinct(flatten([list(one_id), list(other_id)]))),
        min(similarity), max(similarity), arg_max(one_id || ' and ' || other_id, similarity)
    FROM both_stored GROUP BY ALL ORDER BY ALL
"""
_COPIED_SQL = """
    WITH telling AS (
        SELECT name FROM audit_count WHERE list_contains($names, name)
        GROUP BY name HAVING sum(num * (num - 1)) <= $tied * sum(num) * greatest(sum(num) - 1, 1)
        ORDER BY count(*) DESC, name LIMIT $most
    ),
    value AS MATERIALIZED (SELECT row, name, value FROM audit_value SEMI JOIN telling USING (name)),
    rare AS (
        SELECT value.row, participant_key, name, value FROM value
        SEMI JOIN (SELECT name, value FROM audit_count WHERE num BETWEEN 2 AND $rare) shared USING (name, value)
        JOIN audit_sample USING (row)
    ),
    candidate AS (
        SELECT one.row, other.row AS other_row
        FROM rare one JOIN rare other USING (name, value)
        WHERE one.row < other.row AND one.participant_key <> other.participant_key
        GROUP BY ALL HAVING count(*) > 1
    ),
    compared AS (
        SELECT candidate.row, other_row, count(*) FILTER (one.value = other.value) AS num_equal, count(*) AS num_both
        FROM candidate
        JOIN value one ON one.row = candidate.row
        JOIN value other ON other.row = other_row AND other.name = one.name
        GROUP BY ALL HAVING num_equal >= $least AND num_equal >= $share * num_both
    )
    SELECT
        one.split <> other.split AS across, count(*),
        len(list_distinct(flatten([list(one.row), list(other.row)]))), max(num_equal),
        arg_max(one.sample_id || ' and ' || other.sample_id, num_equal)
    FROM compared JOIN audit_sample one USING (row) JOIN audit_sample other ON other.row = other_row
    GROUP BY ALL ORDER BY ALL
"""

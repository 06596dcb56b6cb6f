"""The same scan under two names, and people who should not be there."""

from collections.abc import Collection, Iterator

from catalog.audit.findings import Finding, rounded
from catalog.audit.scope import Scope

IDENTICAL_SIMILARITY = 0.99999
"""Beyond it two scans differ by no more than rounding."""


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

"""Tables that are not of the people with images."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, percent, rounded
from catalog.audit.scope import Scope

WELL_COVERED_SHARE = 0.5
"""A table that names fewer of the participants with images is likely to be of another release or application."""


def find_mismatched_tables(scope: Scope) -> Iterator[Finding]:
    """Find tables that name few or none of the study's participants."""
    if scope.target is not None:
        return  # which samples of a run have values, other findings tell
    [(num_participants,)] = scope.fetch("SELECT count(DISTINCT participant_key) FROM audit_sample")
    for name, num_named, num_imaged in scope.fetch("SELECT name, num_participants, num_imaged FROM tables"):
        if num_imaged < WELL_COVERED_SHARE * num_participants:
            share = num_imaged / num_participants
            yield Finding(
                code="table-mismatch",
                severity="warning" if num_imaged else "critical",
                subject=name,
                message=f"{name} names {num_named} participants, among them {num_imaged} of the {num_participants} "
                f"with images ({percent(share)}).",
                remedy="Identifiers differ from one UK Biobank application to another: check that table and images are "
                "of the same one, and that the table is complete.",
                num_samples=num_participants - num_imaged,
                numbers=rounded(
                    {"named": num_named, "imaged": num_imaged, "participants": num_participants, "share": share}
                ),
            )

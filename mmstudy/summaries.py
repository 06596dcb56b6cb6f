"""What an ingest found and did, and what a run is about to do, in words for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from catalog.audit.coverage import WELL_COVERED_SHARE
from catalog.summary import CatalogSummary
from catalog.tables.reports import TableReport
from mmbase.printable import without_numbers

if TYPE_CHECKING:  # each command loads its own
    from mmstudy.ingest import IngestResult
    from mmstudy.runs.plan import RunPlan
    from mmstudy.withdraw import WithdrawalResult


_MANY_RUNS = 5
"""From which on runs are summed up."""


def scans_sentence(summary: CatalogSummary) -> str:
    """Say how many scans are stored and rejected."""
    counts = {
        status: sum(of_modality[status] for of_modality in summary.scans.values()) for status in ("stored", "rejected")
    }
    return f"{counts['stored']} scans are stored and {counts['rejected']} rejected."


def ingest_content(result: "IngestResult") -> dict[str, Any]:
    """Return what `mm ingest --json` prints."""
    registration = result.registration
    return {
        "read_now": result.num_scans_read,
        "new_samples": registration.enrolment.num_new,
        "withdrawn_left_out": registration.enrolment.num_withdrawn,
        "duplicates_passed_over": result.found.num_duplicates,
        "image_files_not_understood": [asdict(images) for images in result.found.misnamed],
        "participants_in_several_sources": result.found.num_shared,
        "kept_splits": registration.enrolment.num_kept_splits,
        "related_pairs": registration.enrolment.num_related_pairs,
        "divided_pairs": registration.enrolment.num_divided_pairs,
        "withdrawal_lists": result.num_withdrawal_lists,
        "number_lists": [without_numbers(path.name) for path in result.found.number_lists],
        "files_passed_over": [without_numbers(path.name) for path in result.found.passed_over],
        "tables": [{**asdict(table), "name": without_numbers(table.name)} for table in registration.tables],
        "feature_values": registration.num_values,
        "without_values": list(registration.without_values),
        "test_list": {"named": registration.num_test_listed, "found": registration.num_test_found},
        "removed": asdict(result.removal),
        "augmented_copies": asdict(result.copies),
        "warnings": list(ingest_warnings(result)),
        **asdict(result.summary),
    }


def ingest_lines(result: "IngestResult") -> Iterator[str]:
    """Say what was found and done, a fact a line."""
    found, enrolment, summary = result.found, result.registration.enrolment, result.summary
    yield (
        f"{summary.samples} samples of {summary.participants} participants, {enrolment.num_new} of them new; "
        f"{result.num_scans_read} scans read now."
    )
    yield f"{result.registration.num_values} feature values of {len(result.registration.tables)} tables."
    yield (
        f"Withdrawal lists read: {result.num_withdrawal_lists or 'none was found'}. Participants left out because they "
        f"withdrew: {enrolment.num_withdrawn}."
    )
    yield from map(_table_line, result.registration.tables)
    if result.registration.num_test_listed:
        here, listed = result.registration.num_test_found, result.registration.num_test_listed
        yield f"The test list names {listed} participants; {here} of them have scans here."
    if found.num_duplicates:
        yield (
            f"{found.num_duplicates} further copies of scans were found: each is read only where those before it "
            "cannot be used."
        )
    if summary.from_other_copies:
        yield (
            f"{summary.from_other_copies} scans are stored from such a copy, because those before it cannot be used: "
            "mm qc says why."
        )
    if found.num_shared:
        yield f"{found.num_shared} participants are in several sources: they count as the same people."
    if enrolment.num_kept_splits:
        yield f"{enrolment.num_kept_splits} participants keep their split, though a source or list now says another."
    if enrolment.num_related_pairs:
        yield f"{enrolment.num_related_pairs} pairs of relatives take part."
    if enrolment.num_divided_pairs:
        yield (
            f"{enrolment.num_divided_pairs} of these pairs are in different splits, and nobody moves: each run leaves "
            "the relatives of its test participants out of training."
        )
    yield from _copies_lines(result)
    for path in found.passed_over:
        yield f"Passed over {without_numbers(path.name)}: it is empty, or its first column does not name participants."
    if result.removal.samples or result.removal.unreached:
        yield from removal_lines(result.removal)


def ingest_warnings(result: "IngestResult") -> Iterator[str]:
    """Say what is likely to be a mistake in the sources."""
    tables, num_participants = result.registration.tables, result.summary.participants
    if not tables and result.summary.features:
        yield "No table was found: the labels of an earlier ingest are kept. Name the table with --table FILE."
    elif not tables:
        yield "No table was found: without one there are no targets to train on. Name it with --table FILE."
    for path in result.found.number_lists:
        yield (
            f"{without_numbers(path.name)} holds numbers that may be participants. It withdraws nobody: a withdrawal "
            "list is named withdraw… or w<application>_…, or given with --withdrawals FILE."
        )
    if result.registration.without_values:
        yield f"No table has a value of {', '.join(result.registration.without_values)} for anybody with a scan."
    for feature, number in result.registration.unplaced.items():
        yield (
            f"Tables give {feature} of {number} participants, but not for the visit of their scan, so it is left out. "
            "Where visits differ, say of which a value is: in a column session_id, or in sub-<label>_sessions.tsv."
        )
    num_named = sum(table.num_imaged for table in tables if not table.is_joined)
    num_listed = num_participants + result.registration.enrolment.num_withdrawn
    are_parts = WELL_COVERED_SHARE * num_participants <= num_named <= num_listed  # a table for each split
    for table in tables:
        yield from table_warnings(table)
        name = without_numbers(table.name)
        if table.is_joined:
            continue
        if not table.num_imaged:
            yield (
                f"{name} names no participant with a scan. Identifiers differ from one UK Biobank application to "
                "another: check that table and images belong to the same one."
            )
        elif not are_parts and table.num_imaged < WELL_COVERED_SHARE * num_participants:
            yield f"{name} names {table.num_imaged} of the {num_participants} participants with scans. Is it complete?"
    if number := sum(reasons.get("identity-affine", 0) for reasons in result.summary.rejected.values()):
        yield (
            f"{number} images have an identity affine, which says nothing of where they lie. If the reference study's "
            "own code wrote them, say so once: mm ingest folder --assume reference-grid"
        )
    if misnamed := result.found.misnamed:
        examples = (f"{one.number} {one.modality} like {one.example} ({one.fault})" for one in misnamed)
        yield f"{sum(one.number for one in misnamed)} image files were not understood: {'; '.join(examples)}."


def table_warnings(table: TableReport) -> Iterator[str]:
    """Say what of a table's labels, columns and cells was not read as it stands."""
    name = without_numbers(table.name)
    if table.unrecognised:
        shown = ", ".join(map(without_numbers, table.unrecognised))
        yield (
            f"No column of {name} was recognised; it has {shown} … Expected fields of UK Biobank as p31, 31-0.0, "
            "f.31.0.0 or X31.0.0, or names of features: mm targets --all shows them."
        )
    if table.has_two_participant_columns:
        yield f"{name} has the column of participants twice; the first counts."
    if table.num_respelled:
        yield (
            f"{name} spells {table.num_respelled} participants with other leading zeros than the images do (as 1 for "
            "01). They are taken to be the same people: check that they are."
        )
    if table.num_ambiguous:
        yield (
            f"{name} has {table.num_ambiguous} labels whose leading zeros differ from the images' (as 1 for 01), and "
            "more than one row or image may be meant, so they are nobody's. Spell them as the images do."
        )
    if table.num_unused_files:
        yield (
            f"{table.num_unused_files} of the files {name} are passed over: they cannot be opened, are no text, have "
            "rows of another length than the header, or no column session_id."
        )
    for column in table.columns:
        if column.refusal:
            yield f"{name}, column {column.column}: not read, because {column.refusal}"
        else:
            yield (
                f"{name}, column {column.column}: the values of {column.num_unreadable} of {column.num_values} rows "
                "cannot be understood and are left out."
            )


def removal_lines(result: "WithdrawalResult", *, is_preview: bool = False) -> Iterator[str]:
    """Say what is removed of participants who withdrew, and what is left to the user."""
    yield from _removed_lines(result, is_preview=is_preview)
    if result.unreached:
        yield "Runs that cannot be reached from here, and may have their data until a later mm withdraw reaches them:"
        yield from (f"  {path}" for path in result.unreached)
        yield (
            "Where such a folder is gone for good, make one of its name again with an empty file .mm-runs in it: the "
            "run then counts as removed."
        )


def _removed_lines(result: "WithdrawalResult", *, is_preview: bool) -> Iterator[str]:
    from mmstudy.removal import MOST_PAGES  # noqa: PLC0415 - whoever removes has it loaded, and nobody else needs it

    done = "would be removed" if is_preview else "removed"
    if result.removed_before:
        yield f"{result.removed_before} participants were removed before; nothing is left of them."
    if not result.participants:
        yield f"Nobody {'would have' if is_preview else 'had'} to be removed."
        return
    yield f"{result.participants} participants {done}; {result.known} of them had {result.samples} samples here."
    yield from (f"  {place}: {number}" for place, number in _places_told(result.places).items())
    if result.runs:
        yield f"Runs made with their data, marked by withdrawn.json: {_first(result.runs)}."
    if len(result.runs) > MOST_PAGES and not is_preview:
        yield "Their pages were removed, for they are many. One is written again by: mm page RUN"
    if result.samples:
        yield (
            "Run mm qc again for its page. Remove these participants yourself from the source files and tables, and "
            "from whatever was copied out of the study."
        )
    if result.elsewhere:
        yield "Files outside the study that mm wrote and that may show them; remove or make them again:"
        yield from (f"  {path}" for path in result.elsewhere)


def _places_told(places: Mapping[str, int]) -> dict[str, int]:
    """Return places with those of many runs summed up.

    >>> _places_told({"qc.html": 1} | {f"runs/{name}/cohort.parquet": 2 for name in "abcdef"})
    {'qc.html': 1, 'cohort.parquet of 6 runs': 12}
    """
    runs = {place: place.split("/", 2) for place in places if place.startswith("runs/")}
    if len({parts[1] for parts in runs.values()}) <= _MANY_RUNS:
        return dict(places)
    found = {place: number for place, number in places.items() if place not in runs}
    for file in dict.fromkeys(parts[2] for parts in runs.values()):
        of_runs = [places[place] for place, parts in runs.items() if parts[2] == file]
        found[f"{file} of {len(of_runs)} runs"] = sum(of_runs)
    return found


def _first(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(names) - _MANY_RUNS} more" if len(names) > _MANY_RUNS else ""
    return ", ".join(names[:_MANY_RUNS]) + more


def run_notes(plan: "RunPlan") -> Iterator[str]:
    """Say who is left out of a run, what else is to be known of it, and what the audit found about it."""
    for reason, number in plan.left_out.items():
        yield f"left out: {number} samples, {reason}"
    for note in plan.notes:
        yield f"note: {note}"
    for code in plan.accepted_in_vain:
        yield f"note: --accept {code}: the audit has no such finding about this run"
    for finding in plan.findings:
        yield f"{finding.severity}: {finding.code}: {finding.message}"


def _copies_lines(result: "IngestResult") -> Iterator[str]:
    """Say what became of the augmented copies that the sources have made."""
    copies = result.copies
    if copies.num_read:
        num_stored = copies.num_read - sum(copies.rejections.values())
        yield f"{num_stored} augmented copies of the source are stored now."
    if copies.rejections:
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(copies.rejections.items()))
        yield f"Augmented copies of the source that cannot be used: {reasons}. Their samples train without copies."
    if copies.num_left_alone:
        yield (
            f"{copies.num_left_alone} augmented copies of the source are left alone, because the study has drawn its "
            "own: copies of two origins are not mixed."
        )


def _table_line(table: TableReport) -> str:
    dropped = {
        "rows of a participant who had one already": table.num_repeated,
        "rows without an eid, or redacted": table.num_without_eid,
        "values that contradict each other": table.num_contradictions,
        "values that cannot be understood": table.num_unreadable,
    }
    losses = ", ".join(f"{number} {what}" for what, number in dropped.items() if number)
    line = (
        f"{without_numbers(table.name)}: {table.num_participants} participants, {table.num_imaged} of them with scans"
    )
    return f"{line}; dropped {losses}." if losses else f"{line}."

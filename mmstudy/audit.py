"""Audit a study: its labels and splits, the scans that are nearly identical, and what copies exist."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import polars as pl

import catalog as catalog_package
from catalog.audit.audit import audit_catalog
from catalog.audit.findings import Finding, sort_findings
from catalog.audit.reach import Reach, state_reach
from catalog.audit.scans import (
    SimilarScans,
    StoredScan,
    held_out_rows,
    record_similar_scans,
    stored_scans,
    visible_rows,
)
from catalog.audit.scope import features_read, open_scope
from catalog.content import content_digest
from catalog.database import CATALOG_WAIT_SECONDS, Connection, open_catalog
from catalog.fields import Dictionary, find_target
from catalog.removal import hidden_participants
from mmbase.counting import counting
from mmbase.names import CONNECTIVITY
from mmdata.ledger.receipts import COPY_RECEIPTS, REMOVED, WITHDRAWAL_RECEIPTS, read_copy_receipts
from mmdata.ledger.tombstones import read_tombstones
from mmdata.qc.similarity import find_similar
from mmdata.store.array import open_array
from mmdata.study import Study
from mmdata.study_arrays import stored_modalities
from mmstudy.audit_answers import keep_answer, read_answer
from mmstudy.dictionary import study_dictionary
from mmstudy.progress import Progress

MIN_COMPARED_SIDE = 64
"""Coarser volumes have so few voxels in a block that a little noise hides a copy."""


def run_audit(
    study: Study,
    progress: Progress,
    *,
    target: str | None = None,
    shown: Sequence[str] = (),
    modalities: Sequence[str] = (),
    compare: bool = True,
) -> list[Finding]:
    """Compare all stored scans with each other, enter those that are nearly identical, and return every finding.

    Parameters
    ----------
    target, shown, modalities
        As `audit_catalog`.
    compare
        Read the scans; otherwise what the last audit found of them stands.

    Raises
    ------
    CatalogError, DataError
        The catalogue or a store cannot be read, or the target is not known.
    """
    dictionary = study_dictionary(study)
    if target is not None:
        find_target(dictionary, target)  # refused before scans are read
    if compare:
        compare_scans(study, progress)
    with open_catalog(study.layout.catalog) as catalog:
        return _audit(study, catalog, dictionary, target=target, shown=shown, modalities=modalities, cohort=None)


def describe_reach(study: Study, target: str | None = None) -> list[Reach]:
    """Return what each check can find among the samples that the study has now; no scan is read.

    Raises
    ------
    CatalogError, DataError
        The catalogue cannot be read, or the target is not known.
    """
    dictionary = study_dictionary(study)
    if target is not None:
        find_target(dictionary, target)
    with (
        open_catalog(study.layout.catalog) as catalog,
        open_scope(catalog, dictionary, target=target, shown=(), modalities=(), cohort=None) as scope,
    ):
        return state_reach(scope)


def findings_for_run(
    study: Study,
    catalog: Connection,
    dictionary: Dictionary,
    *,
    target: str | None,
    shown: Sequence[str],
    modalities: Sequence[str],
    cohort: pl.DataFrame | None = None,
) -> list[Finding]:
    """Return what is to be said of a run before it begins, worst first; no volume is read.

    The answer is kept, and used again until the question or anything that it depends on changes; a run that is entered
    changes nothing.

    Parameters
    ----------
    target, shown, modalities, cohort
        As `audit_catalog`.

    Raises
    ------
    UnknownTargetError
        The dictionary has no such target.
    """
    question = {
        "code": _code_digest(),
        "catalog": content_digest(catalog, features_read(dictionary, target, shown)),
        "receipts": [_stamp(study.layout.receipts / name) for name in (WITHDRAWAL_RECEIPTS, COPY_RECEIPTS)],
        "dictionary": _digest(repr(list(dictionary.items()))),
        "target": target,
        "shown": list(shown),
        "modalities": list(modalities),
        "cohort": None if cohort is None else _digest(cohort.select("sample_id", "split").write_csv()),
    }
    findings = read_answer(study.layout, question)
    if findings is None:
        findings = _audit(study, catalog, dictionary, target=target, shown=shown, modalities=modalities, cohort=cohort)
        keep_answer(study.layout, question, findings, visible_rows(catalog))
    return findings


def _audit(
    study: Study,
    catalog: Connection,
    dictionary: Dictionary,
    *,
    target: str | None,
    shown: Sequence[str],
    modalities: Sequence[str],
    cohort: pl.DataFrame | None,
) -> list[Finding]:
    """Work out what is to be said of a study, or of a run before it begins."""
    tombstones = read_tombstones(study.layout.receipts)
    pending = {key for key, tombstone in tombstones.items() if tombstone.status != REMOVED}
    findings = audit_catalog(
        catalog,
        dictionary,
        target=target,
        shown=shown,
        modalities=modalities,
        cohort=cohort,
        pending_withdrawals=pending | hidden_participants(catalog),
    )
    return sort_findings([*findings, *find_held_out_copies(study, catalog, modalities)])


def find_held_out_copies(study: Study, catalog: Connection, modalities: Sequence[str] = ()) -> list[Finding]:
    """Find augmented copies of validation and test samples: copies are for training.

    Parameters
    ----------
    modalities
        To look at; none: all.
    """
    held_out = held_out_rows(catalog)
    rows: dict[str, set[int]] = {}
    num_copies: dict[str, int] = {}
    for (modality, _, _), stored in read_copy_receipts(study.layout.receipts).items():
        copied = held_out & stored
        if copied and (not modalities or modality in modalities):
            rows.setdefault(modality, set()).update(copied)
            num_copies[modality] = num_copies.get(modality, 0) + len(copied)
    return [
        Finding(
            code="copies-of-held-out-samples",
            severity="critical",
            subject=modality,
            message=f"{num_copies[modality]} augmented {modality} copies are of {len(rows[modality])} validation or "
            "test samples: they were training samples when the copies were made.",
            remedy="Models trained before have seen them. Remove augmented.zarr and receipts/copies.jsonl, run "
            "mm precompute-augs, and train again.",
            num_samples=len(rows[modality]),
            numbers={"copies": num_copies[modality], "samples": len(rows[modality])},
        )
        for modality in sorted(rows)
    ]


def compare_scans(study: Study, progress: Progress) -> None:
    """Read every stored scan, and enter which of different participants are nearly identical.

    Raises
    ------
    CatalogError, DataError
        The catalogue or a store cannot be read.
    """
    with open_catalog(study.layout.catalog) as catalog:
        scans = {modality: stored_scans(catalog, modality) for modality in stored_modalities(study.config)}
    found: dict[str, list[SimilarScans]] = {}
    with progress("scans") as on_progress:
        count = counting(sum(map(len, scans.values())), on_progress)
        for modality, of_modality in scans.items():
            found[modality] = _similar_scans(_compared_array(study, modality), of_modality, count)
    with open_catalog(study.layout.catalog, writable=True, wait_seconds=CATALOG_WAIT_SECONDS) as catalog:
        for modality, pairs in found.items():
            record_similar_scans(catalog, modality, pairs)


@cache
def _code_digest() -> str:
    """Return a digest of the programs that an audit's answer comes from."""
    sources = [*sorted(Path(catalog_package.__file__ or "").parent.rglob("*.py")), Path(__file__)]
    return _digest("".join(source.read_text(encoding="utf-8") for source in sources))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _stamp(path: Path) -> list[int]:
    """Return what changes whenever a file is written; nothing where there is none."""
    if not path.exists():
        return []
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _similar_scans(path: Path, scans: Sequence[StoredScan], on_read: Callable[[int], None]) -> list[SimilarScans]:
    if not scans:
        return []
    sample_id = {scan.row: scan.sample_id for scan in scans}
    pairs = find_similar(
        open_array(path), [scan.row for scan in scans], [scan.participant_key for scan in scans], on_read
    )
    return [SimilarScans(sample_id[pair.row], sample_id[pair.other_row], pair.similarity) for pair in pairs]


def _compared_array(study: Study, modality: str) -> Path:
    """Return the array that is read: the coarsest level that is fine enough."""
    if modality == CONNECTIVITY:
        return study.layout.connectivity_array(study.config.connectivity.name)
    sides = study.config.volumes.sides
    fine_enough = [side for side in sides if side >= MIN_COMPARED_SIDE]
    return study.layout.volume_array(modality, min(fine_enough or sides[:1]))

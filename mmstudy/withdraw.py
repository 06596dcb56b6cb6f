"""Withdraw participants: out of the catalogue, every array, the receipts and the runs, and never in again.

The steps are in an order that keeps enough to continue with, wherever a kill falls between them:

1. A tombstone, with the key of the participant and then the rows that they give up. Rows are never reused, so they say
   for good what is to go, and all that follows can be found again by them.
2. The catalogue's views hide the participant: nobody reads them any more.
3. A receipt of what is found where, before any of it is removed.
4. What may show single scans or hold leftovers, every array, every run, the scans' and copies' receipts, the catalogue
   with its free pages, and last the samples' receipts.
5. The receipt again, as removed, and the tombstones as removed.

A run that was made outside the study may be out of reach then. Its receipt keeps the rows that it may still have, and
whoever finishes removals the next time takes them out.

Whoever finds tombstones that are only begun does what is left of these steps.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.database import bring_up_to_date, open_catalog
from catalog.identity import participant_key
from catalog.removal import hidden_participants, require_same_salt
from catalog.withdrawals import find_withdrawn_eids, read_withdrawals
from mmdata.ledger.descriptions import restore_descriptions
from mmdata.ledger.lock import hold_stores
from mmdata.ledger.receipt_kinds import RemovalReceipt, WithdrawalReceipt
from mmdata.ledger.receipts import REMOVAL_RECEIPTS, REMOVED, WITHDRAWAL_RECEIPTS, append_receipts
from mmdata.ledger.tombstones import read_removals, read_tombstones, record_withdrawals
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmstudy.consent import Consent, require_consent
from mmstudy.on_record import today
from mmstudy.outputs import outputs_elsewhere
from mmstudy.progress import Progress
from mmstudy.removal import clean_runs, count_disposable, hide, remove
from mmstudy.runs.folders import runs_owing, study_runs
from mmstudy.withdrawn import WithdrawnParticipants, find_samples, find_withdrawn, survey


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalResult:
    """Who was removed, and what of them from where."""

    participants: int
    """Who were removed, now or for the part that an interrupted command had left."""
    known: int
    """Of these, how many had samples in the study."""
    samples: int
    places: dict[str, int]
    """Array, file or table to the rows, lines or entries that were removed from it."""
    runs: tuple[str, ...]
    """Runs that are marked, because some of them were in their cohort."""
    elsewhere: tuple[str, ...]
    """Files outside the study that mm wrote and that may show them."""
    removed_before: int
    """Participants of the lists of whom nothing was left already."""
    unreached: tuple[str, ...] = ()
    """Directories of runs that may have data of withdrawn participants and cannot be reached now."""


def run_withdrawal(
    study: Study, lists: Sequence[Path], progress: Progress, consent: Consent, *, workers: int = 0
) -> WithdrawalResult:
    """Remove the participants of some lists, and whoever else has withdrawn and is not removed yet.

    Parameters
    ----------
    lists
        Empty: only what is still to be done.
    consent
        Asked before much of what is stored is removed.
    workers
        Processes that write shards; 0: this one.

    Raises
    ------
    CatalogError, DataError, TrainError
        Something is to be mended first; the same command then does the rest.
    """
    layout = study.layout
    eids = _read_lists(layout, lists)
    require_consent(study, eids, consent)
    listed = _keys(study, eids)
    with hold_stores(layout):
        restore_descriptions(study)
        bring_up_to_date(layout.catalog)
        record_withdrawals(layout.receipts, listed | _hidden_keys(study))
        removed = _removed_keys(layout, listed)
        gone = _keys_gone(layout, removed, progress)
        _append_tombstones(layout, [WithdrawalReceipt(participant_key=key) for key in sorted(removed - gone)])
        result = finish_removals(study, progress, workers=workers)
    return replace(result, removed_before=len(gone))


def preview_withdrawal(study: Study, lists: Sequence[Path], progress: Progress) -> WithdrawalResult:
    """Return what `run_withdrawal` would remove; nothing is written.

    Raises
    ------
    CatalogError, DataError, TrainError
        As `run_withdrawal`.
    """
    layout = study.layout
    listed = _keys(study, _read_lists(layout, lists))
    tombstones = read_tombstones(layout.receipts)
    gone = _keys_gone(layout, _removed_keys(layout, listed), progress)
    pending = listed | (_hidden_keys(study) - tombstones.keys()) | _pending(tombstones).keys()
    withdrawn = find_withdrawn(layout, pending - gone)
    preview = _summarise([_receipt(layout, 0, withdrawn, progress)], removed_before=len(gone))
    unreachable = [str(run.path) for run in study_runs(layout).unreachable] if withdrawn.rows else []
    return replace(preview, unreached=tuple(sorted({*unreachable, *_unreached(layout)})))


def finish_removals(study: Study, progress: Progress, *, workers: int = 0) -> WithdrawalResult:
    """Remove whoever has a tombstone and is not removed yet. The caller holds the stores.

    Raises
    ------
    CatalogError, DataError, TrainError
        As `run_withdrawal`.
    """
    layout = study.layout
    clean_runs(layout, today())
    pending = _plan_removal(layout)
    if not pending:
        return replace(_summarise([]), unreached=_unreached(layout))
    withdrawn = find_withdrawn(layout, pending)
    hide(layout, withdrawn)
    removals = _begin_removals(layout, pending, withdrawn, progress)
    if any(removal.places for removal in removals) or (withdrawn.rows and study_runs(layout).unreachable):
        remove(study, withdrawn, today(), progress, workers)
    _close_removals(layout, pending, removals)
    return replace(_summarise(removals), unreached=_unreached(layout))


def _unreached(layout: StudyLayout) -> tuple[str, ...]:
    return tuple(str(Path(receipt.folder) / run_id) for run_id, receipt in sorted(runs_owing(layout).items()))


def _read_lists(layout: StudyLayout, lists: Sequence[Path]) -> frozenset[int]:
    listed = read_withdrawals(lists)
    if not (listed and layout.catalog.exists()):
        return find_withdrawn_eids(listed, None)
    with open_catalog(layout.catalog) as catalog:
        return find_withdrawn_eids(listed, catalog)


def _keys(study: Study, eids: Iterable[int]) -> frozenset[str]:
    return frozenset(participant_key(study.config.salt, eid) for eid in eids)


def _hidden_keys(study: Study) -> frozenset[str]:
    """Return whom the catalogue hides: a kill may have kept them from a tombstone. Refuse another salt."""
    if not study.layout.catalog.exists():
        return frozenset()
    with open_catalog(study.layout.catalog) as catalog:
        require_same_salt(catalog, study.config.salt)
        return hidden_participants(catalog)


def _removed_keys(layout: StudyLayout, listed: frozenset[str]) -> frozenset[str]:
    tombstones = read_tombstones(layout.receipts)
    return (listed & tombstones.keys()) - _pending(tombstones).keys()


def _keys_gone(layout: StudyLayout, removed: frozenset[str], progress: Progress) -> frozenset[str]:
    """Return those of some removed participants of whom nothing is left: all, or none where anything has come back."""
    if not removed or survey(layout, find_withdrawn(layout, removed), progress).places:
        return frozenset()
    return removed


def _pending(tombstones: Mapping[str, WithdrawalReceipt]) -> dict[str, WithdrawalReceipt]:
    return {key: tombstone for key, tombstone in tombstones.items() if tombstone.status != REMOVED}


def _append_tombstones(layout: StudyLayout, tombstones: Sequence[WithdrawalReceipt]) -> None:
    if tombstones:
        append_receipts(layout.receipts / WITHDRAWAL_RECEIPTS, tombstones)


def _plan_removal(layout: StudyLayout) -> dict[str, WithdrawalReceipt]:
    """Give whoever is to be removed the number of a removal, and put their rows on record; return all of them."""
    tombstones = read_tombstones(layout.receipts)
    pending = _pending(tombstones)
    unplanned = [key for key, tombstone in sorted(pending.items()) if not tombstone.removal]
    if not unplanned:
        return pending
    rows_of, _ = find_samples(layout, unplanned)
    taken = {*read_removals(layout.receipts), *(tombstone.removal for tombstone in tombstones.values())}
    number = 1 + max(taken)
    planned = [
        WithdrawalReceipt(participant_key=key, date=today(), removal=number, rows=sorted(rows))
        for key, rows in rows_of.items()
    ]
    _append_tombstones(layout, planned)
    return pending | {tombstone.participant_key: tombstone for tombstone in planned}


def _begin_removals(
    layout: StudyLayout, pending: Mapping[str, WithdrawalReceipt], withdrawn: WithdrawnParticipants, progress: Progress
) -> list[RemovalReceipt]:
    """Put on record what each removal finds, unless an interrupted command has done so; return their receipts.

    Parameters
    ----------
    withdrawn
        Everybody who is pending, most often all of one removal.
    """
    removals = read_removals(layout.receipts)
    for number in sorted({tombstone.removal for tombstone in pending.values()} - removals.keys()):
        keys = {key for key, tombstone in pending.items() if tombstone.removal == number}
        of_removal = withdrawn if keys == withdrawn.keys else find_withdrawn(layout, keys)
        removals[number] = _receipt(layout, number, of_removal, progress)
        append_receipts(layout.receipts / REMOVAL_RECEIPTS, [removals[number]])
    return [removals[number] for number in sorted({tombstone.removal for tombstone in pending.values()})]


def _receipt(layout: StudyLayout, number: int, withdrawn: WithdrawnParticipants, progress: Progress) -> RemovalReceipt:
    findings = survey(layout, withdrawn, progress)
    disposable = {place: files for place, files in count_disposable(layout).items() if files and withdrawn.rows}
    return RemovalReceipt(
        removal=number,
        status="begun",
        date=today(),
        participants=len(withdrawn.keys),
        known=sum(bool(rows) for rows in withdrawn.rows_of.values()),
        samples=len(withdrawn.rows),
        places=findings.places | disposable,
        runs=findings.runs,
        elsewhere=[str(path) for path in outputs_elsewhere(layout)] if withdrawn.rows else [],
    )


def _close_removals(
    layout: StudyLayout, pending: Mapping[str, WithdrawalReceipt], removals: Sequence[RemovalReceipt]
) -> None:
    """Put on record that all is done; once for each removal, also when a kill comes in between."""
    done = [replace(removal, status=REMOVED, date=today()) for removal in removals if removal.status != REMOVED]
    if done:
        append_receipts(layout.receipts / REMOVAL_RECEIPTS, done)
    _append_tombstones(
        layout,
        [replace(tombstone, status=REMOVED, date=today(), rows=[]) for _, tombstone in sorted(pending.items())],
    )


def _summarise(removals: Sequence[RemovalReceipt], *, removed_before: int = 0) -> WithdrawalResult:
    places = Counter[str]()
    for removal in removals:
        places.update(removal.places)
    return WithdrawalResult(
        participants=sum(removal.participants for removal in removals),
        known=sum(removal.known for removal in removals),
        samples=sum(removal.samples for removal in removals),
        places=dict(places),
        runs=tuple(sorted({run for removal in removals for run in removal.runs})),
        elsewhere=tuple(dict.fromkeys(path for removal in removals for path in removal.elsewhere)),
        removed_before=removed_before,
    )

"""The record of exported summaries: what was told of which groups of people, so that two of them can be compared.

`receipts/summaries.jsonl` has a line for each run of which a bundle or a report was made: which groups, and of how many
people each was then. Who they are follows from the run's cohort, and stands nowhere else.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mmbase.checksums import digest_of
from mmbase.disclosure import SMALLEST_COUNT
from mmbase.names import SPLITS
from mmdata.ledger.receipt_kinds import ExportedGroup, SummaryKind, SummaryReceipt
from mmdata.ledger.receipts import SUMMARY_RECEIPTS, read_summaries
from mmdata.store.schema import StudyLayout
from mmstudy.on_record import put_on_record, today
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.metrics.subgroups import find_subgroups
from mmtrain.run import RunDirectory

Subgroups = Collection[tuple[str, str, str]]
"""Target, by what, and which group of the test split."""


def record_summaries(
    layout: StudyLayout,
    kind: SummaryKind,
    runs: Sequence[tuple[RunDirectory, Sequence[str]]],
    subgroups: Mapping[str, Subgroups] = MappingProxyType({}),
) -> None:
    """Put on record that summaries of runs are about to be exported; what is on record already is not added again.

    Parameters
    ----------
    kind
        bundle or report.
    runs
        Each with its targets.
    subgroups
        Run to groups of its test split that are told too.

    Raises
    ------
    TrainError, StoreError, StudyError
        A cohort or a receipt is damaged, or the study cannot be written.
    """
    known = {(receipt.kind, receipt.run_id, _key(receipt.groups)) for receipt in read_summaries(layout.receipts)}
    alike: defaultdict[tuple[str, tuple[str, ...]], list[RunDirectory]] = defaultdict(list)
    for run, targets in runs:
        alike[digest_of(run.cohort), tuple(targets)].append(run)
    new = []
    for (_, targets), those in alike.items():  # models of a sweep share their cohorts, and each takes long
        found = [group for group, _ in groups_of(read_cohort(those[0].cohort), targets)]
        for run in those:
            told = subgroups.get(run.run_id, ())
            groups = [group for group in found if not group.by or _name_of(group) in told]
            if (kind, run.run_id, _key(groups)) not in known:
                new.append(SummaryReceipt(kind=kind, run_id=run.run_id, date=today(), groups=groups))
    if new:
        put_on_record(layout, SUMMARY_RECEIPTS, *new)


def groups_of(cohort: Cohort, targets: Sequence[str]) -> Iterator[tuple[ExportedGroup, NDArray[np.int64]]]:
    """Yield the groups of ten people and more of a run that may be told of, each with its places in the cohort."""
    for index, target in enumerate(targets):
        is_labelled = ~np.isnan(cohort.labels_NT[:, index])
        for split in SPLITS:
            places = np.flatnonzero(is_labelled & (cohort.splits == split))
            people = cohort.participants[places]
            if len(np.unique(people)) < SMALLEST_COUNT:
                continue
            yield _group(target, split, people), places
            if split != "test":
                continue
            values = {name: of_all[places] for name, of_all in cohort.groups.items()}
            for found in find_subgroups(values, people):
                yield _group(target, split, people[found.members], found.by, found.name), places[found.members]


def _group(target: str, split: str, people: NDArray[np.int64], by: str = "", group: str = "") -> ExportedGroup:
    return ExportedGroup(target=target, split=split, people=len(np.unique(people)), by=by, group=group)


def _name_of(group: ExportedGroup) -> tuple[str, str, str]:
    return group.target, group.by, group.group


def _key(groups: Collection[ExportedGroup]) -> frozenset[ExportedGroup]:
    return frozenset(groups)

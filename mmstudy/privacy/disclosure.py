"""Checks of all summaries that were exported so far, by the rules of ACRO.

Source of rules and numbers: the default risk appetite of the program ACRO, https://github.com/AI-SDC/ACRO.

Terms
-----
threshold      a group is of ten people at least.
p % rule       of a mean or sum: what all but the two largest have is 10 % of the largest at least, or the second
               largest could work the largest out. Of amounts, so signs do not count.
nk rule        the two largest have 90 % of the sum at most.
differencing   two groups of which the same is told, and that differ by one to nine people: whoever has both numbers
               knows that of the few. Of two targets, numbers are not the same.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalog.database import open_catalog
from catalog.samples import known_samples
from mmbase.checksums import digest_of
from mmbase.disclosure import SMALLEST_COUNT
from mmdata.ledger.receipt_kinds import ExportedGroup, SummaryReceipt
from mmdata.ledger.receipts import read_summaries
from mmdata.study import Study
from mmstudy.privacy.summaries import groups_of
from mmstudy.runs.folders import study_runs
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.metrics.metric import Values
from mmtrain.run import RunDirectory, find_run

P_SHARE, K_SHARE, LARGEST = 0.1, 0.9, 2
_NOBODY = -1
"""Stands for whoever is not in the catalogue any more."""
FEATURES = "features"
"""Means of training samples, which a bundle tells: the same numbers whatever the target."""
GroupKey = tuple[str, str, str, str]
"""Target, split, by what, and which group."""
Places = Mapping[GroupKey, NDArray[np.int64]]
"""Of the members of each group in a cohort."""
Rule = Literal["threshold", "p % rule", "nk rule", "differencing", "not checked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a rule found in one summary or in two."""

    rule: Rule
    summaries: tuple[str, ...]
    """What was exported, and of which group."""
    meaning: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedPeople:
    """A group that an exported summary tells of."""

    name: str
    people: NDArray[np.int64]
    """A number for each of them who is in the study now, rising; the same in all groups that are compared."""
    num_then: int
    """How many they were when it was exported."""
    subject: str
    """What is told of them: their labels of a target and how well these are predicted, or `FEATURES`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Alike:
    """What is equal of runs whose groups are of the same people with the same values."""

    cohort: str
    """Checksum of the file."""
    targets: tuple[str, ...]
    shown_features: tuple[str, ...]


def check_summaries(study: Study, only_run: str | None = None) -> list[Finding]:
    """Return what the rules find in the summaries on record.

    Parameters
    ----------
    only_run
        Leave out what does not concern this run.

    Raises
    ------
    CatalogError, StoreError, TrainError
        The catalogue, a receipt or a run is damaged.
    """
    summaries = read_summaries(study.layout.receipts)
    if not summaries:
        return []
    if not study.layout.catalog.exists():
        return [_not_checked(summary, "There is no catalogue: it is not known whose they are") for summary in summaries]
    runs = {run.run_id: run for run in study_runs(study.layout).reachable if run.cohort.exists()}
    findings = [
        _not_checked(summary, "The run is gone or out of reach") for summary in summaries if summary.run_id not in runs
    ]
    exported: list[ExportedPeople] = []
    person_of = _number_people(study)
    alike: defaultdict[_Alike, list[SummaryReceipt]] = defaultdict(list)
    for summary in summaries:
        if summary.run_id in runs:
            alike[_alike(runs[summary.run_id])].append(summary)
    for shared, those in alike.items():  # models of a sweep share their cohorts, and each takes long
        cohort = read_cohort(runs[those[0].run_id].cohort)
        places = {_key(group): found for group, found in groups_of(cohort, shared.targets)}
        exported += _exported(cohort, shared, those, places, person_of)
        asked = [summary for summary in those if only_run in (None, summary.run_id)]
        findings += _dominated_groups(cohort, shared, asked, places)
    findings += dict.fromkeys(finding for group in exported for finding in _too_few(group))  # once for all subjects
    findings += find_differences(exported)
    return [finding for finding in findings if only_run is None or _concerns(finding, only_run)]


def dominated(name: str, values: Values) -> Iterator[Finding]:
    """Yield the rules of dominance that a mean or sum of some people's values breaks.

    >>> [finding.rule for finding in dominated("income", np.array([1.0] * 10 + [900.0, 100.0]))]
    ['p % rule', 'nk rule']
    >>> list(dominated("age", np.linspace(45, 80, 12)))
    []
    """
    amounts = np.sort(np.abs(values[~np.isnan(values)]))[::-1]
    total = float(amounts.sum())
    if len(amounts) <= LARGEST or total == 0:
        return
    rest, largest = float(amounts[LARGEST:].sum()), float(amounts[0])
    if rest < P_SHARE * largest:
        yield Finding(
            rule="p % rule",
            summaries=(name,),
            meaning=f"All but the two largest values come to less than {P_SHARE:.0%} of the largest.",
        )
    if total - rest > K_SHARE * total:
        yield Finding(
            rule="nk rule", summaries=(name,), meaning=f"The two largest values are more than {K_SHARE:.0%} of the sum."
        )


def find_differences(exported: Sequence[ExportedPeople]) -> Iterator[Finding]:
    """Yield the pairs of groups that differ by one to nine people, and of which the same is told.

    Those who have withdrawn since are not known any more: of two groups that are equal now, the numbers of then tell.
    Each with all of about its size: of a sweep whose models have their own people that is half a million pairs.
    """
    of_subjects: defaultdict[str, list[ExportedPeople]] = defaultdict(list)
    for group in exported:
        of_subjects[group.subject].append(group)
    for of_one in of_subjects.values():
        yield from _differences_of_one(of_one)


def _differences_of_one(exported: Sequence[ExportedPeople]) -> Iterator[Finding]:
    distinct = {(group.people.tobytes(), group.num_then): group for group in reversed(exported) if len(group.people)}
    ordered = sorted(distinct.values(), key=lambda group: (len(group.people), group.name))
    sizes = [len(group.people) for group in ordered]
    people_GB = _as_bits([group.people for group in ordered])
    for place, group in enumerate(ordered):
        near = slice(place + 1, bisect_left(sizes, sizes[place] + SMALLEST_COUNT))
        differing_G = np.bitwise_count(people_GB[near] ^ people_GB[place]).sum(axis=1, dtype=np.int64)
        for other, differing in zip(ordered[near], differing_G.tolist(), strict=True):
            number = max(differing, abs(group.num_then - other.num_then))
            if 0 < number < SMALLEST_COUNT:
                yield Finding(
                    rule="differencing",
                    summaries=(group.name, other.name),
                    meaning=f"The two groups differ by fewer than {SMALLEST_COUNT} people: what was told of both tells "
                    "of the few.",
                )


def summary_name(summary: SummaryReceipt, group: ExportedGroup) -> str:
    """Return what was exported of whom, for people."""
    of = f", {group.by} {group.group}" if group.by else ""
    return f"{summary.kind} of {summary.run_id} ({summary.date}), {group.target}, {group.split}{of}"


def _too_few(group: ExportedPeople) -> Iterator[Finding]:
    if group.num_then < SMALLEST_COUNT:
        yield Finding(
            rule="threshold", summaries=(group.name,), meaning=f"The group has fewer than {SMALLEST_COUNT} people."
        )


def _not_checked(summary: SummaryReceipt, why: str) -> Finding:
    return Finding(
        rule="not checked",
        summaries=(f"{summary.kind} of {summary.run_id} ({summary.date})",),
        meaning=f"{why}.",
    )


def _alike(run: RunDirectory) -> _Alike:
    _, config = find_run(run.path.parent, run.run_id)
    return _Alike(
        cohort=digest_of(run.cohort),
        targets=tuple(target.name for target in config.data.targets),
        shown_features=tuple(config.data.shown_features),
    )


def _known(people: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(people[people != _NOBODY])


def _as_bits(groups: Sequence[NDArray[np.int64]]) -> NDArray[np.uint8]:
    """Return who is in each group, eight people a byte, shape (G, B)."""
    num_people = 1 + max((int(people[-1]) for people in groups), default=0)
    people_GB = np.zeros((len(groups), (num_people + 7) // 8), np.uint8)
    for row_B, people in zip(people_GB, groups, strict=True):
        is_in_P = np.zeros(num_people, dtype=bool)
        is_in_P[people] = True
        row_B[:] = np.packbits(is_in_P)
    return people_GB


def _number_people(study: Study) -> dict[str, int]:
    """Return a number of each participant in the catalogue, by sample."""
    with open_catalog(study.layout.catalog) as catalog:
        known = known_samples(catalog).values()
    numbers = {key: number for number, key in enumerate(sorted({sample.participant_key for sample in known}))}
    return {sample.sample_id: numbers[sample.participant_key] for sample in known}


def _exported(
    cohort: Cohort, shared: _Alike, summaries: Iterable[SummaryReceipt], places: Places, person_of: Mapping[str, int]
) -> Iterator[ExportedPeople]:
    """Yield the groups of some summaries of one cohort, once for each subject."""
    person_N = np.array([person_of.get(name, _NOBODY) for name in cohort.sample_ids], np.int64)
    people = {key: _known(person_N[found]) for key, found in places.items()}
    nobody = np.empty(0, np.int64)
    for summary in summaries:
        for group in summary.groups:
            of_group = people.get(_key(group), nobody)
            told = ExportedPeople(
                name=summary_name(summary, group), people=of_group, num_then=group.people, subject=group.target
            )
            yield told
            if summary.kind == "bundle" and group.split == "train" and shared.shown_features:
                yield replace(told, subject=FEATURES)


def _dominated_groups(
    cohort: Cohort, shared: _Alike, summaries: Iterable[SummaryReceipt], places: Places
) -> Iterator[Finding]:
    """Yield the rules of dominance that some summaries of one cohort break; each group is looked at once."""
    breaches: dict[GroupKey, list[tuple[str, Finding]]] = {}
    for summary in summaries:
        for group in summary.groups:
            key = _key(group)
            if key not in places:
                continue
            if key not in breaches:
                amounts = _amounts(cohort, shared, group, places[key])
                breaches[key] = [(what, found) for what, values in amounts for found in dominated(what, values)]
            told = summary_name(summary, group)
            yield from (replace(found, summaries=(f"{told}: {what}",)) for what, found in breaches[key])


def _amounts(
    cohort: Cohort, shared: _Alike, group: ExportedGroup, places: NDArray[np.int64]
) -> Iterator[tuple[str, Values]]:
    """Yield what is told as a mean of a group: its label, and in training the features that the model sees."""
    _, first = np.unique(cohort.participants[places], return_index=True)
    people = places[first]
    told: dict[str, Values] = {group.target: cohort.labels_NT[:, shared.targets.index(group.target)]}
    if group.split == "train":
        told |= {name: cohort.features[name] for name in shared.shown_features if name in cohort.features}
    for name, values in _continuous(told):
        yield name, values[people]


def _continuous(columns: Mapping[str, Values]) -> Iterable[tuple[str, Values]]:
    """Yield the columns that are amounts and not classes."""
    return ((name, values) for name, values in columns.items() if len(np.unique(values[~np.isnan(values)])) > 2)


def _concerns(finding: Finding, run_id: str) -> bool:
    return any(f" of {run_id} (" in name for name in finding.summaries)


def _key(group: ExportedGroup) -> GroupKey:
    return group.target, group.split, group.by, group.group

"""Checks of all summaries that were exported so far, by the rules of ACRO.

Source of rules and numbers: the default risk appetite of the program ACRO, https://github.com/AI-SDC/ACRO.

Terms
-----
threshold      a group is of ten people at least.
p % rule       of a mean or sum: what all but the two largest have is 10 % of the largest at least, or the second
               largest could work the largest out. Of amounts, so signs do not count.
nk rule        the two largest have 90 % of the sum at most.
differencing   two groups that differ by one to nine people: whoever has both means knows that of the few.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalog.database import open_catalog
from catalog.samples import known_samples
from mmbase.disclosure import SMALLEST_COUNT
from mmdata.ledger.receipts import ExportedGroup, SummaryReceipt, read_summaries
from mmdata.study import Study
from mmstudy.privacy.summaries import groups_of
from mmstudy.runs.folders import study_runs
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.metrics.metric import Values
from mmtrain.run import find_run

P_SHARE, K_SHARE, LARGEST = 0.1, 0.9, 2
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
    with open_catalog(study.layout.catalog) as catalog:
        known = known_samples(catalog).values()
    numbers = {key: number for number, key in enumerate(sorted({sample.participant_key for sample in known}))}
    person_of = {sample.sample_id: numbers[sample.participant_key] for sample in known}
    runs = {run.run_id: run for run in study_runs(study.layout).reachable if run.cohort.exists()}
    exported: list[ExportedPeople] = []
    findings: list[Finding] = []
    for summary in summaries:
        if (run := runs.get(summary.run_id)) is None:
            findings.append(_not_checked(summary, "The run is gone or out of reach"))
            continue
        _, config = find_run(run.path.parent, run.run_id)
        cohort = read_cohort(run.cohort)
        targets = [target.name for target in config.data.targets]
        places = {_key(group): found for group, found in groups_of(cohort, targets)}
        for group in summary.groups:
            told = summary_name(summary, group)
            found = places.get(_key(group), np.empty(0, np.int64))
            ids = (cohort.sample_ids[place] for place in found)
            people = np.unique([person_of[name] for name in ids if name in person_of]).astype(np.int64)
            exported.append(ExportedPeople(name=told, people=people, num_then=group.people))
            if only_run in (None, summary.run_id):
                for what, values in _amounts(cohort, config, targets, group, found):
                    findings += dominated(f"{told}: {what}", values)
    findings += [finding for group in exported for finding in _too_few(group)]
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
    """Yield the pairs of groups that differ by one to nine people.

    Those who have withdrawn since are not known any more: of two groups that are equal now, the numbers of then tell.
    """
    distinct = {(group.people.tobytes(), group.num_then): group for group in reversed(exported) if len(group.people)}
    ordered = sorted(distinct.values(), key=lambda group: (len(group.people), group.name))
    sizes = [len(group.people) for group in ordered]
    for place, group in enumerate(ordered):
        for other in ordered[place + 1 : bisect_left(sizes, sizes[place] + SMALLEST_COUNT)]:
            differing = np.setxor1d(group.people, other.people, assume_unique=True)
            number = max(len(differing), abs(group.num_then - other.num_then))
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


def _amounts(
    cohort: Cohort, config: RunConfig, targets: Sequence[str], group: ExportedGroup, places: NDArray[np.int64]
) -> Iterator[tuple[str, Values]]:
    """Yield what is told as a mean of a group: its label, and in training the features that the model sees."""
    _, first = np.unique(cohort.participants[places], return_index=True)
    people = places[first]
    told: dict[str, Values] = {group.target: cohort.labels_NT[:, targets.index(group.target)]}
    if group.split == "train":
        told |= {name: cohort.features[name] for name in config.data.shown_features if name in cohort.features}
    for name, values in _continuous(told):
        yield name, values[people]


def _continuous(columns: Mapping[str, Values]) -> Iterable[tuple[str, Values]]:
    """Yield the columns that are amounts and not classes."""
    return ((name, values) for name, values in columns.items() if len(np.unique(values[~np.isnan(values)])) > 2)


def _concerns(finding: Finding, run_id: str) -> bool:
    return any(f" of {run_id} (" in name for name in finding.summaries)


def _key(group: ExportedGroup) -> tuple[str, str, str, str]:
    return group.target, group.split, group.by, group.group

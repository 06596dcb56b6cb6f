"""What a bundle may tell of a run's results and cohort: counts of ten people and more, numbers to three digits.

Terms
-----
told     what may be published by the rules of the run's page (`mmtrain.page.tables`): nothing from which a count of
         1 to 9 people follows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from mmbase.checksums import write_checked
from mmbase.disclosure import SMALLEST_COUNT, rounded
from mmbase.files import to_json
from mmbase.json_text import EXACT, Finite
from mmbase.names import AGE
from mmtrain.aggregates.people import shown_count
from mmtrain.bundles.part import read_part
from mmtrain.data.cohort import Cohort
from mmtrain.page.facts import GroupFacts, Interval, RunFacts, SplitCount, TargetFacts
from mmtrain.page.guessing import by_guessing
from mmtrain.page.learning_rules import waited_for_data
from mmtrain.page.privacy_rules import gives_members_away
from mmtrain.page.tables import OF_GROUPS, told_of
from mmtrain.page.verdict import Level
from mmtrain.page.verdicts import judge
from mmtrain.privacy.finding import verdict_of

Split = Literal["train", "val", "test"]
RESULTS_VERSION = 1
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the ages of the training cohort; those with fewer than ten people on one side are left out."""

_NOT_TOLD = (waited_for_data.__name__, gives_members_away.__name__)
"""Rules about how the run went, which says nothing to those who use the model, and about attacks, which have sentences
of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A metric with both ends of its 95 % interval, where it has one."""

    value: Finite
    low: Finite | None = None
    high: Finite | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupResults:
    """How well one group of the test split is predicted."""

    by: str
    group: str
    n: int
    metrics: dict[str, Measured]


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetResults:
    """How well one target is predicted."""

    name: str
    unit: str
    metrics: dict[str, dict[str, Measured]]
    """Split to metrics by name."""
    baseline: dict[str, Finite]
    """The same metrics on test of saying the same for everybody."""
    groups: list[GroupResults]
    threshold: Finite | None = None
    """Of a binary target, the probability from which it is decided to be class 1, as fixed on validation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSize:
    """How many samples a split has, of how many people; ``<10`` where that is not told."""

    samples: str
    participants: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What a rule of the run's page found."""

    level: Level
    title: str
    meaning: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldResults:
    """What results.json holds."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    headline: str
    """Whether to believe the model, in a sentence."""
    remarks: list[Remark]
    assurances: list[str]
    """What speaks for the model."""
    cohort: dict[Split, SplitSize]
    """Of each split."""
    age_years: dict[str, Finite]
    """Quantiles of the training cohort's ages, e.g. ``"0.05"``, in whole years; none where ages are not known."""
    targets: list[TargetResults]
    privacy: list[str] = field(default_factory=list)
    """What attacks on the model came to, a sentence for each target; none where nobody has made any."""
    schema_version: int = RESULTS_VERSION


def tell_results(facts: RunFacts, cohort: Cohort) -> ToldResults:
    """Return what may be told of a finished run."""
    targets = [told_of(target, exact=False) for target in facts.targets]
    judgement = judge(replace(facts, targets=targets))
    return ToldResults(
        headline=judgement.headline,
        remarks=[
            Remark(level=v.level, title=v.title, meaning=v.meaning)
            for v in judgement.verdicts
            if v.code not in _NOT_TOLD
        ],
        assurances=list(judgement.assurances),
        cohort={split: _size(facts.counts[split]) for split in get_args(Split) if split in facts.counts},
        age_years=age_quantiles(cohort),
        targets=[_target(target) for target in targets],
        privacy=[] if facts.privacy is None else list(map(verdict_of, facts.privacy.targets)),
    )


def age_quantiles(cohort: Cohort) -> dict[str, float]:
    """Return quantiles of the ages of the training split, in whole years.

    A quantile is told where ten people at least are younger, and ten older: then it is no single person's age.
    """
    members = cohort.members("train")
    ages = cohort.groups.get(AGE, np.full(len(cohort.sample_ids), np.nan))[members]
    known = ~np.isnan(ages)
    ages, people = ages[known], cohort.participants[members][known]
    found = {}
    for quantile in QUANTILES if len(ages) else ():
        value = float(np.quantile(ages, quantile))
        sides = (_num_people(people[ages < value]), _num_people(people[ages > value]))
        if min(sides) >= SMALLEST_COUNT:
            found[f"{quantile:g}"] = float(round(value))
    return found


def write_results(path: Path, results: ToldResults) -> None:
    """Write a results.json, and its checksum."""
    content = asdict(results)
    if not results.privacy:
        del content["privacy"]  # which programs before mm privacy do not know
    write_checked(path, to_json(content))


def read_results(path: Path) -> ToldResults:
    """Read a results.json.

    Raises
    ------
    TrainError
        It is not there, is damaged or changed, or a newer version of this program wrote it.
    """
    return read_part(path, ToldResults, RESULTS_VERSION)


def _target(told: TargetFacts) -> TargetResults:
    test = told.metrics.get("test", {})
    baseline = {name: by_guessing(told, name) for name in test}
    return TargetResults(
        name=told.name,
        unit=told.unit,
        metrics={split: _measured(values, told.intervals.get(split, {})) for split, values in told.metrics.items()},
        baseline={name: rounded(value) for name, value in baseline.items() if value is not None},
        groups=[_group(group, told.name) for group in told.groups],
        threshold=None if told.threshold is None else rounded(told.threshold),
    )


def _group(group: GroupFacts, target: str) -> GroupResults:
    """Return a group's metrics; not how much of the target's variance is explained in a band of the target itself."""
    names = [name for name in OF_GROUPS if not (name == "r2" and group.by == target)]
    values = {name: group.metrics[name] for name in names if name in group.metrics}
    return GroupResults(by=group.by, group=group.group, n=group.n, metrics=_measured(values, group.intervals))


def _measured(values: Mapping[str, float], intervals: Mapping[str, Interval]) -> dict[str, Measured]:
    return {name: _one(value, intervals.get(name)) for name, value in values.items() if np.isfinite(value)}


def _one(value: float, interval: Interval | None) -> Measured:
    if interval is None:
        return Measured(value=rounded(value))
    return Measured(value=rounded(value), low=rounded(interval.low), high=rounded(interval.high))


def _size(count: SplitCount) -> SplitSize:
    return SplitSize(samples=shown_count(count.samples), participants=shown_count(count.participants))


def _num_people(participants: NDArray[np.int64]) -> int:
    return len(np.unique(participants))

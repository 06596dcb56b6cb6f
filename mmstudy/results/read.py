"""Read what finished runs came to, from their directories alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.runs import run_entries
from mmbase.errors import MmError
from mmbase.json_text import Count, DamagedTextError, parse_content, read_json
from mmdata.study import Study
from mmstudy.runs.folders import find_run_of_study, study_runs
from mmtrain.config.run import RunConfig
from mmtrain.errors import TrainError
from mmtrain.metrics.registry import in_table_order
from mmtrain.run import RunDirectory, find_run
from mmtrain.unchanged import require_unchanged

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one split."""

    value: float | None
    """None: not defined for these samples."""
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class _Decision:
    """How classes are decided."""

    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class _OfTarget:
    """What metrics.json says of one target beside its metrics."""

    decision: _Decision = _Decision()


@dataclass(frozen=True, slots=True)
class _OfRun:
    """What metrics.json says of a run as a whole; runs of older versions say less."""

    best_epoch: Count | None = None
    epochs: Count | None = None
    losses: dict[str, float] = field(default_factory=dict)
    minutes: float | None = None
    parameters: Count | None = None
    withdrawn: dict[str, Count] = field(default_factory=dict)
    decision: _Decision = _Decision()
    """Of a run with one target; several have one each."""
    targets: dict[str, _OfTarget] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """What one run came to for one of its targets."""

    directory: RunDirectory
    target: str
    kind: str
    unit: str
    config: RunConfig
    n: Mapping[str, int]
    """Samples of each split that have the target."""
    metrics: Mapping[str, Mapping[str, Measured]]
    """By split and name, in the order of tables."""
    best_epoch: int | None
    epochs: int | None
    losses: Mapping[str, float]
    """Of the run, by split."""
    minutes: float | None
    parameters: int | None
    withdrawn: int
    """Samples of the cohort that have withdrawn since."""
    threshold: float | None = None
    """Probability of class 1 that validation chose to decide from; None of a continuous target."""

    @property
    def run_id(self) -> str:
        """Return the name of the run."""
        return self.directory.run_id

    def measured(self, split: str, name: str) -> Measured:
        """Return a metric; without a value where the run does not have it."""
        return self.metrics.get(split, {}).get(name, Measured(None))

    @property
    def main_metric(self) -> str | None:
        """Return the metric to look at first; None of a run without any."""
        return next(iter(in_table_order(self.metrics.get("test", {}))), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyResults:
    """What the runs of a study came to."""

    results: Sequence[RunResult]
    """By the name of the run, then in the order of its targets."""
    unfinished: Sequence[str]
    """Runs that have no metrics yet."""
    unreadable: Sequence[str]
    """What is wrong with those that cannot be read, a sentence each."""


def read_results(study: Study) -> StudyResults:
    """Read every finished run of a study."""
    results, unfinished, unreadable = list[RunResult](), list[str](), list[str]()
    for run in study_runs(study.layout).reachable:
        if not run.metrics.exists():
            unfinished.append(run.run_id)
            continue
        try:
            results += _results_of(*find_run(run.path.parent, run.run_id))
        except MmError as error:
            unreadable.append(error.what_happened)
    return StudyResults(results=results, unfinished=unfinished, unreadable=unreadable)


def read_run(study: Study, run_id: str) -> list[RunResult]:
    """Read one finished run: a result for each of its targets.

    Raises
    ------
    TrainError
        There is no such run, it is not finished, it is a wiring check, or a file of it is damaged.
    """
    results = _results_of(*find_run_of_study(study.layout, run_id))
    if not results:
        raise TrainError(f"Run {run_id} is a wiring check: its inputs were the labels, so it has no result.")
    return results


def _results_of(run: RunDirectory, config: RunConfig) -> list[RunResult]:
    """Return a result for each target of a finished run; none of a wiring check."""
    content = _read_metrics(run)
    try:
        entries, of_run = run_entries(run.run_id, content), parse_content(content, _OfRun)
    except DamagedTextError as error:
        raise _damaged(run, error) from error
    targets = {target.name: target for target in config.data.targets}
    return [
        RunResult(
            directory=run,
            target=entry.target,
            kind=entry.kind,
            unit=targets[entry.target].unit if entry.target in targets else "",
            config=config,
            n=entry.n,
            metrics=_by_split(entry.metrics),
            best_epoch=of_run.best_epoch,
            epochs=of_run.epochs,
            losses=of_run.losses,
            minutes=of_run.minutes,
            parameters=of_run.parameters,
            withdrawn=sum(of_run.withdrawn.values()),
            threshold=of_run.targets.get(entry.target, of_run).decision.threshold,
        )
        for entry in entries
    ]


def _read_metrics(run: RunDirectory) -> dict[str, Any]:
    if not run.metrics.exists():
        raise TrainError(
            f"Run {run.run_id} is not finished, so there is nothing to compare.",
            f"Resume it with mm train --resume {run.run_id}, or test its best epoch: mm train --finish {run.run_id}",
        )
    try:
        require_unchanged(run.metrics)
        return read_json(run.metrics, dict[str, Any])
    except (OSError, DamagedTextError, TrainError) as error:
        raise _damaged(run, error) from error


def _damaged(run: RunDirectory, error: Exception) -> TrainError:
    unreadable = f"{run.metrics.name} of run {run.run_id} cannot be read: it is damaged ({error})."
    return TrainError(
        error.what_happened if isinstance(error, MmError) else unreadable,
        f"Delete it, then test the run's best epoch again: mm train --finish {run.run_id}",
    )


def _by_split(
    rows: Sequence[tuple[str, str, float | None, float | None, float | None]],
) -> dict[str, dict[str, Measured]]:
    found: dict[str, dict[str, Measured]] = {}
    for split, name, value, low, high in rows:
        interval = None if low is None or high is None else (low, high)
        found.setdefault(split, {})[name] = Measured(value, interval)
    return found

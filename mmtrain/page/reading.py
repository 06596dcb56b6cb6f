"""Read a run directory, as far as it can be read.

Nothing here refuses: what is missing is missing, and what cannot be read is named in `RunFacts.problems`. Once
participants have withdrawn, everything is measured again on those who are left: metrics with somebody beside counts
without them would tell of them. Runs of older versions, which have no intervals, are measured again too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbase.json_text import parse_json_line, read_json
from mmbase.lock import LockHeldError, hold_lock
from mmbase.names import SPLITS
from mmtrain.config.data import TargetConfig
from mmtrain.config.run import SEVERAL, RunConfig, parse_run_config
from mmtrain.data.cohort import Cohort, parse_cohort
from mmtrain.errors import TrainError
from mmtrain.metrics.predicted import Predicted
from mmtrain.page.facts import CLASSIFICATION, HELD_OUT, GroupFacts, Interval, RunFacts, SplitCount, State, TargetFacts
from mmtrain.page.predictions import judge_again, parse_predictions
from mmtrain.privacy.finding import read_privacy
from mmtrain.run import RunDirectory, read_table

BALANCING = ("undersample", "weight")
"""Settings of `balance` with which both classes count the same in training."""
_UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, ImportError),
    *(TrainError, pl.exceptions.PolarsError),
)
"""What the parts of a damaged or very old run may raise."""
T = TypeVar("T")


def find_state(run: RunDirectory) -> State:
    """Return how far a run has come: a process that trains it holds its lock."""
    if run.metrics.exists():
        return "finished"
    try:
        with hold_lock(run.checkpoint.parent / "lock"):
            return "stopped"
    except LockHeldError:
        return "training"
    except OSError:  # a folder that cannot be written, or that an old run has not got
        return "stopped"


def read_facts(run: RunDirectory, state: State) -> RunFacts:
    """Return what a run directory says."""
    from mmtrain.page.network import read_network  # noqa: PLC0415 - loads PyTorch, which `read_targets` does without

    problems: list[str] = []
    read = _read_run(run, state, problems)
    mark = _mapping((_read(run.withdrawn, problems) or {}).get("withdrawn")) if run.withdrawn.exists() else {}
    network = _attempt(lambda: read_network(run.model_card), run.model_card, problems)
    epochs = _read_epochs(run, problems)
    seconds = [entry["train_seconds"] for entry in epochs if "train_seconds" in entry]
    return RunFacts(
        run_id=run.run_id,
        state=state,
        settings=read.settings,
        config=read.config,
        audit=[_mapping(finding) for finding in read.config_json.get("audit", [])],
        changes=[_mapping(change) for change in read.config_json.get("changes", [])],
        versions=_mapping(read.config_json.get("environment")),
        counts=_counts(read.cohort, None),
        epochs=epochs,
        targets=_targets_in(run, read, problems),
        privacy=_attempt(lambda: read_privacy(run.privacy), run.privacy, problems),
        withdrawn=sum(int(number) for number in mark.values()),
        minutes=read.metrics.get("minutes", sum(seconds) / 60 if seconds else None),
        parameters=read.metrics.get("parameters", network.num_parameters if network else None),
        network=network,
        problems=problems,
    )


def read_targets(run: RunDirectory, state: State) -> list[TargetFacts]:
    """Return what a run directory says of its targets alone, without what cannot be read."""
    problems: list[str] = []
    return _targets_in(run, _read_run(run, state, problems), problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """What the files say that targets are told from."""

    config_json: Mapping[str, Any]
    """All of config.json."""
    settings: Mapping[str, Any]
    """Its settings, flat."""
    config: RunConfig | None
    """The same as this mm reads them; None where it cannot."""
    metrics: Mapping[str, Any]
    """All of metrics.json."""
    predicted: Mapping[str, Mapping[str, Predicted]]
    """Target to split to its predictions."""
    cohort: Cohort | None
    targets: Sequence[TargetConfig]

    @property
    def seed(self) -> int:
        """Return the seed of the run."""
        seed = self.settings.get("seed")
        return seed if isinstance(seed, int) else 0


def _read_run(run: RunDirectory, state: State, problems: list[str]) -> _Read:
    config_json: dict[str, Any] = _read(run.config, problems) or {}
    settings = _mapping(config_json.get("train"))
    metrics: dict[str, Any] = (_read(run.metrics, problems) or {}) if state == "finished" else {}
    cohort = _attempt(lambda: parse_cohort(read_table(run.cohort)), run.cohort, problems)
    config = _attempt(lambda: parse_run_config(settings), run.config, problems) if settings else None
    asked = config.data.targets if config else _targets_of(settings)
    return _Read(
        config_json=config_json,
        settings=settings,
        config=config,
        metrics=metrics,
        predicted=_read_predictions(run, cohort, asked, problems) if metrics else {},
        cohort=cohort,
        targets=asked,
    )


def _targets_in(run: RunDirectory, read: _Read, problems: list[str]) -> list[TargetFacts]:
    entries = _entries(run, read, problems)
    return [
        _target_facts(
            target,
            entries.get(target.name, {}),
            read.predicted.get(target.name, {}),
            counts=_counts(read.cohort, index, by_class=target.kind == CLASSIFICATION),
            balance=read.settings.get("balance"),
        )
        for index, target in enumerate(read.targets)
    ]


def _entries(run: RunDirectory, read: _Read, problems: list[str]) -> dict[str, dict[str, Any]]:
    """Return what metrics.json says of each target, or would say if it were written now."""
    several = _mapping(read.metrics.get("targets"))
    found = {}
    for index, target in enumerate(read.targets):
        entry = dict(read.metrics) if len(read.targets) == 1 else _mapping(several.get(target.name))
        is_whole = "intervals" in entry and not run.withdrawn.exists()
        found[target.name] = entry if is_whole or not entry else _measure_again(run, read, index, entry, problems)
    return found


def _measure_again(
    run: RunDirectory, read: _Read, index: int, entry: dict[str, Any], problems: list[str]
) -> dict[str, Any]:
    target = read.targets[index]
    labels = np.empty(0) if read.cohort is None else read.cohort.known_labels("train", index)
    predicted = read.predicted.get(target.name, {})
    again = _attempt(lambda: judge_again(target, predicted, labels, read.seed), run.predictions, problems)
    return again or ({} if run.withdrawn.exists() else entry)


def _target_facts(
    target: TargetConfig,
    entry: Mapping[str, Any],
    predicted: Mapping[str, Predicted],
    *,
    counts: Mapping[str, SplitCount],
    balance: Any,
) -> TargetFacts:
    """Return what an entry of metrics.json, and the predictions themselves, say of a target."""
    given = _mapping(entry.get("intervals"))
    return TargetFacts(
        name=target.name,
        kind=target.kind,
        unit=target.unit,
        counts=counts,
        metrics={split: _numbers(entry.get(split)) for split in HELD_OUT} if entry else {},
        intervals={split: _intervals(given.get(split)) for split in HELD_OUT},
        predicted=predicted,
        threshold=_numbers(entry.get("decision")).get("threshold"),
        training_median=_numbers({"median": entry.get("training_median")}).get("median"),
        age_bias=_numbers(entry.get("age_bias")),
        is_balanced=balance in BALANCING,
        groups=tuple(_group(group) for group in entry.get("subgroups") or []),
    )


def _group(group: Mapping[str, Any]) -> GroupFacts:
    return GroupFacts(
        by=str(group["by"]),
        group=str(group["group"]),
        n=int(group["n"]),
        metrics=_numbers(group.get("metrics")),
        intervals=_intervals(group.get("intervals")),
    )


def _counts(cohort: Cohort | None, index: int | None, *, by_class: bool = False) -> dict[str, SplitCount]:
    """Return the sizes of the splits; of those that have the label of a target, where its index is given."""
    if cohort is None or (index is not None and index >= len(cohort.targets)):
        return {}
    known = np.full(len(cohort.splits), True) if index is None else ~np.isnan(cohort.labels_NT[:, index])
    found = {}
    for split in SPLITS:
        chosen = known & (cohort.splits == split)
        whole = _size(cohort.participants[chosen])
        if by_class and index is not None:
            zeros, ones = (_size(cohort.participants[chosen & (cohort.labels_NT[:, index] == x)]) for x in (0, 1))
            whole = replace(whole, classes=(zeros, ones)) if zeros.samples + ones.samples == whole.samples else whole
        found[split] = whole
    return found


def _size(participants: NDArray[np.int64]) -> SplitCount:
    """Return how many samples there are, given whose each is."""
    return SplitCount(samples=len(participants), participants=len(np.unique(participants)))


def _read_predictions(
    run: RunDirectory, cohort: Cohort | None, asked: Sequence[TargetConfig], problems: list[str]
) -> dict[str, dict[str, Predicted]]:
    """Return truth and prediction by target and split."""
    if not asked:
        return {}
    read = _attempt(lambda: parse_predictions(read_table(run.predictions), cohort, asked), run.predictions, problems)
    return read or {}


def _read_epochs(run: RunDirectory, problems: list[str]) -> list[dict[str, Any]]:
    if not run.epochs.exists():
        return []
    found: list[dict[str, Any]] = []
    for line in run.epochs.read_text(encoding="utf-8", errors="replace").splitlines():
        entry = _attempt(lambda line=line: _epoch(line), run.epochs, problems)  # type: ignore[misc]
        if entry is not None:
            found.append(entry)
    return found


def _epoch(line: str) -> dict[str, Any]:
    entry = parse_json_line(line, dict[str, Any])
    return {**entry, "epoch": int(entry["epoch"]), **{name: float(entry[name]) for name in ("train_loss", "val_loss")}}


def _targets_of(settings: Mapping[str, Any]) -> tuple[TargetConfig, ...]:
    """Return the targets that settings name which this mm cannot read as a whole."""
    listed = settings.get("targets") or [settings]
    return tuple(
        TargetConfig(name=str(one.get("name", one.get("target"))), kind=str(one.get("kind")), unit=str(one.get("unit")))
        for one in listed
        if one.get("kind") not in (None, SEVERAL)
    )


def _read(path: Path, problems: list[str]) -> dict[str, Any] | None:
    return _attempt(lambda: read_json(path, dict[str, Any]), path, problems)


def _attempt(read: Callable[[], T], path: Path, problems: list[str]) -> T | None:
    """Return what was read; None of a file that is not there or, noted as a problem, cannot be used."""
    if not path.exists():
        return None
    try:
        return read()
    except _UNREADABLE as error:
        problem = f"{path.name} cannot be used as it is ({type(error).__name__})."
        if problem not in problems:
            problems.append(problem)
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _numbers(values: Any) -> dict[str, float]:
    """Return the finite numbers of a mapping."""
    return {
        str(name): float(value)
        for name, value in _mapping(values).items()
        if isinstance(value, int | float) and np.isfinite(value)
    }


def _intervals(values: Any) -> dict[str, Interval]:
    """Return the intervals of a mapping, without those that could not be computed."""
    return {
        str(name): Interval(float(bounds[0]), float(bounds[1]))
        for name, bounds in _mapping(values).items()
        if isinstance(bounds, list | tuple) and len(bounds) == 2 and all(isinstance(b, int | float) for b in bounds)
    }

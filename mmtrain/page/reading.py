"""Read a run directory, as far as it can be read.

Nothing here refuses: what is missing is missing, and what cannot be read is named in `RunFacts.problems`. Once
participants have withdrawn, everything is measured again on those who are left: metrics with somebody beside counts
without them would tell of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from mmbase.json_text import parse_json_line, read_json
from mmbase.names import SPLITS
from mmtrain.aggregates.scored import Scored
from mmtrain.config.data import TargetConfig
from mmtrain.config.run import SEVERAL, parse_run_config
from mmtrain.errors import TrainError
from mmtrain.metrics.metric import NOTHING_FIXED, applicable, measure
from mmtrain.metrics.metric import Scored as Judged
from mmtrain.page.facts import GroupFacts, RunFacts, SplitCount, State, TargetFacts
from mmtrain.page.intervals import Interval, closed_form_intervals
from mmtrain.page.network import read_network
from mmtrain.run import RunDirectory, read_table
from mmtrain.targets.registry import load_kind

HELD_OUT = ("val", "test")
_UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, ImportError),
    *(TrainError, pl.exceptions.PolarsError),
)
"""What the parts of a damaged or very old run may raise."""
T = TypeVar("T")


def read_facts(run: RunDirectory, state: State) -> RunFacts:
    """Return what a run directory says."""
    problems: list[str] = []
    config_json: dict[str, Any] = _read(run.config, problems) or {}
    settings = _mapping(config_json.get("train"))
    metrics: dict[str, Any] = (_read(run.metrics, problems) or {}) if state == "finished" else {}
    mark = _mapping((_read(run.withdrawn, problems) or {}).get("withdrawn")) if run.withdrawn.exists() else {}
    cohort = _read_people(run, problems)
    network = _attempt(lambda: read_network(run.model_card), run.model_card, problems)
    epochs = _read_epochs(run, problems)
    seconds = [entry["train_seconds"] for entry in epochs if "train_seconds" in entry]
    config = _attempt(lambda: parse_run_config(settings), run.config, problems) if settings else None
    asked = config.data.targets if config else _targets_of(settings)
    is_marked = run.withdrawn.exists()
    predictions = _read_predictions(run, cohort, asked, problems) if metrics else {}
    targets = [
        _target_facts(target, metrics, predictions.get(target.name, {}), cohort, len(asked), is_marked=is_marked)
        for target in asked
    ]
    return RunFacts(
        run_id=run.run_id,
        state=state,
        settings=settings,
        config=config,
        audit=[_mapping(finding) for finding in config_json.get("audit", [])],
        changes=[_mapping(change) for change in config_json.get("changes", [])],
        versions=_mapping(config_json.get("environment")),
        counts=_counts(cohort, None),
        epochs=epochs,
        targets=targets,
        withdrawn=sum(int(number) for number in mark.values()),
        minutes=metrics.get("minutes", sum(seconds) / 60 if seconds else None),
        parameters=metrics.get("parameters", network.num_parameters if network else None),
        network=network,
        problems=problems,
    )


def _target_facts(
    target: TargetConfig,
    metrics: Mapping[str, Any],
    scored: Mapping[str, Scored],
    cohort: pl.DataFrame | None,
    num_targets: int,
    *,
    is_marked: bool,
) -> TargetFacts:
    column = "target" if num_targets == 1 else f"target_{target.name}"
    facts = TargetFacts(
        name=target.name, kind=target.kind, unit=target.unit, counts=_counts(cohort, column), scored=scored
    )
    entry = metrics if num_targets == 1 else _mapping(_mapping(metrics.get("targets")).get(target.name))
    if not entry:
        return facts
    if is_marked:
        return _measured_again(facts)
    found = {split: _numbers(entry.get(split)) for split in HELD_OUT}
    given = _mapping(entry.get("intervals"))
    intervals = {split: _intervals(given.get(split)) for split in HELD_OUT}
    facts = replace(
        facts,
        metrics=found,
        intervals=intervals,
        threshold=_numbers(entry.get("decision")).get("threshold"),
        training_median=_numbers({"median": entry.get("training_median")}).get("median"),
        age_bias=_numbers(entry.get("age_bias")),
        groups=tuple(_group(group) for group in entry.get("subgroups") or []),
    )
    return facts if any(intervals.values()) else _with_formulas(facts)


def _measured_again(facts: TargetFacts) -> TargetFacts:
    """Return metrics of those who are left."""
    kind = load_kind(facts.kind)
    found = {
        split: measure(applicable(kind.metrics, NOTHING_FIXED), Judged(scored.truth, scored.prediction))
        for split, scored in facts.scored.items()
        if len(np.unique(scored.truth)) > 1
    }
    return _with_formulas(replace(facts, metrics=found))


def _with_formulas(facts: TargetFacts) -> TargetFacts:
    intervals = {
        split: closed_form_intervals(metrics, facts.scored.get(split)) for split, metrics in facts.metrics.items()
    }
    return replace(facts, intervals=intervals, are_approximate=any(intervals.values()))


def _group(group: Mapping[str, Any]) -> GroupFacts:
    return GroupFacts(
        by=str(group["by"]),
        group=str(group["group"]),
        n=int(group["n"]),
        metrics=_numbers(group.get("metrics")),
        intervals=_intervals(group.get("intervals")),
    )


def _read_people(run: RunDirectory, problems: list[str]) -> pl.DataFrame | None:
    """Return the cohort's samples, splits, people and labels."""
    table = _attempt(lambda: read_table(run.cohort), run.cohort, problems)
    if table is None or not {"sample_id", "split"} <= {*table.columns}:
        return None
    if "participant" not in table.columns:
        table = table.with_row_index("participant")
    labels = [name for name in table.columns if name == "target" or name.startswith("target_")]
    return table.select("sample_id", "split", pl.col("participant").cast(pl.Int64), *labels)


def _counts(cohort: pl.DataFrame | None, label: str | None) -> dict[str, SplitCount]:
    if cohort is None or (label is not None and label not in cohort.columns):
        return {}
    known = cohort if label is None else cohort.filter(pl.col(label).cast(pl.Float64).fill_nan(None).is_not_null())
    return {
        split: SplitCount(samples=part.height, participants=part["participant"].n_unique())
        for split in SPLITS
        for part in [known.filter(split=split)]
    }


def _read_predictions(
    run: RunDirectory, cohort: pl.DataFrame | None, asked: Sequence[TargetConfig], problems: list[str]
) -> dict[str, dict[str, Scored]]:
    """Return truth and prediction by target and split."""
    table = _attempt(lambda: read_table(run.predictions), run.predictions, problems)
    if table is None or not asked:
        return {}
    try:
        if "target" not in table.columns:
            table = table.with_columns(target=pl.lit(asked[0].name))
        if cohort is None:
            people = table.select("sample_id").unique(maintain_order=True).with_row_index("participant")
        else:
            people = cohort.select("sample_id", "participant")
        joined = table.join(people, on="sample_id", how="inner", maintain_order="left")
        return {
            str(target): {
                str(split): Scored(
                    truth=part["truth"].cast(pl.Float64).to_numpy(),
                    prediction=part["prediction"].cast(pl.Float64).to_numpy(),
                    participants=part["participant"].cast(pl.Int64).to_numpy(),
                )
                for (split,), part in of_target.partition_by("split", as_dict=True, maintain_order=True).items()
            }
            for (target,), of_target in joined.partition_by("target", as_dict=True, maintain_order=True).items()
        }
    except _UNREADABLE as error:
        problems.append(f"{run.predictions.name} cannot be used ({type(error).__name__}).")
        return {}


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

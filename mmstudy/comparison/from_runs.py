"""Finished runs as scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from catalog.fields import Dictionary
from mmstudy.comparison.contributions import BINARY, CONTINUOUS, MAIN
from mmstudy.comparison.scores import SCORES
from mmstudy.results.read import RunResult
from mmstudy.runs.comparable import Comparable, read_comparable
from mmstudy.sweep.cells import Cell
from mmtrain.errors import TrainError

_DECIDED = {
    "balanced_accuracy": "balanced_accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
    "auc": "micro_auc",
}
"""Columns and the metrics in them, which have another name in front of a continuous target."""
_AS_THEY_ARE = ("average_precision", "prevalence", "r2", "r", "mae")
_OF_KIND = {"classification": BINARY, "regression": CONTINUOUS, "binned": CONTINUOUS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A cell, and a run's result that is a model of it. A run may serve a cell for several methods."""

    result: RunResult
    cell: Cell
    method: str


def scores_of_runs(served: Sequence[Served], dictionary: Dictionary) -> pl.DataFrame:
    """Return the scores of runs, a row for each, in their order; what a run does not have is null.

    Raises
    ------
    TrainError
        A run's target is neither continuous nor binary.
    """
    if wrong := [of.result.run_id for of in served if of.result.kind not in _OF_KIND]:
        raise TrainError(
            f"Run {wrong[0]} predicts a target that is neither continuous nor binary: it has no score to compare.",
            "Leave it out.",
        )
    kept = {
        run.run_id: read_comparable(run) for run in {of.result.run_id: of.result.directory for of in served}.values()
    }
    rows = [_scores_of(of, kept[of.result.run_id], dictionary) for of in served]
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def _scores_of(served: Served, kept: Comparable, dictionary: Dictionary) -> Mapping[str, Any]:
    result, cell = served.result, served.cell
    kind = _OF_KIND[result.kind]
    in_front = "" if kind == BINARY else "median_split_"
    test = {name: measured.value for name, measured in result.metrics.get("test", {}).items()}
    score = result.measured("test", MAIN[kind])
    low, high = score.interval or (None, None)
    return {
        "cell": cell.name,
        "target": cell.target,
        "domain": dictionary[cell.target].block if cell.target in dictionary else "",
        "kind": kind,
        "inputs": list(cell.inputs),
        "blocks": list(cell.blocks),
        "method": served.method,
        "network": result.config.model.model,
        "seed": result.config.optimisation.seed,
        "split": result.config.data.split,
        "run_id": result.run_id,
        "regime": kept.regime,
        "augmentation": kept.augmentation,
        "participants": kept.participants.get(cell.target),
        "n_test": result.n["test"],
        "smallest_cell": _smallest_cell(result) if kind == BINARY else None,
        "score": score.value,
        "score_low": low,
        "score_high": high,
        "val_score": result.measured("val", MAIN[kind]).value,
        **{column: test.get(in_front + name) for column, name in _DECIDED.items()},
        **{name: test.get(name) for name in _AS_THEY_ARE},
        "threshold": result.threshold,
        "loss": result.losses.get("test") if len(result.config.data.targets) == 1 else None,
        "minutes": result.minutes,
        "predicts_one_class": _predicts_one_class(test) if kind == BINARY else None,
    }


def _smallest_cell(result: RunResult) -> int | None:
    """Return the smallest cell above 0 of the confusion matrices that follow from a run's metrics."""
    cells: list[int] = []
    for split in ("val", "test"):
        num = result.n.get(split, 0)
        share, recall, balanced = (
            result.measured(split, name).value for name in ("prevalence", "recall", "balanced_accuracy")
        )
        if share is not None and recall is not None and balanced is not None:
            ones = round(share * num)
            right_ones, right_zeros = round(recall * ones), round((2 * balanced - recall) * (num - ones))
            cells += [right_ones, ones - right_ones, right_zeros, num - ones - right_zeros]
    return min((cell for cell in cells if cell), default=None)


def _predicts_one_class(test: Mapping[str, float | None]) -> bool | None:
    """Return whether all test samples were decided to be of one class; None where that is not known.

    Then one class is found always and the other never, which no other decisions come to.
    """
    recall, balanced = test.get("recall"), test.get("balanced_accuracy")
    if recall is None or balanced is None:
        return None
    return recall in (0.0, 1.0) and balanced == 0.5

"""The models of a report as columns, the best of each target, and differences of two models."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import polars as pl

from mmstudy.comparison.contenders import OF_CONTENDER, SERIES
from mmstudy.comparison.contributions import MAIN
from mmstudy.comparison.flags import FLAG_NAMES
from mmstudy.report.names import Names
from mmstudy.sweep.settings import BASELINE_METHOD

Columns: TypeAlias = Mapping[str, list[Any]]
_MEANS = (
    *("score", "val_score", "balanced_accuracy", "r2", "r", "mae", "precision", "recall", "f1", "auc"),
    *("average_precision", "threshold", "minutes"),
)
"""Of a model with several runs."""
_ENDS = {"mean_low": "score_low", "mean_high": "score_high"}
"""Of the interval of a model's score; those of two runs have no mean."""
_DIGITS = 5
"""Significant ones."""


def model_columns(results: pl.DataFrame, names: Names) -> Columns:
    """Return a row for each model.

    Parameters
    ----------
    results
        Of `mmstudy.comparison.compare.Comparison`.
    """
    models = results.group_by(OF_CONTENDER, maintain_order=True).agg(
        pl.col("inputs", "blocks", "best_baseline", "baseline_score", *_ENDS).first(),
        pl.col(*_MEANS).replace([float("nan"), float("inf"), float("-inf")], None).mean(),
        pl.col(FLAG_NAMES).any(),
        pl.col("n_test").min(),
        pl.col("prevalence").first(),
        pl.col("run_id").drop_nulls(),
    )
    rows = models.rows(named=True)
    networks = {network: place for place, (method, network) in enumerate(names.series) if method == BASELINE_METHOD}
    return {
        "target": [names.place_of_target(row["target"]) for row in rows],
        "series": [names.place_of_series(row["method"], row["network"]) for row in rows],
        "set": [names.place_of_set(row["inputs"], row["blocks"]) for row in rows],
        **{name: [shortened(row[name]) for row in rows] for name in (*_MEANS, "prevalence")},
        **{name: [shortened(row[column]) for row in rows] for column, name in _ENDS.items()},
        "n_test": [row["n_test"] for row in rows],
        **{name: [row[name] for row in rows] for name in FLAG_NAMES},
        "best_baseline": [networks.get(row["best_baseline"]) for row in rows],
        "baseline_score": [shortened(row["baseline_score"]) for row in rows],
        "runs": [row["run_id"] for row in rows],
    }


def runs_of(results: pl.DataFrame) -> list[str]:
    """Return the names of the runs that models are of, each once."""
    names: list[str] = results["run_id"].drop_nulls().unique(maintain_order=True).to_list()
    return names


def best_columns(best: pl.DataFrame, names: Names, models: Columns) -> Columns:
    """Return the best set of each target by each series, as `mmstudy.comparison.best` has chosen it."""
    place_of = _places(names, models)
    rows = best.rows(named=True)
    return {
        "model": [place_of[_key(names, row, row["inputs"], row["blocks"])] for row in rows],
        "chosen_on": [row["chosen_on"] for row in rows],
        **{
            name: [shortened(row.get(name)) for row in rows]
            for name in ("best_test_score", "optimism", "optimism_low", "optimism_high")
        },
    }


def difference_columns(paired: pl.DataFrame, names: Names, models: Columns) -> Columns:
    """Return the differences of two models, on the same participants, of the score that they are judged by."""
    main = paired.filter(pl.col("metric") == pl.col("kind").replace_strict(MAIN, return_dtype=pl.String))
    place_of, rows = _places(names, models), main.rows(named=True)
    others = [{**row, **{name: row[f"other_{name}"] for name in SERIES}} for row in rows]
    return {
        "family": [row["family"] for row in rows],
        "model": [place_of[_key(names, row, row["inputs"], row["blocks"])] for row in rows],
        "other": [place_of[_key(names, row, row["other_inputs"], row["other_blocks"])] for row in others],
        "less": [None if row["less"] is None else places_of_inputs(names, row["less"]) for row in rows],
        **{name: [shortened(row[name]) for row in rows] for name in ("difference", "low", "high", "p", "q")},
        "verdict": [row["verdict"] for row in rows],
        "num_participants": [row["num_participants"] for row in rows],
    }


def places_of_inputs(names: Names, elements: Sequence[str]) -> list[int]:
    """Return the places of inputs and groups of features."""
    in_order = list(names.inputs)
    return [in_order.index(name) for name in elements]


def shortened(value: float | None) -> float | None:
    """Return a number with as many digits as a page needs.

    >>> shortened(0.123456789), shortened(None)
    (0.12346, None)
    """
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def counted(number: int, noun: str) -> str:
    """Return a number of things.

    >>> counted(1, "cell"), counted(1200, "cell")
    ('1 cell', '1,200 cells')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _places(names: Names, models: Columns) -> dict[tuple[int, int, int], int]:
    keys: Iterable[tuple[int, int, int]] = zip(models["target"], models["series"], models["set"], strict=True)
    return {key: place for place, key in enumerate(keys)}


def _key(names: Names, row: Mapping[str, Any], inputs: Sequence[str], blocks: Sequence[str]) -> tuple[int, int, int]:
    return (
        names.place_of_target(row["target"]),
        names.place_of_series(row["method"], row["network"]),
        names.place_of_set(list(inputs), list(blocks)),
    )

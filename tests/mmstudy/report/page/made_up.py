"""A report's content as of the published grid, with scores that nobody measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import compare
from mmstudy.comparison.scores import SCORES
from mmstudy.report.content import About, report_content
from mmstudy.sweep.grid import reference_cells, reference_targets

PREDICTS_ONE_CLASS_EVERY = 11
TITLES = {"r2": "R²", "balanced_accuracy": "balanced accuracy"}


def made_up_content() -> dict[str, Any]:
    """Return the content of 700 models of 25 targets, as of a table without runs."""
    dictionary = load_dictionary()
    rows = []
    for number, cell in enumerate(reference_cells(dictionary, reference_targets(dictionary))):
        kind = dictionary[cell.target].kind
        score = 0.52 + 0.08 * ("t1" in cell.inputs) + 0.03 * len(cell.blocks) + 0.0006 * (number * 37 % 101)
        is_constant = kind == "binary" and number % PREDICTS_ONE_CLASS_EVERY == 0
        known = {"balanced_accuracy": 0.5 if is_constant else score, "auc": 0.7, "minutes": 10.0 + number % 5}
        values = {} if kind == "binary" else {"r2": score - 0.5, "r": score**0.5, "mae": 1.0}
        rows.append(
            {
                **dict.fromkeys(SCORES.names()),
                **{"cell": cell.name, "target": cell.target, "domain": dictionary[cell.target].block, "kind": kind},
                **{"inputs": list(cell.inputs), "blocks": list(cell.blocks), "method": "published", "network": ""},
                **{"score": values.get("r2", known["balanced_accuracy"]), **known, **values},
            }
        )
    comparison = compare(pl.DataFrame(rows, schema=SCORES, orient="row"), None)
    about = About(title="Made-up scores", source="table", made_on="2026-01-01")
    return report_content(comparison, dictionary, about)


def small_content(**more: Any) -> dict[str, Any]:
    """Return the content of two targets, two sets and two series, with all parts that a content can have."""
    return {
        "schema_version": 1,
        "about": {
            "title": "Small",
            "source": "runs",
            "made_by": "mm",
            "made_on": "2026-01-01",
            "runs": "runs",
            "hours": 1.5,
            "notes": ["A note."],
            "counts": {"models": 5, "predict_one_class": 1, "not_better_than_baseline": 1},
        },
        "domains": ["constitutional"],
        "inputs": [{"name": "t1", "title": "T1"}, {"name": "dwi", "title": "diffusion"}],
        "sets": [[0], [0, 1]],
        "series": [
            {"method": "separate", "network": "fusion", "title": "separate fusion"},
            {"method": "baseline", "network": "linear", "title": "baseline linear"},
        ],
        "targets": [
            {"name": "age", "title": "age", "domain": 0, "kind": "continuous", "unit": "years", "metric": "r2"},
            {"name": "sex", "title": "sex", "domain": 0, "kind": "binary", "unit": "", "metric": "balanced_accuracy"},
        ],
        "models": _models(),
        "best": {
            "model": [1, 2, 4],
            "chosen_on": ["validation"] * 3,
            "best_test_score": [0.6, 0.9, 0.55],
            "optimism": [0.0, 0.0, 0.0],
            "optimism_low": [None] * 3,
            "optimism_high": [None] * 3,
        },
        "differences": {
            "family": ["less one input"],
            "model": [1],
            "other": [0],
            "less": [[1]],
            "difference": [0.1],
            "low": [0.04],
            "high": [0.16],
            "p": [0.001],
            "q": [0.002],
            "verdict": ["better"],
            "num_participants": [400],
        },
        "edges": [
            {
                "name": "published_distance",
                "title": "inverse distance",
                "told": "Told.",
                "series": 0,
                "one": [0],
                "other": [1],
                "strength": [3.5],
            }
        ],
        "nodes": [
            {"name": "best_score", "title": "best score", "told": "Told.", "series": 0, "values": [0.6, 0.9]},
        ],
        "effects": {
            "domain": [0],
            "series": [0],
            "outcome": ["r2"],
            "term": ["t1"],
            "estimate": [0.2],
            "se": [0.05],
            "t": [4.0],
            "df": [10],
            "p": [0.002],
            "low": [0.1],
            "high": [0.3],
            "num_cells": [12],
            "num_targets": [2],
            "converged": [True],
        },
        "hours": {
            "series": [0, 0],
            "set": [0, 1],
            "num_models": [1, 2],
            "mean": [10.0, 20.0],
            "low": [None, 15.0],
            "high": [None, 25.0],
            "hours": [0.2, 0.7],
        },
        "data": {"targets": {"target": [0, 1], "train": ["1,000", "<10"]}},
        "methods_text": ["We trained models."],
        "limits": ["Scores are of one cohort."],
        **more,
    }


def _models() -> dict[str, list[Any]]:
    unknown = ("r2", "r", "mae", "precision", "recall", "f1", "auc", "average_precision", "threshold", "prevalence")
    return {
        "target": [0, 0, 1, 1, 1],
        "series": [0, 0, 0, 0, 1],
        "set": [0, 1, 0, 1, 0],
        "score": [0.5, 0.6, 0.9, 0.5, 0.55],
        "val_score": [0.49, 0.61, 0.91, 0.5, 0.56],
        "score_low": [0.45, 0.55, 0.88, None, None],
        "score_high": [0.55, 0.65, 0.92, None, None],
        "balanced_accuracy": [0.7, 0.8, 0.9, 0.5, 0.55],
        "minutes": [10.0, 25.0, 15.0, None, None],
        "n_test": [400, 400, 400, 400, None],
        "predicts_one_class": [False, False, False, True, False],
        "not_better": [False, False, False, True, None],
        "best_baseline": [None, None, 1, 1, None],
        "baseline_score": [None, None, 0.55, 0.55, None],
        "runs": [["age_1"], ["age_2"], ["sex_1"], ["sex_2"], []],
        **{name: [None] * 5 for name in unknown},
    }


def best_lines(content: Mapping[str, Any], target: int) -> tuple[str, str, str]:
    """Return title, inputs and score of the best model of a target, of a content with one series, as the page says."""
    models, inputs = content["models"], content["inputs"]
    (model,) = [of for of in content["best"]["model"] if models["target"][of] == target]
    titles = " + ".join(inputs[place]["title"] for place in content["sets"][models["set"][model]])
    told = content["targets"][target]
    return told["title"], titles, f"{TITLES[told['metric']]} {models['score'][model]:.3f}"


def models_of(content: Mapping[str, Any], target: int) -> Sequence[int]:
    """Return the models of a target, the best score first."""
    models = content["models"]
    found = [number for number, of in enumerate(models["target"]) if of == target]
    return sorted(found, key=lambda number: -models["score"][number])

"""Contents of reports with scores and predictions that nobody measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import compare
from mmstudy.comparison.flags import FLAGS
from mmstudy.comparison.scores import SCORES
from mmstudy.report.content import About, report_content
from mmstudy.report.links import RunLinks, run_columns
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.grid import reference_cells, reference_targets
from tests.mmstudy.comparison.made_up import MadeUp, Values, score_row, table

PREDICTS_ONE_CLASS_EVERY = 11
TITLES = {"r2": "R²", "balanced_accuracy": "balanced accuracy"}
PEOPLE = 400
COMPARED = ("age", "weight", "sex", "hypertension", "smoking", "hba1c", "lonely")
"""From the best to the worst predicted."""
SERIES = (("separate", "fusion"), ("shared", "fusion"), ("baseline", "linear"))


def made_up_content() -> dict[str, Any]:
    """Return the content of 700 models of 25 targets, as of a table without runs."""
    about = About(title="Made-up scores", source="table", made_on="2026-01-01")
    return report_content(compare(made_up_scores(), None), load_dictionary(), about)


def made_up_scores() -> pl.DataFrame:
    """Return the scores of 700 models of 25 targets, as of a table without runs."""
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
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def compared_content() -> dict[str, Any]:
    """Return the content of models by three series with their predictions: with tests, intervals and all flags."""
    dictionary = load_dictionary()
    targets = {name: dictionary[name] for name in COMPARED}
    rng = np.random.default_rng(11)
    truth = rng.normal(0, 1, PEOPLE)
    predictions: dict[str, Values] = {}
    rows = []
    for cell in reference_cells(dictionary, list(targets)):
        for method, network in SERIES:
            run = f"{cell.name}_{method}"
            kind = targets[cell.target].kind
            predictions[run] = _prediction(cell, kind, method, truth, rng)
            rows.append(
                score_row(
                    cell,
                    run_id=run,
                    domain=targets[cell.target].block,
                    kind=kind,
                    method=method,
                    network=network,
                    n_test=PEOPLE,
                    minutes=12.0,
                    **_scores(kind, truth, predictions[run]),
                )
            )
    comparison = compare(
        table(rows), _ByKind(truth, predictions, kinds={name: of.kind for name, of in targets.items()})
    )
    about = About(title="Made-up models", source="runs", made_on="2026-01-01")
    return report_content(comparison, dictionary, about)


@dataclass
class _ByKind(MadeUp):
    """Predictions of targets of both kinds, which share what is behind them."""

    kinds: Mapping[str, str] = field(default_factory=dict)

    def tested(self, run_id: str, target: str) -> pl.DataFrame:
        found = super().tested(run_id, target)
        return found.with_columns(truth=(pl.col("truth") > 0).cast(float)) if self.kinds[target] == "binary" else found


def _prediction(cell: Cell, kind: str, method: str, truth: Values, rng: np.random.Generator) -> Values:
    """Return predictions that get better with more inputs, for a binary target as probabilities."""
    gain = 0.24 if method == "baseline" else 0.3
    known = (
        gain
        * (1 + 0.3 * (len(cell.inputs) + len(cell.blocks)))
        * (1 - COMPARED.index(cell.target) / (len(COMPARED) - 1))
    )
    noisy = known * truth + np.sqrt(known * (1 - min(known, 0.99))) * rng.normal(0, 1, PEOPLE)
    return 1 / (1 + np.exp(-2 * noisy)) if kind == "binary" else noisy


def _scores(kind: str, truth: Values, prediction: Values) -> dict[str, Any]:
    if kind == "binary":
        is_one = truth > 0
        score = float(((prediction[is_one] >= 0.5).mean() + (prediction[~is_one] < 0.5).mean()) / 2)
        return {
            "score": score,
            "r2": None,
            "val_score": score,
            "balanced_accuracy": score,
            "score_low": score - 0.08,
            "score_high": score + 0.08,
            "predicts_one_class": bool((prediction < 0.5).all() or (prediction >= 0.5).all()),
        }
    score = float(1 - ((truth - prediction) ** 2).mean() / truth.var())
    return {
        "score": score,
        "r2": score,
        "val_score": score,
        "balanced_accuracy": 0.5 + max(score, 0) / 2,
        "score_low": score - 0.12,
        "score_high": score + 0.12,
    }


def small_content(**more: Any) -> dict[str, Any]:
    """Return the content of two targets, two sets and two series, with all parts that a content can have."""
    return {
        "schema_version": 1,
        "findings": ["Of 1 networks, none is found better."],
        "about": {
            "title": "Small",
            "source": "runs",
            "made_by": "mm",
            "made_on": "2026-01-01",
            "hours": 1.5,
            "notes": ["A note."],
            "counts": {
                "models": 5,
                "predict_one_class": 1,
                "not_above_chance": 1,
                "not_better_than_baseline": 1,
                "not_told_apart_from_baseline": 1,
            },
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
        "flags": [{"name": flag.name, "mark": flag.mark, "title": flag.title} for flag in FLAGS],
        "models": _models(),
        "runs": run_columns(
            ["age_1", "age_2", "sex_1", "sex_2"],
            {
                "age_2": RunLinks(page="runs/age_2/report.html", bundle="models/age/"),
                "sex_1": RunLinks(page="runs/sex_1/report.html"),
            },
        ),
        "best": {
            "model": [1, 2, 4],
            "chosen_on": ["validation"] * 3,
            "best_test_score": [0.6, 0.9, 0.55],
            "optimism": [0.0, 0.0, 0.0],
            "optimism_low": [None] * 3,
            "optimism_high": [None] * 3,
        },
        "differences": {
            "family": ["less one input", "less one input", "best against others", "best baseline"],
            "model": [1, 3, 1, 2],
            "other": [0, 2, 0, 4],
            "less": [[1], [1], None, None],
            "difference": [0.1, -0.4, 0.1, 0.35],
            "low": [0.04, -0.5, 0.04, -0.01],
            "high": [0.16, -0.3, 0.16, 0.71],
            "p": [0.001, 0.001, 0.001, 0.3],
            "q": [0.002, 0.002, 0.003, 0.3],
            "verdict": ["better", "worse", "better", "not told apart"],
            "num_participants": [400, 390, 400, 390],
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
                "num_equal": 0,
            }
        ],
        "communities": {
            "method": "By hand.",
            "edges": "published_distance",
            "series": 0,
            "levels": [[0, 0], [0, 1]],
            "order": [0, 1],
        },
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
        "trunks": {"inputs": ["T1"], "num_trunks": [1], "mean": [36.0], "hours": [0.6]},
        "hour_totals": {"what": ["separate fusion", "trunks", "in all"], "hours": [0.9, 0.6, 1.5]},
        "calibration": {
            "model": [1, 2, 4],
            "calibration_error": [None, 0.031, None],
            "brier": [None, 0.12, None],
            "slope": [0.95, None, None],
            "curves": [
                _curve([50.0, 60.0, 70.0], [51.0, 59.0, 68.0], 2.0, [100, 200, 90]),
                _curve([0.1, 0.9], [0.05, 0.93], 0.04, [150, 230]),
                _curve([], [], 0.0, []),
            ],
        },
        "subgroups": {
            "model": [1, 1, 1, 2],
            "by": ["sex", "sex", "age", "sex"],
            "group": ["female", "male", "45-54", "female"],
            "n": [200, 190, 100, 200],
            "metric": ["mae", "mae", "mae", "auc"],
            "value": [3.1, 2.9, 2.5, 0.95],
            "low": [2.9, 2.6, None, 0.93],
            "high": [3.3, 3.2, None, 0.97],
            "overall": [3.0, 3.0, 3.0, None],
        },
        "data": {"targets": {"target": [0, 1], "train": ["1,000", "<10"]}},
        "methods_text": ["We trained models."],
        "limits": ["Scores are of one cohort."],
        **more,
    }


def _curve(predicted: list[float], observed: list[float], half: float, people: list[int]) -> dict[str, Any]:
    ends = {"low": [value - half for value in observed], "high": [value + half for value in observed]}
    return {"predicted": predicted, "observed": observed, **ends, "people": people}


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
        "not_above_chance": [False, False, False, True, None],
        "not_better": [False, False, False, True, None],
        "not_told_apart": [False, False, True, None, None],
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

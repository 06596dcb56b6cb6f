"""Calibration and groups of the models of best sets, as far as the pages of their runs tell them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from mmbase.disclosure import SMALLEST_COUNT
from mmstudy.report.facts import GroupScore, TestedModel
from mmstudy.report.models import Columns, shortened
from mmstudy.report.names import Names
from mmtrain.aggregates.score_bins import bin_scores
from mmtrain.aggregates.value_bins import bin_truth
from mmtrain.metrics.decisions import thresholds_of
from mmtrain.page.calibration_rules import calibration_slope
from mmtrain.page.facts import TargetFacts
from mmtrain.page.tables import OF_GROUPS, told_of

CALIBRATION = ("calibration_error", "brier", "slope")


def tested_model(target: TargetFacts) -> TestedModel:
    """Return what may be told of a run's predictions of a target on test."""
    told = told_of(target, exact=False)
    metrics = {name: value for name in CALIBRATION if (value := told.metric(name)) is not None}
    if not target.is_binary and (slope := calibration_slope(target)) is not None:
        metrics["slope"] = slope
    return TestedModel(
        is_binary=target.is_binary, metrics=metrics, curve=list(_curve(target)), groups=list(_groups(told))
    )


def tested_columns(
    tested: Mapping[tuple[str, str], TestedModel], names: Names, models: Columns, best: Columns
) -> dict[str, Columns]:
    """Return calibration and groups of the models of best sets; of several runs of a model, of the first."""
    targets = list(names.targets)
    found = [
        (model, tested[key])
        for model in best["model"]
        if models["runs"][model] and (key := (models["runs"][model][0], targets[models["target"][model]])) in tested
    ]
    groups = [(model, of) for model, found_of in found for of in found_of.groups]
    return {
        "calibration": {
            "model": [model for model, _ in found],
            **{name: [shortened(of.metrics.get(name)) for _, of in found] for name in CALIBRATION},
            "curves": [_named_curve(of) for _, of in found],
        },
        "subgroups": {
            "model": [model for model, _ in groups],
            **{name: [getattr(of, name) for _, of in groups] for name in ("by", "group", "n", "metric")},
            **{name: [shortened(getattr(of, name)) for _, of in groups] for name in ("value", "low", "high")},
        },
    }


def _named_curve(of: TestedModel) -> dict[str, list[float | None]]:
    """Return the curve by what its points are; nothing where there is one point alone."""
    if len(of.curve) < 2:
        return {}
    names = ("mean_probability", "share_of_class_1") if of.is_binary else ("predicted_value", "mean_true_value")
    return {name: [shortened(point[axis]) for point in of.curve] for axis, name in enumerate(names)}


def _curve(target: TargetFacts) -> Iterator[tuple[float, float]]:
    predicted = target.predicted.get("test")
    if predicted is None or not len(predicted.truth) or not np.isfinite(predicted.prediction).all():
        return
    if not target.is_binary:
        turned = replace(predicted, truth=predicted.prediction, prediction=predicted.truth)
        for of_bin in bin_truth(turned):  # bins of predicted values, and the mean true value of each
            yield (of_bin.low + of_bin.high) / 2, of_bin.mean_prediction
    elif bins := bin_scores(predicted, thresholds_of(target.threshold)):
        yield from map(tuple, bins.reliability.T.tolist())


def _groups(told: TargetFacts) -> Iterator[GroupScore]:
    for group in told.groups:
        for name in OF_GROUPS:
            is_band = name == "r2" and group.by == told.name  # a band of the target has little variance to explain
            if name in group.metrics and not is_band:
                ends = group.intervals.get(name)
                yield GroupScore(
                    by=group.by,
                    group=group.group,
                    n=group.n // SMALLEST_COUNT * SMALLEST_COUNT,  # in tens: see mmstudy.comparison.disclosure
                    metric=name,
                    value=group.metrics[name],
                    low=ends.low if ends else None,
                    high=ends.high if ends else None,
                )

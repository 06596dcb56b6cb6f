"""Calibration and groups of the models of best sets, as far as the pages of their runs tell them.

Intervals of the points of a calibration curve are of what is told: the share or mean, the standard deviation, and the
number of participants in tens. So they tell no more, and are a little wide.

Source of the interval of a share: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from mmbase.disclosure import SMALLEST_COUNT, rounded
from mmstudy.report.facts import CurvePoint, GroupScore, TestedModel
from mmstudy.report.models import Columns, shortened
from mmstudy.report.names import Names
from mmtrain.aggregates.score_bins import bin_scores
from mmtrain.aggregates.value_bins import bin_truth
from mmtrain.metrics.bootstrap import COVERAGE
from mmtrain.metrics.decisions import thresholds_of
from mmtrain.page.calibration_rules import calibration_slope
from mmtrain.page.facts import TargetFacts
from mmtrain.page.tables import OF_GROUPS, told_of

CALIBRATION = ("calibration_error", "brier", "slope")


def tested_model(target: TargetFacts) -> TestedModel:
    """Return what may be told of a run's predictions of a target on test."""
    told = told_of(target, exact=False)
    names = dict.fromkeys((*CALIBRATION, *OF_GROUPS))
    metrics = {name: value for name in names if (value := told.metric(name)) is not None}
    if not target.is_binary and (slope := calibration_slope(target)) is not None:
        metrics["slope"] = slope
    return TestedModel(metrics=metrics, curve=list(_curve(target)), groups=list(_groups(told)))


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
    groups = [(model, of, found_of.metrics.get(of.metric)) for model, found_of in found for of in found_of.groups]
    return {
        "calibration": {
            "model": [model for model, _ in found],
            **{name: [shortened(of.metrics.get(name)) for _, of in found] for name in CALIBRATION},
            "curves": [_plain_curve(of) for _, of in found],
        },
        "subgroups": {
            "model": [model for model, _, _ in groups],
            **{name: [getattr(of, name) for _, of, _ in groups] for name in ("by", "group", "n", "metric")},
            **{name: [shortened(getattr(of, name)) for _, of, _ in groups] for name in ("value", "low", "high")},
            "overall": [shortened(overall) for _, _, overall in groups],
        },
    }


def _plain_curve(of: TestedModel) -> Columns:
    """Return the points of a curve as columns; nothing where there is one point alone."""
    points = of.curve if len(of.curve) > 1 else ()
    return {
        **{
            name: [shortened(getattr(point, name)) for point in points]
            for name in ("predicted", "observed", "low", "high")
        },
        "people": [point.people for point in points],
    }


def _curve(target: TargetFacts) -> Iterator[CurvePoint]:
    from scipy.stats import t as student
    from statsmodels.stats.proportion import proportion_confint

    predicted = target.predicted.get("test")
    if predicted is None or not len(predicted.truth) or not np.isfinite(predicted.prediction).all():
        return
    if not target.is_binary:
        turned = replace(predicted, truth=predicted.prediction, prediction=predicted.truth)
        for of_bin in bin_truth(turned):  # bins of predicted values, and the mean true value of each
            people, mean = _in_tens(of_bin.people), of_bin.mean_prediction
            half = of_bin.spread * float(student.ppf((1 + COVERAGE) / 2, people - 1)) / np.sqrt(people - 1)
            yield _point(of_bin.mean_truth, mean, (mean - half, mean + half), people)
    elif bins := bin_scores(predicted, thresholds_of(target.threshold)):
        for (mean, share), count in zip(bins.reliability.T, bins.people_of_reliability.tolist(), strict=True):
            people, told = _in_tens(count), rounded(share)
            interval = np.clip(proportion_confint(told * people, people, 1 - COVERAGE, "wilson"), 0.0, 1.0)
            yield _point(mean, told, tuple(interval), people)


def _point(predicted: float, observed: float, interval: tuple[float, float], people: int) -> CurvePoint:
    low, high = map(float, interval)
    return CurvePoint(predicted=float(predicted), observed=float(observed), low=low, high=high, people=people)


def _in_tens(count: int) -> int:
    """Return a number of people as it is told beside others: see `mmstudy.comparison.disclosure`."""
    return count // SMALLEST_COUNT * SMALLEST_COUNT


def _groups(told: TargetFacts) -> Iterator[GroupScore]:
    for group in told.groups:
        for name in OF_GROUPS:
            is_band = name == "r2" and group.by == told.name  # a band of the target has little variance to explain
            if name in group.metrics and not is_band:
                ends = group.intervals.get(name)
                yield GroupScore(
                    by=group.by,
                    group=group.group,
                    n=_in_tens(group.n),
                    metric=name,
                    value=group.metrics[name],
                    low=ends.low if ends else None,
                    high=ends.high if ends else None,
                )

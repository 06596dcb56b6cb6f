"""Every metric against scikit-learn or scipy on fixed predictions, and every draw against the metric itself."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from mmtrain.metrics.bootstrap import draw_people
from mmtrain.metrics.classification import OF_PROBABILITIES, calibration_error
from mmtrain.metrics.metric import AgeBias, Fixed, Metric, Scored, applicable, measure, measure_draws
from mmtrain.metrics.registry import METRICS
from mmtrain.metrics.regression import OF_VALUES

RNG = np.random.default_rng(11)
N = 60
AGES = RNG.uniform(45, 80, N).round(1)
PREDICTED_AGES = (0.6 * AGES + 25 + RNG.normal(0, 4, N)).round(1)
MEDIAN, BIAS, THRESHOLD = 62.0, AgeBias(0.7, 18.5), 0.31
OF_AGES = Scored(AGES, PREDICTED_AGES, Fixed(training_median=MEDIAN, age_bias=BIAS))
CLASSES = (RNG.random(N) < 0.3).astype(float)
PROBABILITIES = np.clip(CLASSES * 0.2 + RNG.random(N) * 0.8, 0, 1).round(2)  # with ties, also across the classes
OF_CLASSES = Scored(CLASSES, PROBABILITIES, Fixed(threshold=THRESHOLD))


def pairs(classes: np.ndarray) -> np.ndarray:
    """Return classes as one-hot pairs, for scikit-learn's own micro average."""
    return np.stack([1 - classes, classes], axis=1)


def test_metrics_of_continuous_targets_are_scikit_learns() -> None:
    above, decided = AGES > MEDIAN, PREDICTED_AGES > MEDIAN
    split = {
        "balanced_accuracy": sk.balanced_accuracy_score(above, decided),
        "macro_precision": sk.precision_score(above, decided, average="macro"),
        "macro_recall": sk.recall_score(above, decided, average="macro"),
        "macro_f1": sk.f1_score(above, decided, average="macro"),
        "micro_auc": sk.roc_auc_score(pairs(above * 1), pairs(decided * 1), average="micro"),
    }
    expected = {
        "mae": sk.mean_absolute_error(AGES, PREDICTED_AGES),
        "mae_bias_corrected": np.abs(PREDICTED_AGES + (AGES - (0.7 * AGES + 18.5)) - AGES).mean(),
        "median_absolute_error": sk.median_absolute_error(AGES, PREDICTED_AGES),
        "r2": sk.r2_score(AGES, PREDICTED_AGES),
        "r": pearsonr(AGES, PREDICTED_AGES).statistic,
        **{f"median_split_{name}": value for name, value in split.items()},
    }
    assert measure(OF_VALUES, OF_AGES) == pytest.approx(expected, abs=1e-12)
    assert split["micro_auc"] == pytest.approx(sk.accuracy_score(above, decided), abs=1e-12)


def test_metrics_of_binary_targets_are_scikit_learns() -> None:
    called = PROBABILITIES >= 0.5
    expected = {
        "auc": sk.roc_auc_score(CLASSES, PROBABILITIES),
        "average_precision": sk.average_precision_score(CLASSES, PROBABILITIES),
        "prevalence": CLASSES.mean(),
        "brier": sk.mean_squared_error(CLASSES, PROBABILITIES),
        "balanced_accuracy": sk.balanced_accuracy_score(CLASSES, called),
        "balanced_accuracy_at_threshold": sk.balanced_accuracy_score(CLASSES, PROBABILITIES >= THRESHOLD),
        "f1": sk.f1_score(CLASSES, called),
        "precision": sk.precision_score(CLASSES, called),
        "recall": sk.recall_score(CLASSES, called),
        "macro_precision": sk.precision_score(CLASSES, called, average="macro"),
        "macro_recall": sk.recall_score(CLASSES, called, average="macro"),
        "macro_f1": sk.f1_score(CLASSES, called, average="macro"),
        "micro_auc": sk.roc_auc_score(pairs(CLASSES), pairs(PROBABILITIES), average="micro"),
    }
    found = measure(OF_PROBABILITIES, OF_CLASSES)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert found.keys() - expected.keys() == {"calibration_error"}
    assert found["macro_recall"] == pytest.approx(found["balanced_accuracy"], abs=1e-12)


def test_the_calibration_error_is_that_of_the_bins_of_scikit_learns_curve() -> None:
    shares, means = calibration_curve(CLASSES, PROBABILITIES, n_bins=10)
    edges = np.linspace(0, 1, 11)
    counts = np.histogram(np.nextafter(PROBABILITIES, 0), edges)[0]  # an edge is of the bin below, as in the curve
    expected = (np.abs(shares - means) * counts[counts > 0]).sum() / N
    assert calibration_error(OF_CLASSES) == pytest.approx(expected, abs=1e-12)


def test_the_calibration_error_of_a_case_worked_by_hand() -> None:
    # Bin 0.2 to 0.3: 4 samples at 0.25, one of class 1: right. Bin 0.6 to 0.7: 4 at 0.65, all of class 1: 0.35 too low.
    scored = Scored(np.array([1.0, 0, 0, 0, 1, 1, 1, 1]), np.array([0.25] * 4 + [0.65] * 4))
    assert calibration_error(scored) == pytest.approx((0 + 0.35) / 2, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_draw_is_the_metric_of_the_samples_drawn(metric: Metric) -> None:
    scored = OF_AGES if metric in OF_VALUES else OF_CLASSES
    person = np.arange(N) // 2  # two visits each
    weights = next(iter(draw_people(N // 2, N, seed=5)))[:40, person]
    found = measure_draws(metric, scored, weights)
    for draw, value in zip(weights.astype(int), found, strict=True):
        drawn = Scored(np.repeat(scored.truth, draw), np.repeat(scored.prediction, draw), scored.fixed)
        assert value == pytest.approx(measure([metric], drawn)[metric.name], abs=1e-11)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_draw_of_one_person_alone_is_what_the_metric_says_or_not_defined(metric: Metric) -> None:
    scored = OF_AGES if metric in OF_VALUES else OF_CLASSES
    weights = np.zeros((2, N))
    weights[[0, 1], [0, 1]] = 7
    for draw, value in zip(weights, measure_draws(metric, scored, weights), strict=True):
        drawn = Scored(np.repeat(scored.truth, draw.astype(int)), np.repeat(scored.prediction, draw.astype(int)))
        again = Scored(drawn.truth, drawn.prediction, scored.fixed)
        assert value == pytest.approx(measure([metric], again)[metric.name], abs=1e-11, nan_ok=True)


def test_where_all_are_of_one_class_only_what_needs_no_other_is_defined() -> None:
    found = measure(OF_PROBABILITIES, Scored(np.ones(30), PROBABILITIES[:30], OF_CLASSES.fixed))
    defined = {name for name, value in found.items() if not np.isnan(value)}
    assert defined == {"prevalence", "brier", "calibration_error", "micro_auc"}


def test_a_metric_without_what_it_needs_is_left_out() -> None:
    names = [metric.name for metric in applicable([*OF_VALUES, *OF_PROBABILITIES], Fixed(training_median=MEDIAN))]
    assert "median_split_macro_f1" in names and "auc" in names
    assert not {"mae_bias_corrected", "balanced_accuracy_at_threshold"}.intersection(names)

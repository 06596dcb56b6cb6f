"""Metrics of binary targets from the probability of class 1: how well it ranks, how true it is, and decisions by it.

Legend of shapes: N samples, D draws, T distinct predictions in falling order, B bins.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtrain.metrics import decisions
from mmtrain.metrics.decisions import DECISION_THRESHOLD, ClassScore, Decided, decided_metric
from mmtrain.metrics.metric import Classes, Metric, Scored, Values, Weights, means_of_draws, ratio_of_draws

NUM_BINS = 10
"""Of the probability, equally wide, for the calibration error."""


def true_classes(scored: Scored) -> Classes:
    """Return which samples are of class 1."""
    classes: Classes = scored.truth == 1
    return classes


def auc(scored: Scored) -> float:
    """Return the area under the receiver operating characteristic of class 1."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(true_classes(scored), scored.prediction))


def average_precision(scored: Scored) -> float:
    """Return the area under the precision–recall curve of class 1; the prevalence is what chance has."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(true_classes(scored), scored.prediction))


def prevalence(scored: Scored) -> float:
    """Return the share of class 1."""
    return float(true_classes(scored).mean())


def brier(scored: Scored) -> float:
    """Return the mean squared difference of probability and class."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(true_classes(scored), scored.prediction, pos_label=True))


def calibration_error(scored: Scored) -> float:
    """Return the expected calibration error of class 1's probability.

    The mean over samples of the difference, in each of ten equally wide bins of the probability, between the share of
    class 1 and the mean probability. A probability on an edge is of the lower bin, as scikit-learn's calibration_curve.
    Source: Naeini, Cooper, Hauskrecht 2015, Obtaining well calibrated probabilities using Bayesian binning, AAAI.
    """
    return float(_calibration_of_draws(scored, np.ones((1, len(scored.truth))))[0])


def micro_auc(scored: Scored) -> float:
    """Return the area under the ROC of both classes' probabilities together, the AUC of the published study."""
    return auc(_both_classes(scored))


def bin_of_probability(probability: Values) -> NDArray[np.int64]:
    """Return the bin of each probability, from 0."""
    edges = np.linspace(0, 1, NUM_BINS + 1)
    return np.searchsorted(edges[1:-1], probability)


def decide_at_half(scored: Scored) -> Decided:
    """Return true and decided classes at `DECISION_THRESHOLD`."""
    return true_classes(scored), scored.prediction >= DECISION_THRESHOLD


def decide_at_threshold(scored: Scored) -> Decided:
    """Return true and decided classes at the threshold that was chosen on validation."""
    assert scored.fixed.threshold is not None
    return true_classes(scored), scored.prediction >= scored.fixed.threshold


def _both_classes(scored: Scored) -> Scored:
    """Return 2 N decisions in place of N: each sample's probability of class 0 and of class 1."""
    truth, prediction = scored.truth, scored.prediction
    return Scored(np.concatenate([1 - truth, truth]), np.concatenate([1 - prediction, prediction]))


def _auc_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    ones_DT, zeros_DT = _counts_by_prediction(scored, weights_DN)
    pairs_won_D = (ones_DT * (zeros_DT.sum(axis=1, keepdims=True) - np.cumsum(zeros_DT, axis=1))).sum(axis=1)
    ties_D = (ones_DT * zeros_DT).sum(axis=1)
    return ratio_of_draws(pairs_won_D + ties_D / 2, ones_DT.sum(axis=1) * zeros_DT.sum(axis=1))


def _micro_auc_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    return _auc_of_draws(_both_classes(scored), np.concatenate([weights_DN, weights_DN], axis=1))


def _average_precision_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    ones_DT, zeros_DT = _counts_by_prediction(scored, weights_DN)
    found_DT = np.cumsum(ones_DT, axis=1)
    precision_DT = ratio_of_draws(found_DT, found_DT + np.cumsum(zeros_DT, axis=1))
    return ratio_of_draws((ones_DT * precision_DT).sum(axis=1), ones_DT.sum(axis=1))


def _counts_by_prediction(scored: Scored, weights_DN: Weights) -> tuple[Values, Values]:
    """Return how many samples of class 1 and of class 0 each draw has of each distinct prediction, (D, T) each."""
    order = np.argsort(-scored.prediction)
    starts = np.flatnonzero(np.diff(scored.prediction[order], prepend=np.inf))
    sorted_DN = weights_DN[:, order]
    ones_DT = np.add.reduceat(sorted_DN * true_classes(scored)[order], starts, axis=1)
    return ones_DT, np.add.reduceat(sorted_DN, starts, axis=1) - ones_DT


def _prevalence_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    return means_of_draws(weights_DN, true_classes(scored).astype(np.float64))


def _brier_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    return means_of_draws(weights_DN, (scored.prediction - true_classes(scored)) ** 2)


def _calibration_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    is_in_NB = bin_of_probability(scored.prediction)[:, None] == np.arange(NUM_BINS)
    excess_DB = weights_DN @ (is_in_NB * (scored.prediction - true_classes(scored))[:, None])
    return np.asarray(np.abs(excess_DB).sum(axis=1) / weights_DN.sum(axis=1))


def _at_half(name: str, label: str, score: ClassScore, **more: Any) -> Metric:
    return decided_metric(name, label, score, decide_at_half, **more)


OF_PROBABILITIES = (
    Metric(
        name="auc",
        label="AUC",
        of=auc,
        of_draws=_auc_of_draws,
        compares=true_classes,
        better="larger",
        no_skill=0.5,
    ),
    Metric(
        name="average_precision",
        label="average precision",
        of=average_precision,
        of_draws=_average_precision_of_draws,
        compares=true_classes,
        better="larger",
        every_epoch=False,
    ),
    Metric(
        name="prevalence",
        label="prevalence (average precision by chance)",
        of=prevalence,
        of_draws=_prevalence_of_draws,
        every_epoch=False,
    ),
    Metric(
        name="brier",
        label="Brier score",
        of=brier,
        of_draws=_brier_of_draws,
        better="smaller",
        every_epoch=False,
    ),
    Metric(
        name="calibration_error",
        label="calibration error",
        of=calibration_error,
        of_draws=_calibration_of_draws,
        better="smaller",
        every_epoch=False,
    ),
    _at_half("balanced_accuracy", "balanced accuracy at 0.5", decisions.BALANCED_ACCURACY, no_skill=0.5),
    decided_metric(
        "balanced_accuracy_at_threshold",
        "balanced accuracy at the threshold chosen on validation",
        decisions.BALANCED_ACCURACY,
        decide_at_threshold,
        needs="threshold",
        no_skill=0.5,
        every_epoch=False,
    ),
    _at_half("f1", "F1 of class 1", decisions.F1, is_main=False),
    _at_half("precision", "precision of class 1", decisions.PRECISION, is_main=False),
    _at_half("recall", "recall of class 1", decisions.RECALL, is_main=False),
    *(
        _at_half(f"macro_{name}", f"macro {label} (published as weighted)", score, is_main=False, every_epoch=False)
        for name, label, score in (
            ("precision", "precision", decisions.MACRO_PRECISION),
            ("recall", "recall", decisions.MACRO_RECALL),
            ("f1", "F1", decisions.MACRO_F1),
        )
    ),
    Metric(
        name="micro_auc",
        label="micro AUC (published as AUC)",
        of=micro_auc,
        of_draws=_micro_auc_of_draws,
        better="larger",
        is_main=False,
        every_epoch=False,
    ),
)
"""Of binary targets, in the order of tables."""

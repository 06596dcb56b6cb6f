"""What guessing gets is what scikit-learn measures of a constant."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, mean_absolute_error, r2_score, roc_auc_score

from mmtrain.metrics.predicted import Predicted
from mmtrain.page.facts import TargetFacts
from mmtrain.page.guessing import by_guessing


def test_guessing_a_class_is_saying_the_prevalence() -> None:
    truth = (np.arange(200) % 8 == 0).astype(float)
    share = float(truth.mean())
    target = TargetFacts(name="sex", kind="classification", unit="", metrics={"test": {"prevalence": share}})
    constant = np.full(200, share)
    expected = {
        "auc": roc_auc_score(truth, constant),
        "average_precision": average_precision_score(truth, constant),
        "brier": brier_score_loss(truth, constant),
    }
    assert {name: by_guessing(target, name) for name in expected} == pytest.approx(expected)
    hidden = TargetFacts(name="sex", kind="classification", unit="", metrics={"test": {}})
    assert by_guessing(hidden, "brier") is None and by_guessing(hidden, "average_precision") is None


def test_guessing_a_value_is_saying_the_training_median_or_the_mean() -> None:
    truth = np.random.default_rng(1).normal(60, 8, 300)
    predicted = Predicted(truth=truth, prediction=truth, participants=np.arange(300))
    target = TargetFacts(
        name="age", kind="regression", unit="years", predicted={"test": predicted}, training_median=62.0
    )
    assert by_guessing(target, "mae") == pytest.approx(mean_absolute_error(truth, np.full(300, 62.0)))
    assert by_guessing(target, "r2") == pytest.approx(r2_score(truth, np.full(300, truth.mean())))
    assert by_guessing(target, "median_absolute_error") is None

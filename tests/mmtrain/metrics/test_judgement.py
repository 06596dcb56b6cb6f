import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from mmtrain.config.data import TargetConfig
from mmtrain.data.cohort import read_cohort
from mmtrain.metrics.classification import OF_PROBABILITIES
from mmtrain.metrics.fixing import choose_threshold, fit_age_bias
from mmtrain.metrics.judgement import judge
from mmtrain.metrics.metric import Scored
from mmtrain.metrics.predicted import Predicted
from mmtrain.metrics.regression import OF_VALUES
from mmtrain.metrics.subgroups import find_subgroups

AGE = TargetConfig(name="age", kind="regression", unit="years")
SEX = TargetConfig(name="sex", kind="classification", unit="1 male")
N = 120


def predicted(seed: int, *, classes: bool = False, groups: dict[str, np.ndarray] | None = None) -> Predicted:
    rng = np.random.default_rng(seed)
    truth = (rng.random(N) < 0.3).astype(float) if classes else rng.uniform(45, 80, N)
    prediction = np.clip(0.2 * truth + 0.6 * rng.random(N), 0, 1) if classes else 0.6 * truth + 25 + rng.normal(0, 3, N)
    return Predicted(truth=truth, prediction=prediction, participants=np.arange(N), groups=groups or {})


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_best_of_all_on_validation_and_only_applied_to_test(seed: int) -> None:
    val, test = predicted(seed, classes=True), predicted(seed + 100, classes=True)
    found = judge(OF_PROBABILITIES, SEX, val.truth, {"val": val, "test": test}, seed=1)
    best = max(sk.balanced_accuracy_score(val.truth, val.prediction >= cut) for cut in val.prediction)
    assert found["val"]["balanced_accuracy_at_threshold"] == pytest.approx(best, abs=1e-12)
    cut = found["decision"]["threshold"]
    assert found["decision"] == {"threshold": cut, "chosen_on": "val"}
    expected = sk.balanced_accuracy_score(test.truth, test.prediction >= cut)
    assert found["test"]["balanced_accuracy_at_threshold"] == pytest.approx(expected, abs=1e-12)


def test_of_thresholds_that_are_equally_good_the_one_nearest_to_a_half_is_chosen() -> None:
    val = Scored(np.array([0.0, 1, 0, 1, 0, 1]), np.array([0.1, 0.2, 0.25, 0.45, 0.9, 0.95]))
    assert choose_threshold(val) == 0.45  # as good as 0.2 and 0.95
    assert choose_threshold(Scored(np.ones(6), val.prediction)) is None


def test_the_age_bias_is_fitted_on_validation_and_leaves_no_dependence_on_age_there() -> None:
    val, test = predicted(1), predicted(2)
    found = judge(OF_VALUES, AGE, val.truth, {"val": val, "test": test}, seed=1)
    slope, intercept = found["age_bias"]["slope"], found["age_bias"]["intercept"]
    covariance = np.cov(val.truth, val.prediction)
    assert slope == pytest.approx(covariance[0, 1] / covariance[0, 0])
    assert intercept == pytest.approx(val.prediction.mean() - slope * val.truth.mean())
    expected = np.abs(test.prediction - (slope * test.truth + intercept)).mean()
    assert found["test"]["mae_bias_corrected"] == pytest.approx(expected)
    assert found["test"]["mae_bias_corrected"] < found["test"]["mae"]


def test_a_model_that_knows_nothing_has_no_corrected_error() -> None:
    # What the documentation warns of.
    val, test = (
        Predicted(truth=p.truth, prediction=np.full(N, 62.0), participants=p.participants, groups={})
        for p in (predicted(1), predicted(2))
    )
    found = judge(OF_VALUES, AGE, val.truth, {"val": val, "test": test}, seed=1)
    assert found["test"]["mae_bias_corrected"] == pytest.approx(0, abs=1e-9) and found["test"]["mae"] > 5


OTHERS = (
    TargetConfig(name="weight", kind="regression", unit="kg"),
    TargetConfig(name="age", kind="regression", unit="d"),
)


@pytest.mark.parametrize("target", OTHERS, ids=["weight", "age in days"])
def test_no_other_target_has_an_age_bias(target: TargetConfig) -> None:
    found = judge(OF_VALUES, target, predicted(1).truth, {"val": predicted(1), "test": predicted(2)}, seed=1)
    assert "age_bias" not in found and "mae_bias_corrected" not in found["test"]
    assert fit_age_bias(Scored(np.full(9, 60.0), np.arange(9.0))) is None


def test_the_split_is_at_the_training_median_and_at_no_others() -> None:
    val, test = predicted(1), predicted(2)
    found = judge(OF_VALUES, AGE, np.array([50.0, 55.0, 70.0]), {"val": val, "test": test}, seed=1)
    assert found["training_median"] == 55.0
    expected = sk.balanced_accuracy_score(test.truth > 55, test.prediction > 55)
    assert found["test"]["median_split_balanced_accuracy"] == pytest.approx(expected, abs=1e-12)


def test_groups_of_twenty_people_are_told_with_intervals_and_smaller_ones_are_not() -> None:
    ages = np.r_[np.full(30, 50.0), np.full(19, 60.0), np.full(40, 75.0), np.full(31, 44.9)]
    sexes = np.r_[np.zeros(60), np.ones(40), np.full(20, np.nan)]
    centres = np.r_[np.full(100, 11025.0), np.full(20, 11027.0)]
    test = predicted(2, groups={"centre": centres, "age": ages, "sex": sexes})
    found = judge(OF_VALUES, AGE, test.truth, {"val": predicted(1), "test": test}, seed=1)
    assert [(group["by"], group["group"], group["n"]) for group in found["subgroups"]] == [
        *(("sex", "female", 60), ("sex", "male", 40)),
        *(("age", "under 45", 31), ("age", "45-54", 30), ("age", "75 and over", 40)),
        *(("centre", "11025", 100), ("centre", "11027", 20)),
    ]
    for group, members in zip(found["subgroups"][:2], (sexes == 0, sexes == 1), strict=True):
        error = sk.mean_absolute_error(test.truth[members], test.prediction[members])
        assert group["metrics"]["mae"] == pytest.approx(error, abs=1e-12)
        low, high = group["intervals"]["mae"]
        assert low < error < high
        assert group["metrics"].keys() == group["intervals"].keys() == found["test"].keys()


def test_a_group_of_twenty_scans_of_fewer_people_is_not_told() -> None:
    sexes = np.zeros(20)
    assert [group.name for group in find_subgroups({"sex": sexes}, np.arange(20))] == ["female"]
    assert list(find_subgroups({"sex": sexes}, np.arange(20) // 2)) == []


def test_a_group_of_one_class_has_null_for_what_needs_both() -> None:
    test = predicted(2, classes=True)
    test.groups["sex"] = test.truth  # type: ignore[index]
    found = judge(OF_PROBABILITIES, SEX, test.truth, {"val": predicted(1, classes=True), "test": test}, seed=1)
    male = found["subgroups"][1]
    assert (male["group"], male["metrics"]["auc"], male["intervals"]["auc"]) == ("male", None, None)
    assert male["metrics"]["prevalence"] == 1.0 and male["intervals"]["brier"] is not None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_run_tells_of_the_groups_of_its_cohort(tiny: Any) -> None:
    run = tiny.begin(inputs=("connectivity",), epochs=1)
    table = pl.read_parquet(run.cohort)
    more = {
        "participant": list(range(40)),
        "group_sex": [0.0] * 40,
        "group_age": [None] * 40,
        "group_centre": [1.5] * 40,
    }
    table.with_columns(**{name: pl.Series(values) for name, values in more.items()}).write_parquet(run.cohort)
    cohort = read_cohort(run.cohort)
    assert list(cohort.groups) == ["sex", "age", "centre"] and np.isnan(cohort.groups["age"]).all()
    assert cohort.participants.tolist() == list(range(40))


def test_in_a_cohort_of_an_older_version_everybody_is_a_participant_of_no_group(tiny: Any) -> None:
    cohort = read_cohort(tiny.begin(inputs=("connectivity",)).cohort)
    assert cohort.participants.tolist() == list(range(40)) and cohort.groups == {}

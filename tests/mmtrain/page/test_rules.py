"""Each rule speaks where it should, and not where it should not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from mmtrain.metrics.classification import calibration_error
from mmtrain.metrics.metric import Scored
from mmtrain.metrics.predicted import Predicted
from mmtrain.page import calibration_rules, learning_rules, result_rules
from mmtrain.page.facts import GroupFacts, Interval, RunFacts, TargetFacts
from mmtrain.page.verdicts import judge
from tests.mmtrain.page.builder import history

RNG = np.random.default_rng(3)
CLASSES = (RNG.random(400) < 0.5).astype(float)
VALUES = RNG.normal(60, 8, 400)


def binary(auc: float = 0.8, low: float = 0.75, high: float = 0.85, **changes: Any) -> TargetFacts:
    predicted = Predicted(truth=CLASSES, prediction=np.clip(CLASSES * 0.5 + 0.25, 0, 1), participants=np.arange(400))
    facts = TargetFacts(
        name="sex",
        kind="classification",
        unit="",
        metrics={"test": {"auc": auc, "calibration_error": 0.03}, "val": {"auc": auc}},
        intervals={"test": {"auc": Interval(low, high)}, "val": {"auc": Interval(low, high)}},
        predicted={"test": predicted},
    )
    return replace(facts, **changes)


def continuous(r2: float = 0.6, low: float = 0.5, high: float = 0.7, r: float = 0.78, **changes: Any) -> TargetFacts:
    error = np.random.default_rng(1).normal(0, 5, 400)
    predicted = Predicted(truth=VALUES + error, prediction=VALUES, participants=np.arange(400))
    facts = TargetFacts(
        name="age",
        kind="regression",
        unit="years",
        metrics={"test": {"r2": r2, "r": r, "mae": 4.0}, "val": {"r2": r2, "r": r}},
        intervals={
            "test": {"r2": Interval(low, high), "r": Interval(r - 0.05, r + 0.05), "mae": Interval(3.7, 4.3)},
            "val": {"r2": Interval(low, high)},
        },
        predicted={"test": predicted},
    )
    return replace(facts, **changes)


def of_people(number: int) -> TargetFacts:
    return binary(predicted={"test": binary().predicted["test"].select(np.arange(400) < number)})


def run(
    train: Sequence[float], val: Sequence[float], *, allowed: int = 100, wait: float = 0.0, **more: Any
) -> RunFacts:
    epochs = history(train, val, wait=wait)
    return RunFacts(run_id="r", state="finished", settings={"epochs": allowed}, epochs=epochs, **more)


@pytest.mark.parametrize("target", [binary(), continuous()])
def test_a_good_result_raises_no_doubt_and_is_assured_of(target: TargetFacts) -> None:
    judgement = judge(RunFacts(run_id="r", state="finished", targets=(target,)))
    assert (judgement.level, judgement.verdicts) == ("note", ())
    assert judgement.headline == "Nothing speaks against this result"
    assert len(judgement.assurances) == 2 and "clearly better than" in judgement.assurances[0]


@pytest.mark.parametrize(
    ("target", "speaks"),
    [
        (binary(0.55, 0.49, 0.61), True),
        (binary(0.55, 0.51, 0.6), False),
        (continuous(0.05, -0.02, 0.1), True),
        (continuous(0.05, 0.01, 0.1), False),
        (continuous(-0.5, -0.9, -0.1), True),
        (binary(0.2, 0.1, 0.3), False),
    ],
)
def test_chance_is_told_by_the_interval(target: TargetFacts, speaks: bool) -> None:
    assert (result_rules.chance(target) is not None) == speaks


@pytest.mark.parametrize(
    ("target", "speaks"),
    [
        (binary(0.2, 0.1, 0.3), True),
        (binary(0.45, 0.38, 0.52), False),
        (continuous(-1.2, -1.5, -1.0, r=-0.6), True),
        (continuous(-0.01, -0.1, 0.1, r=-0.02), False),
    ],
)
def test_predictions_that_go_the_opposite_way_are_told_of(target: TargetFacts, speaks: bool) -> None:
    assert (result_rules.learnt_the_opposite(target) is not None) == speaks


def both_splits(target: TargetFacts, name: str, test: float, val: float) -> TargetFacts:
    return replace(target, metrics={"test": {name: test}, "val": {name: val}})


def test_swapped_labels_blame_no_split_beyond_what_is_known_and_quote_the_evidence() -> None:
    low = both_splits(binary(0.2, 0.1, 0.3), "auc", 0.2, 0.82)
    verdict = result_rules.learnt_the_opposite(low)
    assert verdict and "either the test labels are turned, or those of training and validation" in verdict.meaning
    assert "1 − AUC on test is 0.80, close to validation's 0.82: a clean swap" in verdict.meaning
    assert "a sign" not in verdict.meaning and verdict.remedy.startswith("First compare the coding")
    part = result_rules.learnt_the_opposite(both_splits(low, "auc", 0.4, 0.82))
    assert part and "clean swap" not in part.meaning and "a part of a split" in part.meaning
    everywhere = result_rules.learnt_the_opposite(binary(0.2, 0.1, 0.3))
    assert everywhere and "either the training labels are turned, or those of validation and" in everywhere.meaning
    values = result_rules.learnt_the_opposite(both_splits(continuous(-1.2, -1.5, -1, r=-0.6), "r", -0.6, 0.58))
    assert values and "a sign was turned" in values.meaning
    assert "−r on test is 0.60, close to validation's 0.58" in values.meaning
    judgement = judge(run([0.6] * 2 + [0.1] * 10, [0.6] * 2 + [0.9] * 10, targets=(low,)))
    assert [verdict.code for verdict in judgement.verdicts] == ["learnt_the_opposite"]


@pytest.mark.parametrize(
    ("probability", "low", "level"),
    [
        (np.full(400, 0.2), 0.7, "care"),
        (np.full(400, 0.9), 0.45, "doubt"),
        (np.r_[np.full(398, 0.2), 0.9, 0.9], 0.7, "care"),
    ],
)
def test_a_single_class_is_told_of_whatever_the_area(probability: np.ndarray, low: float, level: str) -> None:
    target = binary(
        0.75,
        low,
        0.8,
        predicted={"test": Predicted(truth=CLASSES, prediction=probability, participants=np.arange(400))},
    )
    verdict = result_rules.decides_one_class(target)
    assert verdict and verdict.level == level and "single class" in verdict.title
    assert ("the threshold 0.5 is what is wrong" in verdict.meaning) == (level == "care")


def test_two_classes_are_no_single_class() -> None:
    assert result_rules.decides_one_class(binary()) is None and result_rules.decides_one_class(continuous()) is None


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (binary(0.8, 0.65, 0.9), "may be anything from 0.65 to 0.90"),
        (of_people(40), "only 40 participants"),
        (of_people(4), "fewer than 10 participants"),
    ],
)
def test_a_small_test_split_is_told_of(target: TargetFacts, words: str) -> None:
    verdict = result_rules.few_people(target)
    assert verdict and words in verdict.meaning
    assert result_rules.few_people(binary()) is None


def test_splits_that_disagree_beyond_their_intervals_are_told_of() -> None:
    apart = {"test": {"auc": Interval(0.75, 0.85)}, "val": {"auc": Interval(0.9, 0.95)}}
    target = binary(intervals=apart, metrics={"test": {"auc": 0.8}, "val": {"auc": 0.92}})
    assert result_rules.disagreement(target) is not None
    near = binary(intervals=apart, metrics={"test": {"auc": 0.8}, "val": {"auc": 0.84}})
    assert result_rules.disagreement(near) is None and result_rules.disagreement(binary()) is None


def test_probabilities_that_are_off_are_told_of() -> None:
    off = replace(binary(), metrics={"test": {"auc": 0.8, "calibration_error": 0.15}})
    verdict = calibration_rules.poor_calibration(off)
    assert verdict and verdict.level == "care" and "0.15" in verdict.meaning
    assert calibration_rules.poor_calibration(binary()) is None


def test_probabilities_that_are_off_as_a_whole_are_told_of_with_what_always_saying_the_prevalence_gets() -> None:
    truth = (np.arange(1000) % 14 == 0).astype(float)
    honest = with_probabilities(np.full(1000, truth.mean()), truth)
    assert calibration_rules.poor_calibration(honest) is None
    small = with_probabilities(np.full(1000, 0.007), truth)
    verdict = calibration_rules.poor_calibration(small)
    assert verdict and verdict.title == "Probabilities are too small as a whole"
    assert "On average 0.7 % is predicted for class 1, and in truth 7.2 % of the test" in verdict.meaning
    guess, brier = brier_score_loss(truth, np.full(1000, truth.mean())), brier_score_loss(truth, np.full(1000, 0.007))
    assert f"The Brier score ({brier:.3f}) is no better than that of always saying the prevalence ({guess:.3f})" in (
        verdict.meaning
    )
    large = calibration_rules.poor_calibration(with_probabilities(np.full(1000, 0.16), truth))
    assert large and "too large" in large.title


def with_probabilities(probability: np.ndarray, truth: np.ndarray, **changes: Any) -> TargetFacts:
    predicted = Predicted(truth=truth, prediction=probability, participants=np.arange(len(truth)))
    measured = {"auc": 0.8, "calibration_error": calibration_error(predicted.scored()), "prevalence": truth.mean()}
    measured["brier"] = float(np.mean((truth - probability) ** 2))
    return binary(metrics={"test": measured}, predicted={"test": predicted}, **changes)


def test_probabilities_that_balanced_training_shifted_are_no_fault_of_the_model() -> None:
    rng = np.random.default_rng(1)
    honest = rng.beta(0.4, 3.6, 4000)  # every tenth is of class 1
    truth = (rng.random(4000) < honest).astype(float)
    odds = honest / (1 - honest) * (1 - truth.mean()) / truth.mean()
    shifted = with_probabilities(odds / (1 + odds), truth, is_balanced=True)
    verdict = calibration_rules.poor_calibration(shifted)
    assert verdict and verdict.level == "note" and "follows from --balance" in verdict.meaning
    wrong = with_probabilities(1 / (1 + odds), truth, is_balanced=True)
    for other in (replace(shifted, is_balanced=False), wrong):
        worse = calibration_rules.poor_calibration(other)
        assert worse and worse.level == "care"


def test_undoing_a_balance_is_bayes_with_another_prior() -> None:
    likely = np.array([0.2, 0.5, 0.9])  # with equal priors, so the likelihood ratios are 1/4, 1 and 9
    undone = calibration_rules.undo_balance(Scored(np.zeros(3), likely), 0.1)
    assert undone.prediction == pytest.approx([0.25 / 9.25, 1 / 10, 9 / 18])


def test_values_that_lie_too_far_apart_are_told_of() -> None:
    predicted = Predicted(truth=VALUES, prediction=60 + 2 * (VALUES - 60), participants=np.arange(400))
    verdict = calibration_rules.poor_calibration(continuous(predicted={"test": predicted}))
    assert verdict and "too far apart" in verdict.title and "0.50" in verdict.meaning
    assert calibration_rules.poor_calibration(continuous()) is None


@pytest.mark.parametrize(
    ("target", "metrics", "intervals", "speaks"),
    [
        (binary(), {"auc": 0.65}, {"auc": Interval(0.58, 0.72)}, True),
        (binary(), {"auc": 0.74}, {"auc": Interval(0.6, 0.84)}, False),
        (binary(), {"auc": 0.65}, {}, True),
        (continuous(), {"mae": 6.0}, {"mae": Interval(5.2, 6.9)}, True),
        (continuous(), {"mae": 4.6}, {"mae": Interval(4.4, 4.9)}, False),
        (continuous(), {"mae": 6.0}, {"mae": Interval(3.9, 8.0)}, False),
    ],
)
def test_a_group_that_is_much_worse_is_named(
    target: TargetFacts, metrics: dict[str, float], intervals: dict[str, Interval], speaks: bool
) -> None:
    group = GroupFacts(by="centre", group="11026", n=50, metrics=metrics, intervals=intervals)
    verdict = result_rules.group_much_worse(replace(target, groups=(group,)))
    assert (verdict is not None) == speaks
    assert verdict is None or "centre 11026" in verdict.title


def test_an_almost_perfect_result_is_worth_a_second_look() -> None:
    assert result_rules.too_good(binary(0.9999, 0.999, 1.0)) is not None and result_rules.too_good(binary()) is None


FALLING = [0.6 * 0.9**step for step in range(20)]


@pytest.mark.parametrize(
    ("train", "val", "speaks"),
    [
        ([0.6, 0.5, *FALLING[5:]], [0.6, 0.5, *[0.6 + 0.02 * step for step in range(15)]], True),  # from the start
        (
            FALLING,
            [0.62 * 0.95**step for step in range(10)] + [0.42 + 0.02 * step for step in range(10)],
            True,
        ),  # a gap
        (FALLING, [value * 1.1 for value in FALLING], False),  # together
        (FALLING[:8] + [0.27] * 12, [value * 1.1 for value in FALLING[:8]] + [0.32] * 12, False),  # patience ran out
        ([0.6, 0.5, 0.4], [0.6, 0.7, 0.8], False),  # too few epochs to tell
        ([value - 1 for value in FALLING], [value - 1 for value in FALLING[::-1]], False),  # a likelihood
    ],
)
def test_overfitting_is_told_by_both_curves(train: list[float], val: list[float], speaks: bool) -> None:
    assert (learning_rules.overfitted(run(train, val)) is not None) == speaks


@pytest.mark.parametrize(
    ("epochs", "best", "allowed", "speaks"),
    [(20, 20, 20, True), (20, 19, 20, True), (20, 12, 20, False), (20, 20, 50, False), (1, 1, 200, False)],
)
def test_a_run_that_the_limit_of_epochs_ended_is_told_of(epochs: int, best: int, allowed: int, speaks: bool) -> None:
    val = [1 + abs(best - number) / 100 for number in range(1, epochs + 1)]
    facts = run([0.5] * epochs, val, allowed=allowed)
    assert facts.best_epoch == best
    assert (learning_rules.stopped_while_improving(facts) is not None) == speaks


@pytest.mark.parametrize(("wait", "speaks"), [(0.04, False), (0.2, True)])
def test_waiting_is_told_of(wait: float, speaks: bool) -> None:
    verdict = learning_rules.waited_for_data(run([0.5], [0.5], wait=wait))
    assert (verdict is not None) == speaks
    assert verdict is None or (verdict.level == "note" and "20%" in verdict.meaning)


def test_what_the_record_says_is_told() -> None:
    facts = run(
        [0.5],
        [0.5],
        targets=(binary(),),
        audit=(
            {"code": "identical-scans", "severity": "critical"},
            {"code": "rare-class", "severity": "warning", "subject": "sex"},
        ),
        withdrawn=3,
        problems=("cohort.parquet cannot be used as it is (TrainError).",),
    )
    judgement = judge(facts)
    assert [verdict.code for verdict in judgement.verdicts] == [
        "accepted_findings",
        "unreadable_parts",
        "audit_warnings",
        "withdrawn_since",
    ]
    assert judgement.headline == "Do not believe this result as it is"
    assert "identical-scans" in judgement.verdicts[0].meaning and "rare-class" not in judgement.verdicts[0].meaning
    assert "rare-class of sex" in judgement.verdicts[2].meaning and judgement.verdicts[2].level == "note"
    assert not any(character.isdigit() for character in judgement.verdicts[3].meaning)


def test_a_constant_model_is_a_baseline_and_no_fault() -> None:
    flat = Predicted(truth=CLASSES, prediction=np.full(400, 0.5), participants=np.arange(400))
    target = binary(0.5, 0.5, 0.5, predicted={"test": flat})
    facts = RunFacts(run_id="r", state="finished", settings={"model": "constant", "epochs": 1}, targets=(target,))
    judgement = judge(facts)
    assert judgement.headline == "This is a baseline: it predicts the same for everybody"
    assert [verdict.code for verdict in judgement.verdicts] == ["baseline"] and judgement.level == "note"
    others = judge(replace(facts, settings={"model": "linear"}))
    assert {"chance", "decides_one_class"} <= {verdict.code for verdict in others.verdicts}


def test_a_diagnostic_run_is_a_wiring_check_and_nothing_else() -> None:
    facts = RunFacts(run_id="r", state="finished", settings={"diagnostic": True}, targets=(binary(0.2, 0.1, 0.3),))
    judgement = judge(facts)
    assert judgement.headline == "This is a wiring check, no result"
    assert [verdict.code for verdict in judgement.verdicts] == ["wiring_check"] and not judgement.assurances


@pytest.mark.parametrize("state", ["training", "stopped"])
def test_a_run_that_is_not_tested_says_so(state: Any) -> None:
    headline = judge(RunFacts(run_id="r", state=state, targets=(TargetFacts(name="age", kind="regression", unit=""),)))
    assert "tested" in headline.headline


def test_with_several_targets_a_verdict_names_its_own() -> None:
    judgement = judge(RunFacts(run_id="r", state="finished", targets=(binary(), continuous(0.05, -0.1, 0.1))))
    assert [verdict.title.split(":")[0] for verdict in judgement.verdicts] == ["age"]

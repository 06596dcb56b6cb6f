import numpy as np
import pytest

from mmtrain.metrics.bootstrap import MIN_PARTICIPANTS, NUM_DRAWS, bootstrap, bootstrap_difference, draw_people
from mmtrain.metrics.classification import OF_PROBABILITIES
from mmtrain.metrics.metric import Metric, Scored
from mmtrain.metrics.regression import MAE, OF_VALUES

AUC, PREVALENCE = (next(m for m in OF_PROBABILITIES if m.name == name) for name in ("auc", "prevalence"))
MEAN = Metric(name="mean", label="mean", of=lambda scored: float(scored.prediction.mean()))


def test_an_interval_is_that_of_many_resampled_cohorts() -> None:
    rng = np.random.default_rng(3)
    scored = Scored(np.zeros(200), rng.normal(0, 1, 200))
    found = bootstrap([MAE], scored, np.arange(200), seed=1)["mae"]
    errors = np.abs(scored.prediction)
    means = [errors[rng.integers(0, 200, 200)].mean() for _ in range(4000)]
    assert found == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.015)


def test_all_visits_of_a_participant_are_drawn_together() -> None:
    # Each of 100 people has been scanned four times with the same error: there are 100 errors, not 400.
    errors = np.random.default_rng(4).normal(0, 1, 100)
    once = bootstrap([MAE], Scored(np.zeros(100), errors), np.arange(100), seed=1)["mae"]
    repeated = Scored(np.zeros(400), np.repeat(errors, 4))
    assert bootstrap([MAE], repeated, np.repeat(np.arange(100), 4), seed=1)["mae"] == pytest.approx(once, abs=1e-12)
    strangers = bootstrap([MAE], repeated, np.arange(400), seed=1)["mae"]
    assert strangers is not None and once is not None
    assert (strangers[1] - strangers[0]) * 2 == pytest.approx(once[1] - once[0], rel=0.1)


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    expected = np.sqrt(2 / np.pi)  # of the absolute value of a standard normal
    covered = 0
    for seed in range(200):
        ends = bootstrap([MAE], Scored(np.zeros(60), rng.normal(0, 1, 60)), np.arange(60), seed)["mae"]
        assert ends is not None
        covered += ends[0] <= expected <= ends[1]
    assert 0.89 <= covered / 200 <= 0.985  # 95 %, and 2.7 standard errors of 200 trials about the bootstrap's 94 %


def test_a_metric_of_ones_own_has_an_interval_without_a_word_about_draws() -> None:
    values = np.random.default_rng(6).normal(5, 1, 100)
    ends = bootstrap([MEAN], Scored(np.zeros(100), values), np.arange(100), seed=1)["mean"]
    assert ends is not None and ends[0] < values.mean() < ends[1]
    assert ends == pytest.approx(values.mean() + np.array([-1.96, 1.96]) * values.std() / 10, abs=0.04)


def test_the_same_seed_gives_the_same_interval_however_draws_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(np.zeros(50), np.random.default_rng(7).normal(0, 1, 50))
    once = bootstrap([MAE], scored, np.arange(50), seed=1)
    assert bootstrap([MAE], scored, np.arange(50), seed=2) != once
    monkeypatch.setattr("mmtrain.metrics.bootstrap.BLOCK_BYTES", 8 * 50 * 7)
    assert [len(block) for block in draw_people(50, 50, 1)] == [7] * (NUM_DRAWS // 7) + [NUM_DRAWS % 7]
    assert bootstrap([MAE], scored, np.arange(50), seed=1)["mae"] == pytest.approx(once["mae"], abs=1e-12)


def test_the_difference_of_two_predictions_is_measured_on_the_same_draws() -> None:
    errors = np.abs(np.random.default_rng(8).normal(5, 2, 100))
    truth, people = np.zeros(100), np.arange(100)
    worse, better = Scored(truth, errors + 0.25), Scored(truth, errors)
    assert bootstrap_difference([MAE], worse, better, people, seed=1)["mae"] == pytest.approx((0.25, 0.25), abs=1e-12)
    assert bootstrap_difference([MAE], better, worse, people, seed=1)["mae"] == pytest.approx((-0.25, -0.25), abs=1e-12)
    noise = np.random.default_rng(9).normal(0, 1, 100)
    ends = bootstrap_difference([MAE], Scored(truth, errors + noise), better, people, seed=1)["mae"]
    absolute = np.abs(errors + noise) - errors
    assert ends == pytest.approx(absolute.mean() + np.array([-1.96, 1.96]) * absolute.std() / 10, abs=0.03)


def test_there_is_no_interval_of_few_people_however_often_they_came() -> None:
    people = np.repeat(np.arange(MIN_PARTICIPANTS - 1), 5)
    scored = Scored(np.zeros(len(people)), np.random.default_rng(8).normal(0, 1, len(people)))
    assert bootstrap(OF_VALUES[:1], scored, people, seed=1) == {"mae": None}


def test_there_is_no_interval_where_many_draws_have_one_class_alone() -> None:
    truth, prediction = np.zeros(40), np.linspace(0, 1, 40)
    truth[0] = 1  # 36 % of draws miss it
    found = bootstrap([AUC, PREVALENCE], Scored(truth, prediction), np.arange(40), seed=1)
    assert found["auc"] is None and found["prevalence"] is not None
    truth[:8] = 1
    assert bootstrap([AUC], Scored(truth, prediction), np.arange(40), seed=1)["auc"] is not None

"""Attacks on models whose memory is known: overfitted on purpose, regularised, and with a closed form."""

import json
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from mmtrain.data.cohort import Cohort
from mmtrain.privacy.attack import AttackFigures, Figure, measure_attack
from mmtrain.privacy.candidates import find_candidates, losses, signals
from mmtrain.privacy.finding import (
    Attack,
    RunPrivacy,
    TargetPrivacy,
    read_privacy,
    verdict_of,
    write_privacy,
)
from mmtrain.privacy.likelihood import Shadows, likelihood_ratios, match_people

FOLDS = 5


def ridge(features: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    if features.shape[1] > len(features):
        return features.T @ np.linalg.solve(features @ features.T + penalty * np.eye(len(features)), labels)
    return np.linalg.solve(features.T @ features + penalty * np.eye(features.shape[1]), features.T @ labels)


class Folds:
    """Ridge regressions of the folds of a simulated study; the first is attacked."""

    def __init__(
        self, *, people: int, features: int, penalty: float, seed: int, is_binary: bool = False, noise: float = 1.0
    ) -> None:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(people, features))
        signal = x @ rng.normal(size=features) / np.sqrt(features)
        self.truth = signal + noise * rng.normal(size=people)
        if is_binary:
            self.truth = (self.truth > 0).astype(float)
        fold = rng.integers(0, FOLDS, people)
        self.trained = np.array([~np.isin(fold, [k, (k + 1) % FOLDS]) for k in range(FOLDS)])
        fitted = [x @ ridge(x[t], (2 * self.truth - 1 if is_binary else self.truth)[t], penalty) for t in self.trained]
        self.predicted = [norm.cdf(2 * np.clip(outputs, -1, 1)) if is_binary else outputs for outputs in fitted]
        self.is_binary = is_binary

    @property
    def is_member(self) -> np.ndarray:
        return np.asarray(self.trained[0])

    def by_loss(self) -> AttackFigures:
        loss = losses(self.truth, self.predicted[0], is_binary=self.is_binary)
        found = measure_attack(-loss, self.is_member, -loss[self.is_member].mean(), 1)
        assert found is not None
        return found

    def by_likelihood(self) -> AttackFigures:
        of_models = np.array([signals(self.truth, p, is_binary=self.is_binary) for p in self.predicted])
        every = Shadows(signals_MN=of_models[1:], is_in_MN=self.trained[1:], is_out_MN=~self.trained[1:])
        ratios = likelihood_ratios(of_models[0], match_people(every, self.is_member, np.random.default_rng(0)))
        assert ratios is not None
        known = ~np.isnan(ratios)
        found = measure_attack(ratios[known], self.is_member[known], 0.0, 1)
        assert found is not None
        return found


def privacy_of(*attacks: AttackFigures) -> TargetPrivacy:
    names = ("loss threshold", "likelihood ratio")
    found = [Attack(name=name, figures=figures) for name, figures in zip(names, attacks, strict=False)]  # type: ignore[arg-type]
    return TargetPrivacy(target="age", members="1,000", others="1,000", attacks=found)


@pytest.mark.parametrize("is_binary", [False, True])
def test_an_overfitted_model_is_flagged(is_binary: bool) -> None:
    made = Folds(people=2600, features=2600, penalty=1.0, seed=0, is_binary=is_binary, noise=3.0)
    loss, ratio = made.by_loss(), made.by_likelihood()
    assert min(made.is_member.sum(), (~made.is_member).sum()) > 1000
    assert loss.auc.value > 0.7 and loss.advantage.low is not None and loss.advantage.low > 0.1
    assert ratio.auc.low is not None and ratio.auc.low > 0.53
    assert privacy_of(loss, ratio).level == "strong"


@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_regularised_model_is_within_0_05_of_chance(seed: int, is_binary: bool) -> None:
    made = Folds(people=6000, features=20, penalty=10.0, seed=seed, is_binary=is_binary)
    loss, ratio = made.by_loss(), made.by_likelihood()
    assert loss.auc.value == pytest.approx(0.5, abs=0.05) and ratio.auc.value == pytest.approx(0.5, abs=0.05)
    assert abs(loss.advantage.value) < 0.05 and abs(ratio.advantage.value) < 0.05
    assert privacy_of(loss, ratio).level == "little"


def test_folds_give_nothing_away_by_being_folds() -> None:
    # What match_people is for: without it, models of folds that share more people look like memory.
    made = Folds(people=6000, features=20, penalty=10.0, seed=1)
    of_models = np.array([signals(made.truth, p, is_binary=False) for p in made.predicted])
    every = Shadows(signals_MN=of_models[1:], is_in_MN=made.trained[1:], is_out_MN=~made.trained[1:])
    unmatched = likelihood_ratios(of_models[0], every)
    assert unmatched is not None and roc_auc_score(made.is_member, unmatched) > 0.57
    matched = match_people(every, made.is_member, np.random.default_rng(0))
    patterns = np.concatenate([matched.is_in_MN, matched.is_out_MN]).T
    for pattern in np.unique(patterns[matched.is_in_MN.any(axis=0)], axis=0):
        is_alike = (patterns == pattern).all(axis=1)
        assert is_alike[made.is_member].sum() == is_alike[~made.is_member].sum()


def test_the_likelihood_ratio_attack_comes_to_the_closed_form_of_a_mean() -> None:
    # A model that tells the mean of n of 2n normal people of d dimensions, asked for its product with a person. Whoever
    # knows all people knows what is to be expected: a normal value of variance d/2n, d/n larger with the person than
    # without. So the ratio's AUC is Φ(sqrt(d/n)) over many models.
    num, dimensions, num_shadows, num_attacked = 1000, 300, 200, 12
    rng = np.random.default_rng(5)
    people = rng.normal(size=(2 * num, dimensions))
    trained = np.array([rng.permutation(2 * num) < num for _ in range(num_shadows + num_attacked)])
    of_models = (trained / num) @ people @ people.T
    in_shadows = trained[num_attacked:]
    shadows = Shadows(signals_MN=of_models[num_attacked:], is_in_MN=in_shadows, is_out_MN=~in_shadows)
    norms = (people**2).sum(axis=1)
    without = ((people.sum(axis=0) - people) * people).sum(axis=1) / (2 * num - 1)
    with_them = norms / num + (num - 1) / num * without
    areas, advantages = [], []
    for is_member, signal in zip(trained[:num_attacked], of_models[:num_attacked], strict=True):
        ratios = likelihood_ratios(signal, shadows)
        assert ratios is not None
        known_ratios = ((signal - without) ** 2 - (signal - with_them) ** 2) / (dimensions / num)
        assert np.corrcoef(ratios, known_ratios)[0, 1] > 0.97
        areas.append(roc_auc_score(is_member, ratios))
        assert areas[-1] == pytest.approx(roc_auc_score(is_member, known_ratios), abs=0.02)
        advantages.append((ratios[is_member] >= 0).mean() - (ratios[~is_member] >= 0).mean())
    assert np.mean(areas) == pytest.approx(norm.cdf(np.sqrt(dimensions / num)), abs=0.015)
    assert np.mean(advantages) == pytest.approx(2 * norm.cdf(np.sqrt(dimensions / num / 2)) - 1, abs=0.03)


def test_the_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    is_member = np.arange(2500) < 1200
    score = np.round(rng.normal(size=2500) + 0.5 * is_member, 1)  # with ties
    found = measure_attack(score, is_member, 0.4, 1)
    assert found is not None
    false, true, _ = roc_curve(is_member, score, drop_intermediate=False)
    assert found.auc.value == pytest.approx(roc_auc_score(is_member, score), abs=5e-4)
    rate = found.true_positive_rates["0.01"]
    assert rate is not None and rate.value == pytest.approx(true[false <= 0.01].max(), rel=5e-3)
    said = score >= 0.4
    assert found.advantage.value == pytest.approx(said[is_member].mean() - said[~is_member].mean(), abs=5e-4)


def test_rates_are_unknown_where_too_few_people_could_be_false_positives() -> None:
    score, is_member = np.random.default_rng(0).normal(size=2100), np.arange(2100) < 1101
    found = measure_attack(score, is_member, 0.0, 1)
    assert found is not None and found.true_positive_rates == {"0.01": None, "0.001": None}
    assert "needs 1,000 others" in verdict_of(privacy_of(found)) and "needs 10,000 others" in verdict_of(
        privacy_of(found)
    )
    assert measure_attack(score[:20], np.arange(20) < 9, 0.0, 1) is None


def test_a_share_of_fewer_than_ten_members_is_told_as_a_bound() -> None:
    is_member = np.arange(3000) < 1500
    score = np.where(is_member, -np.arange(3000.0), np.arange(3000.0))  # no member is found
    found = measure_attack(score, is_member, 0.0, 1)
    assert found is not None
    assert found.true_positive_rates["0.01"] == Figure(value=0.00667, is_upper_bound=True)
    assert "at most 0.7 %" in verdict_of(privacy_of(found))


def test_a_person_counts_once_and_not_at_all_with_visits_on_both_sides() -> None:
    cohort = Cohort(
        sample_ids=list("abcdef"),
        rows=np.arange(6),
        splits=np.array(["train", "train", "train", "test", "val", "test"]),
        labels_NT=np.zeros((6, 1)),
        targets=("age",),
        is_augmented=np.full(6, False),
        features={},
        participants=np.array([0, 0, 1, 1, 2, 3]),
        groups={},
    )
    frame = pl.DataFrame({"sample_id": list("abcdef"), "truth": range(6), "prediction": range(10, 16)})
    # One more was predicted and has withdrawn since: the cohort does not know them.
    gone = pl.DataFrame({"sample_id": ["g"], "truth": [6], "prediction": [16]})
    found = find_candidates(frame[:3], pl.concat([frame[3:], gone]), cohort)
    assert found.sample_ids == ["a", "e", "f"] and found.is_member.tolist() == [True, False, False]
    assert found.truth.tolist() == [0, 4, 5] and found.prediction.tolist() == [10, 14, 15]
    assert (found.num_members, found.num_others) == (1, 2)


def test_losses_of_classes_are_cross_entropies_and_never_infinite() -> None:
    truth, prediction = np.array([1.0, 0.0, 1.0]), np.array([0.8, 0.8, 0.0])
    found = losses(truth, prediction, is_binary=True)
    assert found[:2] == pytest.approx(-np.log([0.8, 0.2])) and 20 < found[2] < 40


@pytest.mark.parametrize(
    ("auc", "low", "high", "level"),
    [
        (0.71, 0.55, 0.8, "strong"),
        (0.75, 0.48, 0.95, "unclear"),
        (0.6, 0.56, 0.64, "some"),
        (0.54, 0.5, 0.58, "unclear"),
        (0.5, 0.48, 0.52, "little"),
    ],
)
def test_a_verdict_states_its_threshold(auc: float, low: float, high: float, level: str) -> None:
    figures = AttackFigures(
        auc=Figure(value=auc, low=low, high=high), advantage=Figure(value=0.0), true_positive_rates={}
    )
    found = privacy_of(figures)
    assert found.level == level
    assert ("0.7" if level == "strong" else "0.55") in verdict_of(found)


def test_few_false_positives_are_enough_to_be_flagged() -> None:
    figures = AttackFigures(
        auc=Figure(value=0.52, low=0.5, high=0.54),
        advantage=Figure(value=0.0),
        true_positive_rates={"0.01": Figure(value=0.2, low=0.15, high=0.25), "0.001": None},
    )
    assert privacy_of(figures).level == "strong"
    calm = AttackFigures(auc=figures.auc, advantage=figures.advantage, true_positive_rates={})
    assert privacy_of(calm, figures).level == "strong" and privacy_of(calm).level == "little"


def test_what_is_found_is_read_as_it_was_written(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "privacy.json"  # type: ignore[operator]
    target = replace(privacy_of(Folds(people=200, features=5, penalty=1.0, seed=0).by_loss()), notes=["A note."])
    written = RunPrivacy(date="2026-01-02", targets=[target])
    write_privacy(path, written)
    assert read_privacy(path) == written
    assert json.loads(path.read_text()) == json.loads(json.dumps(asdict(written)))
    assert path.stat().st_mode & 0o777 == 0o600

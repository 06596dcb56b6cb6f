"""Results that leave the study: nothing from which a count of fewer than ten people follows."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmtrain.bundles.results import age_quantiles, read_results, tell_results, write_results
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.page.reading import read_facts
from mmtrain.privacy.attack import AttackFigures, Figure
from mmtrain.privacy.finding import Attack, RunPrivacy, TargetPrivacy, write_privacy
from tests.mmtrain.page.builder import SIZES, build_run, classes, good_history, scores


def cohort_of(ages: np.ndarray, participants: np.ndarray | None = None) -> Cohort:
    """Return a cohort of training samples of these ages."""
    num = len(ages)
    return Cohort(
        sample_ids=[f"{i:016x}" for i in range(num)],
        rows=np.arange(num),
        splits=np.asarray(["train"] * num),
        labels_NT=np.zeros((num, 1)),
        targets=("target",),
        is_augmented=np.zeros(num, bool),
        features={},
        participants=np.arange(num) if participants is None else participants,
        groups={"age": ages},
    )


def test_quantiles_of_ages_are_those_of_numpy_in_whole_years() -> None:
    ages = np.random.default_rng(1).uniform(45, 80, 1000)
    told = age_quantiles(cohort_of(np.append(ages, np.nan)))
    assert told == {f"{q:g}": float(round(np.quantile(ages, q))) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}


@pytest.mark.parametrize(("num", "told"), [(15, []), (21, ["0.5"]), (45, ["0.25", "0.5", "0.75"]), (0, [])])
def test_a_quantile_is_told_only_with_ten_people_on_each_side(num: int, told: list[str]) -> None:
    assert list(age_quantiles(cohort_of(np.linspace(45, 80, num)))) == told


def test_people_count_once_however_often_they_came() -> None:
    assert age_quantiles(cohort_of(np.linspace(45, 80, 40), np.arange(40) % 2)) == {}


def test_decisions_from_which_small_counts_follow_are_left_out(tmp_path: Path) -> None:
    rare = {split: classes(SIZES[split], place, share=0.02) for place, split in enumerate(("val", "test"))}
    run = build_run(tmp_path / "run", rare, {s: scores(rare[s], 1.5, 7) for s in rare}, good_history())
    facts = read_facts(run, "finished")
    told = tell_results(facts, read_cohort(run.cohort)).targets[0].metrics["test"]
    assert "precision" in facts.targets[0].metrics["test"] and "precision" not in told


def test_what_is_written_is_read(tmp_path: Path) -> None:
    truth = {split: classes(SIZES[split], place) for place, split in enumerate(("val", "test"))}
    run = build_run(tmp_path / "run", truth, {s: scores(truth[s], 1.5, 7) for s in truth}, good_history())
    results = tell_results(read_facts(run, "finished"), read_cohort(run.cohort))
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results
    auc = results.targets[0].metrics["test"]["auc"]
    assert auc.low is not None and auc.high is not None and 0.5 < auc.low < auc.value < auc.high < 1
    assert results.targets[0].baseline["auc"] == 0.5
    assert results.cohort["train"].samples == "1,600"
    assert "privacy" not in json.loads((tmp_path / "results.json").read_text())  # programs of before can read it


def test_what_attacks_came_to_is_told_in_sentences(tmp_path: Path) -> None:
    truth = {split: classes(SIZES[split], place) for place, split in enumerate(("val", "test"))}
    run = build_run(tmp_path / "run", truth, {s: scores(truth[s], 1.5, 7) for s in truth}, good_history())
    figures = AttackFigures(
        auc=Figure(value=0.75, low=0.72, high=0.78), advantage=Figure(value=0.3), true_positive_rates={}, curve=[(1, 1)]
    )
    attack = Attack(name="loss threshold", figures=figures)
    found = TargetPrivacy(target="sex", members="1,600", others="700", attacks=[attack])
    write_privacy(run.privacy, RunPrivacy(date="2026-01-02", targets=[found]))
    results = tell_results(read_facts(run, "finished"), read_cohort(run.cohort))
    write_results(tmp_path / "results.json", results)
    (sentence,) = read_results(tmp_path / "results.json").privacy
    assert "gives away whom it was trained on" in sentence and "0.750 (0.720 to 0.780)" in sentence
    assert not any("gives away" in remark.title for remark in results.remarks)  # it is told once

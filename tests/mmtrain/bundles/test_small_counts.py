"""A count of fewer than ten people is found wherever the mean and standard deviation of a feature would tell it."""

import numpy as np
import pytest

from mmtrain.bundles.small_counts import find_small_counts
from mmtrain.data.cohort import Cohort
from mmtrain.data.scaling import FeatureScaler
from mmtrain.targets.kinds import classification, regression
from mmtrain.targets.protocol import TargetKind
from tests.made_card import make_card

NUM, NUM_TEST = 60, 10
MANY = np.arange(NUM) % 2
SEX: TargetKind = classification.Kind()


def cohort_of(feature: np.ndarray, label: np.ndarray = MANY, people: np.ndarray | None = None) -> Cohort:
    """Return a cohort whose training split has these values, and whose test split has others."""
    num = NUM + NUM_TEST
    return Cohort(
        sample_ids=[f"{n:016x}" for n in range(num)],
        rows=np.arange(num),
        splits=np.array(["train"] * NUM + ["test"] * NUM_TEST),
        labels_NT=np.append(label, np.ones(NUM_TEST))[:, None],
        targets=("target",),
        is_augmented=np.zeros(num, bool),
        features={"seen": np.append(feature, np.ones(NUM_TEST)), "unseen": np.eye(num)[0]},
        participants=np.arange(num) if people is None else people,
        groups={},
    )


def small_counts(cohort: Cohort, kind: TargetKind = SEX) -> tuple[str, ...]:
    features = FeatureScaler(("seen", "unseen"), (0.0, 0.0), (1.0, 1.0), (True, False))
    return find_small_counts(cohort, make_card(features=features, kinds={"sex": kind}))


def those(*counts: int, gaps: int = 0) -> np.ndarray:
    """Return the values 0, 1, ... so many times each, then gaps."""
    return np.append(np.repeat(np.arange(float(len(counts))), counts), [np.nan] * gaps)


@pytest.mark.parametrize(
    ("feature", "is_told"),
    [
        pytest.param(those(50, 10), True, id="ten have it"),
        pytest.param(those(29, 28, gaps=3), False, id="three have no value"),
        pytest.param(those(26, 24, gaps=10), True, id="ten have no value"),
        pytest.param(those(51, 9), False, id="nine have it"),
        pytest.param(those(9, 51), False, id="nine have it not"),
        pytest.param(those(60), True, id="nobody differs"),
        pytest.param(those(30, 20, 10), True, id="three values"),
        pytest.param(those(30, 27, 3), False, id="a rare third value"),
        pytest.param(those(9, gaps=51), False, id="known of nine"),
        pytest.param(those(gaps=60), True, id="known of nobody"),
        pytest.param(those(50, 4, 3, 3), True, id="ten differ"),
        pytest.param(those(51, 3, 3, 3), False, id="nine differ"),
        pytest.param(np.linspace(45.0, 80.0, NUM), True, id="all differ"),
    ],
)
def test_a_feature_is_told_where_no_count_below_ten_follows(feature: np.ndarray, is_told: bool) -> None:
    assert small_counts(cohort_of(feature)) == (() if is_told else ("seen",))


def test_the_visits_of_a_person_count_once() -> None:
    people = np.concatenate([np.arange(50), [50] * 10, np.arange(51, 61)])
    assert small_counts(cohort_of(those(50, 10), people=people)) == ("seen",)


def test_a_class_of_fewer_than_ten_is_found_and_a_rare_value_of_a_continuous_target_is_not() -> None:
    cohort = cohort_of(MANY, label=those(55, 5))
    assert small_counts(cohort) == ("sex",)
    assert small_counts(cohort, regression.Kind(0.0, 1.0)) == ()

"""Groups of people, of which none of fewer than ten is told, and the means over them."""

import numpy as np
import pytest

from mmtrain.config.data import TargetConfig
from mmtrain.errors import TrainError
from mmtrain.explain.groups import Groups, find_groups
from mmtrain.explain.means import GroupMeans
from mmtrain.targets.kinds import classification, regression

AGE = TargetConfig(name="age", kind="regression", unit="years")
SEX = TargetConfig(name="sex", kind="classification", unit="1 male")
BMI = TargetConfig(name="bmi", kind="regression", unit="kg/m²")
YEARS = regression.Kind(40.0, 80.0)


def told(groups: Groups) -> dict[str, int]:
    return {group.name: group.num_people for group in groups.told}


def test_ages_are_told_in_decades_and_few_people_hide_their_neighbours_too() -> None:
    ages = np.array([50.0] * 12 + [60.0] * 20 + [70.0] * 15 + [80.0] * 3)
    groups = find_groups(AGE, YEARS, ages, np.arange(50))
    assert told(groups) == {"all": 50, "age-45-54": 12, "age-55-64": 20}
    assert list(groups.hidden) == ["age 65-74", "age 75 and over"]


def test_people_are_counted_and_not_their_visits() -> None:
    labels, participants = np.repeat([0.0, 1.0], [18, 24]), np.concatenate([np.arange(9).repeat(2), np.arange(9, 33)])
    groups = find_groups(SEX, classification.Kind(), labels, participants)
    assert told(groups) == {"all": 33}


def test_whoever_has_no_label_is_of_no_class_and_counts_in_the_hiding() -> None:
    labels = np.repeat([0.0, 1.0, np.nan], [12, 14, 4])
    groups = find_groups(SEX, classification.Kind(), labels, np.arange(30))
    assert told(groups) == {"all": 30, "class-0": 12}
    labels = np.repeat([0.0, 1.0, np.nan], [12, 14, 10])
    assert told(find_groups(SEX, classification.Kind(), labels, np.arange(36))) == {
        "all": 36,
        "class-0": 12,
        "class-1": 14,
    }


def test_other_values_are_told_in_thirds() -> None:
    groups = find_groups(BMI, YEARS, np.arange(36.0), np.arange(36))
    assert told(groups) == {"all": 36, "lowest-third": 12, "middle-third": 12, "highest-third": 12}
    assert np.flatnonzero(groups.told[-1].members).tolist() == list(range(24, 36))


def test_nine_people_are_too_few() -> None:
    with pytest.raises(TrainError, match="at least 10 people"):
        find_groups(AGE, YEARS, np.full(20, 60.0), np.arange(20) % 9)


def test_means_that_are_taken_in_batches_are_those_of_all_at_once() -> None:
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(30, 2, 3, 3, 3)).astype(np.float32)
    volumes = rng.uniform(-1, 1, maps.shape).astype(np.float32)
    groups = find_groups(SEX, classification.Kind(), np.repeat([0.0, 1.0], 15), np.arange(30)).told
    means = GroupMeans(groups, maps.shape[1:])
    for start in (0, 7, 14, 21, 28):
        means.add(start, maps[start : start + 7], volumes[start : start + 7])
    for index, group in enumerate(groups):
        np.testing.assert_allclose(means.mean(index), maps[group.members].mean(0), atol=1e-6)
        np.testing.assert_allclose(means.mean_size(index), np.abs(maps[group.members]).mean(0), atol=1e-6)
    np.testing.assert_allclose(means.mean_volumes(), (volumes.mean(0) + 1) / 2, atol=1e-6)

"""What of a study is said to differ from the published one."""

from typing import Any

import pytest

from mmdata.study import StudyConfig, parse_config
from mmstudy.runs.reference import study_differences
from mmtrain.config.presets import PRESETS
from mmtrain.config.run import parse_run_config

PUBLISHED: dict[str, Any] = {
    "salt": "salt-of-the-study-in-the-tests",
    "volumes": {"clamp_region": "volume", "extent_mm": 128 / 0.7, "centre_mm": [-0.929, -17.929, 18.929]},
    "augment": {"probability": 0.05},
}


def differences(study: StudyConfig, **settings: Any) -> str | None:
    """Say what differs for a run of the preset with four copies."""
    given = {"target": "age", "kind": "regression", "inputs": ["t1"], "copies": 4, **PRESETS["reference"], **settings}
    return study_differences(study, parse_run_config(given))


def test_nothing_is_said_of_a_study_that_is_made_as_the_published_one() -> None:
    assert differences(parse_config(PUBLISHED, "test")) is None


@pytest.mark.parametrize(
    ("section", "change", "settings", "told"),
    [
        ("volumes", {"clamp_region": "brain"}, {}, "volumes.clamp_region is brain, not volume"),
        ("volumes", {"extent_mm": 192.0}, {}, "volumes.extent_mm is 192, not 182.857"),
        ("volumes", {"centre_mm": [0, 0, 0]}, {}, "volumes.centre_mm is [0.0, 0.0, 0.0], not [-0.929"),
        ("volumes", {"clamp_percentiles": [1, 99]}, {}, "volumes.clamp_percentiles is [1.0, 99.0], not [0.5, 99.5]"),
        ("augment", {"probability": 0.5}, {}, "augment.probability is 0.5, not 0.05"),
        ("volumes", {}, {"side": 32}, "side is 32, not 64 or 128"),
        ("volumes", {}, {"copies": 0}, "there are no augmented copies"),
    ],
)
def test_what_differs_is_named_with_both_values(
    section: str, change: dict[str, Any], settings: dict[str, Any], told: str
) -> None:
    study = parse_config({**PUBLISHED, section: {**PUBLISHED[section], **change}}, "test")
    said = differences(study, **settings)
    assert said is not None and told in said and ";" not in said


def test_volumes_are_of_no_concern_to_a_run_without_them() -> None:
    study = parse_config({"salt": PUBLISHED["salt"]}, "test")
    assert differences(study, inputs=["connectivity"]) is None
    assert differences(study, augment="none", copies=0) is not None

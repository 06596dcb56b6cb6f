"""Which of a study's own settings of runs apply to the run that is asked for."""

from pathlib import Path
from typing import Any

import pytest

from mmdata.store.schema import StudyLayout
from mmdata.study import Study, StudyConfig
from mmstudy.runs.defaults import applicable_defaults, require_known, require_network_settings
from mmtrain.errors import TrainError

SALT = "salt-of-the-study-in-the-tests"


def study_with(**train: Any) -> Study:
    return Study(StudyLayout(Path("/nowhere")), StudyConfig(salt=SALT, train=train))


@pytest.mark.parametrize(
    ("train", "given", "applies"),
    [
        ({"copies": 2}, {}, {"copies"}),
        ({"copies": 2}, {"augment": "hybrid"}, {"copies"}),
        ({"copies": 2}, {"augment": "none"}, set()),
        ({"copies": 2, "augment": "on-device"}, {}, {"augment"}),
        ({"copies": 2, "augment": "on-device"}, {"augment": "precomputed"}, {"copies", "augment"}),
        ({"channels": [4, 4], "weight_penalty": 0.1}, {}, {"channels", "weight_penalty"}),
        ({"channels": [4, 4], "weight_penalty": 0.1}, {"model": "linear"}, set()),
        ({"channels": [4, 4], "model": "densenet121"}, {}, {"model"}),
        ({"channels": [4, 4], "model": "densenet121"}, {"model": "fusion"}, {"channels", "model"}),
        ({"regression": "bins"}, {}, {"regression"}),
        ({"regression": "bins"}, {"model": "linear"}, set()),
        ({"metadata_blocks": ["serology"]}, {}, set()),
        ({"metadata_blocks": ["serology"]}, {"inputs": ("metadata",)}, {"metadata_blocks"}),
        ({"metadata_blocks": ["serology"], "inputs": ["metadata"]}, {"inputs": ("t1",)}, {"inputs"}),
        ({"epochs": 5, "batch_size": 8}, {"augment": "none", "model": "linear"}, {"epochs", "batch_size"}),
    ],
)
def test_a_default_that_does_not_apply_is_left_out(
    train: dict[str, Any], given: dict[str, Any], applies: set[str]
) -> None:
    defaults = applicable_defaults(study_with(**train), given)
    assert defaults.keys() == applies
    assert all(defaults[name] == train[name] for name in applies)


@pytest.mark.parametrize("name", ["features", "targets", "kind", "extent_mm", "split", "epohcs"])
def test_what_nobody_can_set_is_refused_by_name(name: str) -> None:
    with pytest.raises(TrainError, match=f"There is no setting {name}. There are accumulate, augment"):
        require_known({"epochs": 3, name: 1})


def test_settings_of_another_network_are_refused_where_they_are_given() -> None:
    require_network_settings({"channels": (4, 4), "epochs": 3}, "fusion")
    with pytest.raises(TrainError, match="The network linear has no setting channels"):
        require_network_settings({"channels": (4, 4)}, "linear")

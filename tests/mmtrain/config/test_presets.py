import pytest

from mmbase.settings import settings_of
from mmtrain.config.presets import PRESETS, preset_settings
from mmtrain.config.run import SECTIONS, parse_run_config
from mmtrain.errors import TrainError

RUN = {"target": "age", "kind": "regression", "unit": "years", "inputs": ("t1",)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_of_settings_that_a_user_can_give(name: str) -> None:
    options = {setting.name for setting in settings_of(*SECTIONS.values()) if setting.option.is_option}
    assert PRESETS[name].keys() <= options
    settings = parse_run_config({**RUN, **PRESETS[name]}).to_json()
    assert {key: settings[key] for key in PRESETS[name]} == dict(PRESETS[name])


def test_the_reference_is_the_published_trainer() -> None:
    """Numbers of the paper and its code, written out again; where the two differ, of the code."""
    reference = PRESETS["reference"]
    numbers = ("batch_size", "learning_rate", "epochs", "patience", "seed", "weight_penalty", "connectivity_penalty")
    assert [reference[name] for name in numbers] == [64, 1e-4, 999_999, 50, 1337, 1e-4, 1e-3]
    switches = ("drop_last", "penalty_in_validation", "clamp_labels", "keep_imaging")
    assert all(reference[name] is True for name in switches)


def test_without_a_preset_nothing_is_set() -> None:
    assert preset_settings(None) == {}


def test_a_preset_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainError, match=r"one of reference, got 'referense'\. Did you mean reference\?"):
        preset_settings("referense")

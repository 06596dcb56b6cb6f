from pathlib import Path
from typing import Any

import pytest

from benchmarks.train_variants import VARIANTS, measure_variant
from mmtrain.config.run import parse_run_config

SIZES: dict[str, Any] = {"side": 8, "batch_size": 4, "num_steps": 1}


@pytest.mark.parametrize("name", ["float16", "float32"])
def test_a_variant_takes_steps_and_tells_how_its_convolutions_compare(tmp_path: Path, name: str) -> None:
    settings = {**VARIANTS[name], "device": "cpu", "channels": (4, 4)}
    measured = measure_variant(tmp_path / name, settings, **SIZES)
    assert measured["samples_per_second"] > 0
    assert len(set(measured["losses"])) == len(measured["losses"]), "every step changes the weights"
    assert {found["case"] for found in measured["convolutions"]} >= {"4 to 4 channels at side 8"}


def test_every_variant_is_of_settings_that_there_are() -> None:
    target = {"target": "age", "kind": "regression", "inputs": ("t1",), "side": 64}
    assert all(parse_run_config({**target, **settings}) for settings in VARIANTS.values())

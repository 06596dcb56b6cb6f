import json
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.train_variants import VARIANTS, measure_variant, measure_variants
from mmtrain.config.run import parse_run_config

SIZES: dict[str, Any] = {"side": 8, "batch_size": 4, "num_steps": 1}


@pytest.mark.parametrize("name", ["float16", "float32"])
def test_a_variant_takes_steps_and_tells_how_its_convolutions_compare(tmp_path: Path, name: str) -> None:
    settings = {**VARIANTS[name], "device": "cpu", "channels": (4, 4)}
    measured = dict(measure_variant(tmp_path / name, settings, **SIZES))
    assert measured["samples_per_second"] > 0
    assert len(set(measured["losses"])) == len(measured["losses"]), "every step changes the weights"
    assert {found["case"] for found in measured["convolutions"]} >= {"4 to 4 channels at side 8"}


def test_a_variant_that_fails_is_told_and_the_next_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tf32", "float32"):
        monkeypatch.setitem(cast(dict[str, Any], VARIANTS), name, {"precision": name, "channels": (4, 4)})
    output = tmp_path / "found.json"
    found = measure_variants(tmp_path, output, ["tf32", "float32"], device="cpu", limit_s=600, **SIZES)
    assert "needs a GPU" in found["tf32"]["failed"]
    assert found["float32"]["samples_per_second"] > 0
    assert json.loads(output.read_text()) == found


def test_every_variant_is_of_settings_that_there_are() -> None:
    target = {"target": "age", "kind": "regression", "inputs": ("t1",), "side": 64}
    assert all(parse_run_config({**target, **settings}) for settings in VARIANTS.values())

"""`mm train --preset reference` as its user meets it."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from mmdata.store.array import open_array
from mmstudy.api import open_study
from mmtrain.config.presets import PRESETS
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint

WORDS = ["--target", "age", "--inputs", "t1,metadata", "--metadata-block", "serology", "--preset", "reference"]
SMALL = {"channels": (4, 4), "epochs": 1}


def planned(run_mm: RunMm, study: Path, *words: object) -> dict[str, Any]:
    """Return what a dry run prints."""
    result = run_mm("--study", study, "train", *words, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_a_preset_comes_before_the_study_s_settings_and_behind_those_given(run_mm: RunMm, copy: Path) -> None:
    content = planned(run_mm, copy, *WORDS, "--patience", 3, "--no-clamp-labels")
    given = {"patience": 3, "clamp_labels": False}
    expected = json.loads(json.dumps({**PRESETS["reference"], **given}))
    assert {name: content["train"][name] for name in expected} == expected
    assert content["train"]["batch_size"] == 64, "8 in study.toml"
    assert content["train"]["side"] == 32, "which belongs to the study"
    assert planned(run_mm, copy, *WORDS[:-2])["train"]["batch_size"] == 8


def test_what_the_study_has_otherwise_is_said_once_and_is_no_failure(run_mm: RunMm, copy: Path) -> None:
    (published,) = planned(run_mm, copy, *WORDS, "--copies", 0)["notes"]
    for told in ("volumes.clamp_region is brain", "volumes.extent_mm is 192", "side is 32", "no augmented copies"):
        assert published.count(told) == 1
    assert planned(run_mm, copy, *WORDS[:-2])["notes"] == []
    assert planned(run_mm, copy, "--target", "age", "--inputs", "connectivity", *WORDS[-2:])["notes"] == []


def test_samples_that_lack_a_raw_feature_are_counted(run_mm: RunMm, copy: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(copy, tmp_path / "study"))
    with duckdb.connect(str(root / "catalog.duckdb")) as catalog:
        catalog.execute("DELETE FROM feature WHERE name = 'LDL' AND row IN (SELECT min(row) FROM sample)")
        catalog.execute("DELETE FROM feature WHERE name = 'HDL' AND row IN (SELECT max(row) FROM sample)")
    content = planned(run_mm, root, *WORDS[:-2], "--feature-scaling", "raw")
    (note,) = content["notes"]
    assert note.startswith(f"--feature-scaling raw: 2 of {sum(content['n'].values())} samples lack a tabular feature")


def test_another_network_than_the_preset_s_can_be_given(run_mm: RunMm, copy: Path) -> None:
    words = ["--target", "age", "--inputs", "t1", "--preset", "reference", "--model", "linear"]
    train = planned(run_mm, copy, *words)["train"]
    assert (train["model"], train["volume_scaling"]) == ("linear", "min-max")


@pytest.mark.parametrize("words", [["--target", "age"], ["--target", "age", "--dry-run"]])
def test_a_preset_that_does_not_exist_is_refused_with_the_nearest(run_mm: RunMm, copy: Path, words: list[str]) -> None:
    told = complaint(run_mm("--study", copy, "train", *words, "--preset", "Reference"))
    assert "one of reference, got 'Reference'. Did you mean reference?" in told


def test_a_run_that_has_begun_takes_no_preset(run_mm: RunMm, copy: Path) -> None:
    told = complaint(run_mm("--study", copy, "train", "--resume", "x", "--preset", "reference"), exit_code=2)
    assert "leave out --preset" in told


def test_a_run_of_the_preset_from_python_is_kept_by_name_and_predicts_as_it_was_tested(copy: Path) -> None:
    study = open_study(copy)
    inputs = {"inputs": ["t1", "metadata"], "metadata_blocks": ["serology"]}
    run_id = study.train("age", preset="reference", copies=0, **inputs, **SMALL)
    run = copy / "runs" / run_id
    record = json.loads((run / "config.json").read_text())
    assert record["preset"] == "reference"
    assert record["train"]["volume_scaling"] == "min-max"
    card = json.loads((run / "model.json").read_text())
    assert (card["volume_scaling"], card["feature_scaling"]) == ("min-max", "raw")
    assert card["network"]["num_features"] == len(card["features"]) == 24, "one column for each of the other variables"

    test = pl.read_parquet(run / "predictions.parquet").filter(split="test")
    cohort = pl.read_parquet(run / "cohort.parquet")
    samples = test.join(cohort, on="sample_id", maintain_order="left")
    model = study.load(run_id)
    shown = [feature["name"] for feature in card["features"] if feature["shown"]]
    predicted = model.predict(
        volumes={"t1": open_array(copy / "volumes.zarr/t1/32").read_rows([(row,) for row in samples["row"]])},
        features={name: samples[f"feature_{name}"].cast(pl.Float64).fill_null(float("nan")) for name in shown},
    )
    np.testing.assert_allclose(predicted["age"], test["prediction"], rtol=1e-6)

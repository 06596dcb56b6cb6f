"""A trained model by itself: arrays in, predictions out."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from mmdata.store.array import open_array
from mmtrain.errors import TrainError
from mmtrain.models.trained import TrainedModel, load_model
from tests.mmtrain.conftest import make_tiny_study

EVERYTHING = {
    "inputs": ("t1", "connectivity", "metadata"),
    "metadata_blocks": ("serology", "constitutional"),
    "features": ("LDL", "sex"),
    "shown_features": ("LDL", "sex"),
}
RUNS: dict[str, dict[str, Any]] = {
    "volumes": {"inputs": ("t1", "flair")},
    "everything": EVERYTHING,
    "float64": {**EVERYTHING, "precision": "float64"},
    "bfloat16": {"inputs": ("connectivity",), "precision": "bfloat16"},
    "classes": {"inputs": ("connectivity", "metadata"), "target": "sex", "kind": "classification"}
    | {name: value for name, value in EVERYTHING.items() if name != "inputs"},
    **{
        model: {"inputs": ("t1", "connectivity"), "model": model, "channels": ()}
        for model in ("constant", "linear", "boosting")
    },
    "published scaling": {**EVERYTHING, "volume_scaling": "min-max", "feature_scaling": "raw"},
    "imaging kept": {**EVERYTHING, "inputs": ("metadata",), "keep_imaging": True},
}
DTYPES = {"float64": torch.float64, "bfloat16": torch.bfloat16}


def read_inputs(study: Any, inputs: tuple[str, ...], samples: range) -> dict[str, Any]:
    """Return what the stores and the cohort have of some samples, as somebody without a study would bring it."""
    rows = [(row,) for row in samples]
    layout, given = study.layout, {}
    volumes = {m: open_array(layout.volume_array(m, 8)).read_rows(rows) for m in ("t1", "flair") if m in inputs}
    if volumes:
        given["volumes"] = volumes
    if "connectivity" in inputs:
        given["connectivity"] = open_array(layout.connectivity_array("glasser360")).read_rows(rows)
    if "metadata" in inputs:
        ldl = [np.nan if i % 5 == 0 else study.ages[i] for i in samples]
        given["features"] = {"LDL": ldl, "sex": study.classes[list(samples)]}
    return given


@pytest.mark.parametrize("name", RUNS)
def test_a_model_without_its_study_predicts_what_the_run_predicted(tmp_path: Path, name: str) -> None:
    study = make_tiny_study(tmp_path / "study")
    run = study.train(**RUNS[name])
    parts = [read_inputs(study, RUNS[name]["inputs"], samples) for samples in (range(26, 33), range(33, 40))]
    kept = tmp_path / "model"
    kept.mkdir()
    for file in (run.model, run.model_card):
        shutil.copy(file, kept)
    expected = pl.read_parquet(run.predictions)["prediction"].to_numpy()
    shutil.rmtree(tmp_path / "study")

    model = load_model(kept, dtype=DTYPES.get(name, torch.float32))
    predicted = [next(iter(model.predict(**part).values())) for part in parts]
    np.testing.assert_array_equal(np.concatenate(predicted), expected)


@pytest.fixture(scope="module")
def run(tiny: Any) -> Any:
    """A finished run with all kinds of inputs."""
    return tiny.train(**EVERYTHING, epochs=1)


@pytest.fixture(scope="module")
def model(run: Any) -> TrainedModel:
    return load_model(run.path)


def give(num: int = 3, **changes: Any) -> dict[str, Any]:
    """Return inputs that the model takes, with some changed."""
    rng = np.random.default_rng(2)
    volumes: NDArray[Any] = rng.integers(0, 65536, (num, 8, 8, 8)).astype(np.uint16)
    given = {
        "volumes": {"t1": volumes},
        "connectivity": rng.normal(size=(num, 12)).astype(np.float32),
        "features": {"LDL": rng.uniform(40, 80, num), "sex": np.ones(num)},
    }
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


def test_a_sample_is_predicted_as_it_is_whatever_comes_with_it(model: TrainedModel) -> None:
    given = give(4)
    together = model.predict(**given)["age"]
    alone = [
        model.predict(
            volumes={"t1": given["volumes"]["t1"][i : i + 1]},
            connectivity=given["connectivity"][i : i + 1],
            features={name: values[i : i + 1] for name, values in given["features"].items()},
        )["age"][0]
        for i in range(4)
    ]
    assert together == pytest.approx(alone, rel=1e-5)
    assert together.dtype == np.float64


def test_floats_from_0_to_1_are_what_integers_over_their_range_are(model: TrainedModel) -> None:
    integers = give()["volumes"]["t1"]
    fractions = integers / 65535.0
    expected = model.predict(**give())["age"]
    assert model.predict(**give(volumes={"t1": fractions}))["age"] == pytest.approx(expected, rel=1e-5)
    coarse = np.round(fractions * 255).astype(np.uint8)
    assert model.predict(**give(volumes={"t1": coarse}))["age"] == pytest.approx(expected, rel=1e-2)


T1 = np.zeros((3, 8, 8, 8), np.uint16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volumes": None}, r"Expected the volumes t1, got none\. A model needs all that it was trained on"),
        ({"volumes": {"t1": T1, "flair": T1}}, "Expected the volumes t1, got t1, flair"),
        ({"connectivity": None}, "Expected the inputs connectivity, got none"),
        ({"features": {"LDL": np.ones(3)}}, "Expected the features LDL, sex, got LDL"),
        ({"features": {"LDL": np.ones(3), "sex": np.ones(3), "age": np.ones(3)}}, "got LDL, sex, age"),
        ({"volumes": {"t1": T1[0]}}, r"Expected t1 of shape \(B, 8, 8, 8\), got \(8, 8, 8\)"),
        ({"volumes": {"t1": T1[:, :4]}}, r"got \(3, 4, 8, 8\)"),
        ({"volumes": {"t1": T1[..., None]}}, r"got \(3, 8, 8, 8, 1\)"),
        ({"connectivity": np.ones((3, 11), np.float32)}, r"Expected connectivity of shape \(B, 12\), got \(3, 11\)"),
        ({"features": {"LDL": 4.0, "sex": np.ones(3)}}, r"Expected LDL of shape \(B\), got \(\)"),
        ({"features": {"LDL": np.ones(2), "sex": np.ones(3)}}, r"same number of samples, got \[2, 3\]"),
        ({"connectivity": np.ones((2, 12), np.float32)}, r"same number of samples, got \[2, 3\]"),
        ({"volumes": {"t1": T1.astype(np.int16)}}, "Expected t1 as unsigned integers .* got int16 from 0 to 0"),
        ({"volumes": {"t1": T1 + 700.0}}, "floats from 0 to 1, got float64 from 700 to 700"),
        ({"volumes": {"t1": np.full(T1.shape, np.nan)}}, "got float64 from nan to nan"),
    ],
)
def test_other_inputs_are_refused_in_one_line(model: TrainedModel, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainError, match=message) as caught:
        model.predict(**give(**changes))
    assert "\n" not in str(caught.value)


def test_a_model_without_metadata_takes_no_features(tiny: Any) -> None:
    edges_alone = load_model(tiny.train(inputs=("connectivity",), epochs=1).path)
    with pytest.raises(TrainError, match="Expected the features none, got LDL"):
        edges_alone.predict(connectivity=np.ones((2, 12), np.float32), features={"LDL": np.ones(2)})
    with pytest.raises(TrainError, match="Expected the volumes none, got t1"):
        edges_alone.predict({"t1": T1}, np.ones((2, 12), np.float32))


@pytest.fixture
def copied(run: Any, tmp_path: Path) -> Path:
    """The model's files by themselves."""
    for file in (run.model, run.model_card):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.mark.parametrize("keep", [0, 7, 500, -1])
def test_damaged_weights_are_refused_in_one_line(copied: Path, keep: int) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(TrainError, match=r"The weights .*model\.safetensors cannot be read") as caught:
        load_model(copied)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there_are_refused(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(TrainError, match=r"The weights .*model\.safetensors cannot be read"):
        load_model(copied)


def test_weights_of_another_model_are_refused(copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    tensors.popitem()
    save_file(tensors, copied / "model.safetensors")
    with pytest.raises(TrainError, match=r"model\.safetensors are not those of its model card") as caught:
        load_model(copied)
    assert "\n" not in str(caught.value)

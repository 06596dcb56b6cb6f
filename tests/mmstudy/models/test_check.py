"""A check of a bundle finds damage, and a model that predicts something else; through ONNX too."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from mmbase.checksums import CHECKSUMS, write_checked
from mmbase.files import to_json
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.check import check_bundle
from mmtrain.errors import TrainError

CPU = torch.device("cpu")


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> BundleDirectory:
    """A copy of the bundle to damage."""
    return BundleDirectory(Path(shutil.copytree(bundle, tmp_path / "copied")))


def test_on_the_machine_that_made_it_a_bundle_is_the_same(bundle: Path) -> None:
    check = check_bundle(bundle, CPU)
    assert check.is_same and not check.damaged and check.there == check.here
    assert check.differences == {"age": 0.0}
    assert 0 <= check.onnx_differences["age"] < 1e-5 and check.onnx_note == ""


@pytest.mark.parametrize(
    "part", ["model", "model_card", "contract", "results", "onnx", "golden_inputs", "golden_outputs"]
)
def test_a_flipped_bit_and_a_missing_file_are_named(copied: BundleDirectory, part: str) -> None:
    path: Path = getattr(copied, part)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    name = str(path.relative_to(copied.path))
    assert check_bundle(copied.path, CPU).damaged == (name,)
    if part != "model_card":  # without one a folder is no bundle
        path.unlink()
        assert check_bundle(copied.path, CPU).damaged == (name,)


def test_lost_checksums_are_named_and_notes_in_the_readme_are_no_damage(copied: BundleDirectory) -> None:
    copied.readme.write_text("My own notes.")
    assert check_bundle(copied.path, CPU).is_same
    (copied.path / CHECKSUMS).unlink()
    assert check_bundle(copied.path, CPU).damaged == (CHECKSUMS,)


def write_other_weights(bundle: BundleDirectory) -> None:
    """Add 4e-4 to the output, which spans -1 to 1: half as much of the target's scale."""
    tensors = load_file(bundle.model)
    tensors["mlp_logits.dense_layers.2.bias"] += 4e-4
    write_checked(bundle.model, save(tensors))


def write_other_outputs(bundle: BundleDirectory) -> None:
    outputs = json.loads(bundle.golden_outputs.read_text())
    outputs["predictions"]["age"][2] += 2e-4 * outputs["scales"]["age"]
    write_checked(bundle.golden_outputs, to_json(outputs))


@pytest.mark.parametrize("change", [write_other_weights, write_other_outputs])
def test_a_model_that_predicts_something_else_is_told_by_how_much(
    copied: BundleDirectory, change: Callable[[BundleDirectory], None]
) -> None:
    change(copied)
    check = check_bundle(copied.path, CPU)
    assert not check.damaged and not check.is_same
    assert check.differences["age"] == pytest.approx(2e-4, rel=0.01)


def test_an_onnx_file_that_cannot_be_run_is_no_success(copied: BundleDirectory) -> None:
    write_checked(copied.onnx, b"no network")
    check = check_bundle(copied.path, CPU)
    assert check.differences == {"age": 0.0} and check.onnx_differences == {"age": math.inf}
    assert "cannot be run" in check.onnx_note and not check.is_same


def test_without_onnxruntime_the_rest_is_checked(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmtrain.bundles.onnx_file._RUNNING", ("a_library_that_is_not_there",))
    check = check_bundle(bundle, CPU)
    assert check.is_same and "onnxruntime is not installed" in check.onnx_note


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="is no bundle"):
        check_bundle(tmp_path, CPU)

"""Prove on this machine that a bundle is whole, and that its model predicts what it did where it was exported."""

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mmbase.checksums import CHECKSUMS, find_changed, find_missing
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.golden import (
    TOLERANCE,
    GoldenInputs,
    GoldenOutputs,
    compare_outputs,
    largest_differences,
    read_golden,
)
from mmtrain.bundles.onnx_file import OnnxError, can_run, predict_with_onnx
from mmtrain.errors import TrainError
from mmtrain.models.trained import TrainedModel, load_model
from mmtrain.run import environment


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleCheck:
    """What a check found."""

    damaged: tuple[str, ...] = ()
    """Files that are missing, or not as they were written; where there are any, nothing is computed."""
    differences: Mapping[str, float] = field(default_factory=dict)
    """Target to the largest difference from the golden outputs, as a share of the target's scale."""
    onnx_differences: Mapping[str, float] = field(default_factory=dict)
    """The same of the ONNX file; none where it was not run, infinity where it failed."""
    onnx_note: str = ""
    """Why the ONNX file was not run, or how it failed."""
    there: Mapping[str, str] = field(default_factory=dict)
    """Versions where the bundle was made, with the kinds of its processor and device."""
    here: Mapping[str, str] = field(default_factory=dict)
    """The same of this machine."""

    @property
    def is_same(self) -> bool:
        """Return whether the bundle is whole and predicts the same."""
        found = [*self.differences.values(), *self.onnx_differences.values()]
        return not self.damaged and bool(found) and max(found) <= TOLERANCE


def check_bundle(path: Path, device: torch.device) -> BundleCheck:
    """Check every file's checksum, then compute the golden outputs again.

    Parameters
    ----------
    device
        That computes; an ONNX file is run on processors all the same.

    Raises
    ------
    TrainError
        There is no bundle, or it has no golden examples.
    """
    bundle = BundleDirectory(path)
    if not bundle.model_card.is_file():
        raise TrainError(f"{path} is no bundle: it has no {bundle.model_card.name}.", "Give the folder of a bundle.")
    if damaged := find_damaged(bundle):
        return BundleCheck(damaged=damaged)
    inputs, expected = read_golden(bundle)
    model = load_model(path, device, torch.float32)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # else float32 would have 10 bits on newer GPUs
        differences = compare_outputs(model, inputs, expected)
    onnx_differences, onnx_note = _check_onnx(bundle, model, inputs, expected)
    return BundleCheck(
        differences=differences,
        onnx_differences=onnx_differences,
        onnx_note=onnx_note,
        there={**expected.versions, "machine": expected.machine, "device": expected.device},
        here={**environment(), "machine": platform.machine(), "device": device.type},
    )


def find_damaged(bundle: BundleDirectory) -> tuple[str, ...]:
    """Return the files of a bundle that are missing or not as they were written, by their paths in it.

    The README may be written on: it has no checksum.
    """
    damaged: set[str] = set()
    for folder in (bundle.path, bundle.golden_inputs.parent):
        found = {*find_changed(folder), *find_missing(folder)} | {CHECKSUMS} - {path.name for path in folder.glob("*")}
        damaged |= {str((folder / name).relative_to(bundle.path)) for name in found}
    missing = {path for path in bundle.required if not path.is_file()}
    return tuple(sorted(damaged | {str(path.relative_to(bundle.path)) for path in missing}))


def _check_onnx(
    bundle: BundleDirectory, model: TrainedModel, inputs: GoldenInputs, expected: GoldenOutputs
) -> tuple[dict[str, float], str]:
    """Return the differences of the ONNX file, and why there are none or what went wrong."""
    if not bundle.onnx.exists():
        return {}, "The bundle has no ONNX file."
    if not can_run():
        return {}, "The ONNX file was not run: onnxruntime is not installed here."
    try:
        got = predict_with_onnx(bundle.onnx, model, inputs)
    except OnnxError as error:
        return dict.fromkeys(expected.predictions, math.inf), str(error)
    return largest_differences(expected, got), ""

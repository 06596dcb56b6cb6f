"""The published weights of SFCN: safely read, and what their outputs mean.

They are a pickled state dict of torch, saved from several GPUs, so that names may begin with ``module.``. Weights of
age have forty outputs, those of sex two.

What they expect is T1, brain-extracted, linearly registered to MNI152 at 1 mm on the grid of FSL's template
(182 × 218 × 182 voxels, x from right to left), divided by its mean over that grid, and cropped to the 160 × 192 × 160
voxels in the middle.

Source: Peng et al., Accurate brain age prediction with lightweight deep neural networks, Medical Image Analysis 68,
101871, 2021, and the names and shapes of the weights in its repository, ha-ha-ha-han/UKBiobank_deep_pretrain.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmbase.input_files import require_regular
from mmbase.printable import shown
from mmtrain.errors import TrainError
from mmtrain.models.networks.sfcn import Sfcn
from mmtrain.targets.kinds import binned

Target = Literal["age", "sex"]

MNI_SHAPE = (182, 218, 182)
"""Of the grid of FSL's MNI152 template at 1 mm."""
INPUT_SHAPE = (160, 192, 160)
AGES = binned.Kind(44.0, 80.0)
"""Forty bins of a year from 42 to 82."""
_TARGETS: Mapping[int, Target] = {binned.NUM_BINS: "age", 2: "sex"}
"""What weights with so many outputs predict."""
_LAST = "classifier.conv_6.weight"
_UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, AttributeError, TypeError),
    pickle.UnpicklingError,
)
"""What torch raises of a file that is no state dict."""
_REMEDY = "Give the file of SFCN's weights as its authors published it."


@dataclass(frozen=True, slots=True)
class PublishedSfcn:
    """A published network, in evaluation mode."""

    network: Sfcn
    target: Target

    @torch.inference_mode()
    def log_probabilities(self, volumes_B1XYZ: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logarithm of the probability of each output, shape (B, 40) or (B, 2).

        Parameters
        ----------
        volumes_B1XYZ
            As `prepare_volumes` gives them.

        Raises
        ------
        TrainError
            They have another shape.
        """
        if volumes_B1XYZ.ndim != 5 or volumes_B1XYZ.shape[1:] != (1, *INPUT_SHAPE):
            raise TrainError(
                f"Expected volumes of shape {_batch_of(1, *INPUT_SHAPE)}, got {volumes_B1XYZ.shape}.",
                "Make them with prepare_volumes.",
            )
        outputs_BK = self.network(torch.from_numpy(np.ascontiguousarray(volumes_B1XYZ, np.float32)))
        log_probabilities_BK: NDArray[np.float32] = torch.log_softmax(outputs_BK, 1).numpy()
        return log_probabilities_BK

    def read_out(self, log_probabilities_BK: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the expected age in years, or the probability of the second sex, shape (B,).

        The authors do not say which sex is the second; in UK Biobank's field 31 it is male.
        """
        values = log_probabilities_BK.astype(np.float64)
        return AGES.predictions(values) if self.target == "age" else np.exp(values[:, 1])


def prepare_volumes(volumes_BXYZ: NDArray[Any]) -> NDArray[np.float32]:
    """Divide volumes by their mean and crop them to the middle, as the network was trained on them.

    Parameters
    ----------
    volumes_BXYZ
        T1 on FSL's MNI152 grid at 1 mm, shape (B, 182, 218, 182), 0 outside the brain.

    Returns
    -------
    array
        Shape (B, 1, 160, 192, 160).

    Raises
    ------
    TrainError
        They have another shape, or one has no brain: its mean is not positive.
    """
    if volumes_BXYZ.ndim != 4 or volumes_BXYZ.shape[1:] != MNI_SHAPE:
        raise TrainError(f"Expected volumes of shape {_batch_of(*MNI_SHAPE)}, got {volumes_BXYZ.shape}.")
    mean = volumes_BXYZ.mean(axis=(1, 2, 3), dtype=np.float64, keepdims=True)
    if not (mean > 0).all():
        raise TrainError("Expected volumes with a positive mean, got one that is empty.", "Leave it out.")
    starts = [(whole - part) // 2 for whole, part in zip(MNI_SHAPE, INPUT_SHAPE, strict=True)]
    middle = tuple(slice(start, start + part) for start, part in zip(starts, INPUT_SHAPE, strict=True))
    return np.asarray(volumes_BXYZ[:, *middle] / mean, np.float32)[:, None]


def load_sfcn_checkpoint(path: Path) -> PublishedSfcn:
    """Load published weights of SFCN; nothing in the file is run.

    Raises
    ------
    TrainError
        The file cannot be read, holds something other than tensors by name, or they are not those of this network.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in _read_tensors(path).items()}
    if _LAST not in tensors:
        raise TrainError(f"{shown(path)} holds no weights of SFCN: {_LAST} is missing.", _REMEDY)
    num_outputs = len(tensors[_LAST]) if tensors[_LAST].ndim else 0
    if num_outputs not in _TARGETS:
        raise TrainError(
            f"Expected weights of SFCN with 40 outputs (age) or 2 (sex), got {num_outputs} in {shown(path)}.", _REMEDY
        )
    network = Sfcn(1, num_outputs)
    _require_shapes(path, tensors, network)
    network.load_state_dict(tensors)
    return PublishedSfcn(network.eval(), _TARGETS[num_outputs])


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return what a file holds; of 2019, and so none of the archives that `mmtrain.published.torch_file` reads."""
    try:
        require_regular(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainError(f"There is no file {shown(path)}.") from error
    except _UNREADABLE as error:  # torch's own words tell how to read it unsafely
        raise TrainError(
            f"{shown(path)} is damaged, or holds more than tensors. Nothing in it was run.", _REMEDY
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
    ):
        raise TrainError(f"Expected nothing but tensors by name in {shown(path)}, got something else.", _REMEDY)
    return content


def _require_shapes(path: Path, tensors: Mapping[str, torch.Tensor], network: nn.Module) -> None:
    """Refuse tensors of other names, shapes or kinds of numbers than the network's, or that are not finite."""
    expected = {name: _form(tensor) for name, tensor in network.state_dict().items()}
    got = {name: _form(tensor) for name, tensor in tensors.items()}
    differing = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
    if differing:
        name = differing[0]
        raise TrainError(
            f"{shown(path)} holds no weights of SFCN: of its tensors {len(differing)} differ. Expected {name} to be "
            f"{expected.get(name, 'absent')}, got {got.get(name, 'none')}.",
            _REMEDY,
        )
    if infinite := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise TrainError(f"Expected finite weights in {shown(path)}, got NaN or infinity in {infinite[0]}.", _REMEDY)


def _form(tensor: torch.Tensor) -> str:
    return f"{'fractions' if tensor.is_floating_point() else 'whole numbers'} of shape {tuple(tensor.shape)}"


def _batch_of(*sizes: int) -> str:
    return f"(B, {', '.join(map(str, sizes))})"

"""The wiring check: a network that is given the label in place of its inputs has to find it, whatever the input is.

Terms
-----
signal    a label as the inputs show it: from -1 to 1, for volumes are in this range too; classes 0 and 1 are -1 and 1.

Of several targets each fills its own part of every input. A missing label is shown as 0 and counts nothing in the loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmtrain.config.data import TargetConfig
from mmtrain.errors import TrainError
from mmtrain.targets.several import Targets

R2_REACHED, BALANCED_ACCURACY_REACHED = 0.99, 1.0
_EXPECTED = {
    "regression": ("r2", R2_REACHED),
    "binned": ("r2", R2_REACHED),
    "classification": ("balanced_accuracy", BALANCED_ACCURACY_REACHED),
}
"""Kind of target to the metric that tells whether the label was found, and what it has to reach on the test split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WiringVerdict:
    """Whether a diagnostic run has found the labels of one target."""

    target: str
    kind: str
    metric: str
    expected: float
    """Least value of the metric on the test split."""
    got: float

    @property
    def ok(self) -> bool:
        """Return whether the metric reaches what is expected."""
        return self.got >= self.expected

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {**asdict(self), "ok": self.ok}


def signal_of(targets: Targets, labels_BT: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the labels of a batch as its inputs are to show them, shape (B, T).

    Parameters
    ----------
    labels_BT
        In the unit of each target; NaN where missing.
    """
    columns = []
    for kind, labels in zip(targets.kinds, labels_BT.T, strict=True):
        known = ~np.isnan(labels)
        filled = np.where(known, labels, 0.0)
        scaled = kind.scale(filled)
        signal = scaled if kind.classes(filled) is None else 2.0 * scaled - 1.0
        columns.append(np.where(known, signal, 0.0))
    return np.stack(columns, axis=1)


def show_labels(values: torch.Tensor, signal_BT: NDArray[np.float64]) -> torch.Tensor:
    """Return an input with the labels in place of its values: of several targets, each in its part of the last axis.

    Parameters
    ----------
    values
        Of a batch, shape (B, ..., n): volumes, edges, or the columns of the features that the network sees.

    Raises
    ------
    TrainError
        There are more targets than values along the last axis.
    """
    num_targets, length = signal_BT.shape[1], values.shape[-1]
    if num_targets > length:
        raise TrainError(
            f"--diagnostic shows each of the {num_targets} targets in its own part of every input, and one has "
            f"{length} values only.",
            "Give fewer targets at once, or this input more features.",
        )
    shown = torch.empty_like(values)
    signal = torch.from_numpy(signal_BT).to(values)
    for target, part in enumerate(np.array_split(np.arange(length), num_targets)):
        of_target = signal[:, target].reshape(-1, *[1] * (values.ndim - 1))
        shown[..., int(part[0]) : int(part[-1]) + 1] = of_target
    return shown


def show_labels_in_columns(
    features_BF: torch.Tensor, columns: Sequence[int], signal_BT: NDArray[np.float64]
) -> torch.Tensor:
    """Return features with the labels in some columns and 0 in all others: none is missing.

    Parameters
    ----------
    columns
        Those that hold the scores of the features that the network sees.
    """
    shown = torch.zeros_like(features_BF)
    index = torch.tensor(columns, device=features_BF.device, dtype=torch.int64)
    shown[:, index] = show_labels(features_BF[:, index], signal_BT)
    return shown


def judge_wiring(metrics: Mapping[str, Any], targets: Sequence[TargetConfig]) -> list[WiringVerdict]:
    """Return for each target of a diagnostic run, by its metrics.json, whether the network has found its labels.

    >>> judge_wiring({"test": {"r2": 0.5}}, [TargetConfig(name="age", kind="regression")])[0].ok
    False
    """
    verdicts = []
    for target in targets:
        of_target = metrics["targets"][target.name] if "targets" in metrics else metrics
        metric, expected = _EXPECTED[target.kind]
        verdicts.append(
            WiringVerdict(
                target=target.name,
                kind=target.kind,
                metric=metric,
                expected=expected,
                got=of_target["test"][metric],
            )
        )
    return verdicts

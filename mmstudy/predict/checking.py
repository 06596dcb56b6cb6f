"""The single place where what is to be predicted from is held against what the model takes for granted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbase.suggestion import did_you_mean
from mmstudy.models.find import FoundModel
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.samples import Fault
from mmtrain.errors import TrainError

DEVIATION_NAMES: tuple[str, ...] = ()
"""What `--allow` takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedScan:
    """A scan as the model would see it."""

    modality: str
    row: NDArray[Any]
    measures: Mapping[str, float]
    provenance: Mapping[str, str]


def find_scan_deviations(scan: CheckedScan, model: FoundModel) -> list[Deviation]:
    """Return in what a scan differs from those that a model was trained on."""
    return []


def find_feature_deviations(values: Mapping[str, float], model: FoundModel) -> list[Deviation]:
    """Return in what a sample's features differ from those that a model was trained on."""
    return []


def find_store_deviations(model: FoundModel, attributes: Mapping[str, Mapping[str, Any]]) -> list[Deviation]:
    """Return in what a study's arrays differ from those that a model was trained on."""
    return []


def require_known(names: Collection[str]) -> None:
    """Refuse to allow what no deviation is called.

    Raises
    ------
    TrainError
        Lists the names there are.
    """
    for name in names:
        if name not in DEVIATION_NAMES:
            raise TrainError(
                f"--allow {name}: there is no deviation of this name.{did_you_mean(name, DEVIATION_NAMES)}",
                f"There are {', '.join(DEVIATION_NAMES) or 'none'}.",
            )


def divide(deviations: Sequence[Deviation], allowed: Collection[str]) -> tuple[list[Fault], list[str]]:
    """Return deviations as faults, and those that are allowed as warnings, each once."""
    distinct = list(dict.fromkeys(deviations))
    faults = [Fault(name=one.name, text=str(one)) for one in distinct if one.name not in allowed]
    return faults, [f"allowed {one}" for one in distinct if one.name in allowed]


def check_scans(scans: Sequence[CheckedScan], models: Sequence[FoundModel]) -> list[Deviation]:
    """Return all deviations of a sample's scans."""
    return [one for model in models for scan in scans for one in find_scan_deviations(scan, model)]


def check_features(values: Mapping[str, float], models: Sequence[FoundModel]) -> list[Deviation]:
    """Return all deviations of a sample's features; of those that have a value."""
    known = {name: value for name, value in values.items() if np.isfinite(value)}
    return [one for model in models for one in find_feature_deviations(known, model)]


def check_stores(attributes: Mapping[str, Mapping[str, Any]], model: FoundModel) -> list[Deviation]:
    """Return all deviations of a study's arrays."""
    return find_store_deviations(model, attributes)

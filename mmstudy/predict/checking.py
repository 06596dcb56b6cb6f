"""The single place where what is to be predicted from is held against what the model takes for granted."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbase.suggestion import did_you_mean
from mmdata.readers.scan import LoadedScan
from mmstudy.models.find import FoundModel
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.samples import Fault
from mmtrain.errors import TrainError

DEVIATION_NAMES: tuple[str, ...] = ()
"""What `--allow` takes."""


def check_scan(scan: LoadedScan, modality: str, models: Sequence[FoundModel]) -> list[Deviation]:
    """Return in what a scan differs from those that models were trained on."""
    return []


def check_features(values: Mapping[str, float], models: Sequence[FoundModel]) -> list[Deviation]:
    """Return in what a sample's features differ from those that models were trained on."""
    return []


def check_tables(
    paths: Sequence[Path], columns: Mapping[str, NDArray[np.float64]], models: Sequence[FoundModel]
) -> list[Deviation]:
    """Return in what tables differ from what models take for granted.

    Parameters
    ----------
    paths
        Of the tables.
    columns
        Feature to its values of everybody, shape (N,), NaN where missing.
    """
    return []


def check_stores(attributes: Mapping[str, Mapping[str, Any]], model: FoundModel) -> list[Deviation]:
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
                f"{name}: there is no deviation of this name.{did_you_mean(name, DEVIATION_NAMES)}",
                f"There are {', '.join(DEVIATION_NAMES) or 'none'}.",
            )


def divide(deviations: Sequence[Deviation], allowed: Collection[str]) -> tuple[list[Fault], list[str]]:
    """Return deviations as faults, and those that are allowed as warnings, each once."""
    distinct = list(dict.fromkeys(deviations))
    faults = [Fault(name=one.name, text=str(one)) for one in distinct if one.name not in allowed]
    return faults, [f"allowed {one}" for one in distinct if one.name in allowed]

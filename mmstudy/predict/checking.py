"""The single place where what is to be predicted from is held against what the models take for granted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.fields import Dictionary, FeatureDefinition
from catalog.tables.headers import read_header
from mmbase.names import AGE
from mmdata.readers.scan import LoadedScan
from mmdata.study import Study
from mmstudy.models.cohort_of_run import find_training_cohort
from mmstudy.models.find import FoundModel
from mmstudy.models.training_cohort import TrainingCohort
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.definitions import find_definition_deviations
from mmstudy.predict.deviations.features import find_column_deviations, find_feature_deviations
from mmstudy.predict.deviations.scan import CheckedScan, checked_scan, find_scan_deviations
from mmstudy.predict.deviations.store import find_store_deviations
from mmstudy.predict.deviations.table import find_table_deviations
from mmstudy.predict.samples import Fault


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one model takes for granted of whom it predicts."""

    model: FoundModel
    cohort: TrainingCohort
    """What the people whom it was trained on have in common; empty where nobody tells."""

    @property
    def fields(self) -> Mapping[str, FeatureDefinition]:
        """Return how the features are made that the model sees."""
        targets = {target.name for target in self.model.card.targets}
        return {name: made for name, made in self.model.contract.fields.items() if name not in targets}


def find_expectations(
    study: Study | None, models: Sequence[FoundModel], *, scans: bool = True
) -> tuple[Expectation, ...]:
    """Return what models take for granted.

    Parameters
    ----------
    scans
        Whether new scans will be held against a run's, for which those of its training participants are read.

    Raises
    ------
    MmError
        The run's cohort, the study's arrays or the bundle's file cannot be read.
    """
    return tuple(Expectation(model, find_training_cohort(study, model, scans=scans)) for model in models)


def check_scan(scan: LoadedScan, modality: str, expectations: Sequence[Expectation]) -> list[Deviation]:
    """Return in what a scan that was just read differs from what models take for granted."""
    return [
        deviation
        for one in expectations
        if modality in one.model.card.shape.inputs
        for deviation in _of_scan(checked_scan(scan, modality, one.model.contract, one.model.card.shape.side), one)
    ]


def check_row(row: NDArray[Any], modality: str, expectation: Expectation) -> list[Deviation]:
    """Return in what a stored row, as the model's contract has it, differs from what the model takes for granted."""
    card, contract = expectation.model.card, expectation.model.contract
    grid = contract.volumes.grid(card.shape.side) if row.ndim > 1 and contract.volumes else None
    return _of_scan(CheckedScan(modality=modality, row=row, grid=grid), expectation)


def check_features(values: Mapping[str, float], expectations: Sequence[Expectation]) -> list[Deviation]:
    """Return in what a sample's features, and age where it is known, differ from what models take for granted."""
    return [
        deviation
        for one in expectations
        for deviation in find_feature_deviations(
            {name: value for name, value in values.items() if name in one.fields or name == AGE},
            one.fields,
            one.cohort.features,
        )
    ]


def check_tables(
    paths: Sequence[Path], columns: Mapping[str, NDArray[np.float64]], expectations: Sequence[Expectation]
) -> list[Deviation]:
    """Return in what tables differ from what models take for granted.

    Parameters
    ----------
    paths
        Of the tables.
    columns
        Feature to its values of everybody, shape (N,), NaN where missing.
    """
    headers = [read_header(path) for path in paths]
    found = []
    for one in expectations:
        found += find_table_deviations(headers, one.fields)
        for name, definition in one.fields.items():
            found += find_column_deviations(name, columns[name], definition, one.cohort.features.get(name))
    return found


def check_stores(
    attributes: Mapping[str, Mapping[str, Any]], dictionary: Dictionary, expectation: Expectation
) -> list[Deviation]:
    """Return in what a study's arrays and features are made otherwise than those that a model was trained on.

    Parameters
    ----------
    attributes
        Modality to what its array says of itself.
    dictionary
        How the study's features are made.
    """
    return [
        *find_store_deviations(expectation.model.card, attributes),
        *find_definition_deviations(expectation.fields, dictionary),
    ]


def divide(deviations: Sequence[Deviation], allowed: Collection[str]) -> tuple[list[Fault], tuple[Deviation, ...]]:
    """Return deviations as faults, and those that are allowed, each once."""
    distinct = list(dict.fromkeys(deviations))
    faults = [Fault(name=one.name, text=str(one)) for one in distinct if one.name not in allowed]
    return faults, tuple(one for one in distinct if one.name in allowed)


def _of_scan(scan: CheckedScan, expectation: Expectation) -> list[Deviation]:
    model = expectation.model
    return find_scan_deviations(scan, model.contract, expectation.cohort, num_edges=model.card.shape.num_edges)

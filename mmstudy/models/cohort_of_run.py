"""Describe the people whom a run was trained on, from its cohort and the study's stores."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mmbase.names import AGE, CONNECTIVITY
from mmdata.qc.mean import read_batches, spread_evenly
from mmdata.store.array import StoredArray
from mmdata.study import Study
from mmstudy.models.cohort_file import read_training_cohort
from mmstudy.models.find import FoundModel
from mmstudy.models.training_cohort import (
    EdgeCohort,
    FeatureCohort,
    TrainingCohort,
    VolumeCohort,
    edge_cohort,
    feature_cohort,
    volume_cohort,
)
from mmstudy.own_stores import open_own_array
from mmstudy.runs.folders import find_run_of_study
from mmtrain.bundle import BundleDirectory
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.models.card import ModelCard
from mmtrain.run import RunDirectory

MAX_PEOPLE = 400
"""Whose scans are read; spread over the training split. More would hardly move a limit."""


def find_training_cohort(study: Study | None, model: FoundModel, *, scans: bool = True) -> TrainingCohort:
    """Return what the people whom a model was trained on have in common; nothing where a bundle does not tell.

    Parameters
    ----------
    scans
        Whether a run's scans are described too, which have to be read for it.

    Raises
    ------
    TrainError
        The bundle's file is damaged, or the run's cohort is.
    mmdata.errors.StoreError
        The study's arrays cannot be read.
    """
    if model.is_run:
        assert study is not None
        return describe_run(study, RunDirectory(model.path), model.card, scans=scans)
    path = BundleDirectory(model.path).training_cohort
    return read_training_cohort(path) if path.exists() else TrainingCohort()


def describe_run(study: Study, run: RunDirectory, card: ModelCard, *, scans: bool = True) -> TrainingCohort:
    """Return what the people whom a run was trained on have in common.

    Parameters
    ----------
    scans
        Whether their scans are read and described too.

    Raises
    ------
    TrainError
        Its cohort is damaged.
    mmdata.errors.StoreError
        The study's arrays cannot be read.
    """
    cohort = read_cohort(run.cohort)
    people = _one_sample_each(cohort)
    features = _describe_features(cohort, people, card)
    if not scans:
        return TrainingCohort(features=features)
    rows = spread_evenly(cohort.rows[people].tolist(), MAX_PEOPLE)
    _, config = find_run_of_study(study.layout, run.run_id)
    volumes: dict[str, VolumeCohort] = {}
    for modality in card.shape.volumes:
        array = open_own_array(study, (modality, card.shape.side), config.data.connectivity)
        described = volume_cohort(_rows_of(array, rows), study.config.volumes.grid(card.shape.side))
        if described is not None:
            volumes[modality] = described
    edges: EdgeCohort | None = None
    if CONNECTIVITY in card.inputs:
        array = open_own_array(study, (CONNECTIVITY, 0), config.data.connectivity)
        edges = edge_cohort(np.array(list(_rows_of(array, rows))))
    return TrainingCohort(volumes=volumes, edges=edges, features=features)


def _one_sample_each(cohort: Cohort) -> NDArray[np.int64]:
    """Return the positions of one training sample of each person: the first."""
    members = cohort.members("train")
    _, first = np.unique(cohort.participants[members], return_index=True)
    positions: NDArray[np.int64] = members[np.sort(first)]
    return positions


def _rows_of(array: StoredArray, rows: list[int]) -> Iterator[NDArray[np.generic]]:
    """Yield the rows that are stored, one at a time."""
    for _, stored in read_batches(array, rows, lambda num_read: None):
        yield from stored


def _describe_features(cohort: Cohort, people: NDArray[np.int64], card: ModelCard) -> Mapping[str, FeatureCohort]:
    """Return what is known of the features that the model sees, and of age, which it may predict.

    Of codes nothing is told: none is far from usual, and a share of ones tells how many people have a rare disease.
    """
    columns = {name: cohort.features[name] for name in card.features.shown_names if name in cohort.features}
    targets = {target.name: cohort.labels_NT[:, n] for n, target in enumerate(card.targets)}
    for source in (targets, cohort.groups):
        if AGE in source:
            columns.setdefault(AGE, source[AGE])
    described = {name: feature_cohort(column[people]) for name, column in columns.items() if not _is_code(column)}
    return {name: one for name, one in described.items() if one is not None}


def _is_code(column: NDArray[np.float64]) -> bool:
    return bool(np.isin(column[np.isfinite(column)], (0.0, 1.0)).all())

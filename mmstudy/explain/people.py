"""Whose scans a model is explained on: one sample, or people of a split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from catalog.cohorts import build_cohort
from catalog.database import open_catalog
from catalog.features import feature_columns
from catalog.statements import fetch_frame
from mmbase.names import CONNECTIVITY, SPLITS
from mmdata.errors import StudyError
from mmdata.study import Study
from mmstudy.dictionary import study_dictionary
from mmstudy.models.find import FoundModel
from mmstudy.runs.folders import study_runs
from mmtrain.data.cohort import Cohort, parse_cohort, read_cohort
from mmtrain.data.order import derive_seed
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard
from mmtrain.run import RunDirectory


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """N samples; every array is of shape (N,)."""

    rows: NDArray[np.int64]
    """Index along the rows axis of every array of the study."""
    features: Mapping[str, NDArray[np.float64]]
    """Tabular features that the model sees, NaN where missing."""
    labels: NDArray[np.float64]
    """Of the target, NaN where missing."""
    participants: NDArray[np.int64]
    """Equal numbers are visits of one person."""

    def __len__(self) -> int:
        return len(self.rows)


def stored_inputs(card: ModelCard) -> tuple[str, ...]:
    """Return the inputs of a model that are read from stores."""
    return (*card.shape.volumes, *([CONNECTIVITY] if card.shape.num_edges else []))


def require_finished(study: Study, name: str) -> None:
    """Refuse a run of the study that is not finished.

    Raises
    ------
    TrainError
        Says how to finish it.
    """
    if any(run.run_id == name and not run.metrics.exists() for run in study_runs(study.layout).reachable):
        raise TrainError(
            f"Run {name} is not finished, so there is no model to explain yet.",
            f"Resume it with mm train --resume {name}, or test its best epoch: mm train --finish {name}",
        )


def cohort_of(study: Study, model: FoundModel) -> Cohort:
    """Return the cohort of a run; for a model from elsewhere, whoever of the study has its target and its inputs.

    Raises
    ------
    TrainError, CatalogError
        The cohort is damaged, or the study has too few people with what the model needs.
    """
    if model.is_run:
        return read_cohort(RunDirectory(model.path).cohort)
    card, dictionary = model.card, study_dictionary(study)
    targets = [target.name for target in card.targets]
    with open_catalog(study.layout.catalog) as catalog:
        found = build_cohort(catalog, dictionary, targets, stored_inputs(card), card.features.shown_names)
    return parse_cohort(found.frame)


def people_of_split(
    cohort: Cohort, card: ModelCard, target: int, split: str, *, num_samples: int | None, seed: int
) -> People:
    """Return the samples of a split, or as many of them as are asked for, drawn at random.

    Raises
    ------
    StudyError
        There is no such split.
    """
    if split not in SPLITS:
        raise StudyError(f"Expected the split to be one of {', '.join(SPLITS)}, got {split!r}.")
    members = cohort.members(split)
    if num_samples is not None and num_samples < len(members):
        rng = np.random.default_rng(derive_seed(seed, "explain", split))
        members = np.sort(rng.choice(members, num_samples, replace=False))
    shown = card.features.shown_names
    return People(
        rows=cohort.rows[members],
        features=dict(zip(shown, cohort.stack_features(shown)[members].T, strict=True)),
        labels=cohort.labels_NT[members, target],
        participants=cohort.participants[members],
    )


def one_sample(study: Study, card: ModelCard, sample_id: str) -> People:
    """Return one sample of the study, whether or not the model was trained on it.

    Raises
    ------
    StudyError
        There is no such sample, or it lacks an input of the model.
    """
    shown = card.features.shown_names
    with open_catalog(study.layout.catalog) as catalog:
        found = fetch_frame(catalog, "SELECT row FROM samples WHERE sample_id = $sample", {"sample": sample_id})
        if not found.height:
            raise StudyError(
                "The study has no sample of this id.", "mm query 'FROM samples' shows the ids of all samples."
            )
        stored = fetch_frame(
            catalog,
            "SELECT modality FROM scans WHERE sample_id = $sample AND status = 'stored'",
            {"sample": sample_id},
        )["modality"].to_list()
        columns = list(feature_columns(catalog, found["row"], shown))
    if lacking := [name for name in stored_inputs(card) if name not in stored]:
        raise StudyError(
            f"This sample has no {', '.join(lacking)} stored, and an explanation needs every input of the model.",
            "mm query 'FROM scans' says why a scan was rejected.",
        )
    values = [column.cast(pl.Float64).fill_null(float("nan")).to_numpy() for column in columns]
    return People(
        rows=found["row"].cast(pl.Int64).to_numpy(),
        features=dict(zip(shown, values, strict=True)),
        labels=np.full(1, np.nan),
        participants=np.zeros(1, np.int64),
    )

"""One model, or several whose predictions are averaged, ready to predict.

Legend of shapes: B batch, S side in voxels, E edges, T targets, M models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from mmbase.json_text import DamagedTextError, read_json
from mmbase.names import CONNECTIVITY
from mmstudy.models.find import FoundModel
from mmstudy.models.orientation import axes_to_flip, flip_rows
from mmstudy.own_stores import ArrayKey
from mmstudy.predict.model_set import arrays_of
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.results import read_results
from mmtrain.errors import TrainError
from mmtrain.held_out import ensemble_intervals
from mmtrain.intervals import Intervals
from mmtrain.metrics.decisions import DECISION_THRESHOLD
from mmtrain.models.card import ModelCard
from mmtrain.models.trained import TrainedModel
from mmtrain.run import RunDirectory
from mmtrain.targets.registry import load_kind

Affines: TypeAlias = Mapping[str, Any]
"""Modality to the affine of the rows that are given, shape (4, 4)."""


@dataclass(frozen=True, slots=True)
class InputBatch:
    """Samples that have the same inputs."""

    rows: Mapping[ArrayKey, NDArray[Any]]
    """Volumes (B, S, S, S), and connectivity (B, E)."""
    features: Mapping[str, NDArray[np.float64]] | None
    """Name to shape (B,), NaN where missing; None: the samples have none."""


@dataclass(frozen=True, slots=True)
class Member:
    """One model with its network."""

    found: FoundModel
    trained: TrainedModel
    flips: Mapping[str, tuple[int, ...]]
    """Modality to the axes along which its rows are to be reversed."""

    @property
    def arrays(self) -> tuple[ArrayKey, ...]:
        """Return what it reads."""
        return arrays_of(self.found.card)

    def predict(self, batch: InputBatch) -> NDArray[np.float64]:
        """Predict all targets, shape (B, T), from those of its inputs that the batch has.

        Raises
        ------
        TrainError
            An input that the model cannot do without is missing, or has another shape.
        """
        card = self.found.card
        volumes = {
            modality: flip_rows(rows, self.flips.get(modality, ()))
            for (modality, side), rows in batch.rows.items()
            if (modality, side) in self.arrays and modality != CONNECTIVITY
        }
        features = None
        if batch.features is not None and card.shape.num_features:
            features = {name: batch.features[name] for name in card.features.shown_names}
        edges = batch.rows.get((CONNECTIVITY, 0)) if card.shape.num_edges else None
        predictions = self.trained.predict(volumes or None, edges, features)
        return np.stack([predictions[target.name] for target in card.targets], axis=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictor:
    """Models of the same targets, and what is told beside their mean prediction."""

    members: tuple[Member, ...]
    intervals: Intervals
    level: float
    thresholds: Mapping[str, float]
    """Binary target to the probability from which it is class 1."""

    @property
    def card(self) -> ModelCard:
        """Return the card of the first model, whose targets are everybody's."""
        return self.members[0].found.card

    def predict(self, batch: InputBatch) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the mean prediction (B, T) and its standard deviation over the models; None of one model."""
        return combine([member.predict(batch) for member in self.members])


def combine(predictions: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the mean of the models' predictions, and their standard deviation; None of one model."""
    stacked = np.stack(predictions)
    return stacked.mean(axis=0), stacked.std(axis=0) if len(stacked) > 1 else None


def load_predictor(models: Sequence[FoundModel], device: torch.device, level: float, affines: Affines) -> Predictor:
    """Load the networks of some models.

    Parameters
    ----------
    affines
        Of the rows that the models will be given.

    Raises
    ------
    TrainError
        A model cannot be loaded, or a bundle has no intervals of this level.
    """
    return Predictor(
        members=tuple(Member(one, one.load(device), _flips(one, affines)) for one in models),
        intervals=find_intervals(models, level),
        level=level,
        thresholds=_thresholds(models),
    )


def find_intervals(models: Sequence[FoundModel], level: float) -> Intervals:
    """Return the intervals of the models' mean prediction, at one level.

    Raises
    ------
    TrainError
        A bundle has none of this level, or what they are made of is damaged.
    """
    if len(models) > 1:
        if not all(model.is_run for model in models):
            return Intervals()  # a bundle keeps nobody's prediction, and the spread is of persons
        return ensemble_intervals([RunDirectory(model.path) for model in models], models[0].card.targets, [level])
    (model,) = models
    intervals = model.intervals([level])
    at_hand = sorted({known for one in intervals.of.values() for known in one.half_widths})
    if not model.is_run and at_hand and level not in at_hand:
        raise TrainError(
            f"The bundle {model.name} has no intervals of level {level:g}.",
            f"Give --level {' or '.join(f'{known:g}' for known in at_hand)}; the run itself has every level.",
        )
    return intervals


def _flips(model: FoundModel, affines: Affines) -> dict[str, tuple[int, ...]]:
    return {
        modality: axes_to_flip(model.card.stores[modality]["affine_ras"], affines[modality])
        for modality in model.card.shape.volumes
        if modality in affines and "affine_ras" in model.card.stores.get(modality, {})
    }


def _thresholds(models: Sequence[FoundModel]) -> dict[str, float]:
    """Return where each binary target is decided: as fixed on validation, of one run; else at a half."""
    card = models[0].card
    binary = [t.name for t in card.targets if load_kind(t.kind).classes(np.empty(0)) is not None]
    chosen: Mapping[str, float] = {}
    if len(models) == 1:
        chosen = _chosen_in_run(models[0]) if models[0].is_run else _told_with_bundle(models[0])
    return {name: chosen.get(name, DECISION_THRESHOLD) for name in binary}


def _told_with_bundle(model: FoundModel) -> dict[str, float]:
    """Return the thresholds in a bundle's results.json; none where it has no such file."""
    path = BundleDirectory(model.path).results
    told = read_results(path).targets if path.exists() else []
    return {target.name: target.threshold for target in told if target.threshold is not None}


def _chosen_in_run(model: FoundModel) -> dict[str, float]:
    """Return the thresholds in a run's metrics.json; none where it has no such file."""
    try:
        metrics = read_json(RunDirectory(model.path).metrics, dict[str, Any])
    except FileNotFoundError:
        return {}
    except DamagedTextError as error:
        raise TrainError(f"metrics.json of {model.name} is damaged ({error}).", "Put it back from a backup.") from error
    several = metrics.get("targets")
    entries = several if isinstance(several, dict) else {model.card.targets[0].name: metrics}
    decisions = {name: entry.get("decision") for name, entry in entries.items() if isinstance(entry, dict)}
    return {
        name: float(told["threshold"])
        for name, told in decisions.items()
        if isinstance(told, dict) and isinstance(told.get("threshold"), int | float)
    }

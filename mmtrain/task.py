"""One run's fixed parts, and what follows from them alone: its network, its losses, its metrics."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from mmdata.store.location import parse_location
from mmdata.store.schema import CONNECTIVITY, VOLUME_MODALITIES, StudyLayout
from mmtrain.config import METADATA, TrainConfig
from mmtrain.data.augmentation import augment_channels
from mmtrain.data.cohort import Cohort, read_cohort
from mmtrain.data.portions import Portion, epoch_portions, require_portions
from mmtrain.data.scaling import FeatureScaler, TargetScaler, fit_features, fit_target, weigh_classes
from mmtrain.data.stream import (
    BatchRequest,
    StoredBatch,
    Stores,
    allocate_channels,
    open_stores,
    stream_batches,
    to_channels,
)
from mmtrain.data.transfer import transfer_batches
from mmtrain.errors import TrainError
from mmtrain.metrics import classification_metrics, regression_metrics
from mmtrain.model import FusionNet
from mmtrain.precision import choose_precision, computing_in, parameter_dtype
from mmtrain.ranks.group import ALONE, Ranks
from mmtrain.run import RunDirectory


@dataclass(frozen=True, slots=True)
class Task:
    """One run's fixed parts: what is read, how it is scaled, and where it is computed."""

    config: TrainConfig
    cohort: Cohort
    stores: Stores
    target_scaler: TargetScaler | None
    """None for a binary target."""
    feature_scaler: FeatureScaler
    features_NF: NDArray[np.float32]
    """Scaled, and which were missing; no columns where metadata is not an input."""
    class_weights: tuple[float, float]
    """Of the losses of samples of class 0 and 1; 1 for a continuous target."""
    ranks: Ranks
    device: torch.device
    dtype: torch.dtype
    """Of the network's arithmetic."""
    channels: torch.Tensor
    """Memory for the volumes of one batch."""


def choose_device(wanted: str) -> torch.device:
    """Return where this rank computes: ``auto`` takes a GPU if there is one.

    Raises
    ------
    TrainError
        A GPU is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainError("--device cuda was asked for, but PyTorch finds no GPU here. Use --device cpu or auto.")
    use_gpu = wanted != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


def prepare_task(run: RunDirectory, layout: StudyLayout, config: TrainConfig, ranks: Ranks = ALONE) -> Task:
    """Read the cohort, open the stores, and fit every scaling on the training split.

    Raises
    ------
    TrainError
        The cohort, the settings or the device cannot be used.
    mmdata.errors.StoreError
        A store is missing.
    """
    cohort = read_cohort(run.cohort)
    require_portions(cohort, config, ranks.size)
    training = cohort.members("train")
    features_NF = cohort.stack_features(config.features)
    feature_scaler = fit_features(config.features, features_NF[training], config.shown_features)
    weighted = config.kind == "classification" and config.balance == "weight"
    device = choose_device(config.device)
    largest_share = -(-min(config.batch_size, max(cohort.split_sizes.values())) // ranks.size)
    return Task(
        config=config,
        cohort=cohort,
        stores=open_run_stores(layout, config),
        target_scaler=fit_target(cohort.targets[training]) if config.kind == "regression" else None,
        feature_scaler=feature_scaler,
        features_NF=feature_scaler.scale(features_NF),
        class_weights=weigh_classes(cohort.targets[training]) if weighted else (1.0, 1.0),
        ranks=ranks,
        device=device,
        dtype=choose_precision(config.precision, device),
        channels=allocate_channels(largest_share, config.side, len(config.volume_inputs), device),
    )


def open_run_stores(layout: StudyLayout, config: TrainConfig) -> Stores:
    """Open the arrays that a run reads, wherever they lie.

    Raises
    ------
    TrainError, mmdata.errors.StoreError
        An array or a copy that the run needs does not exist.
    """
    if config.stores:
        place = parse_location(config.stores)
        if isinstance(place, Path) and not place.is_dir():
            raise TrainError(f"--stores {config.stores}: there is no such folder.")
        layout = replace(layout, stores=place)
    return open_stores(
        layout, config.modalities, side=config.side, connectivity=config.connectivity, copies=config.copies
    )


def build_model(task: Task) -> FusionNet:
    """Return the untrained network for a run's inputs."""
    config = task.config
    edges = task.stores.originals[CONNECTIVITY].row_shape[0] if CONNECTIVITY in config.inputs else 0
    return FusionNet(
        side=config.side,
        channels=config.stage_channels if config.volume_inputs else (),
        present=[VOLUME_MODALITIES.index(modality) for modality in config.volume_inputs],
        num_edges=edges,
        num_features=task.features_NF.shape[1] if METADATA in config.inputs else 0,
        num_outputs=1 if config.kind == "regression" else 2,
    )


def describe_model(task: Task) -> dict[str, Any]:
    """Return the model card: what the weights expect as input and what their output means."""
    config = task.config
    scaler = task.target_scaler
    return {
        "schema_version": 1,
        "target": config.target,
        "kind": config.kind,
        "unit": config.unit,
        "inputs": list(config.inputs),
        "network": {"side": config.side, "channels": list(config.stage_channels if config.volume_inputs else ())},
        "target_scaling": {"low": scaler.low, "high": scaler.high} if scaler else None,
        "features": task.feature_scaler.to_json(),
        "stores": {modality: array.attributes for modality, array in task.stores.originals.items()},
        "augmented_copies": task.stores.num_copies,
    }


def training_portions(task: Task, epoch: int) -> list[Portion]:
    """Return what this rank reads in one epoch."""
    return epoch_portions(
        task.cohort,
        task.config,
        epoch,
        num_copies=task.stores.num_copies,
        rank=task.ranks.rank,
        size=task.ranks.size,
    )


def stream_task(task: Task, requests: list[BatchRequest]) -> Iterator[StoredBatch]:
    """Read batches ahead, in their order, and bring them to the device; each is a sign of life of this rank."""
    batches = stream_batches(
        task.stores,
        requests,
        prefetch_bytes=task.config.prefetch_bytes,
        pin_memory=task.device.type == "cuda",
    )
    for batch in transfer_batches(batches, task.device):
        task.ranks.heart.beat()
        yield batch


def forward(task: Task, model: nn.Module, batch: StoredBatch, epoch: int | None = None) -> torch.Tensor:
    """Return the network's outputs for a batch.

    Parameters
    ----------
    epoch
        In which the batch is trained on, for its augmentation on the device; None: it is not to be changed.
    """
    config = task.config
    dtype = parameter_dtype(task.dtype)
    volumes = to_channels(batch, task.channels) if config.volume_inputs else None
    if volumes is not None and epoch is not None and config.on_device:
        names = [task.cohort.sample_ids[position] for position in batch.request.positions]
        volumes = augment_channels(volumes, config, names, epoch)
    edges = batch.stored[CONNECTIVITY].to(task.device, dtype) if CONNECTIVITY in config.inputs else None
    features = None
    if METADATA in config.inputs:
        features = torch.from_numpy(task.features_NF[batch.request.positions]).to(task.device, dtype)
    with computing_in(task.dtype, task.device):
        outputs: torch.Tensor = model(None if volumes is None else volumes.to(dtype), edges, features)
    return outputs.to(dtype)


def sample_losses(task: Task, outputs: torch.Tensor, positions: NDArray[np.int64]) -> torch.Tensor:
    """Return for each sample its squared error of the scaled target, or the mean cross-entropy of its one-hot pair.

    Parameters
    ----------
    outputs
        Of the network, shape (B, 1) or (B, 2), on any device.
    positions
        Of the samples in the cohort, shape (B,).
    """
    targets = task.cohort.targets[positions]
    if task.target_scaler is not None:
        scaled = torch.from_numpy(task.target_scaler.scale(targets)).to(outputs)
        return (outputs[:, 0] - scaled).square()
    pairs = functional.one_hot(torch.from_numpy(targets.astype(np.int64)), 2).to(outputs)
    losses = functional.binary_cross_entropy_with_logits(outputs, pairs, reduction="none").mean(1)
    return losses * (pairs @ pairs.new_tensor(task.class_weights))


def to_predictions(task: Task, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn network outputs into values of the target's unit, or probabilities of class 1."""
    if task.target_scaler is not None:
        return task.target_scaler.unscale(outputs[:, 0])
    likely = 1 / (1 + np.exp(-outputs))
    return np.asarray(likely[:, 1] / likely.sum(axis=1))


def score(task: Task, split: str, prediction: NDArray[np.float64]) -> dict[str, float]:
    """Return the metrics of one split; targets are not clamped."""
    truth = task.cohort.targets[task.cohort.members(split)]
    measure = regression_metrics if task.config.kind == "regression" else classification_metrics
    return measure(truth, prediction)

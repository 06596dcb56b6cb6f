"""One run's fixed parts, and what follows from them alone: its batches, its network, its loss, its metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mmdata.schema import CONNECTIVITY, StudyLayout
from mmtrain.cohort import Cohort, read_cohort
from mmtrain.config import METADATA, TrainConfig
from mmtrain.errors import TrainError
from mmtrain.metrics import classification_metrics, regression_metrics
from mmtrain.model import FusionNet
from mmtrain.order import balance_classes, choose_copies, epoch_batches
from mmtrain.run import RunDirectory
from mmtrain.scaling import FeatureScaler, TargetScaler, fit_features, fit_target
from mmtrain.stream import (
    BatchRequest,
    StoredBatch,
    Stores,
    allocate_channels,
    open_stores,
    stream_batches,
    to_channels,
)


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
    device: torch.device
    channels: torch.Tensor
    """Memory for the volumes of one batch."""


def choose_device(wanted: str) -> torch.device:
    """Return where to compute: ``auto`` takes a GPU if there is one.

    Raises
    ------
    TrainError
        A GPU is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainError("--device cuda was asked for, but PyTorch finds no GPU here. Use --device cpu or auto.")
    use_gpu = wanted != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


def prepare_task(run: RunDirectory, layout: StudyLayout, config: TrainConfig) -> Task:
    """Read the cohort, open the stores, and fit every scaling on the training split."""
    cohort = read_cohort(run.cohort)
    training = cohort.members("train")
    features_NF = cohort.stack_features(config.features)
    feature_scaler = fit_features(config.features, features_NF[training], config.shown_features)
    device = choose_device(config.device)
    largest_batch = min(config.batch_size, max(cohort.split_sizes.values()))
    return Task(
        config=config,
        cohort=cohort,
        stores=open_stores(
            layout, config.modalities, side=config.side, connectivity=config.connectivity, copies=config.copies
        ),
        target_scaler=fit_target(cohort.targets[training]) if config.kind == "regression" else None,
        feature_scaler=feature_scaler,
        features_NF=feature_scaler.scale(features_NF),
        device=device,
        channels=allocate_channels(largest_batch if config.volume_inputs else 0, config.side, device),
    )


def build_model(task: Task) -> FusionNet:
    """Return the untrained network for a run's inputs."""
    config = task.config
    edges = task.stores.originals[CONNECTIVITY].row_shape[0] if CONNECTIVITY in config.inputs else 0
    return FusionNet(
        side=config.side,
        channels=config.stage_channels if config.volume_inputs else (),
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


def training_requests(task: Task, epoch: int) -> list[BatchRequest]:
    """Return one epoch's batches: which samples, which copies, in which order."""
    config, cohort = task.config, task.cohort
    members = cohort.members("train")
    if config.kind == "classification" and config.balance == "undersample":
        members = balance_classes(members, cohort.targets[members], seed=config.seed, epoch=epoch)
    copies = choose_copies(cohort.sample_ids, task.stores.num_copies, seed=config.seed, epoch=epoch)
    copies[~cohort.is_augmented] = 0
    batches = epoch_batches(members, config.batch_size, seed=config.seed, epoch=epoch, drop_last=config.drop_last)
    return [request_batch(task, positions, copies[positions]) for positions in batches]


def request_batch(task: Task, positions: NDArray[np.int64], copies: NDArray[np.int64] | None = None) -> BatchRequest:
    """Ask for samples by their positions in the cohort; without copies, for the volumes themselves."""
    return BatchRequest(
        positions=positions,
        rows=task.cohort.rows[positions],
        copies=np.zeros(len(positions), np.int64) if copies is None else copies,
    )


def stream_task(task: Task, requests: list[BatchRequest]) -> Iterator[StoredBatch]:
    """Read batches ahead, in their order."""
    return stream_batches(
        task.stores,
        requests,
        prefetch_bytes=task.config.prefetch_bytes,
        pin_memory=task.device.type == "cuda",
    )


def forward(task: Task, model: FusionNet, batch: StoredBatch) -> torch.Tensor:
    """Return the network's outputs for a batch."""
    config = task.config
    volumes = to_channels(batch, task.channels) if config.volume_inputs else None
    edges = batch.stored[CONNECTIVITY].to(task.device).float() if CONNECTIVITY in config.inputs else None
    features = None
    if METADATA in config.inputs:
        features = torch.from_numpy(task.features_NF[batch.request.positions]).to(task.device)
    outputs: torch.Tensor = model(volumes, edges, features)
    return outputs


def batch_loss(task: Task, outputs: torch.Tensor, batch: StoredBatch) -> torch.Tensor:
    """Return mean squared error of scaled targets, or binary cross-entropy on one-hot pairs."""
    targets = task.cohort.targets[batch.request.positions]
    if task.target_scaler is not None:
        scaled = torch.from_numpy(task.target_scaler.scale(targets)).float().to(task.device)
        return functional.mse_loss(outputs[:, 0], scaled)
    pairs = functional.one_hot(torch.from_numpy(targets.astype(np.int64)), 2).float().to(task.device)
    return functional.binary_cross_entropy_with_logits(outputs, pairs)


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

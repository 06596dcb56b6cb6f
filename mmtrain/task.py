"""One run's fixed parts: what is read, how it is scaled, which network, and where it is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmbase.names import CONNECTIVITY, METADATA
from mmdata.augment.apply import BatchChanges
from mmdata.store.location import parse_location
from mmdata.store.schema import StudyLayout
from mmtrain.config.run import RunConfig
from mmtrain.data.augmentation import augment_channels, draw_ahead, draw_changes
from mmtrain.data.cohort import Cohort
from mmtrain.data.portions import Portion, epoch_portions, require_portions
from mmtrain.data.presence import draw_given
from mmtrain.data.row_cache import RowCache
from mmtrain.data.scaling import FeatureScaler, fit_features
from mmtrain.data.stream import (
    BatchRequest,
    StoredBatch,
    Stores,
    allocate_channels,
    complete_batches,
    open_stores,
    stream_batches,
    to_channels,
)
from mmtrain.data.transfer import transfer_batches
from mmtrain.device import choose_device
from mmtrain.diagnostic import show_labels, show_labels_in_columns, signal_of
from mmtrain.errors import TrainError
from mmtrain.kept_values import KeptValues
from mmtrain.memory import require_memory
from mmtrain.models.card import ModelCard
from mmtrain.models.protocol import Architecture, NetworkShape
from mmtrain.models.registry import load_architecture, network_shape
from mmtrain.precision import Arithmetic, computing_in, dtype_of, parameter_dtype, resolve_precision
from mmtrain.ranks.group import ALONE, Ranks
from mmtrain.ranks.independence import require_independence
from mmtrain.run import environment
from mmtrain.targets.several import Targets, fit_targets, require_targets
from mmtrain.trunks.fixed import FixedTrunk, require_one_rank, take_trunk


@dataclass(frozen=True, slots=True)
class Task:
    """One run's fixed parts."""

    config: RunConfig
    cohort: Cohort
    stores: Stores
    targets: Targets
    feature_scaler: FeatureScaler
    features_NF: NDArray[np.float32]
    """As the network takes them; no columns where metadata is not an input."""
    architecture: Architecture
    shape: NetworkShape
    ranks: Ranks
    device: torch.device
    arithmetic: Arithmetic
    """What the network computes in."""
    channels: torch.Tensor
    """Memory for the volumes of one batch."""
    trunk: FixedTrunk | None = None
    """What comes from another run in place of volumes."""
    rows: RowCache | None = None
    """Keeps the rows that are read; None: each is read whenever it is needed."""
    reductions: KeptValues = field(default_factory=KeptValues)
    """What is kept of inputs for networks that are fitted at once, from split to split and from run to run."""

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the numbers that the network's layers return."""
        return dtype_of(self.arithmetic)


def prepare_task(cohort: Cohort, layout: StudyLayout, config: RunConfig, ranks: Ranks = ALONE) -> Task:
    """Open the stores, and fit every scaling on the training split.

    Raises
    ------
    TrainError
        The cohort, the settings or the device cannot be used.
    mmdata.errors.StoreError
        A store is missing.
    """
    data = config.data
    require_targets(cohort, data)
    require_portions(cohort, config, ranks.size)
    training = cohort.members("train")
    features_NF = cohort.stack_features(data.features)
    feature_scaler = fit_features(data.features, features_NF[training], data.shown_features, data.feature_scaling)
    architecture = load_architecture(config.model.model)
    targets = fit_targets(data, cohort.labels_NT[training], draws=architecture.fit is None)
    if data.clamp_labels:
        cohort = replace(cohort, labels_NT=targets.clamp(cohort.labels_NT))
    stores = open_run_stores(layout, config)
    shape = shape_of_run(config, stores, targets.num_outputs)
    require_independence(config.model.model, shape, ranks.size)
    require_memory(config.model.model, architecture, shape, cohort)
    device = choose_device(config.execution.device)
    if device.index is not None:
        torch.cuda.set_device(device)  # else page-locked memory would open the first GPU too
    largest_share = -(-min(config.optimisation.batch_size, max(cohort.split_sizes.values())) // ranks.size)
    trunk = None
    if config.model.trunk is not None:
        require_one_rank(ranks.size)
        trunk = take_trunk(config, layout, stores, cohort, device)
    return Task(
        config=config,
        cohort=cohort,
        stores=stores,
        targets=targets,
        feature_scaler=feature_scaler,
        features_NF=feature_scaler.scale(features_NF),
        architecture=architecture,
        shape=shape,
        ranks=ranks,
        device=device,
        arithmetic=resolve_precision(config.optimisation.precision, device),
        channels=allocate_channels(largest_share, data.side, 0 if trunk else len(data.volume_inputs), device),
        trunk=trunk,
    )


def open_run_stores(layout: StudyLayout, config: RunConfig) -> Stores:
    """Open the arrays that a run reads, wherever they lie.

    Raises
    ------
    TrainError, mmdata.errors.StoreError
        An array or a copy that the run needs does not exist.
    """
    if config.execution.stores:
        location = parse_location(config.execution.stores)
        if isinstance(location, Path) and not location.is_dir():
            raise TrainError(f"--stores {config.execution.stores}: there is no such folder.")
        layout = replace(layout, stores=location)
    data = config.data
    return open_stores(
        layout, data.modalities, side=data.side, connectivity=data.connectivity, copies=config.augmentation.copies
    )


def shape_of_run(config: RunConfig, stores: Stores, num_outputs: int) -> NetworkShape:
    """Return the shape of the network that a run trains.

    Raises
    ------
    TrainError
        The network cannot take these inputs, or cannot have this shape.
    """
    edges = stores.originals[CONNECTIVITY].row_shape[0] if CONNECTIVITY in config.data.inputs else 0
    num_features = FeatureScaler.num_columns_of(config.data.features, config.data.feature_scaling)
    return network_shape(config.model, config.data, num_edges=edges, num_features=num_features, num_outputs=num_outputs)


def describe_model(task: Task) -> ModelCard:
    """Return the card of the model that a task trains."""
    data = task.config.data
    return ModelCard(
        network=task.config.model.model,
        shape=task.shape,
        targets=data.targets,
        fitted=task.targets,
        inputs=data.inputs,
        optional_inputs=data.inputs if task.config.model.modality_dropout else (),
        features=task.feature_scaler,
        volume_scaling=data.volume_scaling,
        stores={modality: array.attributes for modality, array in task.stores.originals.items()},
        trained_on={
            "n": task.cohort.split_sizes,
            "split": data.split,
            "augment": task.config.augmentation.augment,
            "augmented_copies": task.stores.num_copies,
            "seed": task.config.optimisation.seed,
            **({"trunk": dict(task.trunk.trained_on)} if task.trunk else {}),
            **({"diagnostic": True} if data.diagnostic else {}),
        },
        versions=environment(),
    )


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


def stream_task(task: Task, requests: list[BatchRequest], epoch: int | None = None) -> Iterator[StoredBatch]:
    """Read batches ahead, in their order, and bring them to the device; each is a sign of life of this rank.

    Parameters
    ----------
    epoch
        In which the batches are trained on: what changes them on the device is drawn ahead too.
    """
    batches = stream_batches(
        task.stores if task.trunk is None else task.stores.only([CONNECTIVITY]),
        requests,
        prefetch_bytes=task.config.execution.prefetch_bytes,
        pin_memory=task.device.type == "cuda",
        cache=task.rows,
    )
    if task.rows is not None and task.rows.device != task.device:
        batches = complete_batches(batches, task.rows)
    batches = transfer_batches(batches, task.device)
    if task.rows is not None and task.rows.device == task.device:
        batches = complete_batches(batches, task.rows)
    if epoch is not None and _augments(task):
        batches = draw_ahead(batches, requests, lambda request: _changes_of(task, request, epoch), task.device)
    for batch in batches:
        task.ranks.heartbeat.beat()
        yield batch


@dataclass(frozen=True, slots=True)
class NetworkInputs:
    """A batch as a network takes it; None where something is not an input."""

    volumes_BCXYZ: torch.Tensor | None
    edges_BE: torch.Tensor | None
    features_BF: torch.Tensor | None
    given_BI: torch.Tensor | None = None
    """Which of `NetworkShape.inputs` each sample is given; None: all of them."""
    embeddings_BD: torch.Tensor | None = None
    """What a trunk has made of the volumes, which are None then."""


def network_inputs(task: Task, batch: StoredBatch, epoch: int | None = None) -> NetworkInputs:
    """Return a batch as the network takes it, on the device.

    Parameters
    ----------
    epoch
        In which the batch is trained on, for its augmentation on the device and for the inputs that modality dropout
        leaves out; None: it is not to be changed.
    """
    config, dtype = task.config, parameter_dtype(task.dtype)
    volumes = embeddings = None
    if task.trunk is not None:
        embeddings = torch.from_numpy(task.trunk.embeddings_ND[batch.request.positions]).to(task.device, dtype)
    elif config.data.volume_inputs:
        volumes = to_channels(batch, task.channels, config.data.volume_scaling)
    if volumes is not None and epoch is not None and _augments(task):
        volumes = augment_channels(volumes, batch.changes or _changes_of(task, batch.request, epoch))
    edges = batch.stored[CONNECTIVITY].to(task.device, dtype) if CONNECTIVITY in config.data.inputs else None
    features = None
    if METADATA in config.data.inputs:
        features = torch.from_numpy(task.features_NF[batch.request.positions]).to(task.device, dtype)
    given = None if epoch is None else _draw_given(task, _names(task, batch.request), epoch)
    inputs = NetworkInputs(None if volumes is None else volumes.to(dtype), edges, features, given, embeddings)
    return _labels_as_inputs(task, batch, inputs) if config.data.diagnostic else inputs


def _augments(task: Task) -> bool:
    return task.trunk is None and task.config.augments_on_device


def _changes_of(task: Task, request: BatchRequest, epoch: int) -> BatchChanges:
    return draw_changes(task.config, _names(task, request), epoch)


def _names(task: Task, request: BatchRequest) -> list[str]:
    return [task.cohort.sample_ids[position] for position in request.positions]


def _draw_given(task: Task, sample_ids: Sequence[str], epoch: int) -> torch.Tensor | None:
    """Return which inputs samples are given in an epoch, on the device; None: all of them."""
    probability, seed = task.config.model.modality_dropout, task.config.optimisation.seed
    if not probability:
        return None
    given_BI = draw_given(task.shape.inputs, probability, sample_ids, seed=seed, epoch=epoch)
    return torch.from_numpy(given_BI).to(task.device)


def _labels_as_inputs(task: Task, batch: StoredBatch, inputs: NetworkInputs) -> NetworkInputs:
    """Return inputs of the same shapes, types and device that show nothing but the labels."""
    signal_BT = signal_of(task.targets, task.cohort.labels_NT[batch.request.positions])
    seen = np.flatnonzero(task.feature_scaler.shown).tolist()
    volumes, edges, features = inputs.volumes_BCXYZ, inputs.edges_BE, inputs.features_BF
    return NetworkInputs(
        None if volumes is None else show_labels(volumes, signal_BT),
        None if edges is None else show_labels(edges, signal_BT),
        None if features is None else show_labels_in_columns(features, seen, signal_BT),
        inputs.given_BI,
    )


def forward(task: Task, network: nn.Module, batch: StoredBatch, epoch: int | None = None) -> torch.Tensor:
    """Return the network's outputs for a batch; see `network_inputs`."""
    return run_network(task, network, network_inputs(task, batch, epoch))


def run_network(task: Task, network: nn.Module, inputs: NetworkInputs) -> torch.Tensor:
    """Return the network's outputs, shape (B, K)."""
    named = {"given_BI": inputs.given_BI, "embeddings_BD": inputs.embeddings_BD}
    given = {name: tensor for name, tensor in named.items() if tensor is not None}
    with computing_in(task.dtype, task.device):
        outputs: torch.Tensor = network(inputs.volumes_BCXYZ, inputs.edges_BE, inputs.features_BF, **given)
    return outputs.to(parameter_dtype(task.dtype))


def sample_losses(task: Task, outputs: torch.Tensor, positions: NDArray[np.int64]) -> torch.Tensor:
    """Return the loss of each sample, shape (B,).

    Parameters
    ----------
    outputs
        Of the network, shape (B, K), on any device.
    positions
        Of the samples in the cohort, shape (B,).
    """
    return task.targets.losses(outputs, task.cohort.labels_NT[positions])


def scored_labels(task: Task, split: str) -> NDArray[np.float64]:
    """Return what predictions of a split are compared with, shape (N, T); NaN where missing.

    They are clamped where `clamp_labels` asked for it.
    """
    labels_NT: NDArray[np.float64] = task.cohort.labels_NT[task.cohort.members(split)]
    return labels_NT


def score(task: Task, split: str, prediction_NT: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Return the metrics of one split by target, as every epoch has them."""
    return task.targets.score(scored_labels(task, split), prediction_NT)

"""Batches of a study for anybody's trainer, read ahead as `mm train` reads them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY, METADATA, SPLITS
from mmdata.augment.apply import BatchChanges
from mmdata.errors import StudyError
from mmdata.execution.allocator import keep_freed_memory
from mmdata.store.schema import StudyLayout
from mmtrain.config.run import RunConfig
from mmtrain.data.augmentation import augment_channels, draw_ahead, draw_changes
from mmtrain.data.cohort import Cohort, parse_cohort
from mmtrain.data.order import choose_copies, divide, epoch_batches
from mmtrain.data.portions import request_samples
from mmtrain.data.scaling import fit_features
from mmtrain.data.stream import BatchRequest, StoredBatch, Stores, allocate_channels, stream_batches, to_channels
from mmtrain.data.transfer import transfer_batches
from mmtrain.device import choose_device
from mmtrain.task import open_run_stores

Batch = dict[str, Any]
"""``volumes`` (B, C, S, S, S) from -1, the background, to 1; ``connectivity`` (B, E); ``features`` (B, F), scaled as
`mm train` does: each float32, and only where it is an input. ``targets`` (B,), or (B, T) of several, float32 in their
own unit, NaN where missing. ``sample_ids``, a list of str."""


@dataclass(slots=True)
class Batches:
    """The batches of one split: an iterable with a length, for plain PyTorch, Lightning and others.

    Within a group of ranks (`torch.distributed`) each rank gets its share of every batch. The order is a function of
    seed and epoch alone. Validation and test samples come in the order of their rows.
    """

    config: RunConfig
    cohort: Cohort
    stores: Stores
    features_NF: NDArray[np.float32]
    split: str
    batch_size: int
    device: torch.device
    epoch: int = field(default=1)
    """Counted from 1; decides the order and the augmentation of training samples."""

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is, counted from 1; without it, each pass is the next epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._positions(self.epoch))

    def __iter__(self) -> Iterator[Batch]:
        """Read one epoch."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        requests = self._requests(epoch)
        batches = stream_batches(
            self.stores,
            requests,
            prefetch_bytes=self.config.execution.prefetch_bytes,
            pin_memory=self.device.type == "cuda",
        )
        batches = transfer_batches(batches, self.device)
        if self.split == "train" and self.config.augments_on_device:

            def draw(request: BatchRequest) -> BatchChanges:
                return draw_changes(self.config, self._sample_ids(request), epoch)

            batches = draw_ahead(batches, requests, draw, self.device)
        for batch in batches:
            yield self._as_tensors(batch)

    def _sample_ids(self, request: BatchRequest) -> list[str]:
        return [self.cohort.sample_ids[position] for position in request.positions]

    def _positions(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the positions of each batch, over all ranks."""
        members = self.cohort.members(self.split)
        if self.split != "train":
            return np.array_split(members, -(-len(members) // self.batch_size) or 1)
        optimisation = self.config.optimisation
        return epoch_batches(
            members, self.batch_size, seed=optimisation.seed, epoch=epoch, drop_last=optimisation.drop_last
        )

    def _requests(self, epoch: int) -> list[BatchRequest]:
        rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        copies = None
        if self.split == "train":
            order, seed = self.config.augmentation.copy_order, self.config.optimisation.seed
            copies = choose_copies(self.cohort.sample_ids, self.stores.num_copies, order=order, seed=seed, epoch=epoch)
            copies[~self.cohort.is_augmented] = 0
        batches = self._positions(epoch)
        if (smallest := min(map(len, batches))) < size:
            raise StudyError(
                f"A batch of {smallest} samples of the split {self.split} cannot be shared by {size} ranks.",
                "Use a larger batch_size or fewer ranks.",
            )
        shares = [divide(batch, 1, size)[0][rank] for batch in batches]
        return [request_samples(self.cohort, share, None if copies is None else copies[share]) for share in shares]

    def _as_tensors(self, batch: StoredBatch) -> Batch:
        data, positions = self.config.data, batch.request.positions
        sample_ids = self._sample_ids(batch.request)
        tensors: Batch = {}
        if data.volume_inputs:
            memory = allocate_channels(len(positions), data.side, len(data.volume_inputs), self.device)
            volumes = to_channels(batch, memory, data.volume_scaling)
            if batch.changes is not None:
                volumes = augment_channels(volumes, batch.changes)
            tensors["volumes"] = volumes
        if CONNECTIVITY in data.inputs:
            tensors["connectivity"] = batch.stored[CONNECTIVITY].to(self.device, torch.float32, copy=True)
        if METADATA in data.inputs:
            tensors["features"] = torch.from_numpy(self.features_NF[positions]).to(self.device)
        labels = torch.from_numpy(self.cohort.labels_NT[positions]).to(self.device, torch.float32)
        return {**tensors, "targets": labels[:, 0] if labels.shape[1] == 1 else labels, "sample_ids": sample_ids}


def require_batches(split: str, batch_size: int) -> None:
    """Refuse what no batch can be made of.

    Raises
    ------
    StudyError
        There is no such split, or batches would be empty.
    """
    if split not in SPLITS:
        raise StudyError(f"Expected the split to be one of {', '.join(SPLITS)}, got {split!r}.")
    num_ranks = dist.get_world_size() if dist.is_initialized() else 1
    if batch_size < num_ranks:
        raise StudyError(f"Expected batches of at least {num_ranks} samples, one for each rank, got {batch_size}.")


def prepare_batches(
    layout: StudyLayout, config: RunConfig, cohort_table: pl.DataFrame, split: str, batch_size: int
) -> Batches:
    """Open what the batches of a split are read from.

    Raises
    ------
    TrainError, DataError
        A store is missing, or the device is not there.
    """
    keep_freed_memory()
    cohort = parse_cohort(cohort_table)
    data = config.data
    features_NF = cohort.stack_features(data.features)
    training_NF = features_NF[cohort.members("train")]
    scaler = fit_features(data.features, training_NF, data.shown_features, data.feature_scaling)
    return Batches(
        config=config,
        cohort=cohort,
        stores=open_run_stores(layout, config),
        features_NF=scaler.scale(features_NF),
        split=split,
        batch_size=batch_size,
        device=choose_device(config.execution.device),
    )

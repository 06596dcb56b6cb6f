"""Stream batches of rows from the stores: reads run ahead in other threads, into memory that is used again and again.

Integers stay integers until they are on the device that computes with them, where `to_channels` makes them floats.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY, VOLUME_MODALITIES
from mmdata.augment.apply import BatchChanges
from mmdata.errors import StoreError
from mmdata.store.array import StoredArray, open_array, wait_for_reads
from mmdata.store.description import array_exists
from mmdata.store.location import BucketPath
from mmdata.store.rows import find_missing
from mmdata.store.schema import FIRST_AUGMENTED_COPY, StudyLayout
from mmtrain.config.data import VolumeScaling
from mmtrain.data.intensity import scale_volumes
from mmtrain.data.row_cache import Lookup, RowCache
from mmtrain.errors import TrainError

MIN_PREFETCH = 2

Lookups: TypeAlias = Mapping[str, Sequence[Lookup]]
"""Modality to what is in memory of its rows, an entry for each array that they lie in."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Which samples to read, and which copy of each."""

    positions: NDArray[np.int64]
    """Positions in the cohort."""
    rows: NDArray[np.int64]
    copies: NDArray[np.int64]
    """0 is the volume itself."""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """Rows as they are stored; valid until the next batch is asked for."""

    request: BatchRequest
    stored: Mapping[str, torch.Tensor]
    """Modality to (B, side, side, side) or, for connectivity, (B, num_edges)."""
    lookups: Lookups = field(default_factory=dict)
    """Where rows are kept in memory, until `complete_batches` has put them in."""
    changes: BatchChanges | None = None
    """What changes the volumes on the device, where it was drawn ahead."""

    def was_read(self, modality: str) -> bool:
        """Return whether any of the rows in `stored` came from the stores, and not all are still to be put in."""
        return modality not in self.lookups or any(lookup.missing.any() for lookup in self.lookups[modality])


@dataclass(frozen=True, slots=True)
class _Reading:
    """Rows of one array on their way into the buffer of one modality."""

    modality: str
    array: StoredArray
    targets: NDArray[np.int64]
    futures: list[Any]


@dataclass(frozen=True, slots=True)
class Stores:
    """The open arrays that a run reads."""

    originals: Mapping[str, StoredArray]
    augmented: Mapping[str, StoredArray]
    num_copies: int
    """Augmented copies of every volume; 0 where there are none."""

    def only(self, modalities: Collection[str]) -> "Stores":
        """Return the arrays of some modalities, without copies."""
        originals = {modality: array for modality, array in self.originals.items() if modality in modalities}
        return Stores(originals, {}, 0)

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample over all modalities."""
        return sum(array.row_bytes for array in self.originals.values())


def open_stores(
    layout: StudyLayout, modalities: Sequence[str], *, side: int, connectivity: str, copies: int | None
) -> Stores:
    """Open the arrays of the modalities asked for, and no others.

    Parameters
    ----------
    copies
        Augmented copies to use; None takes all that every volume modality has.

    Raises
    ------
    StoreError
        An array does not exist.
    TrainError
        There are fewer copies than asked for.
    """
    originals, augmented = {}, {}
    for modality in modalities:
        if modality == CONNECTIVITY:
            originals[modality] = open_array(layout.located(layout.connectivity_array(connectivity)))
            continue
        originals[modality] = open_array(layout.located(layout.volume_array(modality, side)))
        copied = layout.located(layout.augmented_array(modality, side))
        if copies != 0 and array_exists(copied):
            augmented[modality] = open_array(copied)
    volumes = [modality for modality in modalities if modality in VOLUME_MODALITIES]
    available = min((augmented[m].shape[0] if m in augmented else 0 for m in volumes), default=0)
    if copies is not None and volumes and copies > available:
        raise TrainError(
            f"{copies} augmented copies were asked for and {available} exist at side {side}. "
            f"Run: mm precompute-augs --copies {copies} --side {side}"
        )
    return Stores(originals, augmented, available if copies is None or not volumes else copies)


def stream_batches(
    stores: Stores,
    requests: Iterable[BatchRequest],
    *,
    prefetch_bytes: int,
    pin_memory: bool = False,
    cache: RowCache | None = None,
) -> Iterator[StoredBatch]:
    """Yield the batches in order, while the reads of the next ones run.

    Parameters
    ----------
    prefetch_bytes
        Memory for batches in flight; at least two are.
    pin_memory
        Read into page-locked memory, from which a GPU copies faster.
    cache
        Rows that it holds are not read; `complete_batches` puts them in.

    Raises
    ------
    StoreError
        A row was never stored or its bytes are damaged.
    """
    waiting = deque(requests)
    if not waiting:
        return
    largest = max(len(request.rows) for request in waiting)
    depth = max(MIN_PREFETCH, prefetch_bytes // max(1, largest * stores.row_bytes))
    free = [_allocate(stores, largest, pin_memory) for _ in range(min(depth, len(waiting)))]
    running: deque[tuple[StoredBatch, dict[str, torch.Tensor], list[_Reading]]] = deque()
    while waiting or running:
        while waiting and free:
            running.append(_start_batch(stores, waiting.popleft(), free.pop(), cache))
        batch, buffers, readings = running.popleft()
        for reading in readings:
            wait_for_reads(reading.futures, reading.array.location)
        for reading in readings:
            _require_rows(stores, batch, reading)
        yield batch
        free.append(buffers)


def complete_batches(batches: Iterable[StoredBatch], cache: RowCache) -> Iterator[StoredBatch]:
    """Put the rows that a cache holds into batches that lie in the memory of its device, and let it keep the others."""
    for batch in batches:
        for modality, lookups in batch.lookups.items():
            for lookup in lookups:
                cache.complete(lookup, batch.stored[modality])
        yield replace(batch, lookups={})


def allocate_channels(num: int, side: int, num_channels: int, device: torch.device) -> torch.Tensor:
    """Return memory for the network input of up to `num` samples of `num_channels` modalities, for `to_channels`."""
    return torch.empty((num, num_channels, side, side, side), device=device)


def to_channels(batch: StoredBatch, channels: torch.Tensor, scaling: VolumeScaling) -> torch.Tensor:
    """Turn a batch's volumes into network input: float32 in [-1, 1], one channel for each modality that was read.

    Parameters
    ----------
    channels
        From `allocate_channels`; overwritten, so that its pages are used again in every step.
    scaling
        As `mmtrain.data.intensity.scale_volumes`.

    Returns
    -------
    torch.Tensor
        The part of `channels` that holds the batch, shape (B, M, side, side, side), on its device. The M channels are
        those of flair, t1, dwi that the batch holds, in this order.
    """
    filled = channels[: len(batch.request.rows)]
    read = [modality for modality in VOLUME_MODALITIES if modality in batch.stored]
    for index, modality in enumerate(read):
        scale_volumes(batch.stored[modality].to(channels.device), filled[:, index], scaling)
    return filled


def _require_rows(stores: Stores, batch: StoredBatch, reading: _Reading) -> None:
    request, modality = batch.request, reading.modality
    missing = find_missing(batch.stored[modality].numpy())  # among them what no read has filled yet
    for index in sorted({*missing} & {*reading.targets.tolist()}):
        row, copy = int(request.rows[index]), int(request.copies[index])
        if reading.array is stores.originals[modality]:
            raise _missing_row(stores, modality, row)
        raise _missing_copy(stores, modality, row, copy)


def _missing_row(stores: Stores, modality: str, row: int) -> StoreError:
    location = stores.originals[modality].location
    name = f"{modality}/{location.name}"
    if isinstance(location, BucketPath):
        return StoreError(
            f"Row {row} of {name} was never stored, or is gone from {location}. Copy the stores there again."
        )
    return StoreError(
        f"Row {row} of {name} was never stored, or its file is gone. Remove the directory volumes.zarr/{name} from the "
        "study, then run: mm ingest ukb. It is made again."
    )


def _missing_copy(stores: Stores, modality: str, row: int, copy: int) -> StoreError:
    side = stores.originals[modality].location.name
    return StoreError(
        f"Copy {copy} of row {row} of {modality}/{side} was never stored. Finish the copies with: "
        f"mm precompute-augs --copies {stores.num_copies} --side {side}, or train with --copies 0."
    )


def _allocate(stores: Stores, size: int, pin_memory: bool) -> dict[str, torch.Tensor]:
    buffers = {
        modality: torch.from_numpy(np.empty((size, *array.row_shape), array.dtype))
        for modality, array in stores.originals.items()
    }
    return {modality: buffer.pin_memory() for modality, buffer in buffers.items()} if pin_memory else buffers


def _start_batch(
    stores: Stores, request: BatchRequest, buffers: dict[str, torch.Tensor], cache: RowCache | None
) -> tuple[StoredBatch, dict[str, torch.Tensor], list[_Reading]]:
    """Begin to read what is not in memory; return the batch that is being filled, its buffers and the reads."""
    readings, lookups = [], dict[str, list[Lookup]]()
    for modality in stores.originals:
        for array, indices, targets in _sources(stores, modality, request):
            missing = np.ones(len(targets), bool)
            if cache is not None:
                lookup = cache.look_up(array, indices, targets)
                lookups.setdefault(modality, []).append(lookup)
                missing = lookup.missing
            if missing.any():
                unread = targets[missing]
                futures = array.start_read(indices[missing], buffers[modality].numpy(), unread)
                readings.append(_Reading(modality, array, unread, futures))
    stored = {modality: buffer[: len(request.rows)] for modality, buffer in buffers.items()}
    return StoredBatch(request, stored, lookups), buffers, readings


def _sources(
    stores: Stores, modality: str, request: BatchRequest
) -> Iterator[tuple[StoredArray, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield each array that a batch is read from, the indices of its rows there, and their indices in the batch."""
    array, augmented = stores.originals[modality], stores.augmented.get(modality)
    from_copy = (request.copies > 0) & (augmented is not None)
    whole, copied = np.flatnonzero(~from_copy), np.flatnonzero(from_copy)
    if len(whole):
        yield array, request.rows[whole, None], whole
    if augmented is not None and len(copied):
        newest = copied[request.rows[copied].argmax()]
        if request.rows[newest] >= augmented.shape[augmented.row_axis]:  # ingested after the copies were made
            raise _missing_copy(stores, modality, int(request.rows[newest]), int(request.copies[newest]))
        yield augmented, np.stack([request.copies[copied] - FIRST_AUGMENTED_COPY, request.rows[copied]], axis=1), copied

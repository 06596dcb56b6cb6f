"""Stream batches of rows from the stores: reads run ahead in other threads, into memory that is used again and again.

Integers stay integers until they are on the device that computes with them, where `to_channels` makes them floats.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY, VOLUME_MODALITIES
from mmdata.errors import StoreError
from mmdata.store.array import StoredArray, open_array, wait_for_reads
from mmdata.store.description import array_exists
from mmdata.store.location import BucketPath
from mmdata.store.rows import find_missing
from mmdata.store.schema import FIRST_AUGMENTED_COPY, StudyLayout
from mmtrain.config.data import VolumeScaling
from mmtrain.data.intensity import scale_volumes
from mmtrain.errors import TrainError

MIN_PREFETCH = 2

_Reads: TypeAlias = dict[str, list[tuple[StoredArray, list[Any]]]]
"""Of one batch: for each modality the arrays that are being read, and the futures of these reads."""


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
        return sum(int(np.prod(array.row_shape)) * array.dtype.itemsize for array in self.originals.values())


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
    stores: Stores, requests: Iterable[BatchRequest], *, prefetch_bytes: int, pin_memory: bool = False
) -> Iterator[StoredBatch]:
    """Yield the batches in order, while the reads of the next ones run.

    Parameters
    ----------
    prefetch_bytes
        Memory for batches in flight; at least two are.
    pin_memory
        Read into page-locked memory, from which a GPU copies faster.

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
    running: deque[tuple[BatchRequest, dict[str, torch.Tensor], _Reads]] = deque()
    while waiting or running:
        while waiting and free:
            following, unused = waiting.popleft(), free.pop()
            running.append((following, unused, _start_reads(stores, following, unused)))
        request, buffers, reads = running.popleft()
        stored = {modality: buffer[: len(request.rows)] for modality, buffer in buffers.items()}
        for modality, started in reads.items():
            for array, futures in started:
                wait_for_reads(futures, array.location)
            _require_rows(stores, modality, request, stored[modality].numpy())
        yield StoredBatch(request, stored)
        free.append(buffers)


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


def _require_rows(stores: Stores, modality: str, request: BatchRequest, stored: NDArray[Any]) -> None:
    for index in find_missing(stored):
        row, copy = int(request.rows[index]), int(request.copies[index])
        if copy == 0 or modality not in stores.augmented:
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


def _start_reads(stores: Stores, request: BatchRequest, buffers: Mapping[str, torch.Tensor]) -> _Reads:
    reads: _Reads = {}
    for modality, array in stores.originals.items():
        out = buffers[modality].numpy()
        augmented = stores.augmented.get(modality)
        from_copy = (request.copies > 0) & (augmented is not None)
        whole, copied = np.flatnonzero(~from_copy), np.flatnonzero(from_copy)
        reads[modality] = [(array, array.start_read(request.rows[whole, None], out, whole))] if len(whole) else []
        if augmented is not None and len(copied):
            newest = copied[request.rows[copied].argmax()]
            if request.rows[newest] >= augmented.shape[augmented.row_axis]:  # ingested after the copies were made
                raise _missing_copy(stores, modality, int(request.rows[newest]), int(request.copies[newest]))
            indices = np.stack([request.copies[copied] - FIRST_AUGMENTED_COPY, request.rows[copied]], axis=1)
            reads[modality].append((augmented, augmented.start_read(indices, out, copied)))
    return reads

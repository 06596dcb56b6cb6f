"""One epoch of shuffled 64³ batches of three modalities: this project's stream against its peers and against the limit.

The peers end with float32 batches (B, 3, 64, 64, 64) in memory. `stream` ends with the stored integers in memory, which
is what goes to the device that computes, as the peers' floats would; `stream_as_floats` also converts them on this
processor, which is then the device. `limit` is the same chunks read and decompressed with nothing else.
"""

import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from monai.data import DataLoader, Dataset, PersistentDataset
from monai.transforms import (
    Compose,
    ConcatItemsd,
    EnsureChannelFirstd,
    EnsureTyped,
    LoadImaged,
    NormalizeIntensityd,
    Resized,
    ScaleIntensityd,
    SelectItemsd,
)
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from benchmarks.material import SIDE, Material, folder_bytes
from mmdata.schema import VOLUME_MODALITIES
from mmdata.store import StoredArray
from mmtrain.stream import (
    DEFAULT_PREFETCH_BYTES,
    BatchRequest,
    Stores,
    allocate_channels,
    open_stores,
    stream_batches,
    to_channels,
)

BATCH_SIZE = 16
REPEATS = 5
PASSES, SLOW_PASSES = 8, 1
"""Over the samples in one timing; the slow contender needs no more to be measured well."""
NUM_CORES = torch.get_num_threads()
_CRC_BYTES = 4


Order: TypeAlias = NDArray[np.int64]


class Chunk(NamedTuple):
    """Where a compressed chunk lies in an open file."""

    file: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds for each volume, over repeats."""

    repeats_ms: list[float]

    @property
    def median_ms(self) -> float:
        """Median over the repeats."""
        return median(self.repeats_ms)


def measure_streams(material: Material, cache: Path) -> tuple[dict[str, Timing], dict[str, float]]:
    """Time every contender, turn and turn about; return the timings and the megabytes each reads."""
    stores = open_stores(material.layout, VOLUME_MODALITIES, side=SIDE, connectivity="", copies=0)
    persistent = _persistent_dataset(material, cache)
    chunks = _locate_chunks(stores, material.rows)
    row_shape = (SIDE, SIDE, SIDE)
    contenders: dict[str, Callable[[Order], Iterable[Any]]] = {
        "stream": lambda order: _stream(stores, material, order, convert=False),
        "stream_as_floats": lambda order: _stream(stores, material, order, convert=True),
        "limit": lambda order: _decode_only(chunks, row_shape, order),
        "persistent_here": lambda order: _loader(persistent, order, workers=0),
        "persistent_workers": lambda order: _loader(persistent, order, workers=NUM_CORES),
        "reference": lambda order: _loader(_reference_dataset(material), order, workers=NUM_CORES),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(-1, REPEATS):
        for name, contender in contenders.items():
            order = _shuffled(len(material.rows), SLOW_PASSES if name == "reference" else PASSES, seed=repeat + 1)
            started = time.perf_counter()
            num_batches = sum(1 for _ in contender(order))
            elapsed_ms = (time.perf_counter() - started) * 1000
            if num_batches != -(-len(order) // BATCH_SIZE):
                raise RuntimeError(f"{name} gave {num_batches} batches")
            if repeat >= 0:
                times[name].append(elapsed_ms / (len(order) * len(VOLUME_MODALITIES)))
    megabytes = {
        "stream": folder_bytes([array.path for array in stores.originals.values()]) / 1e6,
        "persistent": folder_bytes([cache]) / 1e6,
        "reference": folder_bytes([path for paths in material.nifti_paths for path in paths.values()]) / 1e6,
    }
    return {name: Timing(repeats) for name, repeats in times.items()}, megabytes


def require_equal_batches(material: Material, cache: Path) -> None:
    """Check that the stream and MONAI's cache hand the trainer nearly the same numbers, so that the race is fair."""
    stores = open_stores(material.layout, VOLUME_MODALITIES, side=SIDE, connectivity="", copies=0)
    request = _requests(material, np.arange(1))[0]
    batch = next(stream_batches(stores, [request], prefetch_bytes=DEFAULT_PREFETCH_BYTES))
    ours = to_channels(batch, allocate_channels(BATCH_SIZE, SIDE, len(VOLUME_MODALITIES), torch.device("cpu")))[0]
    theirs = torch.as_tensor(_persistent_dataset(material, cache)[0]["volumes"])
    agreement = np.corrcoef(ours.numpy().ravel(), theirs.numpy().ravel())[0, 1]
    if ours.shape != theirs.shape or agreement < 0.999:
        raise RuntimeError(f"the contenders read different volumes: correlation {agreement:.4f}")


def _shuffled(num_samples: int, passes: int, *, seed: int) -> Order:
    """Return some passes over the samples, each in an order of its own, one behind the other."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(num_samples) for _ in range(passes)])


def _stream(stores: Stores, material: Material, order: Order, *, convert: bool) -> Iterator[Any]:
    channels = allocate_channels(BATCH_SIZE, SIDE, len(VOLUME_MODALITIES), torch.device("cpu"))
    for batch in stream_batches(stores, _requests(material, order), prefetch_bytes=DEFAULT_PREFETCH_BYTES):
        yield to_channels(batch, channels) if convert else batch


def _requests(material: Material, order: Order) -> list[BatchRequest]:
    rows = np.asarray(material.rows)
    return [
        BatchRequest(part, rows[part], np.zeros(len(part), np.int64))
        for part in (order[i : i + BATCH_SIZE] for i in range(0, len(order), BATCH_SIZE))
    ]


def _loader(dataset: Any, order: Order, *, workers: int) -> Any:
    return DataLoader(dataset, batch_size=BATCH_SIZE, sampler=order.tolist(), num_workers=workers)


def _reference_dataset(material: Material) -> Any:
    """Return the reference study's way: decode, resize, normalise and scale each file in every epoch."""
    return Dataset(material.nifti_paths, _reference_transforms())


def _persistent_dataset(material: Material, cache: Path) -> Any:
    return PersistentDataset(material.nifti_paths, _reference_transforms(), cache_dir=cache)


def _reference_transforms() -> Any:
    keys = list(VOLUME_MODALITIES)
    return Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            Resized(keys, (SIDE, SIDE, SIDE), mode="area"),
            NormalizeIntensityd(keys),
            ScaleIntensityd(keys, -1.0, 1.0),
            ConcatItemsd(keys, "volumes"),
            SelectItemsd("volumes"),
            EnsureTyped("volumes", track_meta=False),
        ]
    )


def _decode_only(chunks: list[list[Chunk]], row_shape: tuple[int, ...], order: Order) -> Iterator[None]:
    """Read the same chunks with pread and decompress them on the same cores; verify nothing, convert nothing."""
    buffer = np.empty((BATCH_SIZE * len(chunks[0]), *row_shape), np.uint16)

    def decode(share: list[tuple[Chunk, np.ndarray[Any, Any]]]) -> None:
        codec = Zstd()
        for chunk, out in share:
            codec.decode(os.pread(chunk.file, chunk.size, chunk.offset)[:-_CRC_BYTES], out)

    with ThreadPoolExecutor(NUM_CORES) as pool:
        for start in range(0, len(order), BATCH_SIZE):
            wanted = [chunk for position in order[start : start + BATCH_SIZE] for chunk in chunks[position]]
            work = list(zip(wanted, buffer, strict=False))
            for job in [pool.submit(decode, work[core::NUM_CORES]) for core in range(NUM_CORES)]:
                job.result()
            yield None


def _locate_chunks(stores: Stores, rows: list[int]) -> list[list[Chunk]]:
    """Return each row's chunk of every modality, from the index at the end of its shard.

    Source: Zarr v3, sharding codec (https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed).
    """
    files: dict[Path, int] = {}

    def locate(array: StoredArray, row: int) -> Chunk:
        shard, place = divmod(row, array.rows_per_shard)
        path = array.path / "c" / str(shard) / "0" / "0" / "0"
        file = files.setdefault(path, -1)
        if file < 0:
            file = files[path] = os.open(path, os.O_RDONLY)
        index_start = os.fstat(file).st_size - _CRC_BYTES - 16 * array.rows_per_shard
        offset, size = struct.unpack("<QQ", os.pread(file, 16, index_start + 16 * place))
        return Chunk(file, offset, size)

    return [[locate(array, row) for array in stores.originals.values()] for row in rows]

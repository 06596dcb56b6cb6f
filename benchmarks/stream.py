"""One epoch of shuffled 64³ batches of three modalities: this project's stream against its peers and against the limit.

Every contender but two ends with float32 batches (B, 3, 64, 64, 64) in [-1, 1] in this process: what a training step on
this machine takes. `stored` and `limit` end with the stored integers: what a GPU would be sent.
"""

import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

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

from benchmarks.material import SIDE, Material, folder_bytes
from mmdata.schema import VOLUME_MODALITIES
from mmdata.store import StoredArray
from mmtrain.stream import BatchRequest, Stores, open_stores, stream_batches, to_channels

BATCH_SIZE = 16
REPEATS = 5
PREFETCH_BYTES = 256 << 20
NUM_CORES = torch.get_num_threads()
_CRC_BYTES = 4


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
    contenders: dict[str, Callable[[np.random.Generator], Iterable[Any]]] = {
        "stream": lambda rng: _stream(stores, material, rng, convert=True),
        "stored": lambda rng: _stream(stores, material, rng, convert=False),
        "limit": lambda rng: _decode_only(stores, material, rng),
        "persistent_here": lambda rng: _loader(persistent, rng, workers=0),
        "persistent_workers": lambda rng: _loader(persistent, rng, workers=NUM_CORES),
        "reference": lambda rng: _loader(_reference_dataset(material), rng, workers=NUM_CORES),
    }
    num_volumes = len(material.rows) * len(VOLUME_MODALITIES)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(-1, REPEATS):
        for name, contender in contenders.items():
            started = time.perf_counter()
            num_batches = sum(1 for _ in contender(np.random.default_rng(repeat + 1)))
            elapsed_ms = (time.perf_counter() - started) * 1000
            if num_batches != -(-len(material.rows) // BATCH_SIZE):
                raise RuntimeError(f"{name} gave {num_batches} batches")
            if repeat >= 0:
                times[name].append(elapsed_ms / num_volumes)
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
    batch = next(stream_batches(stores, [request], prefetch_bytes=PREFETCH_BYTES))
    ours = to_channels(batch, SIDE, torch.device("cpu"))[0]
    theirs = torch.as_tensor(_persistent_dataset(material, cache)[0]["volumes"])
    agreement = np.corrcoef(ours.numpy().ravel(), theirs.numpy().ravel())[0, 1]
    if ours.shape != theirs.shape or agreement < 0.999:
        raise RuntimeError(f"the contenders read different volumes: correlation {agreement:.4f}")


def _stream(stores: Stores, material: Material, rng: np.random.Generator, *, convert: bool) -> Iterator[Any]:
    order = rng.permutation(len(material.rows))
    for batch in stream_batches(stores, _requests(material, order), prefetch_bytes=PREFETCH_BYTES):
        yield to_channels(batch, SIDE, torch.device("cpu")) if convert else batch


def _requests(material: Material, order: np.ndarray[Any, np.dtype[np.int64]]) -> list[BatchRequest]:
    rows = np.asarray(material.rows)
    return [
        BatchRequest(part, rows[part], np.zeros(len(part), np.int64))
        for part in (order[i : i + BATCH_SIZE] for i in range(0, len(order), BATCH_SIZE))
    ]


def _loader(dataset: Any, rng: np.random.Generator, *, workers: int) -> Any:
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=workers, generator=generator)


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


def _decode_only(stores: Stores, material: Material, rng: np.random.Generator) -> Iterator[None]:
    """Read the same chunks with pread and decompress them on the same cores: no order to keep, nothing to check."""
    chunks = {modality: _locate_chunks(array, material.rows) for modality, array in stores.originals.items()}
    order = rng.permutation(len(material.rows))
    out = np.empty((len(chunks), BATCH_SIZE, *next(iter(stores.originals.values())).row_shape), np.uint16)

    def decode(modality_index: int, slot: int, position: int, modality: str) -> None:
        file, offset, size = chunks[modality][position]
        Zstd().decode(os.pread(file, size, offset)[:-_CRC_BYTES], out[modality_index, slot])

    with ThreadPoolExecutor(NUM_CORES) as pool:
        for start in range(0, len(order), BATCH_SIZE):
            jobs = [
                pool.submit(decode, index, slot, int(position), modality)
                for index, modality in enumerate(chunks)
                for slot, position in enumerate(order[start : start + BATCH_SIZE])
            ]
            for job in jobs:
                job.result()
            yield None
    for file in {file for located in chunks.values() for file, _, _ in located}:
        os.close(file)


def _locate_chunks(array: StoredArray, rows: list[int]) -> list[tuple[int, int, int]]:
    """Return open file, offset and size of each row's chunk, from the index at the end of its shard.

    Source: Zarr v3, sharding codec (https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed).
    """
    files: dict[int, int] = {}
    located = []
    for row in rows:
        shard, place = divmod(row, array.rows_per_shard)
        if shard not in files:
            files[shard] = os.open(array.path / "c" / str(shard) / "0" / "0" / "0", os.O_RDONLY)
        index_start = os.fstat(files[shard]).st_size - _CRC_BYTES - 16 * array.rows_per_shard
        offset, size = struct.unpack("<QQ", os.pread(files[shard], 16, index_start + 16 * place))
        located.append((files[shard], offset, size))
    return located

"""What the stream is measured against: the reference's way, MONAI's cache of it, and the same chunks merely decoded."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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
from numcodecs import blosc
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from benchmarks.fixtures import FINE_SIDE, Fixtures
from mmbase.names import VOLUME_MODALITIES
from mmdata.store.chunks import CRC_BYTES
from mmtrain.bench.disk import Chunk, locate_chunks
from mmtrain.data.stream import Stores

NUM_CORES = torch.get_num_threads()


def reference_dataset(fixtures: Fixtures, side: int) -> Any:
    """Return the reference study's way: decode, resize, normalise and scale each file in every epoch."""
    return Dataset(fixtures.nifti_paths, _transforms(side))


def persistent_dataset(fixtures: Fixtures, side: int, cache: Path) -> Any:
    """Return MONAI's cache on disk of what the reference's transforms give."""
    return PersistentDataset(fixtures.nifti_paths, _transforms(side), cache_dir=cache)


def load(dataset: Any, order: NDArray[np.int64], batch_size: int, *, workers: int) -> Any:
    """Return MONAI's loader of a dataset in a given order."""
    return DataLoader(dataset, batch_size=batch_size, sampler=order.tolist(), num_workers=workers)


def locate_samples(stores: Stores, rows: Sequence[int]) -> list[tuple[Chunk, ...]]:
    """Return where each row's chunks of all modalities lie."""
    return list(zip(*(locate_chunks(array, rows) for array in stores.originals.values()), strict=True))


def decode_only(stores: Stores, rows: Sequence[int], order: NDArray[np.int64], batch_size: int) -> Iterator[None]:
    """Read the same chunks with pread and decompress them on the same cores; verify nothing, convert nothing."""
    array = next(iter(stores.originals.values()))
    decompress = {"zstd": Zstd().decode, "lz4": blosc.decompress}[array.attributes["codec"]]
    samples = locate_samples(stores, rows)
    files = {chunk.file: os.open(chunk.file, os.O_RDONLY) for sample in samples for chunk in sample}
    buffer = np.empty((batch_size * len(stores.originals), *array.row_shape), array.dtype)

    def decode(share: list[tuple[Chunk, NDArray[Any]]]) -> None:
        for chunk, out in share:
            decompress(memoryview(os.pread(files[chunk.file], chunk.size, chunk.offset))[:-CRC_BYTES], out)

    with ThreadPoolExecutor(NUM_CORES) as pool:
        for start in range(0, len(order), batch_size):
            wanted = [chunk for position in order[start : start + batch_size] for chunk in samples[position]]
            work = list(zip(wanted, buffer, strict=False))
            for job in [pool.submit(decode, work[core::NUM_CORES]) for core in range(NUM_CORES)]:
                job.result()
            yield None
    for file in files.values():
        os.close(file)


def _transforms(side: int) -> Any:
    keys = list(VOLUME_MODALITIES)
    resize = [] if side == FINE_SIDE else [Resized(keys, (side, side, side), mode="area")]
    return Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            *resize,
            NormalizeIntensityd(keys),
            ScaleIntensityd(keys, -1.0, 1.0),
            ConcatItemsd(keys, "volumes"),
            SelectItemsd("volumes"),
            EnsureTyped("volumes", track_meta=False),
        ]
    )

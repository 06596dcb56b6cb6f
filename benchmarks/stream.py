"""Epochs of shuffled batches of three modalities: this project's stream against its peers, the decoder and the disk.

The peers end with float32 batches (B, 3, side, side, side) in memory. `stream` ends with the stored integers in memory,
which is what goes to the device that computes, as the peers' floats would; `stream_as_floats` also converts them on
this processor, which is then the device. `limit` is the same chunks read and decompressed with nothing else.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.fixtures import Fixtures, as_uint8, folder_bytes, make_fixtures
from benchmarks.stream_peers import (
    NUM_CORES,
    decode_only,
    load,
    locate_samples,
    persistent_dataset,
    reference_dataset,
)
from mmbase.names import VOLUME_MODALITIES
from mmdata.execution.allocator import keep_freed_memory
from mmtrain.bench.disk import forget_files, read_chunks
from mmtrain.config.execution import DEFAULT_PREFETCH_BYTES
from mmtrain.data.stream import BatchRequest, Stores, allocate_channels, open_stores, stream_batches, to_channels

PARTICIPANTS = 80
REPEATS, COLD_REPEATS = 5, 3
Order: TypeAlias = NDArray[np.int64]
Contender: TypeAlias = Callable[[Order], Iterable[Any]]
Times: TypeAlias = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is read at one side."""

    side: int
    batch_size: int
    num_samples: int
    """No fewer than are ever in flight, so that no chunk is read twice at once."""
    passes: int
    """Over the samples in one timing; the reference makes one, and needs no more to be measured well."""


SCALES = (
    Scale(side=64, batch_size=16, num_samples=64, passes=32),
    Scale(side=128, batch_size=8, num_samples=24, passes=12),
)
COLD = Scale(side=128, batch_size=8, num_samples=64, passes=1)


def bench_stream(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure the streaming of training batches; return what was measured, and the ratios."""
    keep_freed_memory()  # for every contender, as mm train does
    fixtures = make_fixtures(folder, PARTICIPANTS)
    fixtures_of = {"uint16": fixtures, "uint8": as_uint8(fixtures, folder / "uint8", [scale.side for scale in SCALES])}
    measured: dict[str, Any] = {"threads_or_workers": NUM_CORES, "repeats": REPEATS}
    ratios: dict[str, float] = {}
    for scale in SCALES:
        parts = {dtype: _first(of_dtype, scale.num_samples) for dtype, of_dtype in fixtures_of.items()}
        cache = folder / f"persistent_{scale.side}"
        for dtype, part in parts.items():
            require_equal_batches(part, scale, cache, least=0.999 if dtype == "uint16" else 0.99)
        times, cpu_times = measure_side(parts, scale, cache)
        measured[f"side_{scale.side}"] = {
            "samples": scale.num_samples,
            "batch_size": scale.batch_size,
            "median_ms_per_volume": {name: round(median(ms), 4) for name, ms in times.items()},
            "all_ms_per_volume": {name: [round(value, 4) for value in ms] for name, ms in times.items()},
            "median_processor_ms_per_volume": {name: round(median(ms), 4) for name, ms in cpu_times.items()},
            "megabytes_on_disk": _megabytes(parts, scale, cache),
        }
        ratios |= _ratios({name: median(ms) for name, ms in times.items()}, scale.side)
    measured["cold"], ratios["stream_cold_vs_disk"] = measure_cold(fixtures)
    return measured, ratios


def measure_side(parts: dict[str, Fixtures], scale: Scale, cache: Path) -> tuple[Times, Times]:
    """Time every contender, turn and turn about.

    Returns
    -------
    times, processor_times
        Milliseconds for each volume over the repeats: by the clock, and of all cores together, which neighbours on the
        machine disturb less. The latter only for contenders without processes of their own.
    """
    fixtures = parts["uint16"]
    persistent = persistent_dataset(fixtures, scale.side, cache)
    reference = reference_dataset(fixtures, scale.side)
    contenders: dict[str, Contender] = {
        "reference": lambda order: load(reference, order, scale.batch_size, workers=NUM_CORES),
        "persistent_here": lambda order: load(persistent, order, scale.batch_size, workers=0),
        "persistent_workers": lambda order: load(persistent, order, scale.batch_size, workers=NUM_CORES),
    }
    for dtype, part in parts.items():
        contenders |= _our_contenders(dtype, part, scale)
    times: Times = {name: [] for name in contenders}
    processor_times: Times = {name: [] for name in contenders if name not in {"reference", "persistent_workers"}}
    for repeat in range(-1, REPEATS):
        for name, contender in contenders.items():
            passes = 1 if name == "reference" else scale.passes
            # The same order in every pass: a row comes again only when all others have been read.
            order = np.tile(np.random.default_rng(repeat + 1).permutation(scale.num_samples), passes)
            processor_before = time.process_time()
            seconds = _seconds(contender, order, -(-len(order) // scale.batch_size))
            processor_seconds = time.process_time() - processor_before
            if repeat < 0:
                continue
            num_volumes = len(order) * len(VOLUME_MODALITIES)
            times[name].append(seconds * 1000 / num_volumes)
            if name in processor_times:
                processor_times[name].append(processor_seconds * 1000 / num_volumes)
    return times, processor_times


def measure_cold(fixtures: Fixtures) -> tuple[dict[str, Any], float]:
    """Read every chunk once from the disk, as the stream does and with as many plain reads at once.

    Returns
    -------
    measured, ratio
        Megabytes of chunks a second over the repeats; the stream's median over the plain reads'.
    """
    stores, rng = _open(fixtures, COLD.side), np.random.default_rng(0)
    samples = locate_samples(stores, fixtures.rows)
    num_bytes = sum(chunk.size for sample in samples for chunk in sample)
    files = {chunk.file for sample in samples for chunk in sample}
    rates: dict[str, list[float]] = {"stream": [], "plain_reads": []}
    states = set()
    for _ in range(COLD_REPEATS):
        order = rng.permutation(len(samples))
        reading = read_chunks([samples[index] for index in order], seconds=600)
        rates["plain_reads"].append(reading.num_bytes / reading.seconds / 1e6)
        states |= {reading.cache, forget_files(files)}
        seconds = _seconds(
            lambda order: _stream(stores, fixtures, order, COLD), order, -(-len(order) // COLD.batch_size)
        )
        rates["stream"].append(num_bytes / seconds / 1e6)
    measured = {
        "side": COLD.side,
        "megabytes": round(num_bytes / 1e6, 1),
        "page_cache": sorted(states),
        "megabytes_per_second": {name: [round(rate, 1) for rate in of_name] for name, of_name in rates.items()},
    }
    return measured, round(median(rates["stream"]) / median(rates["plain_reads"]), 3)


def require_equal_batches(fixtures: Fixtures, scale: Scale, cache: Path, least: float) -> None:
    """Check that the stream and MONAI's cache hand the trainer nearly the same numbers, so that the race is fair."""
    ours = next(_stream_as_floats(_open(fixtures, scale.side), fixtures, np.arange(1), scale))[0]
    theirs = torch.as_tensor(persistent_dataset(fixtures, scale.side, cache)[0]["volumes"])
    agreement = np.corrcoef(ours.numpy().ravel(), theirs.numpy().ravel())[0, 1]
    if ours.shape != theirs.shape or agreement < least:
        raise RuntimeError(f"the contenders read different volumes: correlation {agreement:.4f}")


def _our_contenders(dtype: str, fixtures: Fixtures, scale: Scale) -> dict[str, Contender]:
    stores = _open(fixtures, scale.side)
    return {
        f"stream_{dtype}": lambda order: _stream(stores, fixtures, order, scale),
        f"stream_as_floats_{dtype}": lambda order: _stream_as_floats(stores, fixtures, order, scale),
        f"limit_{dtype}": lambda order: decode_only(stores, fixtures.rows, order, scale.batch_size),
    }


def _ratios(ms: dict[str, float], side: int) -> dict[str, float]:
    persistent_ms = min(ms["persistent_here"], ms["persistent_workers"])
    ratios = {}
    for dtype in ("uint16", "uint8"):
        suffix = ("" if side == 64 else f"_{side}") + ("" if dtype == "uint16" else f"_{dtype}")
        for ours in ("stream", "stream_as_floats"):
            ours_ms = ms[f"{ours}_{dtype}"]
            ratios[f"{ours}_vs_reference{suffix}"] = round(ms["reference"] / ours_ms, 2)
            ratios[f"{ours}_vs_persistent_dataset{suffix}"] = round(persistent_ms / ours_ms, 2)
        ratios[f"stream_vs_decode_limit{suffix}"] = round(ms[f"limit_{dtype}"] / ms[f"stream_{dtype}"], 3)
    return ratios


def _megabytes(parts: dict[str, Fixtures], scale: Scale, cache: Path) -> dict[str, float]:
    num_bytes = {"reference": folder_bytes([path for paths in parts["uint16"].nifti_paths for path in paths.values()])}
    num_bytes["persistent"] = folder_bytes([cache])
    for dtype, part in parts.items():
        samples = locate_samples(_open(part, scale.side), part.rows)
        num_bytes[f"stream_{dtype}"] = sum(chunk.size for sample in samples for chunk in sample)
    return {name: round(number / 1e6, 1) for name, number in num_bytes.items()}


def _seconds(contender: Contender, order: Order, num_batches: int) -> float:
    started = time.perf_counter()
    found = sum(1 for _ in contender(order))
    seconds = time.perf_counter() - started
    if found != num_batches:
        raise RuntimeError(f"{found} batches came, and not {num_batches}")
    return seconds


def _first(fixtures: Fixtures, num: int) -> Fixtures:
    return replace(fixtures, rows=fixtures.rows[:num], nifti_paths=fixtures.nifti_paths[:num])


def _open(fixtures: Fixtures, side: int) -> Stores:
    return open_stores(fixtures.layout, VOLUME_MODALITIES, side=side, connectivity="", copies=0)


def _stream(stores: Stores, fixtures: Fixtures, order: Order, scale: Scale) -> Iterator[Any]:
    rows = np.asarray(fixtures.rows)
    requests = [
        BatchRequest(part, rows[part], np.zeros(len(part), np.int64))
        for part in (order[i : i + scale.batch_size] for i in range(0, len(order), scale.batch_size))
    ]
    itemsize = max(array.dtype.itemsize for array in stores.originals.values())
    prefetch_bytes = DEFAULT_PREFETCH_BYTES * itemsize // 2  # as many batches for uint8 as for uint16
    return stream_batches(stores, requests, prefetch_bytes=prefetch_bytes)


def _stream_as_floats(stores: Stores, fixtures: Fixtures, order: Order, scale: Scale) -> Iterator[torch.Tensor]:
    channels = allocate_channels(scale.batch_size, scale.side, len(VOLUME_MODALITIES), torch.device("cpu"))
    for batch in _stream(stores, fixtures, order, scale):
        yield to_channels(batch, channels, "stored")

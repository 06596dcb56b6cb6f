"""Rows of the stores as the networks that are fitted at once want them, each read once by a process.

Terms
-----
reduced   a volume averaged to a coarse side, or the edges: see `mmtrain.models.reduction`.
version   of the file that a row lies in (`StoredArray.versions`). Rows whose file has another one than when they were
          read are dropped, and read again where they are asked for. So what was erased or written again is never
          served; nor is a row that is not asked for.

Legend of shapes: N samples that are asked for, R rows that are held, D numbers of one.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmbase.names import CONNECTIVITY, METADATA
from mmdata.store.array import StoredArray
from mmdata.store.chunks import Version
from mmtrain.data.portions import request_samples
from mmtrain.data.stream import StoredBatch, Stores
from mmtrain.models.reduction import coarse_side, reduce_inputs
from mmtrain.models.samples import Part, Samples
from mmtrain.precision import parameter_dtype
from mmtrain.task import Task, network_inputs, stream_task
from mmtrain.waiting import WaitClock

_Versions = list[Version | None]


@dataclass(frozen=True, slots=True)
class ReducedRows:
    """Rows of one array, reduced."""

    rows: NDArray[np.int64]
    """Index of each along the rows axis, shape (R,)."""
    versions: _Versions
    """Of the file of each, before it was read."""
    numbers_RD: NDArray[np.float32]


def gather(task: Task, splits: Iterable[str], clock: WaitClock) -> list[Samples]:
    """Return all samples of each split with the parts of their inputs, in the order of the cohort."""
    members = [task.cohort.members(split) for split in splits]
    fitting = task.architecture.fit
    assert fitting is not None
    parts: list[list[Part]] = [[] for _ in members]
    if fitting.reads_inputs:
        for modality in task.config.data.modalities:
            for of_split, part in zip(parts, _read_parts(task, modality, members, clock), strict=True):
                of_split.append(part)
    if fitting.reads_inputs and METADATA in task.config.data.inputs:
        for of_split, positions in zip(parts, members, strict=True):
            of_split.append(Part(rows_RD=_features(task, positions)))
    return [
        Samples(parts=tuple(of_split), labels_NT=task.cohort.labels_NT[positions])
        for of_split, positions in zip(parts, members, strict=True)
    ]


def _features(task: Task, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    batch = StoredBatch(request_samples(task.cohort, positions), {})
    features = network_inputs(_seeing(task, METADATA), batch).features_BF
    assert features is not None
    numbers: NDArray[np.float32] = features.float().cpu().numpy()
    return numbers


def _read_parts(task: Task, modality: str, members: list[NDArray[np.int64]], clock: WaitClock) -> list[Part]:
    """Return one part of the inputs for the samples of each split."""
    array, kept = task.stores.originals[modality], task.reductions
    key = None if array.reader is None or task.config.data.diagnostic else _key_of(task, modality, array)
    found: ReducedRows | None = None if key is None else kept.find(key)
    positions = np.concatenate(members)
    now = array.versions(task.cohort.rows[positions][:, None])
    held = None if found is None else _unchanged(found, array.versions(found.rows[:, None]))
    if held is not None and held is not found:
        kept.keep(key, held, held.numbers_RD.nbytes)  # before anything can fail
    held, before = _complete(_seeing(task, modality), held, positions, now, clock), held
    if key is not None and held is not before:
        kept.keep(key, held, held.numbers_RD.nbytes)
    index_of = {row: index for index, row in enumerate(held.rows.tolist())}
    version_of = dict(zip(task.cohort.rows[positions].tolist(), now, strict=True))
    parts = []
    for of_split in members:
        rows = task.cohort.rows[of_split].tolist()
        parts.append(
            Part(
                rows_RD=held.numbers_RD,
                positions=np.array([index_of[row] for row in rows], np.int64),
                key=None if key is None else (key, _digest([(row, version_of[row]) for row in rows])),
                kept=kept,
            )
        )
    return parts


def _unchanged(held: ReducedRows, now: _Versions) -> ReducedRows:
    """Return those rows whose files are the ones that they were read from; what was erased leaves memory with them."""
    is_good = np.array([before == version for before, version in zip(held.versions, now, strict=True)], bool)
    if is_good.all():
        return held
    versions = [version for version, of_row in zip(held.versions, is_good, strict=True) if of_row]
    return ReducedRows(held.rows[is_good], versions, held.numbers_RD[is_good])


def _complete(
    task: Task, held: ReducedRows | None, positions: NDArray[np.int64], now: _Versions, clock: WaitClock
) -> ReducedRows:
    """Return rows among which all those of samples are.

    Parameters
    ----------
    task
        Which sees this input alone.
    held
        Rows that were read before, as the store has them now.
    positions
        Of the samples in the cohort.
    now
        Version of each sample's file.
    """
    rows = task.cohort.rows[positions]
    known = set() if held is None else {*held.rows.tolist()}
    missing = [index for index, row in enumerate(rows.tolist()) if row not in known]
    if held is not None and not missing:
        return held
    read = ReducedRows(rows[missing], [now[index] for index in missing], _read(task, positions[missing], clock))
    if held is None or not len(held.rows):
        return read
    return ReducedRows(
        np.concatenate([held.rows, read.rows]),
        [*held.versions, *read.versions],
        np.concatenate([held.numbers_RD, read.numbers_RD]),
    )


@torch.inference_mode()
def _read(task: Task, positions: NDArray[np.int64], clock: WaitClock) -> NDArray[np.float32]:
    """Return the only input of samples, reduced, shape (N, D)."""
    side, numbers_ND, start = coarse_side(task.shape), None, 0
    num_batches = -(-len(positions) // len(task.channels))
    batches = np.array_split(positions, num_batches) if num_batches else []
    requests = [request_samples(task.cohort, of_batch) for of_batch in batches]
    for batch in clock.watch(stream_task(task, requests)):
        inputs = network_inputs(task, batch)
        (reduced,) = reduce_inputs(side, inputs.volumes_BCXYZ, inputs.edges_BE, None)
        if numbers_ND is None:
            numbers_ND = np.empty((len(positions), reduced.shape[1]), np.float32)
        numbers_ND[start : start + len(reduced)] = reduced.cpu().numpy()
        start += len(reduced)
    return np.empty((0, 0), np.float32) if numbers_ND is None else numbers_ND


def _seeing(task: Task, name: str) -> Task:
    """Return the task with one input alone."""
    originals = {modality: array for modality, array in task.stores.originals.items() if modality == name}
    blocks = task.config.data.metadata_blocks if name == METADATA else ()
    data = replace(task.config.data, inputs=(name,), metadata_blocks=blocks)
    return replace(
        task,
        config=replace(task.config, data=data),
        stores=Stores(originals, {}, 0),
        channels=task.channels[:, : len(data.volume_inputs)],
    )


def _key_of(task: Task, modality: str, array: StoredArray) -> tuple[Any, ...]:
    """Return everything that a reduced row depends on beside what its file holds."""
    scaling = None if modality == CONNECTIVITY else (task.config.data.volume_scaling, coarse_side(task.shape))
    return "rows", array.identity, modality, scaling, parameter_dtype(task.dtype), task.device.type


def _digest(rows: list[tuple[int, Version | None]]) -> str:
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()

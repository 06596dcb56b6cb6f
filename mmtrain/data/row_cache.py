"""Rows of the stores kept in memory, as the integers that they are stored as: read, decoded and checked once.

Terms
-----
index    of a row in its array: its number, in an augmented array behind the index of its copy.
version  of the file that a row lies in: a shard that is written again has another (`StoredArray.versions`).

A row is given out only while its file has the version that it had before the row was read. So what a batch holds is
what reading it from the store would give: a row that was erased or written again since is read again, and refused where
it is gone. Of arrays whose versions cannot be told, in a bucket, rows are kept for one run alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.store.array import StoredArray
from mmdata.store.chunks import Version

CUDA_BLOCK_BYTES = 512
"""PyTorch takes memory of a GPU in multiples of it."""
_Index: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    values: torch.Tensor
    version: Version | None


@dataclass(frozen=True, slots=True)
class _HeldArray:
    array: StoredArray
    rows: dict[_Index, _Row] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """Which of some rows of one array are in memory."""

    array: StoredArray
    indices: NDArray[np.int64]
    """Shape (n, 1) or (n, 2), as `StoredArray.start_read` takes them."""
    targets: NDArray[np.int64]
    """Shape (n,): the index of each in the batch."""
    versions: list[Version | None]
    """Of each, before it is read."""
    held: list[torch.Tensor | None]
    """What is in memory of each; None: it has to be read."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which of the n rows have to be read."""
        return np.asarray([row is None for row in self.held], bool)


class RowCache:
    """Holds rows in the memory of one device, never more bytes than it was allowed at the beginning of a run.

    Parameters
    ----------
    device
        Whose memory holds them.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._held_bytes, self._allowed_bytes = 0, 0
        self._arrays: dict[str, _HeldArray] = {}
        """By their identities; first those that no run has asked for lately."""

    @property
    def held_bytes(self) -> int:
        """Bytes of all rows in memory."""
        return self._held_bytes

    @property
    def allowed_bytes(self) -> int:
        """Bytes that may be held in this run."""
        return self._allowed_bytes

    def size_of(self, row_bytes: int) -> int:
        """Return the bytes that a row takes on the device."""
        block = CUDA_BLOCK_BYTES if self.device.type == "cuda" else 1
        return -(-row_bytes // block) * block

    def begin_run(self, needed_bytes: Mapping[str, int], allowed_bytes: int) -> None:
        """Make room for what a run reads, and let go of all rows that have been erased or written again.

        Rows of arrays that the run does not read stay where there is room for them.

        Parameters
        ----------
        needed_bytes
            Identity of each array that the run reads, and the bytes of its rows that it may come to.
        allowed_bytes
            Held at most from now on.
        """
        for identity in [*self._arrays]:
            self._drop_changed(identity)
        of_run = [identity for identity in self._arrays if identity in needed_bytes]
        others = [identity for identity in self._arrays if identity not in needed_bytes]
        self._arrays = {identity: self._arrays[identity] for identity in (*others, *of_run)}
        self._allowed_bytes = allowed_bytes
        wanted = sum(max(of_array, self._bytes_of([identity])) for identity, of_array in needed_bytes.items())
        self._shrink(others, max(0, allowed_bytes - wanted))
        self._shrink(of_run, allowed_bytes)

    def look_up(self, array: StoredArray, indices: NDArray[np.int64], targets: NDArray[np.int64]) -> Lookup:
        """Find rows, and let go of those that are not what the store holds now."""
        held, versions = self._held(array), array.versions(indices)
        found: list[torch.Tensor | None] = []
        for index, version in zip(map(tuple, indices.tolist()), versions, strict=True):
            row = held.rows.get(index)
            if row is not None and row.version != version:
                self._drop(held, index)
                row = None
            found.append(None if row is None else row.values)
        return Lookup(array=array, indices=indices, targets=targets, versions=versions, held=found)

    def complete(self, lookup: Lookup, batch: torch.Tensor) -> None:
        """Put the rows that are in memory into a batch, and keep those that were read while there is room.

        Parameters
        ----------
        batch
            Shape (at least n, *row_shape), on the device.
        """
        rows = self._held(lookup.array).rows
        of_each = zip(map(tuple, lookup.indices.tolist()), lookup.targets.tolist(), strict=True)
        for (index, target), values, version in zip(of_each, lookup.held, lookup.versions, strict=True):
            if values is not None:
                batch[target].copy_(values)
            elif index not in rows and self._has_room(lookup.array.row_bytes):
                rows[index] = _Row(batch[target].clone(), version)
                self._held_bytes += self.size_of(lookup.array.row_bytes)

    def _has_room(self, row_bytes: int) -> bool:
        return self._held_bytes + self.size_of(row_bytes) <= self._allowed_bytes

    def _held(self, array: StoredArray) -> _HeldArray:
        return self._arrays.setdefault(array.identity, _HeldArray(array))

    def _bytes_of(self, identities: Collection[str]) -> int:
        held = [self._arrays[identity] for identity in identities if identity in self._arrays]
        return sum(len(of_array.rows) * self.size_of(of_array.array.row_bytes) for of_array in held)

    def _shrink(self, identities: Collection[str], num_bytes: int) -> None:
        """Let go of rows of some arrays, in the order of the arrays, until they take no more bytes than that."""
        excess = self._bytes_of(identities) - num_bytes
        for identity in identities:
            held = self._arrays[identity]
            size = self.size_of(held.array.row_bytes)
            for index in [*held.rows][: max(0, -(-excess // size))]:
                self._drop(held, index)
                excess -= size

    def _drop_changed(self, identity: str) -> None:
        held = self._arrays[identity]
        if held.array.reader is None:
            changed = [*held.rows]
        else:
            versions = held.array.versions(np.asarray([*held.rows], np.int64)) if held.rows else []
            changed = [
                index for (index, row), now in zip(held.rows.items(), versions, strict=True) if row.version != now
            ]
        for index in changed:
            self._drop(held, index)

    def _drop(self, held: _HeldArray, index: Any) -> None:
        del held.rows[index]
        self._held_bytes -= self.size_of(held.array.row_bytes)

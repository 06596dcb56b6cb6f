"""What an array on disk is to be, and making it so.

Arrays are plain Zarr v3, described with zarr-python: one row in each chunk, many rows in each shard.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from mmdata.errors import StoreError
from mmdata.store.location import short_name
from mmdata.store.rows import missing_value
from mmdata.store.schema import SCHEMA_VERSION

Codec = Literal["zstd", "lz4", "none"]
StoredDtype = Literal["uint16", "uint8", "float16", "float32"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArraySpec:
    """What an array on disk is to be."""

    path: Path
    """Directory of the array inside its ``*.zarr`` group."""
    shape: tuple[int, ...]
    """Shape; grows along the axes in front of the row's own shape, never shrinks."""
    row_axis: int
    """Index of the rows axis: 0, or 1 where copies come first."""
    rows_per_shard: int
    """Rows that share one file."""
    dtype: StoredDtype
    """Number type on disk."""
    codec: Codec
    """Compression of each chunk; a CRC32C follows it."""
    dimensions: tuple[str, ...]
    """One name per axis."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """What a reader must know; an existing array has to have the same."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row before compression."""
        return math.prod(self.shape[self.row_axis + 1 :]) * np.dtype(self.dtype).itemsize


def ensure_array(spec: ArraySpec) -> None:
    """Create an array, or let an existing one grow to the shape asked for.

    Raises
    ------
    StoreError
        The array exists and was made with other settings.
    """
    if not (spec.path / "zarr.json").exists():
        _create_array(spec)
        return
    existing = zarr.open_array(spec.path, mode="r+")
    wanted = _attributes(spec)
    differing = [key for key in wanted if existing.attrs.asdict().get(key) != json.loads(json.dumps(wanted[key]))]
    if existing.dtype != np.dtype(spec.dtype):
        differing.append("dtype")
    if existing.shards is None or existing.shards[spec.row_axis] != spec.rows_per_shard:
        differing.append("rows_per_shard")
    if differing:
        raise StoreError(
            f"{short_name(spec.path)} was made with other settings ({', '.join(differing)}).",
            f"Put study.toml back as it was, or {_how_to_begin_anew(spec.path)}.",
        )
    shape = tuple(max(old, new) for old, new in zip(existing.shape, spec.shape, strict=True))
    if shape != existing.shape:
        existing.resize(shape)


def _create_array(spec: ArraySpec) -> None:
    store = next(parent for parent in spec.path.parents if parent.suffix == ".zarr")
    group = zarr.open_group(store, mode="a", attributes={"schema_version": SCHEMA_VERSION})
    chunk = tuple(1 if axis <= spec.row_axis else size for axis, size in enumerate(spec.shape))
    shard = tuple(spec.rows_per_shard if axis == spec.row_axis else size for axis, size in enumerate(chunk))
    group.create_array(
        str(spec.path.relative_to(store)),
        shape=spec.shape,
        chunks=chunk,
        shards=shard,
        dtype=spec.dtype,
        compressors=[*_compressors(spec), Crc32cCodec()],
        fill_value=missing_value(spec.dtype),
        dimension_names=spec.dimensions,
        attributes=_attributes(spec),
    )


def _attributes(spec: ArraySpec) -> dict[str, Any]:
    return {**spec.attributes, "codec": spec.codec, "schema_version": SCHEMA_VERSION}


def _compressors(spec: ArraySpec) -> list[Any]:
    match spec.codec:
        case "zstd":
            return [ZstdCodec(level=1)]
        case "lz4":
            itemsize = np.dtype(spec.dtype).itemsize  # shuffled bytes of volumes compress less and take longer
            return [BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle", typesize=itemsize)]
        case "none":
            return []


def _how_to_begin_anew(path: Path) -> str:
    if "augmented.zarr" in path.parts:
        return "remove augmented.zarr and receipts/copies.jsonl from the study, and make all copies again"
    return "start a new study"

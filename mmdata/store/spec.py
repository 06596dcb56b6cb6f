"""What an array on disk is to be, and making it so.

Arrays are plain Zarr v3, described with zarr-python: one row in each chunk, many rows in each shard. A description, its
`zarr.json`, and those of the groups above it follow from the settings alone: one that is lost is written again.
"""

import json
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmbase.files import SHARED_FOLDER_MODE, SHARED_MODE, make_directory, write_bytes
from mmdata.errors import StoreError
from mmdata.store.description import DESCRIPTION, check_schema_version
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
    group_attributes: dict[str, Any] = field(default_factory=dict)
    """What the group that holds the array says of all arrays in it; it may say more."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row before compression."""
        return math.prod(self.shape[self.row_axis + 1 :]) * np.dtype(self.dtype).itemsize

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of a chunk: one row."""
        return tuple(1 if axis <= self.row_axis else size for axis, size in enumerate(self.shape))

    @property
    def shard_shape(self) -> tuple[int, ...]:
        """Shape of what shares a file."""
        return tuple(
            self.rows_per_shard if axis == self.row_axis else size for axis, size in enumerate(self.chunk_shape)
        )


def ensure_array(spec: ArraySpec) -> None:
    """Create an array, or let an existing one grow to the shape asked for; a description that is lost is made again.

    Raises
    ------
    StoreError
        The array exists and was made with other settings.
    """
    existing = _open_existing(spec)
    if existing is not None and (differing := _differences(existing, spec)):
        raise StoreError(
            f"{short_name(spec.path)} was made with other settings ({', '.join(differing)}).",
            f"Put study.toml back as it was, or {_how_to_begin_anew(spec.path)}.",
        )
    *groups, own = _describe(spec).items()
    for path, content in groups:
        found = _read_object(path)
        if found is None:
            _write_description(path, content)
        elif (complete := _completed(found, json.loads(content))) != found:
            _write_description(path, json.dumps(complete, indent=2).encode())
    if existing is None:
        _write_description(*own)
        return
    shape = tuple(max(old, new) for old, new in zip(existing.shape, spec.shape, strict=True))
    if shape != existing.shape:
        path = spec.path / DESCRIPTION
        description = {**json.loads(path.read_bytes()), "shape": shape}
        _write_description(path, json.dumps(description, indent=2).encode())  # as zarr-python writes it


def lost_descriptions(spec: ArraySpec) -> list[Path]:
    """Return which descriptions `ensure_array` would make again, of an array that exists and of the groups above it."""
    *groups, own = _describe(spec)
    lost = [path for path in groups if _read_object(path) is None]
    existing = _open_existing(spec)
    if existing is None or any(map(operator.lt, existing.shape, spec.shape)):
        lost.append(own)
    return lost


def is_described(spec: ArraySpec) -> bool:
    """Return whether no description is lost, and groups say all that they should: those of earlier versions do not."""
    *groups, _ = _describe(spec).items()
    found = ((_read_object(path), json.loads(content)) for path, content in groups)
    return not lost_descriptions(spec) and all(said == _completed(said, wanted) for said, wanted in found)


def differing_settings(spec: ArraySpec) -> list[str]:
    """Return in what an existing array is not what it is to be; nothing where its description is lost."""
    existing = _open_existing(spec)
    return [] if existing is None else _differences(existing, spec)


def _describe(spec: ArraySpec) -> dict[Path, bytes]:
    """Return what the description of an array and of each group above it is to say; the array's own comes last."""
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    root = next(parent for parent in spec.path.parents if parent.suffix == ".zarr")
    described: dict[str, Any] = {}
    group = zarr.open_group(MemoryStore(described), mode="a", attributes={"schema_version": SCHEMA_VERSION})
    holder = group.create_group(spec.path.parent.relative_to(root).as_posix(), attributes=spec.group_attributes)
    holder.create_array(
        spec.path.name,
        shape=spec.shape,
        chunks=spec.chunk_shape,
        shards=spec.shard_shape,
        dtype=spec.dtype,
        compressors=[*_compressors(spec), Crc32cCodec()],
        fill_value=missing_value(spec.dtype),
        dimension_names=spec.dimensions,
        attributes=_attributes(spec),
    )
    contents = {root / name: content.to_bytes() for name, content in described.items()}
    return dict(sorted(contents.items(), key=lambda described: len(described[0].parts)))


def _open_existing(spec: ArraySpec) -> Any:
    """Return an array of this number of axes that zarr can open; None where its description is missing or damaged.

    Raises
    ------
    StoreError
        Another version of the schema wrote it.
    """
    import zarr

    try:
        described = json.loads((spec.path / DESCRIPTION).read_bytes())
        version = described["attributes"]["schema_version"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    check_schema_version(version, short_name(spec.path))
    try:
        array = zarr.open_array(spec.path, mode="r")
        return array if array.ndim == len(spec.shape) and array.shards else None
    except Exception:  # whatever zarr, its codecs and number types raise at what makes no sense
        return None


def _differences(existing: Any, spec: ArraySpec) -> list[str]:
    """Return what an existing array is that it should not be, but for its shape."""
    wanted, attributes = json.loads(json.dumps(_attributes(spec))), existing.attrs.asdict()
    pairs = {
        **{name: (attributes.get(name), value) for name, value in wanted.items()},
        "dtype": (existing.dtype, np.dtype(spec.dtype)),
        "rows_per_shard": (existing.shards, spec.shard_shape),
        "row_shape": (existing.chunks, spec.chunk_shape),
    }
    return [name for name, (found, expected) in pairs.items() if found != expected]


def _read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file; None where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _completed(found: object, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with what it should say, in place of what it says otherwise, and all else that it says.

    >>> _completed({"a": {"of others": 1, "b": 2}}, {"a": {"b": 3}})
    {'a': {'of others': 1, 'b': 3}}
    """
    kept = found if isinstance(found, dict) else {}
    ours = {
        name: _completed(kept.get(name), value) if isinstance(value, dict) else value for name, value in wanted.items()
    }
    return {**kept, **ours}


def _write_description(path: Path, content: bytes) -> None:
    make_directory(path.parent, mode=SHARED_FOLDER_MODE)
    write_bytes(path, content, mode=SHARED_MODE)


def _attributes(spec: ArraySpec) -> dict[str, Any]:
    return {**spec.attributes, "codec": spec.codec, "schema_version": SCHEMA_VERSION}


def _compressors(spec: ArraySpec) -> list[Any]:
    from zarr.codecs import BloscCodec, ZstdCodec

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

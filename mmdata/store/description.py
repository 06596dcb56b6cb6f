"""What an array says of itself: its `zarr.json`, in a folder or in a bucket."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import tensorstore as ts
from pydantic import Field

from mmbase.json_text import Count, DamagedTextError, Finite, parse_content, parse_json
from mmdata.errors import StoreError
from mmdata.store.failures import explain_failure
from mmdata.store.location import BucketPath, Location, kvstore_spec, short_name
from mmdata.store.schema import AUGMENTED_DIMENSIONS, EDGE_DIMENSIONS, SCHEMA_VERSION, VOLUME_DIMENSIONS

MAX_ROW_BYTES = 1 << 30
"""Of one volume; the reference's has a thousandth of it."""
_Axis = Annotated[list[Finite], Field(min_length=4, max_length=4)]


@dataclass(frozen=True, slots=True)
class _Version:
    schema_version: int


@dataclass(frozen=True, slots=True)
class _Versioned:
    attributes: _Version


@dataclass(frozen=True, slots=True)
class _Intensity:
    scale: Annotated[Finite, Field(gt=0)]
    offset: Finite


@dataclass(frozen=True, slots=True)
class _Attributes:
    """What this program reads of an array's attributes, where the array has it."""

    affine_ras: Annotated[list[_Axis], Field(min_length=4, max_length=4)] | None = None
    intensity: _Intensity | None = None


@dataclass(frozen=True, slots=True)
class _Description:
    """What zarr.json says, as far as this program reads it; the rest is tensorstore's."""

    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: list[Count]
    data_type: Literal["uint16", "uint8", "float16", "float32"]
    dimension_names: list[str]
    attributes: _Attributes


DESCRIPTION = "zarr.json"


def read_description(location: Location) -> Mapping[str, Any]:
    """Return the description of an array, whose schema version is this program's.

    Raises
    ------
    StoreError
        There is no array, its description is damaged, its schema version is not this program's, or its bucket cannot be
        read.
    """
    content = _read_content(location)
    if content is None:
        raise StoreError(f"There is no array {short_name(location)}.", _how_to_make(location))
    try:
        check_schema_version(parse_json(content, _Versioned).attributes.schema_version, short_name(location))
        description = parse_json(content, dict[str, Any])
        _require_ours(parse_content(description, _Description))
    except DamagedTextError as error:
        raise damaged_description(location, str(error)) from error
    return description


def array_exists(location: Location) -> bool:
    """Tell whether there is an array.

    Raises
    ------
    StoreError
        Its bucket cannot be read.
    """
    return _read_content(location) is not None


def check_schema_version(found: object, what: str) -> None:
    """Refuse what another version of the schema wrote.

    Raises
    ------
    StoreError
        `found` is not `SCHEMA_VERSION`.
    """
    if found != SCHEMA_VERSION:
        raise StoreError(f"{what} has schema_version {found}; this mm reads version {SCHEMA_VERSION}.")


def _read_content(location: Location) -> bytes | None:
    """Return what an array's zarr.json holds, or None where there is none."""
    try:
        folder = ts.KvStore.open(kvstore_spec(location)).result()
        found = folder.read(DESCRIPTION).result()
        if found.state == "missing" and isinstance(location, BucketPath):
            folder.list(ts.KvStore.KeyRange(DESCRIPTION, f"{DESCRIPTION}0")).result()  # raises where there is no bucket
    except (ValueError, OSError) as error:
        raise explain_failure(error, location) or damaged_description(location, "it cannot be read") from error
    return None if found.state == "missing" else bytes(found.value)


def damaged_description(location: Location, why: str) -> StoreError:
    """Return the error of an array whose zarr.json is not what this program, or another, wrote."""
    remedy = (
        "Copy it there again."
        if isinstance(location, BucketPath)
        else "Make it again with mm repair, or put the file back from a backup."
    )
    return StoreError(f"The description of {short_name(location)} ({DESCRIPTION}) is damaged ({why}).", remedy)


def _require_ours(description: _Description) -> None:
    """Refuse axes and sizes that no array of this program has.

    Raises
    ------
    DamagedTextError
        Says what is wrong.
    """
    names, shape = tuple(description.dimension_names), description.shape
    if names not in (VOLUME_DIMENSIONS, AUGMENTED_DIMENSIONS, EDGE_DIMENSIONS) or len(names) != len(shape):
        raise DamagedTextError("its axes are not those of an array of mm")
    row_bytes = math.prod(shape[names.index("sample") + 1 :]) * np.dtype(description.data_type).itemsize
    if not 0 < row_bytes <= MAX_ROW_BYTES:
        raise DamagedTextError(f"a row would have {row_bytes:,} bytes")


def _how_to_make(location: Location) -> str:
    if isinstance(location, BucketPath):
        return "Copy the study's volumes.zarr and augmented.zarr there, and give the location that holds them."
    return f"Make it with: {'mm precompute-augs' if 'augmented.zarr' in location.parts else 'mm ingest ukb'}"

"""What an array says of itself: its `zarr.json`, in a folder or in a bucket."""

import json
from collections.abc import Mapping
from typing import Any

import tensorstore as ts

from mmdata.errors import StoreError
from mmdata.store.failures import explain_failure
from mmdata.store.location import BucketPath, Location, kvstore_spec, short_name
from mmdata.store.schema import SCHEMA_VERSION

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
        description: Mapping[str, Any] = json.loads(content)
        version = description["attributes"].get("schema_version")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged_description(location) from error
    check_schema_version(version, short_name(location))
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
        raise explain_failure(error, location) or _damaged_description(location) from error
    return None if found.state == "missing" else bytes(found.value)


def _damaged_description(location: Location) -> StoreError:
    remedy = "Copy it there again." if isinstance(location, BucketPath) else "Make it again with: mm repair"
    return StoreError(f"The description of {short_name(location)} ({DESCRIPTION}) is damaged.", remedy)


def _how_to_make(location: Location) -> str:
    if isinstance(location, BucketPath):
        return "Copy the study's volumes.zarr and augmented.zarr there, and give the location that holds them."
    return f"Make it with: {'mm precompute-augs' if 'augmented.zarr' in location.parts else 'mm ingest ukb'}"

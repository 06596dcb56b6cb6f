"""A training cohort's aggregates as one file of a bundle: safetensors, with all that is no array as JSON in its header.

Means are kept as float16, which rounds them to a thousandth, and counts of people in tens.

The header has a checksum of all else, so that a changed file is refused also where no `checksums.jsonl` lies beside it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mmbase.checksums import write_checked
from mmbase.disclosure import SMALLEST_COUNT
from mmbase.json_text import EXACT, Count, DamagedTextError, Finite, parse_content, parse_json
from mmdata.volume.geometry import Grid
from mmstudy.models.training_cohort import EdgeCohort, FeatureCohort, TrainingCohort, VolumeCohort
from mmstudy.models.usual import Usual
from mmtrain.errors import TrainError
from mmtrain.unchanged import require_unchanged

COHORT_VERSION = 1
_HEADER, _CHECKSUM = "training_cohort", "xxh3_128"
_AGAIN = "Get another copy of the bundle, or export the model again."
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grid:
    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    side: int = Field(ge=1, le=1024)
    spacing_mm: Finite
    centre_mm: tuple[Finite, Finite, Finite]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Volume:
    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    people: Count
    grid: _Grid
    usual: dict[str, Usual]
    asymmetry: Usual | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Edges:
    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    people: Count
    usual: dict[str, Usual]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Feature:
    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    usual: Usual
    low: Finite | None = None
    high: Finite | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Header:
    """What the file holds beside arrays."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    schema_version: int
    volumes: dict[str, _Volume] = field(default_factory=dict)
    edges: _Edges | None = None
    features: dict[str, _Feature] = field(default_factory=dict)


def write_training_cohort(path: Path, cohort: TrainingCohort) -> None:
    """Write a training cohort's file, and its checksum."""
    arrays = _arrays_of(cohort)
    header: dict[str, Any] = {
        "schema_version": COHORT_VERSION,
        "volumes": {
            modality: {
                "people": _told(one.people),
                "grid": asdict(one.grid),
                "usual": {name: _told_usual(usual) for name, usual in one.usual.items()},
                "asymmetry": None if one.asymmetry is None else _told_usual(one.asymmetry),
            }
            for modality, one in cohort.volumes.items()
        },
        "edges": None
        if cohort.edges is None
        else {
            "people": _told(cohort.edges.people),
            "usual": {name: _told_usual(usual) for name, usual in cohort.edges.usual.items()},
        },
        "features": {
            name: {**asdict(feature), "usual": _told_usual(feature.usual)} for name, feature in cohort.features.items()
        },
    }
    text = json.dumps(header)
    write_checked(path, save(arrays, metadata={_HEADER: text, _CHECKSUM: _digest(text, arrays)}))


def read_training_cohort(path: Path) -> TrainingCohort:
    """Read a training cohort's file.

    Raises
    ------
    TrainError
        There is none, it is damaged or changed, or a newer version of this program wrote it.
    """
    require_unchanged(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise TrainError(f"{path.name} has more than {_MAX_BYTES:,} bytes, so it is no training cohort.", _AGAIN)
        content = path.read_bytes()
        arrays = load(content)
        return _cohort_of(_read_header(content, arrays), arrays)
    except FileNotFoundError as error:
        raise TrainError(f"There is no {path.name}: the people trained on are not described.", _AGAIN) from error
    except (SafetensorError, DamagedTextError, ValueError, KeyError, OSError, OverflowError, MemoryError) as error:
        raise TrainError(f"{path.name} is damaged, so new scans cannot be held against it.", _AGAIN) from error


def _arrays_of(cohort: TrainingCohort) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for modality, one in cohort.volumes.items():
        arrays[f"{modality}.mean"] = one.mean_XYZ.astype(np.float16)
        arrays[f"{modality}.deviation"] = one.deviation_XYZ.astype(np.float16)
        arrays[f"{modality}.cdf"] = one.cdf_H.astype(np.float32)
    if cohort.edges is not None:
        arrays["edges.mean"] = cohort.edges.mean_E.astype(np.float16)
    return {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}


def _cohort_of(header: _Header, arrays: Mapping[str, NDArray[Any]]) -> TrainingCohort:
    return TrainingCohort(
        volumes={
            modality: VolumeCohort(
                people=one.people,
                grid=Grid(side=one.grid.side, spacing_mm=one.grid.spacing_mm, centre_mm=one.grid.centre_mm),
                mean_XYZ=arrays[f"{modality}.mean"].astype(np.float32),
                deviation_XYZ=arrays[f"{modality}.deviation"].astype(np.float32),
                cdf_H=arrays[f"{modality}.cdf"].astype(np.float64),
                usual=one.usual,
                asymmetry=one.asymmetry,
            )
            for modality, one in header.volumes.items()
        },
        edges=None
        if header.edges is None
        else EdgeCohort(
            people=header.edges.people, mean_E=arrays["edges.mean"].astype(np.float32), usual=header.edges.usual
        ),
        features={
            name: FeatureCohort(usual=one.usual, low=one.low, high=one.high) for name, one in header.features.items()
        },
    )


def _read_header(content: bytes, arrays: Mapping[str, NDArray[Any]]) -> _Header:
    """Return the header's own part, which lies behind 8 bytes of length. Source: the safetensors format."""
    length = int.from_bytes(content[:8], "little")
    metadata = _metadata(parse_json(content[8 : 8 + length], dict[str, Any]))
    text = metadata.get(_HEADER, "")
    version = parse_json(text, dict[str, Any]).get("schema_version")
    if metadata.get(_CHECKSUM) != _digest(text, arrays):
        raise DamagedTextError("it is not as it was written")
    if version != COHORT_VERSION:
        raise TrainError(
            f"The training cohort has schema_version {version}; this mm reads {COHORT_VERSION}.",
            "Use the mm that wrote it.",
        )
    return parse_json(text, _Header)


def _metadata(header: Mapping[str, Any]) -> dict[str, str]:
    return parse_content(header.get("__metadata__"), dict[str, str])


def _digest(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = xxhash.xxh3_128(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _told_usual(usual: Usual) -> dict[str, Any]:
    return {**asdict(usual), "people": _told(usual.people)}


def _told(people: int) -> int:
    """Return how many people are told of: the tens below, which makes limits a little wider.

    Exact counts of two inputs would tell how few people lack one of them.

    >>> _told(10), _told(38)
    (10, 30)
    """
    return people - people % SMALLEST_COUNT

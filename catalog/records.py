"""Records that cross the border between the catalogue and the data plane: plain values, no database.

An `eid` here never leaves the process except into the catalogue: its records hide it and every path from their `repr`.
"""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, order=True, slots=True)
class Visit:
    """One participant at one imaging visit, as a source names it."""

    eid: int = field(repr=False)
    instance: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanCandidate:
    """A source file that may hold one modality of one visit."""

    visit: Visit
    modality: str
    path: Path = field(repr=False)
    """The archive or file to read."""
    transform_path: Path | None = field(default=None, repr=False)
    """Another archive of the same visit that may hold the transform to template space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrolledSample:
    """A sample with its place in every array and its split."""

    sample_id: str
    row: int
    split: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanOutcome:
    """What became of one scan, as the catalogue keeps it."""

    sample_id: str
    modality: str
    status: str
    reason: str
    detail: str
    measures: dict[str, float]

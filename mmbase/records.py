"""Records that cross the border between the catalogue and the data plane: plain values, no database.

An `eid` here never leaves the process except into the catalogue: its records hide it and every path from their `repr`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field

from mmbase.json_text import EXACT, Count

MEASURES = {
    "clamp_low": "lower clamp, in the scan's own unit",
    "clamp_high": "upper clamp, in the scan's own unit",
    "median": "median inside the brain, in the scan's own unit",
    "contrast": "interquartile range inside the brain over its median",
    "brain_ml": "brain volume, ml",
    "nonzero_share": "share of voxels that are not background",
    "template_overlap": "Dice overlap of the brain with the template's, on the study's grid",
    "registration_nmi": "normalised mutual information with the template after registration",
    "timepoints": "time points of the series",
    "empty_regions": "regions without a signal",
    "mean_edge": "mean of all edges",
    "edge_spread": "standard deviation of all edges",
}
"""What is measured of a scan on its way, by name."""
NOT_TEST = "not-test"
"""A settled split that leaves open whether a participant is for training or validation."""
_FIRST_HASHED_NUMBER = 1 << 62
SplitName: TypeAlias = Annotated[str, Field(pattern="^(train|val|test)$")]


@dataclass(frozen=True, order=True, slots=True)
class Visit:
    """One participant at one imaging visit, as a source names it."""

    eid: int = field(repr=False)
    instance: int


def participant_number(label: str) -> int:
    """Return the number that stands for a participant: an eid as it is, any other label by its hash.

    Two spellings are two participants; hashed numbers begin at 2**62, where no eid is.

    >>> participant_number("1000223"), participant_number("OAS30001") >= 2**62
    (1000223, True)
    """
    if re.fullmatch(r"[1-9]\d{0,17}", label, re.ASCII):
        return int(label)
    digest = hashlib.blake2b(label.encode(), digest_size=8).digest()
    return _FIRST_HASHED_NUMBER | int.from_bytes(digest, "big") >> 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanCandidate:
    """Source files that may hold one modality of one visit."""

    visit: Visit
    modality: str
    path: Path = field(repr=False)
    """The archive, the unpacked archive's folder, or the file to read."""
    form: Literal["ukb", "image", "edges"] = "ukb"
    """What `path` is: UK Biobank's bulk item (an archive, a folder of its members, or a text file of edges), one NIfTI
    image, or a numpy table of edges with a row for each visit."""
    transform_path: Path | None = field(default=None, repr=False)
    """For ``ukb``: another archive of the visit that may hold the transform to template space. For ``image``: a file
    with an affine transform."""
    mask_path: Path | None = field(default=None, repr=False)
    """For ``image``: the brain mask on the image's own grid, where the image is of the whole head."""
    in_template_space: bool = False
    """For ``image``: its world is template space already."""
    table_row: int | None = None
    """For ``edges``: which row of the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundSources:
    """What was found in folders, by names alone."""

    scans: tuple[ScanCandidate, ...]
    """One for each visit and modality, in order of visit and modality."""
    tables: tuple[Path, ...] = ()
    """Tables whose header begins with an eid or participant_id column."""
    withdrawal_lists: tuple[Path, ...] = ()
    """Known as such by their names."""
    number_lists: tuple[Path, ...] = ()
    """Files of one or two columns of numbers that nothing says the meaning of: they withdraw nobody."""
    passed_over: tuple[Path, ...] = ()
    """Files that may have been meant as tables: no column of participants comes first."""
    num_shared: int = 0
    """Participants whom several sources have: they count as the same people."""
    num_duplicates: int = 0
    """Scans passed over because another of the same visit and modality came first by name."""
    labels: Mapping[int, str] = field(default_factory=dict, repr=False)
    """Participant number to label, where the source does not name participants by numbers."""
    splits: Mapping[int, str] = field(default_factory=dict, repr=False)
    """Participant number to train, val, test or `NOT_TEST`, where the source has settled it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrolledSample:
    """A sample with its place in every array and its split."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    sample_id: str
    row: Count
    split: SplitName
    participant_key: str = ""
    """Keyed hash of the participant, so that all of a participant's samples are known as such; empty: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanOutcome:
    """What became of one scan, as the catalogue keeps it."""

    sample_id: str
    modality: str
    status: str
    reason: str
    detail: str
    measures: dict[str, float]
    """Of `MEASURES`, those that were taken."""
    provenance: dict[str, str] = field(default_factory=dict)
    """``brain``: where the brain mask came from; ``transform``: where the transform to template space came from."""

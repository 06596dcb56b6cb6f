"""Records that cross the border between the catalogue and the data plane: plain values, no database.

An `eid` here never leaves the process except into the catalogue: its records hide it and every path from their `repr`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
    "white_over_grey": "brightness of white matter over that of grey (median over upper quartile, by the template)",
    "flat_share": "share of voxels in the brain that are exactly like their neighbour",
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


def without_zeros(label: str) -> str:
    """Return a label of digits without leading zeros, zeros alone as ``0``; empty for any other label.

    >>> without_zeros("007"), without_zeros("00"), without_zeros("OAS7")
    ('7', '0', '')
    """
    return (label.lstrip("0") or "0") if label.isascii() and label.isdecimal() else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanCandidate:
    """Source files that may hold one modality of one visit."""

    visit: Visit
    modality: str
    path: Path = field(repr=False)
    """The archive, the unpacked archive's folder, or the file to read."""
    form: Literal["ukb", "image", "edges"] = "ukb"
    """What `path` is: UK Biobank's bulk item (an archive, a folder of its members, or a text file of edges), one NIfTI
    image, or a numpy table with a row of edges, or a matrix, for each visit."""
    transform_path: Path | None = field(default=None, repr=False)
    """For ``ukb``: another archive of the visit that may hold the transform to template space. For ``image``: a file
    with an affine transform."""
    mask_path: Path | None = field(default=None, repr=False)
    """For ``image``: the brain mask on the image's own grid, where the image is of the whole head."""
    in_template_space: bool = False
    """For ``image``: its world is template space already."""
    may_assume_grid: bool = False
    """For ``image``: where its affine says nothing, it may lie on the reference study's grid."""
    table_row: int | None = None
    """For ``edges``: which row or matrix of the table."""
    t1: "ScanCandidate | None" = field(default=None, repr=False)
    """The T1 of the visit, whose brain mask can be moved over where this image has none and an extractor knows T1
    images alone."""
    alternatives: tuple["ScanCandidate", ...] = field(default=(), repr=False)
    """Further copies, the best first, without alternatives of their own: each is read only where none before it can be
    used. A copy is an image with one mask and one transform; two copies may have the image in common."""

    @property
    def copies(self) -> tuple["ScanCandidate", ...]:
        """The scan's copies in the order in which they are tried."""
        return (self, *self.alternatives)


def rank_copies(*ranked: ScanCandidate) -> ScanCandidate:
    """Return one candidate for several of the same scan, the best first: all copies of each before those of the next.

    >>> visit = Visit(1000223, 2)
    >>> runs = [ScanCandidate(visit=visit, modality="t1", path=Path(f"run-{run}")) for run in (1, 2, 3)]
    >>> both = rank_copies(rank_copies(runs[0], runs[1]), runs[2])
    >>> [copy.path.name for copy in both.copies]
    ['run-1', 'run-2', 'run-3']
    """
    if len(ranked) == 1:
        return ranked[0]
    first, *others = (replace(copy, alternatives=()) for one in ranked for copy in one.copies)
    return replace(first, alternatives=tuple(others))


def with_t1(candidates: Iterable[ScanCandidate]) -> list[ScanCandidate]:
    """Return scans in which each image without a mask that is no T1 knows the best T1 of its visit.

    >>> visit = Visit(1000223, 2)
    >>> scans = [ScanCandidate(visit=visit, modality=name, path=Path(name), form="image") for name in ("t1", "flair")]
    >>> with_t1(scans)[1].t1 == scans[0]
    True
    """
    candidates = list(candidates)
    t1_of = {one.visit: replace(one, alternatives=()) for one in candidates if one.modality == "t1"}
    return [_with_t1(one, t1_of.get(one.visit)) for one in candidates]


def _with_t1(candidate: ScanCandidate, t1: ScanCandidate | None) -> ScanCandidate:
    if candidate.modality == "t1" or candidate.form != "image" or t1 is None:
        return candidate
    copies = (replace(copy, t1=None if copy.mask_path else t1, alternatives=()) for copy in candidate.copies)
    return rank_copies(*copies)


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyCandidate:
    """A source file that may hold an augmented copy of a scan."""

    copy: Annotated[int, Field(ge=1)]
    """Number of the copy."""
    scan: ScanCandidate


@dataclass(frozen=True, kw_only=True, slots=True)
class MisnamedImages:
    """Image files of one modality whose names are not understood for one reason."""

    modality: str
    fault: str
    """What is wrong and what is expected."""
    number: int
    example: str
    """One of the names, with all but the words of the naming scheme hidden."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitTable:
    """A table of one participant's sessions, or of the files of one visit, as BIDS has them."""

    path: Path = field(repr=False)
    eid: int = field(repr=False)
    kind: Literal["sessions", "scans"]
    instance: int | None = None
    """The visit that every row is of; None where a column says of which session a row is."""
    sidecars: tuple[Path, ...] = field(default=(), repr=False)
    """JSON files that describe its columns; what a later one says of a column replaces what an earlier one says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundSources:
    """What was found in folders, by names alone."""

    scans: tuple[ScanCandidate, ...]
    """One for each visit and modality, in order of visit and modality."""
    copies: tuple[CopyCandidate, ...] = ()
    """Augmented copies of scans, in order of visit, modality and copy."""
    tables: tuple[Path, ...] = ()
    """Tables whose header begins with an eid or participant_id column."""
    visit_tables: tuple[VisitTable, ...] = ()
    """Tables of single participants or visits, of those with scans."""
    sessionless: Mapping[int, bool] = field(default_factory=dict, repr=False)
    """Participants with scans outside any session; whether all of theirs are."""
    withdrawal_lists: tuple[Path, ...] = ()
    """Known as such by their names."""
    number_lists: tuple[Path, ...] = ()
    """Files of one or two columns of numbers that nothing says the meaning of: they withdraw nobody."""
    passed_over: tuple[Path, ...] = ()
    """Files that may have been meant as tables: no column of participants comes first."""
    num_shared: int = 0
    """Participants whom several sources have: they count as the same people."""
    num_duplicates: int = 0
    """Further copies of scans: read only where those before them cannot be used."""
    misnamed: tuple[MisnamedImages, ...] = ()
    """Files that look like images of a modality and are not understood."""
    labels: Mapping[int, str] = field(default_factory=dict, repr=False)
    """Participant number to label, where the source does not name participants by numbers."""
    splits: Mapping[int, str] = field(default_factory=dict, repr=False)
    """Participant number to train, val, test or `NOT_TEST`, where the source has settled it."""


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """Samples of each split, as files of a run count them."""

    train: Count
    val: Count
    test: Count


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
    """What was expected and what came; of a stored scan, why it is not its first copy, where it is another."""
    measures: dict[str, float]
    """Of `MEASURES`, those that were taken."""
    provenance: dict[str, str] = field(default_factory=dict)
    """``brain``: where the brain mask came from; ``transform``: where the transform to template space came from."""
    num_passed_over: int = 0
    """Copies that were tried in vain before the one that is stored."""

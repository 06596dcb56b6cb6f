"""What a receipt of each kind says: of scans and copies, of who withdrew, and of what lies outside the stores.

`mmdata.ledger.receipts` writes and reads the files of them. Receipts name samples, never participants.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypeAlias

from pydantic import ConfigDict, Field

from mmbase.json_text import EXACT, Count
from mmbase.records import EnrolledSample

ArrayPart: TypeAlias = Annotated[str, Field(pattern=r"^[\w-]+$")]
"""Of the path of an array: a modality, a side or a kind of connectivity."""
ScanStatus: TypeAlias = Annotated[str, Field(pattern="^(stored|rejected)$")]
CopyStatus: TypeAlias = Annotated[str, Field(pattern="^(stored|damaged)$")]
CopyOrigin: TypeAlias = Annotated[str, Field(pattern="^(drawn|source)$")]
SummaryKind: TypeAlias = Annotated[str, Field(pattern="^(bundle|report)$")]
RemovalStatus: TypeAlias = Annotated[str, Field(pattern="^(begun|removed)$")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanReceipt:
    """What became of one scan; fields that older versions had besides are passed over."""

    sample_id: str
    row: Count
    modality: ArrayPart
    checksums: dict[ArrayPart, str] = field(default_factory=dict)
    """Array name (a side, or the kind of connectivity) to the checksum of the row that was written."""
    status: ScanStatus
    """``stored`` or ``rejected``."""
    reason: str = ""
    """Why it was rejected: a fixed code."""
    detail: str = ""
    """What was expected and what came; of a stored scan, why it is not its first copy, where it is another."""
    passed_over: list[str] = field(default_factory=list)
    """Reasons of the other copies that were tried in vain: of a stored scan those before it, of a rejected one those
    behind the first."""
    fingerprint: str = ""
    """Of the source files and the settings that decide whether they can be used: when it changes, a rejected scan is
    tried again."""
    measures: dict[str, float] = field(default_factory=dict)
    """What was measured on the way, e.g. the upper clamp in the scan's own unit."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Where its brain mask and its transform came from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyReceipt:
    """The rows of one shard of one augmented copy that were stored, or found damaged."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    modality: ArrayPart
    side: Annotated[int, Field(ge=1)]
    copy: Annotated[int, Field(ge=1)]
    rows: list[Count]
    status: CopyStatus = "stored"
    """``stored`` or ``damaged``."""
    origin: CopyOrigin = "drawn"
    """``drawn``: made here from the volume; ``source``: read from a file of the source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalReceipt:
    """A participant who must never come back, by key."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    participant_key: str
    status: RemovalStatus = "begun"
    """``begun``, or ``removed`` when nothing of them is left."""
    date: str = ""
    """YYYY-MM-DD; empty: not known."""
    removal: Count = 0
    """Number of the removal that they are part of; 0: none has been planned yet."""
    rows: list[Count] = field(default_factory=list)
    """Rows that their samples had in every array; nobody gets them again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalReceipt:
    """What was removed from where, of all participants who withdrew together; of whom it says nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    removal: Count
    """Number, from 1."""
    status: RemovalStatus
    """``begun``, with what was found before any of it was removed; or ``removed``."""
    date: str
    """YYYY-MM-DD."""
    participants: Count
    known: Count
    """Participants who had samples in the study."""
    samples: Count
    places: dict[str, Count]
    """Array, file or table to what it held of them: rows, lines or entries."""
    runs: list[str]
    """Runs whose cohort had some of them; each is marked."""
    elsewhere: list[str] = field(default_factory=list)
    """Files outside the study that mm wrote and that may show them; they are the user's to remove."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputReceipt:
    """A file that shows single participants and was written where the user said."""

    path: str
    """From the study where it lies in it, else absolute."""
    date: str
    """YYYY-MM-DD, of the first time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReceipt:
    """A run whose directory was made outside the study, where the user said."""

    run_id: str
    folder: str
    """Absolute path of the folder that holds the run's directory."""
    date: str
    """YYYY-MM-DD."""
    withdrawn_rows: list[Count] = field(default_factory=list)
    """Rows of participants who withdrew while the folder could not be reached: the run may still have them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedGroup:
    """A group of people that an exported summary tells of; of whom it consists follows from the run's cohort."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    target: str
    """Those who have a label of it."""
    split: str
    people: Count
    """When it was exported."""
    by: str = ""
    """sex, age or centre; empty: the whole split."""
    group: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryReceipt:
    """Summaries of a run that were exported, with a bundle or a report."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    kind: SummaryKind
    run_id: str
    date: str
    """YYYY-MM-DD, of the first time."""
    groups: list[ExportedGroup]


Receipt = (
    EnrolledSample
    | ScanReceipt
    | CopyReceipt
    | WithdrawalReceipt
    | RemovalReceipt
    | OutputReceipt
    | RunReceipt
    | SummaryReceipt
)

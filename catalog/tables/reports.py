"""What tables hold, and what of them was left out: facts for messages, with nobody's cell in them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnReport:
    """What of one column was left out."""

    column: str
    """Its header, or its field."""
    num_values: int
    """Of participants with imaging."""
    num_unreadable: int
    """Of these, left out because they cannot be understood."""
    refusal: str = ""
    """Why the whole column is left out, and what to do; empty where it is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableReport:
    """What one table holds, and what of it was left out."""

    name: str
    num_rows: int
    num_participants: int
    """Distinct eids."""
    num_imaged: int
    """Of these, participants with imaging."""
    num_repeated: int
    """Rows left out because the participant, or their session, had one before."""
    num_without_eid: int
    """Rows left out because their eid is none: below 1, empty, redacted, or no number."""
    num_contradictions: int
    """Wanted values left out because the rows of one participant disagree."""
    num_unreadable: int
    """Wanted values left out because they are neither numbers nor known labels, or no dates; more than a few of a
    field's are refused."""
    columns: tuple[ColumnReport, ...] = ()
    """Columns of which something was left out."""
    num_recognised: int = 0
    """Columns that are fields or named features; not those of participants and sessions."""
    unrecognised: tuple[str, ...] = ()
    """A few headers, where no column was recognised."""
    num_respelled: int = 0
    """Participants with imaging whose label here has other leading zeros."""
    num_ambiguous: int = 0
    """Labels left out because their leading zeros make it unclear whom they mean."""
    is_joined: bool = False
    """Whether it is many files, one for each participant or visit."""
    num_unused_files: int = 0
    """Of these, files that cannot be read."""
    has_two_participant_columns: bool = False
    """Whether the header has the column of participants twice; the first counts."""

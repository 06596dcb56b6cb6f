"""Tell tables of participants, withdrawal lists and other text apart, by names and by a file's first bytes.

Text in UTF-16, as spreadsheets save it, is sorted like any other, so that its reader refuses it loudly.
"""

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdata.errors import SourceError

EID_COLUMNS = ("eid", "f.eid", "participant.eid", "participant_id")
"""Headers of the column that names participants, in the exports of UK Biobank and in BIDS."""
_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
_WITHDRAWAL_NAME = re.compile(r"w\d+_\d{8}\.(csv|txt)", re.IGNORECASE)
_ONE_EID = re.compile(rb'"?\d{5,9}"?,?\s*(\n|$)')
_HEAD_BYTES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class SortedTables:
    """Text files by what they are."""

    tables: tuple[Path, ...]
    """Their header begins with a column of participants."""
    withdrawal_lists: tuple[Path, ...]
    passed_over: tuple[Path, ...]
    """Neither, though their suffix is a table's."""


def may_be_table(name: str) -> bool:
    """Return whether a file's suffix is that of a table or a withdrawal list.

    >>> may_be_table("participants.TSV"), may_be_table("image.nii.gz")
    (True, False)
    """
    return name.lower().endswith(_SUFFIXES)


def sort_tables(
    paths: Iterable[Path], *, id_columns: Sequence[str] = EID_COLUMNS, any_list_withdraws: bool = True
) -> SortedTables:
    """Sort text files into tables, withdrawal lists and others.

    Parameters
    ----------
    id_columns
        Headers of the first column by which a table is known.
    any_list_withdraws
        Take every file of one number a line as a withdrawal list, whatever its name; else only those named
        ``w<application>_<YYYYMMDD>``.

    Raises
    ------
    SourceError
        A file cannot be read.
    """
    header = re.compile(rb"[\"']?(" + "|".join(map(re.escape, id_columns)).encode() + rb")[\"']?[,;\t ]")
    tables, withdrawal_lists, passed_over = [], [], []
    for path in paths:
        head = _read_head(path)
        if _WITHDRAWAL_NAME.fullmatch(path.name) or (any_list_withdraws and _ONE_EID.match(head)):
            withdrawal_lists.append(path)
        elif header.match(head):
            tables.append(path)
        elif path.suffix.lower() != ".txt":
            passed_over.append(path)
    return SortedTables(tables=tuple(tables), withdrawal_lists=tuple(withdrawal_lists), passed_over=tuple(passed_over))


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceError(
            f"A text file of the source cannot be read ({error.strerror}): {re.sub('[0-9]+', '…', path.name)}. It may "
            "be a withdrawal list, so it is not passed over.",
            "Make it readable, or move it out of the source.",
        ) from error
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", errors="replace").encode()
    return head.removeprefix(codecs.BOM_UTF8)

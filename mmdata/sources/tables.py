"""Tell tables of participants, withdrawal lists and other text apart.

A *withdrawal list* is known by its name alone: ``w<application>_…`` or ``withdraw…``, in any letter case, as UK Biobank
sends them and as people call them. A *number list* is any other file of one or two columns of numbers: it may be the
list of a download or of test participants, so it withdraws nobody, and the user is told of it. A *table* is known by
its first bytes. Text in UTF-16, as spreadsheets save it, is sorted like any other.
"""

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mmbase.input_files import is_regular, require_regular
from mmbase.printable import without_numbers
from mmdata.errors import SourceError
from mmdata.sources.misnamed import UNFINISHED_ENDINGS

EID_COLUMNS = ("eid", "f.eid", "participant.eid", "participant_id", "f_eid", "participant_eid", "x.eid")
"""Headers of the column that names participants, in the exports of UK Biobank and in BIDS, and as R changes them."""
_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
_UNREADABLE_SUFFIXES = (".xls", ".xlsx", ".ods", ".doc", ".docx", ".odt", ".pdf", ".gz", ".zip")
"""Of withdrawal lists that cannot be read, which their reader says."""
_LIST_SUFFIXES = ("", *_SUFFIXES, ".dat", ".lst", ".list", *_UNREADABLE_SUFFIXES, *UNFINISHED_ENDINGS)
_WITHDRAWAL_STEM = re.compile(r"w\d{3,6}([-_. (].*)?|withdr[ae]w.*", re.IGNORECASE)
_HEAD_BYTES = 4096
_NUMBER = rb"[\"']?-?\d{5,9}(\.0+)?[\"']?"
_NUMBER_LINE = re.compile(rb"\s*" + _NUMBER + rb"([,;\t ]+(" + _NUMBER + rb"|[\"']?[\d./:-]+( [\d:]+)?[\"']?))?[,;\s]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class SortedTables:
    """Text files by what they are."""

    tables: tuple[Path, ...]
    """Their header begins with a column of participants."""
    withdrawal_lists: tuple[Path, ...]
    number_lists: tuple[Path, ...]
    """One or two columns of numbers under a name that says nothing."""
    passed_over: tuple[Path, ...]
    """Neither, though their suffix is a table's."""


def may_be_table(name: str) -> bool:
    """Return whether a file's name is that of a table or a withdrawal list; hidden files are neither.

    >>> may_be_table("participants.TSV"), may_be_table("Withdrawals.xlsx"), may_be_table("._participants.tsv")
    (True, True, False)
    """
    return not name.startswith(".") and (name.lower().endswith(_SUFFIXES) or is_withdrawal_list(name))


def is_withdrawal_list(name: str) -> bool:
    """Return whether a file is a withdrawal list by its name.

    >>> is_withdrawal_list("w98032_20250818.csv"), is_withdrawal_list("withdraw98032_19.txt")
    (True, True)
    >>> is_withdrawal_list("w2_wave.csv"), is_withdrawal_list("download.txt")
    (False, False)
    """
    path = PurePath(name)
    return path.suffix.lower() in _LIST_SUFFIXES and bool(_WITHDRAWAL_STEM.fullmatch(path.stem))


def sort_tables(paths: Iterable[Path], *, id_columns: Sequence[str] = EID_COLUMNS) -> SortedTables:
    """Sort text files into tables, withdrawal lists, number lists and others.

    Parameters
    ----------
    id_columns
        Headers of the first column, whatever their case, by which a table is known.

    Raises
    ------
    SourceError
        A file cannot be read, or is the unfinished download of a withdrawal list.
    """
    names = "|".join(map(re.escape, id_columns)).encode()
    # R and pandas write the numbers of rows first, under an empty name
    header = re.compile(rb"((\"\")?[,;\t])?[\"']?(" + names + rb")[\"']?[,;\t ]", re.IGNORECASE)
    tables, withdrawal_lists, number_lists, passed_over = [], [], [], []
    for path in paths:
        if is_withdrawal_list(path.name):
            _require_complete(path)
            withdrawal_lists.append(path)
        elif not is_regular(path):
            passed_over.append(path)
        elif header.match(head := _read_head(path)):
            tables.append(path)
        elif _holds_numbers(head):
            number_lists.append(path)
        elif path.suffix.lower() != ".txt":
            passed_over.append(path)
    return SortedTables(
        tables=tuple(tables),
        withdrawal_lists=tuple(withdrawal_lists),
        number_lists=tuple(number_lists),
        passed_over=tuple(passed_over),
    )


def _holds_numbers(head: bytes) -> bool:
    """Return whether text is one or two columns of numbers, whatever comes above them."""
    lines = [line for line in head.splitlines() if line.strip() and not line.startswith(b"#")]
    whole = lines[:-1] if len(head) == _HEAD_BYTES else lines
    below = whole if whole and _NUMBER_LINE.fullmatch(whole[0]) else whole[1:]
    return bool(below) and all(map(_NUMBER_LINE.fullmatch, below))


def _require_complete(path: Path) -> None:
    """Refuse a withdrawal list that cannot be read, or of which only a part may be there."""
    if path.name.lower().endswith(UNFINISHED_ENDINGS):
        raise SourceError(
            f"The download of a withdrawal list is not complete: {without_numbers(path.name)}.",
            "Download it again, or move it out of the source.",
        )
    _read_head(path)


def _read_head(path: Path) -> bytes:
    try:
        require_regular(path)
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceError(
            f"A text file of the source cannot be read ({error.strerror}): {without_numbers(path.name)}. It may "
            "be a table or a withdrawal list, so it is not passed over.",
            "Make it readable (what is behind a link of git-annex: datalad get), or move it out of the source.",
        ) from error
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", errors="replace").encode()
    return head.removeprefix(codecs.BOM_UTF8)

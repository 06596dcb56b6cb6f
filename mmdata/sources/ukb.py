"""Find what a folder of UK Biobank files holds, by names alone: no archive is opened.

Archives are named ``EID_FIELD_INSTANCE_ARRAY.zip``; see the UK Biobank showcase, fields 20250, 20252, 20253 and 31016.
"""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from catalog.records import FoundSources, ScanCandidate, Visit
from mmdata.errors import SourceError
from mmdata.schema import CONNECTIVITY

MODALITY_OF_FIELD = {20252: "t1", 20253: "flair", 20250: "dwi", 31016: CONNECTIVITY}
_ARCHIVE_NAME = re.compile(r"(?P<eid>\d+)_(?P<field>\d+)_(?P<instance>\d+)_\d+\.zip")
_BULK_NAME = re.compile(r"\d+_\d+_\d+_\d+\..+")
_WITHDRAWAL_NAME = re.compile(r"w\d+_\d{8}\.(csv|txt)", re.IGNORECASE)
_ONE_EID = re.compile(rb'"?\d{5,9}"?,?\s*(\n|$)')
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
_TABLE_HEADER = re.compile(rb'["\']?(f\.|participant\.)?eid["\']?[,\t ]')


def find_release(roots: Sequence[Path]) -> FoundSources:
    """List the scans, tables and withdrawal lists below some folders.

    Raises
    ------
    SourceError
        A folder does not exist or cannot be read, or none holds an archive of a known field.
    """
    for root in roots:
        if not root.is_dir():
            raise SourceError(f"The source {root} is not a folder. Give the folder that holds the UK Biobank archives.")
    archives: dict[tuple[Visit, int], Path] = {}
    tables, withdrawal_lists, passed_over, num_duplicates = [], [], [], 0
    for path in chain.from_iterable(map(_files_below, roots)):
        match = _ARCHIVE_NAME.fullmatch(path.name)
        if match and int(match["field"]) in MODALITY_OF_FIELD:
            key = (Visit(int(match["eid"]), int(match["instance"])), int(match["field"]))
            num_duplicates += key in archives
            archives.setdefault(key, path)
        elif path.suffix.lower() in _TABLE_SUFFIXES and not _BULK_NAME.fullmatch(path.name):
            head = _read_head(path)
            if _WITHDRAWAL_NAME.fullmatch(path.name) or _ONE_EID.match(head):
                withdrawal_lists.append(path)
            elif _TABLE_HEADER.match(head):
                tables.append(path)
            elif path.suffix.lower() != ".txt":
                passed_over.append(path)
    if not archives:
        raise SourceError(
            f"{', '.join(map(str, roots))} holds no UK Biobank imaging archives. Expected files named "
            f"EID_FIELD_INSTANCE_ARRAY.zip with a field of {', '.join(map(str, sorted(MODALITY_OF_FIELD)))}."
        )
    scans = [_candidate(visit, field, archives) for visit, field in sorted(archives)]
    return FoundSources(
        scans=tuple(scans),
        tables=tuple(tables),
        withdrawal_lists=tuple(withdrawal_lists),
        passed_over=tuple(passed_over),
        num_duplicates=num_duplicates,
    )


def _candidate(visit: Visit, field: int, archives: dict[tuple[Visit, int], Path]) -> ScanCandidate:
    return ScanCandidate(
        visit=visit,
        modality=MODALITY_OF_FIELD[field],
        path=archives[visit, field],
        transform_path=archives.get((visit, 20252)) if field == 20253 else None,
    )


def _files_below(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, onerror=_refuse_unreadable):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def _refuse_unreadable(error: OSError) -> None:
    raise SourceError(f"A folder of the source cannot be read: {error.strerror}. Check its permissions.") from error


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf")

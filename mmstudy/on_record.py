"""Put what lies outside the stores on record, in receipts that no lock of the stores is needed for.

So a withdrawal reaches it, or names it, whatever a kill has left.
"""

import errno
import re
from datetime import UTC, datetime

from mmbase.lock import hold_lock
from mmdata.errors import StudyError
from mmdata.ledger.receipt_kinds import OutputReceipt, RunReceipt, SummaryReceipt
from mmdata.ledger.receipts import append_receipts
from mmdata.store.schema import StudyLayout

_WAIT_SECONDS = 60.0
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_POSSIBLE_EID = re.compile(r"\d{6,}", re.ASCII)


class UnwritableStudyError(StudyError):
    """The study cannot be written, so nothing can be put on record."""


def require_no_participant(layout: StudyLayout, where: str) -> None:
    """Refuse a path with a participant's number, which receipts must not hold.

    Raises
    ------
    StudyError
        It has one.
    """
    numbers = [int(digits) for digits in _POSSIBLE_EID.findall(where)]
    if not (numbers and layout.catalog.exists()):
        return
    from catalog.database import open_catalog  # noqa: PLC0415 - a node that trains may be without duckdb
    from catalog.samples import knows_participants  # noqa: PLC0415

    with open_catalog(layout.catalog) as catalog:
        if knows_participants(catalog, numbers):
            raise StudyError(
                "The path holds a participant's number, and nothing but the catalogue may.",
                "Give it another name or folder.",
            )


def today() -> str:
    """Return the date of what is put on record now, YYYY-MM-DD."""
    return datetime.now(UTC).date().isoformat()


def put_on_record(layout: StudyLayout, file: str, *receipts: OutputReceipt | RunReceipt | SummaryReceipt) -> None:
    """Add receipts to a file of them.

    Raises
    ------
    UnwritableStudyError
        The study cannot be written.
    """
    path = layout.receipts / file
    try:
        with hold_lock(path.with_suffix(".lock"), wait_seconds=_WAIT_SECONDS):
            append_receipts(path, receipts)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        raise UnwritableStudyError(
            f"The study cannot be written ({error.strerror}), so what is made outside of it cannot be put on record, "
            "and no withdrawal would reach it.",
            "Work where the study can be written.",
        ) from error

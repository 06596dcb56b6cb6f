"""Whether participants are still in a study."""

from collections.abc import Collection

from mmdata.errors import StudyError
from mmdata.ledger.tombstones import read_retired_rows
from mmdata.store.schema import StudyLayout


def require_present(layout: StudyLayout, rows: Collection[int]) -> None:
    """Refuse rows of participants who have withdrawn since the catalogue was read.

    Raises
    ------
    StudyError
        Some have.
    """
    if not read_retired_rows(layout.receipts).isdisjoint(rows):
        raise StudyError(
            "Participants have withdrawn from the study while this command was at work.",
            "Run it again: the catalogue is without them now.",
        )

"""Whether participants are still in a study."""

from collections.abc import Collection
from typing import TypeAlias

from mmdata.errors import StudyError
from mmdata.ledger.tombstones import read_retired_rows, read_tombstones
from mmdata.store.schema import StudyLayout

Withdrawals: TypeAlias = frozenset[tuple[str, str]]
"""Everyone who has withdrawn so far, by key, with how far their removal is."""


def require_present(layout: StudyLayout, rows: Collection[int]) -> None:
    """Refuse rows of participants who have withdrawn since the catalogue was read.

    Raises
    ------
    StudyError
        Some have.
    """
    if not read_retired_rows(layout.receipts).isdisjoint(rows):
        raise _withdrawn_meanwhile()


def read_withdrawals(layout: StudyLayout) -> Withdrawals:
    """Return who has withdrawn so far; somebody is among them before anything of theirs is removed."""
    return frozenset((key, tombstone.status) for key, tombstone in read_tombstones(layout.receipts).items())


def require_same_withdrawals(layout: StudyLayout, before: Withdrawals) -> None:
    """Refuse what was made while somebody withdrew, or was removed.

    Raises
    ------
    StudyError
        Somebody did.
    """
    if read_withdrawals(layout) != before:
        raise _withdrawn_meanwhile()


def _withdrawn_meanwhile() -> StudyError:
    return StudyError(
        "Participants have withdrawn from the study while this command was at work.",
        "Run it again: the catalogue is without them now.",
    )

"""Ask before a withdrawal that would remove much of what a study holds: it cannot be undone."""

from collections.abc import Callable, Collection

from catalog.identity import participant_key
from mmdata.errors import DataError
from mmdata.ledger.receipts import read_samples
from mmdata.ledger.tombstones import read_tombstones
from mmdata.study import Study

MIN_ASKED = 10
"""Fewer participants are removed without a question, however small the study is."""
MAX_UNASKED = 100
MAX_UNASKED_SHARE = 0.1
"""Of the participants stored."""

Consent = Callable[[str], bool]
"""Called with what would be removed; returns whether it shall be."""


def require_consent(study: Study, eids: Collection[int], consent: Consent) -> None:
    """Ask when a large part of the participants stored have withdrawn, and stop where that is not meant.

    Parameters
    ----------
    eids
        Participants of the withdrawal lists; those who withdrew before count no more.

    Raises
    ------
    DataError
        The answer is no.
    """
    stored = {sample.participant_key for sample in read_samples(study.layout.receipts).values()}
    listed = {participant_key(study.config.salt, eid) for eid in eids}
    num_removed = len((listed & stored) - read_tombstones(study.layout.receipts).keys())
    question = (
        f"The withdrawal lists name {num_removed:,} of the {len(stored):,} participants stored. Their data are removed "
        "for good."
    )
    if is_large(num_removed, len(stored)) and not consent(question):
        raise DataError("Nothing was removed.", "Check the lists: a list of other people may be among them.")


def is_large(num_removed: int, num_stored: int) -> bool:
    """Return whether so many of the participants stored are removed only after a question.

    >>> is_large(9, 9), is_large(10, 100), is_large(11, 100), is_large(101, 50_000)
    (False, False, True, True)
    """
    return num_removed >= MIN_ASKED and (num_removed > MAX_UNASKED or num_removed > MAX_UNASKED_SHARE * num_stored)

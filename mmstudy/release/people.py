"""Whose a number or an id is: asked by fingerprint, so that no list of eids is in any memory but the catalogue's."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from catalog.database import open_catalog
from catalog.fingerprints import Fingerprints, read_fingerprints
from catalog.identity import participant_key
from mmbase.records import participant_number
from mmdata.ledger.tombstones import read_withdrawal_receipts
from mmdata.study import Study

FIRST_NUMBER, END_OF_NUMBERS = 1_000_000, 10_000_000
"""Participant numbers of UK Biobank have seven digits."""
_LEAST_LABEL = 4
"""Characters of a label that is looked for in any text: shorter ones are in every text."""
_EVERYDAY = frozenset(2**power for power in range(20, 24)) | {1_234_567, 7_654_321}
_ROUND = 10_000
"""Numbers that programs are full of; one that is a participant's too is missed where it stands alone."""


class People:
    """The people whom a study knows or has known.

    Parameters
    ----------
    salt
        The study's.
    fingerprints
        From its catalogue.
    """

    def __init__(self, salt: str, fingerprints: Fingerprints) -> None:
        self.salt = salt
        self.sizes = fingerprints.sizes
        self._participants = fingerprints.participants
        self._ids = fingerprints.samples | fingerprints.participants

    def __repr__(self) -> str:
        return f"People({len(self._participants)})"

    def has_number(self, number: int) -> bool:
        """Return whether a number is a participant's."""
        return participant_key(self.salt, number) in self._participants

    def has_label(self, label: str) -> bool:
        """Return whether a label of a BIDS dataset, of four characters and more, is a participant's."""
        return len(label) >= _LEAST_LABEL and self.has_number(participant_number(label))

    def has_id(self, text: str) -> bool:
        """Return whether a text is a sample id or a participant key of the study."""
        return text in self._ids

    def whose(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of some numbers are participants' and none of those that programs are full of."""
        known = np.zeros(len(numbers), dtype=bool)
        possible = np.flatnonzero((numbers >= FIRST_NUMBER) & (numbers < END_OF_NUMBERS) & (numbers % _ROUND != 0))
        possible = possible[~self._strangers[numbers[possible] - FIRST_NUMBER]]
        if possible.size:
            asked, back = np.unique(numbers[possible], return_inverse=True)
            answers = np.fromiter(map(self.has_number, asked.tolist()), dtype=bool, count=len(asked))
            self._strangers[asked[~answers] - FIRST_NUMBER] = True
            known[possible] = answers[back]
        return known

    @cached_property
    def _strangers(self) -> NDArray[np.bool_]:
        """Numbers that were asked about and are nobody's, so that none is asked about twice: never whose they are."""
        strangers = np.zeros(END_OF_NUMBERS - FIRST_NUMBER, dtype=bool)
        strangers[np.fromiter(_EVERYDAY, dtype=np.int64) - FIRST_NUMBER] = True
        return strangers


def read_people(study: Study) -> People:
    """Return the people of a study, those who have withdrawn among them; nobody where it has no catalogue yet.

    Raises
    ------
    CatalogError, DataError
        The catalogue or the receipts cannot be read, or are of another salt.
    """
    layout, salt = study.layout, study.config.salt
    withdrawn: Iterable[str] = read_withdrawal_receipts(layout.receipts) if layout.receipts.is_dir() else ()
    found = Fingerprints(participants=frozenset(), samples=frozenset(), sizes=frozenset())
    if layout.catalog.exists():
        with open_catalog(layout.catalog) as catalog:
            found = read_fingerprints(catalog, salt)
    everybody = Fingerprints(participants=found.participants.union(withdrawn), samples=found.samples, sizes=found.sizes)
    return People(salt, everybody)

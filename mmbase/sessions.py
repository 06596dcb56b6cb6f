"""Sessions of BIDS as imaging visits: what images and tables call a session, and which visit it stands for."""

import hashlib
import re

FIRST_IMAGING_INSTANCE = 2
"""UK Biobank's first imaging visit: what is meant where a name does not say which."""
MAX_INSTANCE = (1 << 31) - 1
_FIRST_HASHED_INSTANCE = 1000


def instance_of(session: str | None) -> int:
    """Return the imaging visit that a session stands for.

    The one number in its label, below 1,000; 0 for a baseline; any other label, such as a date, by its hash, from 1,000
    up. Without a session it is 2, UK Biobank's first imaging visit, so that the values a UK Biobank table has for the
    visit are of that day.

    >>> [instance_of(label) for label in (None, "2", "03", "M12", "bl", "baseline")]
    [2, 2, 3, 12, 0, 0]
    >>> instance_of("followup") == instance_of("followup") >= 1000
    True
    """
    if session is None:
        return FIRST_IMAGING_INSTANCE
    if session.lower() in ("bl", "baseline"):
        return 0
    numbers = re.findall("[0-9]+", session)
    if len(numbers) == 1 and int(numbers[0]) < _FIRST_HASHED_INSTANCE:
        return int(numbers[0])
    digest = hashlib.blake2b(session.encode(), digest_size=8).digest()
    return _FIRST_HASHED_INSTANCE + int.from_bytes(digest, "big") % (MAX_INSTANCE + 1 - _FIRST_HASHED_INSTANCE)

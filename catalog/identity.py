"""Opaque identities: what a participant is called outside the catalogue, and which split they belong to.

Everything here is a keyed hash (BLAKE2b, RFC 7693) under the study's salt, so it is stable for ever, differs from study
to study, and cannot be traced back without the salt.
"""

import hashlib


def participant_key(salt: str, eid: int) -> str:
    """Return what stands for a participant where the eid must not."""
    return _keyed_hash(salt, "participant", str(eid)).hex()


def salt_hash(salt: str) -> str:
    """Return what tells one salt from another and gives neither away."""
    return _keyed_hash(salt, "salt", "check").hex()


def sample_id(salt: str, eid: int, instance: int) -> str:
    """Return the opaque identifier of one participant at one imaging visit, 16 hexadecimal digits."""
    return _keyed_hash(salt, "sample", f"{eid}/{instance}").hex()


def split_of(salt: str, eid: int, *, val: float, test: float) -> str:
    """Return ``train``, ``val`` or ``test``: the same for all visits of a participant, whoever joins later.

    Parameters
    ----------
    val, test
        Shares of participants.
    """
    position = int.from_bytes(_keyed_hash(salt, "split", str(eid)), "big") / 2**64
    if position < test:
        return "test"
    return "val" if position < test + val else "train"


def _keyed_hash(salt: str, purpose: str, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), key=salt.encode(), person=purpose.encode(), digest_size=8).digest()

"""Opaque identities: what a participant is called outside the catalogue, and where hashes place them.

Everything here is a keyed hash (BLAKE2b, RFC 7693) under the study's salt, or a hash of one, so it is stable for ever,
differs from study to study, and cannot be traced back without the salt.
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


def split_position(salt: str, eid: int) -> float:
    """Return a participant's place between 0 and 1, evenly spread, that decides their split whoever joins later."""
    return int.from_bytes(_keyed_hash(salt, "split", str(eid)), "big") / 2**64


def fold_number(key: str, num_folds: int) -> int:
    """Return the fold, from 1 to `num_folds`, of whom a participant key stands for.

    The key hides the participant already, so this needs no salt.
    """
    return 1 + int.from_bytes(_keyed_hash("", "fold", f"{num_folds}/{key}"), "big") % num_folds


def _keyed_hash(salt: str, purpose: str, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), key=salt.encode(), person=purpose.encode(), digest_size=8).digest()

"""Random generators named by what they are for.

No generator is shared: each draw's stream derives from the release's seed, what is drawn, and for whom, so that one
participant's data depend neither on the other participants nor on the number of worker processes.
"""

import hashlib

import numpy as np


def generator(seed: int, what: str, *which: int | str) -> np.random.Generator:
    """Return the generator of one named stream.

    >>> bool(generator(1, "pose", 7).random() == generator(1, "pose", 7).random())
    True
    >>> bool(generator(1, "pose", 7).random() == generator(1, "pose", 8).random())
    False
    """
    name = "/".join(str(part) for part in (seed, what, *which))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))

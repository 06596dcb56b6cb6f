"""Which samples come when, and which copy of each: pure functions of seed and epoch.

The order does not depend on how many processes read it, so any of them can say where any step begins.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmtrain.config.augmentation import CopyOrder


def derive_seed(seed: int, *key: object) -> int:
    """Return a seed of 63 bits for one purpose, e.g. ``derive_seed(1337, "dropout", epoch)``."""
    digest = hashlib.blake2b("/".join(map(str, (seed, *key))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def epoch_batches(
    members: NDArray[np.int64], batch_size: int, *, seed: int, epoch: int, drop_last: bool
) -> list[NDArray[np.int64]]:
    """Shuffle samples and divide them into batches.

    Parameters
    ----------
    members
        Positions of the samples.
    drop_last
        Leave out the last incomplete batch, unless it is the only one. Otherwise every sample comes once, in batches
        of nearly equal size, none larger than `batch_size`.
    """
    shuffled = np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(members)
    if drop_last and len(shuffled) >= batch_size:
        shuffled = shuffled[: len(shuffled) // batch_size * batch_size]
    num_batches = max(1, -(-len(shuffled) // batch_size))
    return np.array_split(shuffled, num_batches)


def divide(batch: NDArray[np.int64], parts: int, ranks: int) -> list[list[NDArray[np.int64]]]:
    """Divide one batch into parts that are computed one after the other, and each part among ranks.

    The parts do not depend on the number of ranks, nor does the order of the samples within a part.

    Returns
    -------
    list of list of array
        For each part, for each rank, its samples. Sizes differ by one at most.

    >>> [[share.tolist() for share in part] for part in divide(np.arange(7), 2, 2)]
    [[[0, 1], [2, 3]], [[4, 5], [6]]]
    """
    return [np.array_split(part, ranks) for part in np.array_split(batch, parts)]


def balance_classes(
    members: NDArray[np.int64], labels: NDArray[np.int64], *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return all of the smallest class and as many of each other, drawn again each epoch.

    Parameters
    ----------
    members
        Positions of the samples.
    labels
        The class of each of the `members`, counted from 0; there are two at least.
    """
    rng = np.random.default_rng(derive_seed(seed, "balance", epoch))
    classes = [members[labels == label] for label in range(max(2, labels.max(initial=0) + 1))]
    least = min(map(len, classes))
    return np.sort(np.concatenate([rng.choice(of_class, least, replace=False) for of_class in classes]))


def choose_copies(
    sample_ids: Sequence[str], num_copies: int, *, order: CopyOrder, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the copy each sample is read from, 0 (the volume itself) to `num_copies`.

    Parameters
    ----------
    order
        ``by-sample``: every sample goes through the volume itself and all copies, one an epoch, from a start of its
        own. ``by-epoch``: all are read from the same copy, the next in each epoch, and from the volume itself never, as
        the reference; where there are no copies, from the volume itself.
    epoch
        Counted from 1.

    >>> [choose_copies(["a", "b"], 3, order="by-epoch", seed=1, epoch=epoch).tolist() for epoch in (1, 2, 3, 4)]
    [[1, 1], [2, 2], [3, 3], [1, 1]]
    """
    if not num_copies:
        return np.zeros(len(sample_ids), np.int64)
    if order == "by-epoch":
        return np.full(len(sample_ids), (epoch - 1) % num_copies + 1, np.int64)
    starts = [derive_seed(seed, "copy", name) % (num_copies + 1) for name in sample_ids]
    return (np.asarray(starts, np.int64) + epoch) % (num_copies + 1)

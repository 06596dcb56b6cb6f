"""Random numbers of many keys: those that ``numpy.random.default_rng`` gives for each key's seed, begun all at once.

A key names what is drawn, of what, in which copy. Its digest says whether it happens and, if so, with which seed.
Starting a generator takes most of the time of a draw, nearly all of it in the mixing of the seed. That mixing is done
here for all seeds together; the generator itself is NumPy's.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

_SEED_WORDS = 4
"""32-bit words of a seed, and of the pool that it is mixed in."""
_MIX_LEFT, _MIX_RIGHT, _HALF = np.uint32(0xCA01F9DD), np.uint32(0x4973F715), np.uint32(16)


def generators(keys: Sequence[str], chances: Sequence[float]) -> Iterator[tuple[int, np.random.Generator]]:
    """Yield the index and the generator of each key that happens, in their order.

    Parameters
    ----------
    chances
        With which each key happens, above 0 to 1.
    """
    if not keys:
        return
    digests = b"".join([hashlib.blake2b(key.encode(), digest_size=24).digest() for key in keys])
    words_N6 = np.frombuffer(digests, "<u4").reshape(len(keys), 2 + _SEED_WORDS)
    decisions_N = words_N6[:, :2].copy().view("<u8")[:, 0]
    largest_N = np.array([_largest_decision(chance) for chance in chances], np.uint64)
    happening = np.flatnonzero(decisions_N <= largest_N)
    for index, state_4 in zip(happening.tolist(), mix_seeds(words_N6[happening, 2:]), strict=True):
        yield index, np.random.Generator(np.random.PCG64(_Mixed(state_4)))  # type: ignore[arg-type]


def mix_seeds(seeds_N4: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return what ``numpy.random.SeedSequence`` makes of each seed for a PCG64, shape (N, 4).

    NumPy promises that it will always make the same of a seed.
    Source: O'Neill, Developing a seed_seq Alternative, 2015; the constants are those of NumPy.

    Parameters
    ----------
    seeds_N4
        The least significant words first.
    """
    constants = _powers(0x43B0D7E5, 0x931E8875, _SEED_WORDS**2)
    pool_N4 = _hashed(seeds_N4, constants[: _SEED_WORDS + 1])
    for source in range(_SEED_WORDS):
        others = [word for word in range(_SEED_WORDS) if word != source]
        first = _SEED_WORDS + source * len(others)
        hashed = _hashed(pool_N4[:, source, None], constants[first : first + len(others) + 1])
        mixed = pool_N4[:, others] * _MIX_LEFT - hashed * _MIX_RIGHT
        pool_N4[:, others] = mixed ^ (mixed >> _HALF)
    halves_N8 = _hashed(np.tile(pool_N4, 2), _powers(0x8B51F9DD, 0x58F38DED, 2 * _SEED_WORDS))
    return halves_N8.astype("<u4").view("<u8").astype(np.uint64)


@cache
def _largest_decision(chance: float) -> int:
    """Return the largest of all 64-bit numbers at which something of this chance happens."""
    return math.ceil(chance * 2**64) - 1


@cache
def _powers(first: int, factor: int, num: int) -> NDArray[np.uint32]:
    """Return a 32-bit number, and what it is after up to `num` multiplications."""
    return np.array([first * pow(factor, power, 2**32) % 2**32 for power in range(num + 1)], np.uint32)


def _hashed(words: NDArray[np.uint32], constants: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Hash along the last axis, each word with the next of the constants."""
    hashed = (words ^ constants[:-1]) * constants[1:]
    return np.asarray(hashed ^ (hashed >> _HALF))


class _Mixed(ISeedSequence):
    """A seed that is mixed already."""

    def __init__(self, state_4: NDArray[np.uint64]) -> None:
        self._state_4 = state_4

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        return self._state_4

"""How likely it is by chance that two people agree in so many measurements, and which pairs do.

Terms
-----
agreement   two people have the same value of a measurement to the last digit.
share       of the people who have a measurement: those with one of its values.
surprise    of a pair, in nats: -ln(share of the people who have all of the values in which these two agree).
collision   chance that two people agree in a measurement: the sum of squared shares.

People who agree in ten measurements are rare, but there are many pairs: five billion of 100,000 people. So it is no
number of equal values that makes a copy, but a surprise that no pair of the whole study is expected to have. The chance
that two people agree in a set of measurements and in values of a joint share p of at most exp(-s) is the sum of p * p
over such values, so at most exp(-s). There are 2^M sets. Hence of all pairs of N people no more than

    N (N - 1) / 2 * 2^M * exp(-s)

are expected to have a surprise of s or more, however the measurements depend on each other.

A joint share cannot be counted, but modelled: by a normal copula. With z the normal scores of the values in which two
people agree and R the correlations of these measurements, the surprise is

    sum of -ln(share of each value) + ln(det R) / 2 + z' (1/R - 1) z / 2

of which the last two terms may take away, never add. They see that who weighs the same has a similar waist, and that
who is an extreme in one is likely to be in another. They do not see two things, which are left out beforehand: a
measurement that follows from others, and a value that many people have, as when a mean or a limit stands for what was
not measured: such values come together.

Pairs are not compared one by one. Candidates agree in each of a few measurements, a window of neighbours in a circle of
all; a window is so long that by chance a person agrees with less than one other. With windows of two, every pair that
agrees in more than half of its measurements has one, if it lacks none.

Shapes: N people (samples), M measurements, P pairs, W measurements of a window.

Source: Fellegi and Sunter, A theory for record linkage, JASA 64:1183, 1969; Song, Multivariate dispersion models
generated from Gaussian copula, Scandinavian Journal of Statistics 27:305, 2000, for the density.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

MAX_EXPECTED = 0.01
"""Pairs by chance, in the whole study, that are as surprising as one which is told."""
COMMON_SHARE = 0.05
"""Of a value: whoever has one that so many others have agrees in nothing that tells."""
OWN_VARIANCE = 0.05
"""Of a measurement, given those before it: with less it follows from them."""
_STEPS = (1, 2)
"""Between the measurements of a window, so that a missing value does not hide a pair."""
_LARGEST_BLOCK = 10
"""People who agree in a window and are all paired; of more, each is paired with the next ones alone."""
_NEXT_ONES = 2
_PAIRS_AT_ONCE = 32_768
_MATRICES_AT_ONCE = 2_048
_MISSING = -1


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measurements of all people, ready to be compared, the most telling first."""

    codes_NM: NDArray[np.int32]
    """Number of each value among those of its measurement; -1 where missing."""
    surprise_NM: NDArray[np.float32]
    """-ln(share) of each value; 0 where it is missing or common."""
    scores_NM: NDArray[np.float32]
    """Normal score of each value: 0 in the middle of all; 0 where missing."""
    collisions_M: Floats
    correlations_MM: Floats

    @property
    def num_people(self) -> int:
        """Return N."""
        return len(self.codes_NM)

    @property
    def num_measurements(self) -> int:
        """Return M."""
        return len(self.collisions_M)

    @property
    def needed_surprise(self) -> float:
        """Return the surprise of which at most `MAX_EXPECTED` pairs of these people are expected."""
        return self._log_choices - math.log(MAX_EXPECTED)

    def expected_pairs(self, surprise: float) -> float:
        """Return how many pairs by chance have such a surprise or more, at most."""
        return math.exp(self._log_choices - surprise)

    @property
    def _log_choices(self) -> float:
        """Return the logarithm of the number of pairs and sets of measurements."""
        return math.log(max(math.comb(self.num_people, 2), 1)) + self.num_measurements * math.log(2)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of people whose agreement no chance explains."""

    one_P: Integers
    other_P: Integers
    """Always the larger position."""
    num_equal_P: Integers
    surprise_P: Floats

    def where(self, kept_P: NDArray[np.bool_]) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(self.one_P[kept_P], self.other_P[kept_P], self.num_equal_P[kept_P], self.surprise_P[kept_P])


def measure(values_NM: Floats) -> Measurements:
    """Return measurements, NaN where missing, ready to be compared, without those that follow from others."""
    codes_NM = np.full(values_NM.shape, _MISSING, np.int32)
    surprise_NM, scores_NM = np.zeros((2, *values_NM.shape), np.float32)
    collisions_M = np.ones(values_NM.shape[1])
    for m, values in enumerate(values_NM.T):
        known = ~np.isnan(values)
        _, places, counts = np.unique(values[known], return_inverse=True, return_counts=True)
        num = max(len(places), 1)
        num_others = counts - 2  # beside a pair who agrees
        codes_NM[known, m] = places
        surprise_NM[known, m] = np.where(num_others > COMMON_SHARE * num, 0.0, -np.log(counts / num))[places]
        scores_NM[known, m] = ndtri((np.cumsum(counts) - counts / 2) / num)[places]
        collisions_M[m] = ((counts / num) ** 2).sum()
    telling_M = surprise_NM.sum(axis=0) * (codes_NM != _MISSING).sum(axis=0)
    correlations_MM = _correlations(scores_NM, codes_NM != _MISSING)
    kept = _not_derived(correlations_MM, np.argsort(-telling_M, kind="stable").tolist())
    return Measurements(
        codes_NM=codes_NM[:, kept],
        surprise_NM=surprise_NM[:, kept],
        scores_NM=scores_NM[:, kept],
        collisions_M=collisions_M[kept],
        correlations_MM=correlations_MM[np.ix_(kept, kept)],
    )


def find_agreeing(measured: Measurements, person_N: Integers, *, least: int, share: float) -> Pairs:
    """Find the pairs of different people that agree in too many measurements for chance.

    Parameters
    ----------
    person_N
        Whose each sample is: those of one person are not compared.
    least, share
        Measurements, and part of those that both have, in which a pair has to agree at any size of the study.
    """
    found: list[Pairs] = []
    needed = measured.needed_surprise
    candidates = np.unique(np.concatenate([np.empty(0, np.int64), *_candidates(measured, person_N)]))
    for start in range(0, len(candidates), _PAIRS_AT_ONCE):
        one_P, other_P = np.divmod(candidates[start : start + _PAIRS_AT_ONCE], measured.num_people)
        codes_PM = measured.codes_NM[one_P]
        equal_PM = (codes_PM == measured.codes_NM[other_P]) & (codes_PM != _MISSING)
        both_PM = (codes_PM != _MISSING) & (measured.codes_NM[other_P] != _MISSING)
        num_equal_P, num_both_P = equal_PM.sum(axis=1), both_PM.sum(axis=1)
        surprise_PM = np.where(equal_PM, measured.surprise_NM[one_P], 0)
        surprise_P = surprise_PM.sum(axis=1, dtype=np.float64)
        kept = (num_equal_P >= least) & (num_equal_P >= share * num_both_P) & (surprise_P >= needed)
        surprise_P = surprise_P[kept] - _explained(
            measured.correlations_MM, measured.scores_NM[one_P[kept]], surprise_PM[kept] > 0
        )
        sure = surprise_P >= needed
        kept[kept] = sure
        found.append(Pairs(one_P[kept], other_P[kept], num_equal_P[kept].astype(np.int64), surprise_P[sure]))
    return _join(found)


def num_agreements_needed(measured: Measurements, *, least: int) -> int | None:
    """Return how many of the least telling measurements have to agree for a pair to be found; None: all are too few.

    The pair is one whose values are neither common nor extreme.
    """
    known_M = np.maximum((measured.codes_NM != _MISSING).sum(axis=0), 1)
    telling_M = measured.surprise_NM.sum(axis=0, dtype=np.float64) / known_M
    rising = np.argsort(telling_M, kind="stable")
    for number in range(least, len(rising) + 1):
        agreeing = rising[:number]
        explained = -np.linalg.slogdet(measured.correlations_MM[np.ix_(agreeing, agreeing)])[1] / 2
        if telling_M[agreeing].sum() - explained >= measured.needed_surprise:
            return number
    return None


def _candidates(measured: Measurements, person_N: Integers) -> Iterator[Integers]:
    """Yield pairs that agree in all measurements of a window, each as one * N + other."""
    for window in _windows(measured.collisions_M, measured.num_people):
        codes_NW = measured.codes_NM[:, window]
        complete = np.flatnonzero((codes_NW != _MISSING).all(axis=1))
        key = np.zeros(len(complete), np.int64)
        for code in codes_NW[complete].T:
            key = np.unique(key * (int(code.max(initial=0)) + 1) + code, return_inverse=True)[1].astype(np.int64)
        order = np.argsort(key, kind="stable")
        members, blocks = complete[order], key[order]
        sizes = np.bincount(blocks)[blocks] if len(blocks) else blocks
        for apart in range(1, _LARGEST_BLOCK):
            same = blocks[apart:] == blocks[:-apart]
            if apart > _NEXT_ONES:
                same &= sizes[apart:] <= _LARGEST_BLOCK
            one, other = members[:-apart][same], members[apart:][same]
            differ = person_N[one] != person_N[other]
            yield one[differ] * measured.num_people + other[differ]


def _windows(collisions_M: Floats, num_people: int) -> Iterator[list[int]]:
    """Yield the windows of measurements: as short as possible, but so that a person agrees with less than one other."""
    num = len(collisions_M)
    for step in _STEPS:
        for first in range(num):
            window: list[int] = []
            chance = 1.0
            while len(window) < 2 or (chance * num_people > 1 and len(window) < num // step):
                window.append((first + step * len(window)) % num)
                chance *= collisions_M[window[-1]]
            yield window


def _explained(correlations_MM: Floats, scores_PM: Floats, among_PM: NDArray[np.bool_]) -> Floats:
    """Return what correlation takes from the surprise of each pair: at least 0.

    Parameters
    ----------
    scores_PM
        Normal scores of the values of one of each pair.
    among_PM
        In which of them the pair agrees.
    """
    explained = [np.empty(0)]
    for start in range(0, len(among_PM), _MATRICES_AT_ONCE):
        part_PM = among_PM[start : start + _MATRICES_AT_ONCE]
        both_PMM = part_PM[:, :, None] & part_PM[:, None, :]
        of_pair_PMM = np.where(both_PMM, correlations_MM, np.eye(len(correlations_MM)))
        scores_PM1 = np.where(part_PM, scores_PM[start : start + _MATRICES_AT_ONCE], 0.0)[:, :, None]
        beside_PM1 = np.linalg.solve(of_pair_PMM, scores_PM1) - scores_PM1
        density_P = np.linalg.slogdet(of_pair_PMM)[1] / 2 + (scores_PM1 * beside_PM1).sum(axis=(1, 2)) / 2
        explained.append(np.maximum(-density_P, 0.0))
    return np.concatenate(explained)


def _correlations(scores_NM: NDArray[np.float32], known_NM: NDArray[np.bool_]) -> Floats:
    """Return the correlations of normal scores, each over the people who have both measurements."""
    scores_NM, known_NF = scores_NM.astype(np.float64), known_NM.astype(np.float64)
    squares_MM = (scores_NM**2).T @ known_NF
    spread_MM = np.sqrt(squares_MM * squares_MM.T)
    correlations_MM = (scores_NM.T @ scores_NM) / np.where(spread_MM > 0, spread_MM, np.inf)
    np.fill_diagonal(correlations_MM, 1)
    return np.asarray(correlations_MM, dtype=np.float64)


def _not_derived(correlations_MM: Floats, order: Sequence[int]) -> list[int]:
    """Return the measurements, in an order, that have a variance of their own beside those before them."""
    kept: list[int] = []
    for candidate in order:
        shared = correlations_MM[kept, candidate]
        explained = shared @ np.linalg.solve(correlations_MM[np.ix_(kept, kept)], shared) if kept else 0.0
        if 1 - explained >= OWN_VARIANCE:
            kept.append(candidate)
    return kept


def _join(found: Sequence[Pairs]) -> Pairs:
    nobody = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    parts = [nobody, *found]
    return Pairs(
        np.concatenate([pairs.one_P for pairs in parts]),
        np.concatenate([pairs.other_P for pairs in parts]),
        np.concatenate([pairs.num_equal_P for pairs in parts]),
        np.concatenate([pairs.surprise_P for pairs in parts]),
    )

"""How likely it is by chance that two people agree in so many measurements, and which pairs do.

Terms
-----
agreement   two people have the same value of a measurement to the last digit.
share       of the people who have a measurement: those with one of its values.
surprise    of a pair: the sum over its agreements of -ln(share of the value), in nats; less what the correlation of
            these measurements explains.
collision   chance that two people agree in a measurement: the sum of squared shares.

People who agree are rare for one measurement, and there are many pairs: five billion of 100,000 people. So it is no
number of equal values that makes a copy, but a surprise that no pair of the whole study is expected to have. For
measurements that are independent, the chance of a surprise of s or more is at most

    exp(-t s) * product over measurements of (1 - collision + sum over values of share^(2 - t))        for any t > 0

(Chernoff's bound; the best t is taken). Measurements of one person are not independent: who weighs the same is more
likely to have the same waist. Under a normal copula the density of two people's difference at 0, and with it the chance
to agree, grows by 1 / sqrt(det R), with R the rank correlations of the measurements that agree. So the surprise of a
pair is lessened by -ln(det R) / 2.

Pairs are not compared one by one. Candidates agree in each of a few measurements, a window of neighbours in a circle of
all; a window is so long that by chance a person agrees with less than one other. With windows of two, every pair that
agrees in more than half of its measurements has one, if it lacks none.

Shapes: N people (samples), M measurements, P pairs.

Sources: Fellegi and Sunter, A theory for record linkage, JASA 64:1183, 1969; Chernoff, Annals of Mathematical
Statistics 23:493, 1952.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

MAX_EXPECTED = 0.01
"""Pairs by chance, in the whole study, that are as surprising as one which is told."""
_TILTS = np.arange(0.05, 1.51, 0.05)
"""The t that are tried."""
_STEPS = (1, 2)
"""Between the measurements of a window, so that a missing value does not hide a pair."""
_LARGEST_BLOCK = 10
"""People who agree in a window and are all paired; of more, each is paired with the next ones alone."""
_NEXT_ONES = 2
_LEAST_EIGENVALUE = 1e-8
"""Of a correlation matrix: one measurement that is made of others explains no more than 9 nats."""
_PAIRS_AT_ONCE = 65_536
_MISSING = -1


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measurements of all people, ready to be compared, the most telling first."""

    codes_NM: NDArray[np.int32]
    """Number of each value among those of its measurement; -1 where missing."""
    surprise_NM: NDArray[np.float32]
    """-ln(share) of each value."""
    log_moments_TM: Floats
    """For each t, the logarithm of each measurement's factor in the bound."""
    collisions_M: Floats
    correlations_MM: Floats

    @property
    def num_people(self) -> int:
        """Return N."""
        return len(self.codes_NM)

    @property
    def needed_surprise(self) -> float:
        """Return the surprise of which at most `MAX_EXPECTED` pairs of these people are expected."""
        told = math.log(MAX_EXPECTED) - math.log(max(math.comb(self.num_people, 2), 1))
        return float(((self.log_moments_TM.sum(axis=1) - told) / _TILTS).min())

    def expected_pairs(self, surprise: float) -> float:
        """Return how many pairs by chance have such a surprise or more, at most."""
        bounds = self.log_moments_TM.sum(axis=1) - _TILTS * surprise
        return math.exp(min(bounds.min(), 0.0) + math.log(max(math.comb(self.num_people, 2), 1)))


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
    """Return measurements, NaN where missing, ready to be compared."""
    codes, surprises, moments, collisions = [], [], [], []
    for values in values_NM.T:
        known = ~np.isnan(values)
        _, places, counts = np.unique(values[known], return_inverse=True, return_counts=True)
        shares = counts / max(len(places), 1)
        code, surprise = np.full(len(values), _MISSING, np.int32), np.zeros(len(values), np.float32)
        code[known], surprise[known] = places, -np.log(shares)[places]
        collision = float((shares**2).sum())
        codes.append(code)
        surprises.append(surprise)
        collisions.append(collision)
        moments.append([math.log1p(float((shares ** (2 - t)).sum()) - collision) for t in _TILTS])
    present_M = (~np.isnan(values_NM)).mean(axis=0)
    order = np.argsort(present_M**2 * np.log(np.maximum(collisions, 1e-300)), kind="stable")
    return Measurements(
        codes_NM=np.stack(codes, axis=1)[:, order],
        surprise_NM=np.stack(surprises, axis=1)[:, order],
        log_moments_TM=np.array(moments).T[:, order],
        collisions_M=np.array(collisions)[order],
        correlations_MM=_rank_correlations(values_NM[:, order]),
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
        surprise_P = np.where(equal_PM, measured.surprise_NM[one_P], 0).sum(axis=1, dtype=np.float64)
        kept = (num_equal_P >= least) & (num_equal_P >= share * num_both_P) & (surprise_P >= needed)
        surprise_P = surprise_P[kept] + _explained(measured.correlations_MM, equal_PM[kept])
        sure = surprise_P >= needed
        kept[kept] = sure
        found.append(Pairs(one_P[kept], other_P[kept], num_equal_P[kept].astype(np.int64), surprise_P[sure]))
    return _join(found)


def num_agreements_needed(measured: Measurements, *, least: int) -> int | None:
    """Return how many of the least telling measurements have to agree for a pair to be found; None: all are too few."""
    rising = np.sort(-np.log(np.maximum(measured.collisions_M, 1e-300)))
    for number in range(least, len(rising) + 1):
        agreeing_M = np.argsort(-measured.collisions_M, kind="stable")[:number]
        explained = np.linalg.slogdet(measured.correlations_MM[np.ix_(agreeing_M, agreeing_M)])[1] / 2
        if rising[:number].sum() + explained >= measured.needed_surprise:
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


def _explained(correlations_MM: Floats, equal_PM: NDArray[np.bool_]) -> Floats:
    """Return ln(det R) / 2 of the measurements in which each pair agrees: at most 0."""
    explained = [np.empty(0)]
    for start in range(0, len(equal_PM), 4096):
        part_PM = equal_PM[start : start + 4096]
        among_PMM = part_PM[:, :, None] & part_PM[:, None, :]
        of_pair_PMM = np.where(among_PMM, correlations_MM, np.eye(len(correlations_MM)))
        explained.append(np.linalg.slogdet(of_pair_PMM)[1] / 2)
    return np.minimum(np.concatenate(explained), 0.0)


def _rank_correlations(values_NM: Floats) -> Floats:
    """Return the correlations of a normal copula that has the ranks' correlations, pair by pair where both are known."""
    ranks = pl.from_numpy(values_NM, schema=[str(m) for m in range(values_NM.shape[1])]).fill_nan(None)
    ranks_NM = ranks.select(pl.all().rank("average")).to_numpy().astype(np.float64)
    known_NM = ~np.isnan(ranks_NM)
    num_M = np.maximum(known_NM.sum(axis=0), 1)
    centred_NM = np.nan_to_num(ranks_NM - np.nansum(ranks_NM, axis=0) / num_M)
    squares_MM = (centred_NM**2).T @ known_NM
    spread_MM = np.sqrt(squares_MM * squares_MM.T)
    spearman_MM = (centred_NM.T @ centred_NM) / np.where(spread_MM > 0, spread_MM, np.inf)
    correlations_MM = 2 * np.sin(np.pi / 6 * spearman_MM)
    np.fill_diagonal(correlations_MM, 1)
    values_M, vectors_MM = np.linalg.eigh(correlations_MM)
    positive_MM = (vectors_MM * np.maximum(values_M, _LEAST_EIGENVALUE)) @ vectors_MM.T
    scale_M = np.sqrt(np.diag(positive_MM))
    return np.asarray(positive_MM / np.outer(scale_M, scale_M), dtype=np.float64)


def _join(found: Sequence[Pairs]) -> Pairs:
    if not found:
        return Pairs(*(np.empty(0, np.int64) for _ in range(3)), np.empty(0))
    return Pairs(
        np.concatenate([pairs.one_P for pairs in found]),
        np.concatenate([pairs.other_P for pairs in found]),
        np.concatenate([pairs.num_equal_P for pairs in found]),
        np.concatenate([pairs.surprise_P for pairs in found]),
    )

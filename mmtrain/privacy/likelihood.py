"""The likelihood ratio attack: a person's signal against what models gave that were, and were not, trained on them.

Source: Carlini, Chien, Nasr, Song, Terzis, Tramèr 2022, Membership inference attacks from first principles, IEEE S&P,
arXiv 2112.03570: the online attack, with one variance for everybody, which they advise for few shadow models.

Terms
-----
signal    what an attacker looks at of a person and a model; see `mmtrain.privacy.candidates.signals`.
shadow    another model of the same settings, trained on other people of the same study.
in, out   a shadow that was trained on a person; one that has predicted them without.
pattern   which shadows are in, and which are out, for a person.

The shadows of the paper are many models of random halves. Here they are the folds of a study, and that alone would tell
members from others: a fold that is out for an other shares more people with the model that is attacked than one that is
out for a member, so it gives more similar predictions, whether or not anything is remembered. (Ridge regressions of 20
features on five folds of 6,000 people: AUC up to 0.7 so, and 0.50 with what follows.) So each member is matched with an
other, and both are held against the same shadows: those that are in for both, and those that are out for both. Who
finds no match is left out.

A mean of n shadows is itself off by a variance of σ²/n, which is added to σ².

Legend of shapes: N people, M shadows, P patterns.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtrain.metrics.metric import Classes, Values

MOST_PATTERNS = 500
"""Of members, and of others, that are matched: the most frequent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadows:
    """What shadow models gave, or as much of it as a person is held against."""

    signals_MN: Values
    is_in_MN: Classes
    is_out_MN: Classes


def likelihood_ratios(signal_N: Values, shadows: Shadows) -> Values | None:
    """Return the log-likelihood ratio of each person: the larger, the more like a model that was trained on them.

    NaN of those without a shadow on each side; None where no person has two shadows on a side, for then it is not known
    how much models differ.

    Parameters
    ----------
    signal_N
        Of the model that is attacked.
    """
    sides = (shadows.is_in_MN, shadows.is_out_MN)
    variance = _variance(shadows.signals_MN, sides)
    if variance is None:
        return None
    (mean_in_N, variance_in_N), (mean_out_N, variance_out_N) = (
        _expected(shadows.signals_MN, side_MN, variance) for side_MN in sides
    )
    ratio_N: Values = (
        (signal_N - mean_out_N) ** 2 / variance_out_N
        - (signal_N - mean_in_N) ** 2 / variance_in_N
        + np.log(variance_out_N / variance_in_N)
    ) / 2
    return ratio_N


def match_people(shadows: Shadows, is_member_N: Classes, rng: np.random.Generator) -> Shadows:
    """Return the shadows that each person is held against: as many members as others by each choice of shadows.

    Parameters
    ----------
    rng
        Draws who is matched where there are more members or more others.
    """
    kept_in_MN, kept_out_MN = np.zeros_like(shadows.is_in_MN), np.zeros_like(shadows.is_out_MN)
    members, others = (_by_pattern(shadows, side_N, rng) for side_N in (is_member_N, ~is_member_N))
    for member, other in _best_first(members, others):
        common_in_M, common_out_M = member.is_in_M & other.is_in_M, member.is_out_M & other.is_out_M
        number = min(len(member.people), len(other.people))
        for side in (member, other):
            chosen = [side.people.pop() for _ in range(number)]
            kept_in_MN[:, chosen], kept_out_MN[:, chosen] = common_in_M[:, None], common_out_M[:, None]
    return Shadows(signals_MN=shadows.signals_MN, is_in_MN=kept_in_MN, is_out_MN=kept_out_MN)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Alike:
    """People of one pattern who are not matched yet."""

    is_in_M: Classes
    is_out_M: Classes
    people: list[int]


def _by_pattern(shadows: Shadows, side_N: Classes, rng: np.random.Generator) -> list[_Alike]:
    """Return the people of one side by their pattern, the most frequent first, each in a drawn order."""
    people = rng.permutation(np.flatnonzero(side_N))
    patterns_NS = np.concatenate([shadows.is_in_MN, shadows.is_out_MN])[:, people].T
    found_PS, number_N, counts_P = np.unique(patterns_NS, axis=0, return_inverse=True, return_counts=True)
    num_shadows = len(shadows.is_in_MN)
    order_P = np.argsort(-counts_P, kind="stable")[:MOST_PATTERNS]
    return [
        _Alike(
            is_in_M=found_PS[pattern, :num_shadows],
            is_out_M=found_PS[pattern, num_shadows:],
            people=people[number_N.ravel() == pattern].tolist(),
        )
        for pattern in order_P
    ]


def _best_first(members: list[_Alike], others: list[_Alike]) -> Iterator[tuple[_Alike, _Alike]]:
    """Yield the pairs of patterns that have a shadow on each side in common, those with most of them first."""
    common_PP2 = _common(members, others)
    fewest_PP, all_PP = common_PP2.min(axis=2), common_PP2.sum(axis=2)
    for pair in np.lexsort((-all_PP.ravel(), -fewest_PP.ravel())):
        member, other = np.unravel_index(pair, fewest_PP.shape)
        if fewest_PP[member, other] < 1:
            return
        yield members[member], others[other]


def _common(members: list[_Alike], others: list[_Alike]) -> NDArray[np.int64]:
    """Return how many shadows each pair of patterns has in common on each side."""
    if not (members and others):
        return np.zeros((len(members), len(others), 2), np.int64)
    sides = [
        np.array([getattr(alike, side) for alike in members], np.int64)
        @ np.array([getattr(alike, side) for alike in others], np.int64).T
        for side in ("is_in_M", "is_out_M")
    ]
    return np.stack(sides, axis=2)


def _variance(signals_MN: Values, sides: tuple[Classes, Classes]) -> float | None:
    """Return the variance of a person's signal between shadows of one side; None where it cannot be known or is 0."""
    squares, freedom = 0.0, 0
    for side_MN in sides:
        counts_N = side_MN.sum(axis=0)
        has_two_N = counts_N > 1
        chosen_MN = side_MN[:, has_two_N]
        means_N = np.where(chosen_MN, signals_MN[:, has_two_N], 0.0).sum(axis=0) / counts_N[has_two_N]
        squares += float((np.where(chosen_MN, signals_MN[:, has_two_N] - means_N, 0.0) ** 2).sum())
        freedom += int((counts_N[has_two_N] - 1).sum())
    return squares / freedom if freedom and squares > 0 else None


def _expected(signals_MN: Values, side_MN: Classes, variance: float) -> tuple[Values, Values]:
    """Return mean and variance of each person's signal from another model of one side; NaN where there is none."""
    counts_N = np.where(side_MN.any(axis=0), side_MN.sum(axis=0), np.nan)
    means_N = np.where(side_MN, signals_MN, 0.0).sum(axis=0) / counts_N
    return means_N, variance * (1 + 1 / counts_N)

"""How well an attack tells members from others, with intervals over participants.

Terms
-----
score        of a person: the larger, the more likely they are said to be a member.
advantage    share of members minus share of others who are said to be members, at a threshold that was fixed before.
             Source: Yeom, Giacomelli, Fredrikson, Jha 2018, Privacy risk in machine learning, CSF, definition 4.
true and false positive rate    share of members, and of others, who are said to be members.

Legend of shapes: N people, D draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from mmbase.disclosure import SMALLEST_COUNT, rounded
from mmbase.json_text import EXACT, Finite
from mmtrain.metrics.bootstrap import Interval, bootstrap
from mmtrain.metrics.classification import OF_PROBABILITIES, true_classes
from mmtrain.metrics.metric import Classes, Fixed, Metric, Scored, Values, Weights, measure

FALSE_POSITIVE_RATES = (0.01, 0.001)
_ROUNDING = 1e-9
"""So that 1 % of 1,000 is 10 people, whatever the last binary digit says."""
_STEP = 1.25
"""Ratio of a false positive rate of the curve to the one before."""
_AUC = next(metric for metric in OF_PROBABILITIES if metric.name == "auc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number with both ends of its 95 % interval, as it may be told."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    value: Finite
    low: Finite | None = None
    high: Finite | None = None
    is_upper_bound: bool = False
    """The number itself would tell of fewer than ten people; it is not larger than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackFigures:
    """How well an attack tells members from others."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    auc: Figure
    advantage: Figure
    true_positive_rates: dict[str, Figure | None]
    """False positive rate, e.g. ``"0.01"``, to the share of members found; None where too few others are known."""
    curve: list[tuple[Finite, Finite]] = field(default_factory=list)
    """False and true positive rates of some thresholds, between which are ten people of each side at least, or none."""


def people_needed(false_positive_rate: float) -> int:
    """Return how many others a rate needs, so that ten of them are false positives.

    >>> people_needed(0.01), people_needed(0.001)
    (1000, 10000)
    """
    return round(SMALLEST_COUNT / false_positive_rate)


def measure_attack(score_N: Values, is_member_N: Classes, threshold: float, seed: int) -> AttackFigures | None:
    """Return what an attack comes to; None with fewer than ten members or others.

    Parameters
    ----------
    score_N
        One of each person.
    threshold
        Score from which on a person is said to be a member.
    seed
        Of the bootstrap.
    """
    num_members, num_others = int(is_member_N.sum()), int((~is_member_N).sum())
    if min(num_members, num_others) < SMALLEST_COUNT:
        return None
    known = [rate for rate in FALSE_POSITIVE_RATES if num_others >= people_needed(rate)]
    metrics = [_AUC, _ADVANTAGE, *map(_true_positive_metric, known)]
    scored = Scored(is_member_N.astype(np.float64), score_N, Fixed(threshold=threshold))
    values, ends = measure(metrics, scored), bootstrap(metrics, scored, np.arange(len(score_N)), seed)
    rates: dict[str, Figure | None] = dict.fromkeys(map(_name, FALSE_POSITIVE_RATES))
    return AttackFigures(
        auc=_figure("auc", values, ends),
        advantage=_figure("advantage", values, ends),
        true_positive_rates=rates
        | {_name(rate): _told_rate(_figure(_name(rate), values, ends), num_members) for rate in known},
        curve=_told_curve(score_N, is_member_N),
    )


def _figure(name: str, values: Mapping[str, float], ends: Mapping[str, Interval]) -> Figure:
    low, high = ends[name] or (None, None)
    return Figure(
        value=rounded(values[name]),
        low=None if low is None else rounded(low),
        high=None if high is None else rounded(high),
    )


def _told_rate(figure: Figure, num_members: int) -> Figure:
    """Return a share of members as it may be told: not one that is of fewer than ten of them."""
    smallest = rounded(SMALLEST_COUNT / num_members)
    if figure.value >= smallest:
        return figure
    return Figure(value=smallest, low=None, high=None, is_upper_bound=True)


def _told_curve(score_N: Values, is_member_N: Classes) -> list[tuple[float, float]]:
    """Return the curve where it may be told, with steps that grow with the rates."""
    from sklearn.metrics import roc_curve

    false_T, true_T, _ = roc_curve(is_member_N, score_N)
    num_false, num_true = int((~is_member_N).sum()), int(is_member_N.sum())
    points = np.stack([np.rint(false_T * num_false), np.rint(true_T * num_true)], axis=1).astype(int).tolist()
    whole = [num_false, num_true]
    kept = [[0, 0]]
    for point in points:
        may_be_told = _is_told_step(kept[-1], point) and _is_told_step(point, whole)
        if may_be_told and point[0] >= _STEP * kept[-1][0]:
            kept.append(point)
    return [(rounded(false / num_false), rounded(true / num_true)) for false, true in [*kept[1:], whole]]


def _is_told_step(before: Sequence[int], after: Sequence[int]) -> bool:
    """Return whether neither side has 1 to 9 people between two points, and one side has some."""
    steps = [late - early for early, late in zip(before, after, strict=True)]
    return any(steps) and all(step == 0 or step >= SMALLEST_COUNT for step in steps)


def _name(rate: float) -> str:
    return f"{rate:g}"


def _advantage_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    assert scored.fixed.threshold is not None
    found_N = scored.prediction >= scored.fixed.threshold
    sides = [weights_DN * side_N for side_N in (true_classes(scored), ~true_classes(scored))]
    true_D, false_D = (side_DN @ found_N / side_DN.sum(axis=1) for side_DN in sides)
    return np.asarray(true_D - false_D)


def _true_positive_metric(rate: float) -> Metric:
    def of_draws(scored: Scored, weights_DN: Weights) -> Values:
        return _true_positives_of_draws(scored, weights_DN, rate)

    return Metric(
        name=_name(rate),
        label=f"true positive rate at {rate:.1%} false positives",
        of=lambda scored: float(of_draws(scored, np.ones((1, len(scored.truth))))[0]),
        of_draws=of_draws,
        compares=true_classes,
    )


def _true_positives_of_draws(scored: Scored, weights_DN: Weights, rate: float) -> Values:
    """Return the largest true positive rate of each draw whose false positive rate is not above a rate."""
    order = np.argsort(-scored.prediction)
    starts = np.flatnonzero(np.diff(scored.prediction[order], prepend=np.inf))  # equal scores are found together
    members_N = true_classes(scored)[order]
    sides = (np.add.reduceat(weights_DN[:, order] * side_N, starts, axis=1) for side_N in (members_N, ~members_N))
    true_DT, false_DT = (np.cumsum(side_DT, axis=1) for side_DT in sides)
    allowed_D = np.floor(rate * false_DT[:, -1] + _ROUNDING)
    last_D = (false_DT <= allowed_D[:, None]).sum(axis=1) - 1
    found_D = np.where(last_D >= 0, true_DT[np.arange(len(true_DT)), last_D], 0.0)
    return np.asarray(found_D / true_DT[:, -1])


_ADVANTAGE = Metric(
    name="advantage",
    label="advantage",
    of=lambda scored: float(_advantage_of_draws(scored, np.ones((1, len(scored.truth))))[0]),
    of_draws=_advantage_of_draws,
    compares=true_classes,
)

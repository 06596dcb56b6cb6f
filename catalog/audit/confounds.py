"""Targets that come along with how or where somebody was scanned."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from catalog.audit.findings import Finding, percent, rounded
from catalog.audit.scope import CENTRE, HEAD_MOTION, Scope
from catalog.audit.significance import BEYOND_CHANCE, chi_squared_z, correlation_z

LARGE_OMEGA_SQUARED = 0.06
"""Share of a target's variance between centres: Cohen's bound of a medium effect (1988, f = 0.25)."""
LARGE_CRAMERS_V = 0.2
"""The same for two classes; with two centres it is the correlation of centre and class."""
MOTION_CORRELATION = 0.3
"""Cohen's medium correlation: motion alone then explains a tenth of the target's variance."""
_MIN_SAMPLES, _MIN_OF_CENTRE = 100, 10


@dataclass(frozen=True, slots=True)
class _Group:
    """The samples of one centre that have a value of a target."""

    centre: float
    n: int
    mean: float
    variance: float


def find_confounded_centre(scope: Scope) -> Iterator[Finding]:
    """Find targets that differ between assessment centres."""
    groups: dict[str, list[_Group]] = {}
    names = [name for name in scope.targets if name != CENTRE]
    for name, *group in scope.fetch(_CENTRES_SQL, names=names, judge=CENTRE, least=_MIN_OF_CENTRE):
        groups.setdefault(name, []).append(_Group(*group))
    for name, of_centre in groups.items():
        n = sum(group.n for group in of_centre)
        mean = sum(group.n * group.mean for group in of_centre) / n
        between = sum(group.n * (group.mean - mean) ** 2 for group in of_centre)
        within = sum(group.n * group.variance for group in of_centre)
        if len(of_centre) < 2 or n < _MIN_SAMPLES or within + between == 0:
            continue
        degrees = len(of_centre) - 1
        is_binary = scope.dictionary[name].kind == "binary"
        if is_binary:
            statistic = between / (mean * (1 - mean)) if 0 < mean < 1 else 0.0
            measure, strength, bound = "cramers_v", math.sqrt(statistic / n), LARGE_CRAMERS_V
        else:
            mean_square = within / (n - len(of_centre))
            statistic = between / mean_square if mean_square else math.inf
            strength = (between - degrees * mean_square) / (between + within + mean_square)
            measure, bound = "omega_squared", LARGE_OMEGA_SQUARED
        if strength >= bound and chi_squared_z(statistic, degrees) > BEYOND_CHANCE:
            yield _confounded(name, measure, strength, of_centre, is_binary=is_binary)


def find_motion(scope: Scope) -> Iterator[Finding]:
    """Tell of targets that correlate with how much people moved in the scanner."""
    names = [name for name in scope.targets if name not in HEAD_MOTION]
    for name, motion, n, r in scope.fetch(_MOTION_SQL, names=names, judges=list(HEAD_MOTION)):
        if n >= _MIN_SAMPLES and abs(r) >= MOTION_CORRELATION and abs(correlation_z(r, n)) > BEYOND_CHANCE:
            yield Finding(
                code="target-follows-motion",
                severity="note",
                subject=name,
                message=f"{name} correlates with {motion} ({r:.2f} over {n} samples): a model may read motion off the "
                "images instead of anatomy.",
                remedy=f"Compare with how well {motion} alone predicts it, and look at the predictions of those who "
                "moved little.",
                num_samples=n,
                numbers=rounded({"n": n, "r": r, "motion": motion}),
            )


def _confounded(name: str, measure: str, strength: float, groups: list[_Group], *, is_binary: bool) -> Finding:
    n = sum(group.n for group in groups)
    lowest, highest = min(groups, key=lambda group: group.mean), max(groups, key=lambda group: group.mean)
    low, high = (percent(group.mean) if is_binary else f"{group.mean:.4g} on average" for group in (lowest, highest))
    explained = f"Cramér's V {strength:.2f}" if is_binary else f"{percent(strength)} of its variance"
    return Finding(
        code="centre-confounded",
        severity="warning",
        subject=name,
        message=f"{name} differs between centres ({explained}): {low} at {lowest.centre:g}, {high} at "
        f"{highest.centre:g}. A model may read the scanner off the images instead.",
        remedy="Test across centres (--leave-out-centre CODE), or choose samples so that centres match.",
        num_samples=n,
        numbers=rounded(
            {"n": n, "centres": len(groups), measure: strength, "lowest": lowest.mean, "highest": highest.mean}
        ),
    )


_CENTRES_SQL = """
    SELECT target.name, centre.value, count(*) AS num, avg(target.value), var_pop(target.value)
    FROM audit_value target JOIN audit_value centre USING (row)
    WHERE list_contains($names, target.name) AND centre.name = $judge
    GROUP BY ALL HAVING num >= $least
"""
_MOTION_SQL = """
    SELECT target.name, motion.name, count(*), corr(target.value, motion.value)
    FROM audit_drawn target JOIN audit_drawn motion USING (row)
    WHERE list_contains($names, target.name) AND list_contains($judges, motion.name)
    GROUP BY ALL HAVING stddev_pop(target.value) > 0 AND stddev_pop(motion.value) > 0
"""

"""Inputs that give the target away: another name for it, made from it, or asked only of those who have it."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, Number, percent, rounded
from catalog.audit.scope import Scope

GIVEAWAY_CORRELATION = 0.95
"""One is the other in another unit, or made from it: no two of the 25 targets come near."""
GIVEAWAY_AUC = 0.98
"""One column alone separates the classes. Sex from height, some 2 standard deviations apart, has 0.92."""
GIVEAWAY_MISSINGNESS = 0.96
"""Difference between the classes' missing shares that alone has `GIVEAWAY_AUC`: an AUC is (1 + difference) / 2."""
_MIN_PAIRS, _MIN_CLASS = 50, 20
_REMEDY = "Leave it out of the inputs (its block, or its definition in study.toml), or choose another target."


def find_giveaways(scope: Scope) -> Iterator[Finding]:
    """Find columns among the possible inputs to a target that alone predict it."""
    yield from _correlated(scope, scope.of_kind(scope.targets, "continuous"))
    yield from _separating(scope, scope.of_kind(scope.targets, "binary"))


def _correlated(scope: Scope, targets: list[str]) -> Iterator[Finding]:
    for target, name, n, r in scope.fetch(_CORRELATION_SQL, targets=targets, inputs=scope.inputs):
        if n >= _MIN_PAIRS and abs(r) >= GIVEAWAY_CORRELATION:
            yield _giveaway(scope, target, name, f"its correlation with {target} is {r:.3f}", {"n": n, "r": r})


def _separating(scope: Scope, targets: list[str]) -> Iterator[Finding]:
    for target, name, counts, auc, r in scope.fetch(
        _SEPARATION_SQL, targets=targets, inputs=scope.inputs, auc=GIVEAWAY_AUC, r=GIVEAWAY_CORRELATION
    ):
        if min(counts) >= _MIN_CLASS and (max(auc, 1 - auc) >= GIVEAWAY_AUC or abs(r or 0.0) >= GIVEAWAY_CORRELATION):
            told = f"alone it separates the classes of {target} with an AUC of {max(auc, 1 - auc):.3f}"
            yield _giveaway(scope, target, name, told, {"n": sum(counts), "auc": max(auc, 1 - auc), "r": r or 0.0})
    for target, name, totals, counts in scope.fetch(_MISSINGNESS_SQL, targets=targets, inputs=scope.inputs):
        if min(totals) < _MIN_CLASS:
            continue
        missing = [1 - count / total for count, total in zip(counts, totals, strict=True)]
        if abs(missing[1] - missing[0]) >= GIVEAWAY_MISSINGNESS:
            told = f"{percent(missing[0])} of it are missing where {target} is 0, {percent(missing[1])} where it is 1"
            numbers = {"n": sum(totals), "missing_of_0": missing[0], "missing_of_1": missing[1]}
            yield _giveaway(scope, target, name, told, numbers, code="missingness-gives-target-away")


def _giveaway(
    scope: Scope, target: str, name: str, told: str, numbers: dict[str, Number], code: str = "gives-target-away"
) -> Finding:
    is_shown = name in scope.shown
    return Finding(
        code=code,
        severity="critical" if is_shown else "warning",
        subject=name,
        message=f"{name} gives {target} away: {told}" + (", and the model is shown it." if is_shown else "."),
        remedy=_REMEDY,
        num_samples=int(numbers["n"]),
        numbers={"target": target, **rounded(numbers)},
    )


_CORRELATION_SQL = """
    SELECT target.name, input.name, count(*), corr(input.value, target.value)
    FROM audit_drawn input JOIN audit_drawn target USING (row)
    WHERE list_contains($targets, target.name) AND list_contains($inputs, input.name) AND input.name <> target.name
    GROUP BY ALL HAVING stddev_pop(input.value) > 0 AND stddev_pop(target.value) > 0
    ORDER BY ALL
"""
# Ranks among all values of a feature tell at little cost which pairs can have so high an AUC: with n values of samples
# that have the target and m of those that have not, it needs mean ranks of the classes that differ by
# (AUC - 0.5) n - (1 - AUC) m, since those m add to what concordant pairs differ by, and take it from discordant ones.
_SEPARATION_SQL = """
    WITH pair AS (
        SELECT
            target.name AS target, input.name AS name, target.value AS label,
            input.value AS value, input.place AS place, input.num AS num
        FROM audit_drawn input JOIN audit_drawn target USING (row)
        WHERE list_contains($targets, target.name) AND target.value IN (0, 1)
            AND list_contains($inputs, input.name) AND input.name <> target.name
    ),
    likely AS (
        SELECT target, name, CASE WHEN stddev_pop(value) > 0 AND stddev_pop(label) > 0 THEN corr(value, label) END AS r
        FROM pair GROUP BY ALL
        HAVING abs(r) >= $r
            OR abs(avg(place) FILTER (label = 1) - avg(place) FILTER (label = 0))
                >= ($auc - 0.5) * count(*) - (1 - $auc) * (max(num) - count(*))
    ),
    passed AS (
        SELECT
            target, name, label, r,
            sum(1 - label) OVER upwards AS zeros_passed, sum(label) OVER upwards AS ones_passed
        FROM pair JOIN likely USING (target, name)
        WINDOW upwards AS (PARTITION BY target, name ORDER BY value)  -- ties are passed together
    ),
    counted AS (
        SELECT
            target, name, r, sum(1 - label) AS zeros, sum(label) AS ones,
            sum(zeros_passed) FILTER (label = 1) AS not_above, sum(ones_passed) FILTER (label = 0) AS not_below
        FROM passed GROUP BY ALL
    )
    SELECT
        target, name, [zeros::BIGINT, ones::BIGINT],
        0.5 + (not_above - not_below) / nullif(2 * zeros * ones, 0) AS auc, r
    FROM counted ORDER BY ALL
"""
_MISSINGNESS_SQL = """
    WITH label AS (
        SELECT name AS target, row, value AS label FROM audit_drawn
        WHERE list_contains($targets, name) AND value IN (0, 1)
    ),
    total AS (
        SELECT target, [count(*) FILTER (label = 0), count(*) FILTER (label = 1)] AS totals
        FROM label GROUP BY target
    ),
    present AS (
        SELECT target, name, [count(*) FILTER (label = 0), count(*) FILTER (label = 1)] AS counts
        FROM audit_drawn JOIN label USING (row) WHERE list_contains($inputs, name) GROUP BY ALL
    )
    SELECT target, name, totals, coalesce(counts, [0, 0])
    FROM total CROSS JOIN (SELECT unnest($inputs) AS name) LEFT JOIN present USING (target, name)
    WHERE name <> target ORDER BY ALL
"""

"""Inputs that give the target away: another name for it, made from it, or asked only of those who have it."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, Number, percent, rounded
from catalog.audit.scope import Scope

GIVEAWAY_CORRELATION = 0.95
"""Two measures of one thing; body fat and weight, which share most of their causes, correlate at 0.7."""
GIVEAWAY_AUC = 0.98
"""One column alone separates the classes; height, which tells sex best of all common measures, has 0.93."""
GIVEAWAY_MISSINGNESS = 0.96
"""Difference between the classes' missing shares that alone has `GIVEAWAY_AUC`: an AUC is (1 + difference) / 2."""
_MIN_PAIRS, _MIN_CLASS = 50, 20
_REMEDY = "Leave it out of the inputs (its block, or its definition in study.toml), or choose another target."


def find_giveaways(scope: Scope) -> Iterator[Finding]:
    """Find columns among a target's possible inputs that alone predict it."""
    for target in scope.targets:
        inputs = scope.inputs_to(target)
        if scope.dictionary[target].kind == "binary":
            yield from _separating(scope, target, inputs)
        else:
            yield from _correlated(scope, target, inputs)


def _correlated(scope: Scope, target: str, inputs: list[str]) -> Iterator[Finding]:
    for name, n, r in scope.fetch(_CORRELATION_SQL, target=target, inputs=inputs):
        if n >= _MIN_PAIRS and r is not None and abs(r) >= GIVEAWAY_CORRELATION:
            yield _giveaway(scope, target, name, f"its correlation with {target} is {r:.3f}", {"n": n, "r": r})


def _separating(scope: Scope, target: str, inputs: list[str]) -> Iterator[Finding]:
    rows = scope.fetch(_SEPARATION_SQL, target=target, inputs=inputs)
    for name, totals, counts, auc, r in rows:
        if min(totals) < _MIN_CLASS:
            continue
        if min(counts) >= _MIN_CLASS and (max(auc, 1 - auc) >= GIVEAWAY_AUC or abs(r or 0.0) >= GIVEAWAY_CORRELATION):
            told = f"alone it separates the classes of {target} with an AUC of {max(auc, 1 - auc):.3f}"
            yield _giveaway(scope, target, name, told, {"n": sum(counts), "auc": max(auc, 1 - auc), "r": r or 0.0})
        missing = [1 - count / total for count, total in zip(counts, totals, strict=True)]
        if abs(missing[1] - missing[0]) >= GIVEAWAY_MISSINGNESS:
            told = (
                f"it is missing in {percent(missing[0])} where {target} is 0 and in {percent(missing[1])} where it is 1"
            )
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
    SELECT input.name, count(*), corr(input.value, target.value)
    FROM audit_drawn input JOIN audit_drawn target USING (row)
    WHERE target.name = $target AND list_contains($inputs, input.name)
    GROUP BY input.name HAVING stddev_pop(input.value) > 0 AND stddev_pop(target.value) > 0
"""
_SEPARATION_SQL = """
    WITH label AS (SELECT row, value AS label FROM audit_drawn WHERE name = $target AND value IN (0, 1)),
    total AS (SELECT [count(*) FILTER (label = 0), count(*) FILTER (label = 1)] AS totals FROM label),
    pair AS (SELECT name, value, label FROM audit_drawn JOIN label USING (row) WHERE list_contains($inputs, name)),
    passed AS (
        SELECT
            name, label, sum(1 - label) OVER upwards AS zeros_passed, sum(label) OVER upwards AS ones_passed
        FROM pair WINDOW upwards AS (PARTITION BY name ORDER BY value)  -- ties are passed together
    ),
    counted AS (
        SELECT
            name, sum(1 - label) AS zeros, sum(label) AS ones,
            sum(zeros_passed) FILTER (label = 1) AS not_above, sum(ones_passed) FILTER (label = 0) AS not_below
        FROM passed GROUP BY name
    ),
    separated AS (
        SELECT
            name, [zeros::BIGINT, ones::BIGINT] AS counts,
            0.5 + (not_above - not_below) / nullif(2 * zeros * ones, 0) AS auc
        FROM counted
    ),
    correlated AS (
        SELECT name, CASE WHEN stddev_pop(value) > 0 AND stddev_pop(label) > 0 THEN corr(value, label) END AS r
        FROM pair GROUP BY name
    )
    SELECT asked.name, totals, coalesce(counts, [0, 0]), auc, r
    FROM (SELECT unnest($inputs) AS name) asked CROSS JOIN total
    LEFT JOIN separated USING (name) LEFT JOIN correlated USING (name)
"""

"""Inputs that give the target away: another name for it, made from it, or asked only of those who have it."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, Number, percent, rounded
from catalog.audit.pairs import Drawn, correlations, fetch_drawn, presence, separations
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
    drawn = fetch_drawn(scope, [*scope.targets, *scope.inputs])
    inputs = drawn.of(scope.inputs)
    yield from _correlated(scope, drawn.of(scope.of_kind(scope.targets, "continuous")), inputs)
    yield from _separating(scope, drawn.of(scope.of_kind(scope.targets, "binary")), inputs)


def _correlated(scope: Scope, targets: Drawn, inputs: Drawn) -> Iterator[Finding]:
    for target, name, n, r in correlations(targets, inputs, least=GIVEAWAY_CORRELATION):
        if n >= _MIN_PAIRS:
            yield _giveaway(scope, target, name, f"its correlation with {target} is {r:.3f}", {"n": n, "r": r})


def _separating(scope: Scope, targets: Drawn, inputs: Drawn) -> Iterator[Finding]:
    for target, name, counts, auc, r in separations(targets, inputs, auc=GIVEAWAY_AUC, r=GIVEAWAY_CORRELATION):
        if min(counts) >= _MIN_CLASS and (max(auc, 1 - auc) >= GIVEAWAY_AUC or abs(r or 0.0) >= GIVEAWAY_CORRELATION):
            told = f"alone it separates the classes of {target} with an AUC of {max(auc, 1 - auc):.3f}"
            yield _giveaway(scope, target, name, told, {"n": sum(counts), "auc": max(auc, 1 - auc), "r": r or 0.0})
    for target, name, totals, counts in presence(targets, inputs):
        if min(totals) < _MIN_CLASS:
            continue
        missing = [1 - count / total for count, total in zip(counts, totals, strict=True)]
        if abs(missing[1] - missing[0]) >= GIVEAWAY_MISSINGNESS:
            told = f"{percent(missing[0])} of it are missing where {target} is 0, {percent(missing[1])} where it is 1"
            numbers: dict[str, Number] = {"n": sum(totals), "missing_of_0": missing[0], "missing_of_1": missing[1]}
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

"""Columns that teach nothing or cannot be true: constant (in training at least), mostly missing, impossible."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, percent, rounded
from catalog.audit.scope import Scope

MIN_VALUES = 20
"""With fewer values all may be the same by chance, even of a measured number."""
MIN_ANSWERS = 200
"""The same for yes-or-no answers: of 200 people somebody has what 1 in 40 have (0.6 % that nobody has)."""
ALMOST_CONSTANT = 0.995
"""Share of one value beyond which fewer than 1 in 200 samples tell anything."""
HALF_MISSING, MOSTLY_MISSING = 0.5, 0.9
"""Above the one, more of a column is imputed than measured; above the other, it stands for a small selection."""
IMPOSSIBLE_SHARE = 0.001
"""From here on impossible values of a target are no single slips: a unit or a missing code is wrong."""


def find_constant(scope: Scope) -> Iterator[Finding]:
    """Find columns with the same value for everyone, or nearly."""
    for name, n, commonest, num_commonest, num_distinct in scope.fetch(_COMMONEST_SQL):
        is_binary = scope.dictionary[name].kind == "binary"
        if n < (MIN_ANSWERS if is_binary else MIN_VALUES):
            continue
        share = num_commonest / n
        numbers = rounded({"n": n, "value": commonest, "share": share, "distinct_values": num_distinct})
        if num_distinct == 1:
            yield Finding(
                code="constant-column",
                severity="critical" if name == scope.target else "warning",
                subject=name,
                message=f"All {n} values of {name} are {commonest:g}.",
                remedy="Look at its field and codes in the dictionary (mm targets), and at the table's column.",
                num_samples=n,
                numbers=numbers,
            )
        elif share >= ALMOST_CONSTANT and n >= MIN_ANSWERS and not (is_binary and name in scope.targets):
            yield Finding(
                code="almost-constant-column",
                severity="warning",
                subject=name,
                message=f"{percent(share)} of the {n} values of {name} are {commonest:g}.",
                remedy="Expect nothing of it as an input; as a target it has too few samples that differ.",
                num_samples=num_commonest,
                numbers=numbers,
            )


def find_constant_in_training(scope: Scope) -> Iterator[Finding]:
    """Find columns with one value, or none, in the training split, of which others have more."""
    num_train = scope.splits["train"]
    if num_train < MIN_VALUES:
        return
    for name, n, value, num_other in scope.fetch(_CONSTANT_IN_TRAINING_SQL, names=list(scope.audited)):
        told = (
            f"All {n} training samples with a value of {name} have {value:g}" if n else f"No training sample has {name}"
        )
        is_target = name == scope.target
        yield Finding(
            code="constant-in-training",
            severity="critical" if is_target else "warning" if name in scope.shown else "note",
            subject=name,
            message=f"{told}, and {num_other} validation or test samples have another.",
            remedy="Choose another split, or another target."
            if is_target
            else "Nothing has to be done: a model cannot learn from it, so mm train gives it the same value for all.",
            num_samples=num_other,
            numbers=rounded({"n": n, "train": num_train, "other": num_other} | ({"value": value} if n else {})),
        )


def find_missing(scope: Scope) -> Iterator[Finding]:
    """Find columns that most samples have no value of, and those that no table has."""
    counts = dict(scope.fetch("SELECT name, sum(num)::BIGINT FROM audit_count GROUP BY name"))
    empty = [name for name in scope.audited if name not in counts]
    if empty and scope.num_samples:
        yield _empty_columns(scope, empty)
    if scope.num_samples < MIN_VALUES:
        return
    for name, n in counts.items():
        share = 1 - n / scope.num_samples
        if share > HALF_MISSING:
            yield Finding(
                code="missing-values",
                severity="warning" if share > MOSTLY_MISSING else "note",
                subject=name,
                message=f"{percent(share)} of the {scope.num_samples} samples have no value of {name}.",
                remedy="Look whether a table lacks participants; otherwise those who have a value are a selection.",
                num_samples=scope.num_samples - n,
                numbers=rounded({"n": n, "missing_share": share}),
            )


def find_impossible(scope: Scope) -> Iterator[Finding]:
    """Find values outside what a living person can have, and answers other than 0 and 1."""
    ranges = {name: bounds for name in scope.audited if (bounds := scope.dictionary[name].plausible)}
    answers = dict.fromkeys(scope.of_kind(scope.audited, "binary"), (0.0, 1.0))
    allowed = {**ranges, **answers}
    for name, n, num_wrong, smallest, largest in scope.fetch(
        _IMPOSSIBLE_SQL,
        names=list(allowed),
        lows=[float(low) for low, _ in allowed.values()],
        highs=[float(high) for _, high in allowed.values()],
        answers=list(answers),
    ):
        low, high = allowed[name]
        is_binary, share = name in answers, num_wrong / n
        expected = "0 or 1" if is_binary else f"{low:g} to {high:g} {scope.dictionary[name].unit}"
        yield Finding(
            code="not-binary" if is_binary else "impossible-values",
            severity="critical" if name == scope.target and (is_binary or share >= IMPOSSIBLE_SHARE) else "warning",
            subject=name,
            message=f"{num_wrong} of the {n} values of {name} cannot be: expected {expected}, these lie within "
            f"{smallest:g} to {largest:g}.",
            remedy="Look for another unit or a code of missing values: name the code under missing or recode of "
            f"[features.{name}] in study.toml, or mend the table; then run mm ingest again.",
            num_samples=num_wrong,
            numbers=rounded({"n": n, "share": share, "smallest": smallest, "largest": largest}),
        )


def _empty_columns(scope: Scope, names: list[str]) -> Finding:
    is_asked_for = scope.target is not None
    return Finding(
        code="no-values",
        severity="warning" if is_asked_for else "note",
        subject=", ".join(names),
        message=f"No sample has a value of {', '.join(names)}.",
        remedy="Name the table that has them with mm ingest --table FILE, or do without.",
        num_samples=scope.num_samples,
        numbers={"features": len(names)},
    )


_COMMONEST_SQL = """
    SELECT name, sum(num)::BIGINT, arg_max(value, num), max(num)::BIGINT, count(*)
    FROM audit_count GROUP BY name
"""
_CONSTANT_IN_TRAINING_SQL = """
    WITH valued AS (
        SELECT name, split, value FROM audit_value JOIN audit_sample USING (row) WHERE list_contains($names, name)
    ),
    trained AS (
        SELECT name, count(*) AS num, min(value) AS lowest, max(value) AS highest
        FROM valued WHERE split = 'train' GROUP BY name
    )
    SELECT name, coalesce(num, 0), lowest, count(*)
    FROM valued LEFT JOIN trained USING (name)
    WHERE split <> 'train' AND coalesce(lowest = highest, true) AND value IS DISTINCT FROM lowest
    GROUP BY ALL ORDER BY name
"""
_IMPOSSIBLE_SQL = """
    SELECT
        name, sum(num)::BIGINT AS n, sum(num) FILTER (is_wrong)::BIGINT AS num_wrong,
        min(value) FILTER (is_wrong), max(value) FILTER (is_wrong)
    FROM (
        SELECT
            name, value, num,
            CASE WHEN list_contains($answers, name) THEN value NOT IN (0, 1) ELSE value NOT BETWEEN low AND high END
                AS is_wrong
        FROM audit_count JOIN (SELECT unnest($names) AS name, unnest($lows) AS low, unnest($highs) AS high)
        USING (name)
    )
    GROUP BY name HAVING num_wrong > 0
"""

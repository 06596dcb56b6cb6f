"""Splits that leak, or whose parts are not of one kind."""

from collections.abc import Iterator
from dataclasses import dataclass

from catalog.audit.findings import Finding, percent, rounded
from catalog.audit.scope import Scope
from catalog.audit.significance import BEYOND_CHANCE, mean_difference_z, share_difference_z

LARGE_SHIFT = 0.25
"""Difference of means, in standard deviations of both groups together, above which they are not balanced (Stuart 2010,
Statistical Science 25:1)."""
LARGE_MISSING_DIFFERENCE = 0.10
"""Between the shares of two splits that have no value."""
MIN_HELD_OUT = 30
"""Validation or test samples below which a correlation has a confidence interval wider than 0.6."""
MIN_COMPARED = 30
"""Samples of a split below which means of skewed columns are too uneven for a z of 4 to be rare."""


@dataclass(frozen=True, slots=True)
class _Column:
    """One feature in one split."""

    n: int
    mean: float
    variance: float


def find_divided_participants(scope: Scope) -> Iterator[Finding]:
    """Find participants with samples in more than one split."""
    [(num_participants, num_samples)] = scope.fetch(_DIVIDED_SQL)
    if num_participants:
        yield Finding(
            code="participant-in-two-splits",
            severity="critical",
            subject="splits",
            message=f"{num_participants} participants have samples in more than one split ({num_samples} samples): the "
            "model is tested on people it was trained on.",
            remedy="mm never divides a participant, so the catalogue was changed: move it away and run mm ingest. It "
            "is made again from the receipts.",
            num_samples=num_samples,
            numbers={"participants": num_participants, "samples": num_samples},
        )


def find_divided_relatives(scope: Scope) -> Iterator[Finding]:
    """Find relatives in different splits, and tell what cohorts lose by leaving them out of training."""
    [(num_pairs, num_training, num_validation)] = scope.fetch(_RELATIVES_SQL)
    if num_pairs:
        yield Finding(
            code="relatives-in-two-splits",
            severity="warning",
            subject="splits",
            message=f"{num_pairs} pairs of samples are of relatives in different splits: runs leave out {num_training} "
            f"training samples with a relative in validation or test, and {num_validation} validation samples with one "
            "in test.",
            remedy="Nothing has to be done. A new study that knows the kinship from its first ingest on "
            "(--kinship FILE) keeps families together and leaves nobody out.",
            num_samples=num_training + num_validation,
            numbers={
                "pairs": num_pairs,
                "training_left_out": num_training,
                "validation_left_out": num_validation,
            },
        )


def find_small_splits(scope: Scope) -> Iterator[Finding]:
    """Find validation and test splits too small to judge a model."""
    counts = scope.splits
    having = "samples"
    if scope.target is not None:
        found = dict(scope.fetch(_HAVING_SQL, name=scope.target))
        counts = {split: found.get(split, 0) for split in scope.splits}
        having = f"samples with a value of {scope.target}"
    for split in ("val", "test"):
        if counts[split] < MIN_HELD_OUT:
            yield Finding(
                code="small-split",
                severity="note" if scope.target is None else "warning",
                subject=split,
                message=f"Only {counts[split]} {split} {having}. Metrics of fewer than {MIN_HELD_OUT} say little.",
                remedy="Ingest more participants, ask for fewer inputs, or validate by folds.",
                num_samples=counts[split],
                numbers=dict(counts),
            )


def find_shifts(scope: Scope) -> Iterator[Finding]:
    """Find columns that are distributed, or missing, otherwise in validation or test than in training."""
    columns: dict[str, dict[str, _Column]] = {}
    for name, split, n, mean, variance in scope.fetch(_SHIFT_SQL, names=list(scope.audited)):
        columns.setdefault(name, {})[split] = _Column(n, mean, variance)
    for name, of_split in columns.items():
        for split in ("val", "test"):
            if scope.splits["train"] >= MIN_COMPARED and scope.splits[split] >= MIN_COMPARED:
                empty = _Column(0, 0.0, 0.0)
                pair = of_split.get("train", empty), of_split.get(split, empty)
                yield from _shifted(name, split, *pair)
                yield from _missing_otherwise(scope, name, split, *pair)


def _shifted(name: str, split: str, train: _Column, other: _Column) -> Iterator[Finding]:
    if min(train.n, other.n) < MIN_COMPARED:
        return
    n, difference = train.n + other.n, other.mean - train.mean
    within = (train.n * train.variance + other.n * other.variance) / n
    variance = within + train.n * other.n * difference**2 / n**2
    z = mean_difference_z(difference, variance, train.n, other.n)
    if abs(z) > BEYOND_CHANCE and abs(difference) > LARGE_SHIFT * variance**0.5:
        yield Finding(
            code="split-shift",
            severity="warning",
            subject=name,
            message=f"{name} is {other.mean:.4g} on average in {split} and {train.mean:.4g} in training.",
            remedy="Chance alone does not do this: look at what sets the two apart (a test list, the source's own "
            "splits, a fold, a centre left out). Where nothing is meant to, make a new study with --stratify.",
            num_samples=other.n,
            numbers=rounded(
                {
                    "split": split,
                    "train_mean": train.mean,
                    f"{split}_mean": other.mean,
                    "standardised_difference": difference / variance**0.5,
                    "z": z,
                }
            ),
        )


def _missing_otherwise(scope: Scope, name: str, split: str, train: _Column, other: _Column) -> Iterator[Finding]:
    num_train, num_other = scope.splits["train"], scope.splits[split]
    missing, other_missing = 1 - train.n / num_train, 1 - other.n / num_other
    z = share_difference_z(other_missing, missing, num_other, num_train)
    if abs(other_missing - missing) > LARGE_MISSING_DIFFERENCE and abs(z) > BEYOND_CHANCE:
        yield Finding(
            code="split-missingness",
            severity="warning",
            subject=name,
            message=f"{percent(other_missing)} of the {split} samples have no value of {name}, but {percent(missing)} "
            "of the training samples.",
            remedy="Look which table or source lacks participants: the model meets other gaps than it was trained on.",
            num_samples=num_other - other.n,
            numbers=rounded({"split": split, "train_missing": missing, f"{split}_missing": other_missing, "z": z}),
        )


_DIVIDED_SQL = """
    SELECT count(*), coalesce(sum(num), 0)::BIGINT FROM (
        SELECT count(*) AS num FROM audit_sample GROUP BY participant_key HAVING count(DISTINCT split) > 1
    )
"""
_RELATIVES_SQL = """
    WITH related AS (
        SELECT sample_id, relative_sample_id FROM relatives
        UNION ALL SELECT relative_sample_id, sample_id FROM relatives
    ),
    divided AS (
        SELECT one.row, one.split, other.split AS other_split
        FROM related
        JOIN audit_sample one USING (sample_id)
        JOIN audit_sample other ON other.sample_id = relative_sample_id
        WHERE one.split <> other.split
    )
    SELECT
        count(*) // 2, count(DISTINCT row) FILTER (split = 'train'),
        count(DISTINCT row) FILTER (split = 'val' AND other_split = 'test')
    FROM divided
"""
_HAVING_SQL = """
    SELECT split, count(*) FROM audit_value JOIN audit_sample USING (row) WHERE name = $name GROUP BY split
"""
_SHIFT_SQL = """
    SELECT name, split, count(*), avg(value), var_pop(value)
    FROM audit_value JOIN audit_sample USING (row) WHERE list_contains($names, name) GROUP BY ALL
"""

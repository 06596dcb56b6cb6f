"""Targets that one answer dominates."""

from collections.abc import Iterator

from catalog.audit.findings import Finding, percent, rounded
from catalog.audit.scope import Scope
from catalog.audit.significance import share_z

IMBALANCED, RARE = 0.10, 0.02
"""Shares of the rarer class below which accuracy misleads, and below which few samples carry all there is to learn."""
CERTAIN_Z = -3.0
"""The true share is below `IMBALANCED`, not only that of these samples: where 11 % are left-handed, a third of all
studies of 300 find fewer than 10 %."""
_MIN_VALUES = 50


def find_imbalance(scope: Scope) -> Iterator[Finding]:
    """Find binary targets whose rarer class is rare."""
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for name, split, n, num_ones in scope.fetch(_CLASSES_SQL, names=scope.of_kind(scope.targets, "binary")):
        counts.setdefault(name, {})[split] = (n, num_ones)
    for name, of_split in counts.items():
        n = sum(total for total, _ in of_split.values())
        num_ones = sum(ones for _, ones in of_split.values())
        rarer = 1 if 2 * num_ones <= n else 0
        num_rarer = {split: ones if rarer else total - ones for split, (total, ones) in of_split.items()}
        share = sum(num_rarer.values()) / n
        if n < _MIN_VALUES or share == 0 or share_z(share, IMBALANCED, n) > CERTAIN_Z:
            continue
        is_rare = share < RARE
        yield Finding(
            code="rare-class" if is_rare else "class-imbalance",
            severity="warning",
            subject=name,
            message=f"Only {percent(share)} of the {n} samples have {name} = {rarer}: "
            + ", ".join(f"{num_rarer[split]} of {split}" for split in scope.splits if split in num_rarer)
            + ".",
            remedy="The model learns from this handful; do not believe a small difference in test metrics."
            if is_rare
            else "Read balanced accuracy and AUC, not accuracy; keep the default --balance undersample.",
            num_samples=sum(num_rarer.values()),
            numbers=rounded({"n": n, "share": share, "rarer_class": rarer})
            | {f"rarer_{split}": number for split, number in num_rarer.items()},
        )


_CLASSES_SQL = """
    SELECT name, split, count(*), count(*) FILTER (value = 1)
    FROM audit_value JOIN audit_sample USING (row)
    WHERE list_contains($names, name) AND value IN (0, 1) GROUP BY ALL
"""

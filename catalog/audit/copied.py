"""Participants whose measurements are another's: a row of a table that was copied, or one person under two numbers."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from catalog.audit.agreement import Measurements, Pairs, find_agreeing, measure
from catalog.audit.findings import Finding, rounded
from catalog.audit.scope import Scope
from catalog.statements import fetch_frame

MIN_COPIED = 10
"""Identical measurements that make a copied row, at any size of the study."""
COPIED_SHARE = 0.5
"""Of the measurements that both have."""
_MAX_TIED = 0.1
"""Chance that two people have the same value of a measurement that tells people apart."""
_MAX_COMPARED = 30
"""Measurements that are compared: those that tell most; with more, memory grows and nothing new is found."""


def find_copied_participants(scope: Scope) -> Iterator[Finding]:
    """Find participants who agree in more measurements than any two people of such a study do by chance."""
    samples, measured = measure_samples(scope)
    if measured is None:
        return
    persons = samples["participant_key"].rank("dense").to_numpy().astype(np.int64)
    pairs = find_agreeing(measured, persons, least=MIN_COPIED, share=COPIED_SHARE)
    splits = samples["split"].to_numpy()
    is_across_P = splits[pairs.one_P] != splits[pairs.other_P]
    for across in (False, True):
        if (is_across_P == across).any():
            yield _copied(samples, measured, pairs.where(is_across_P == across), across=across)


def measure_samples(scope: Scope) -> tuple[pl.DataFrame, Measurements | None]:
    """Return the samples of a scope (sample_id, participant_key, split) and their measurements, in the same order.

    The measurements are None where there are too few that tell people apart.
    """
    samples = fetch_frame(
        scope.connection, "SELECT row, sample_id, participant_key, split FROM audit_sample ORDER BY row", {}
    )
    names = [
        name
        for (name,) in scope.fetch(
            _TELLING_SQL, names=scope.of_kind(scope.audited, "continuous"), tied=_MAX_TIED, most=_MAX_COMPARED
        )
    ]
    if len(names) < MIN_COPIED:
        return samples, None  # so ends most runs' audit, which looks at few of them
    long = fetch_frame(scope.connection, _VALUES_SQL, {"names": names})
    values_NM = np.full((samples.height, len(names)), np.nan)
    positions = samples["row"].search_sorted(long["row"]).to_numpy()
    values_NM[positions, long["place"].to_numpy()] = long["value"].to_numpy()
    return samples, measure(values_NM)


def _copied(samples: pl.DataFrame, measured: Measurements, pairs: Pairs, *, across: bool) -> Finding:
    num_pairs, most_equal = len(pairs.one_P), int(pairs.num_equal_P.max())
    best = int(pairs.surprise_P.argmax())
    example = " and ".join(samples["sample_id"][int(position[best])] for position in (pairs.one_P, pairs.other_P))
    return Finding(
        code="copied-participants",
        severity="critical" if across else "warning",
        subject="tables",
        message=f"{num_pairs} pairs of samples of different participants share up to {most_equal} measurements to "
        f"the last digit and are in {'different splits' if across else 'one split'} (e.g. samples {example}).",
        remedy="Look for copied rows in the table, for one person under two eids, or for values that were filled in "
        "for several people: remove what nobody measured and run mm ingest again.",
        num_samples=len(np.union1d(pairs.one_P, pairs.other_P)),
        numbers=rounded(
            {
                "pairs": num_pairs,
                "across_splits": int(across),
                "most_identical_values": most_equal,
                "least_identical_values": int(pairs.num_equal_P.min()),
                "compared_measurements": measured.num_measurements,
                "expected_by_chance": measured.expected_pairs(float(pairs.surprise_P.min())),
                "example": example,
            }
        ),
    )


_TELLING_SQL = """
    SELECT name FROM (
        SELECT name, sum(num) AS n, sum(num::DOUBLE * num) / sum(num) ** 2 AS collision
        FROM audit_count WHERE list_contains($names, name) AND isfinite(value)
        GROUP BY name HAVING sum(num::DOUBLE * (num - 1)) <= $tied * sum(num) * greatest(sum(num) - 1, 1)
    )
    ORDER BY n * n * -ln(collision) DESC, name LIMIT $most
"""
_VALUES_SQL = """
    SELECT row, list_position($names, name) - 1 AS place, value
    FROM audit_value WHERE list_contains($names, name) AND isfinite(value)
"""

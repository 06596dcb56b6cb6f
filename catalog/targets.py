"""What each feature of a study is like: how many have it, its distribution in each split, when it was taken.

A distribution is counted over bins or over values. Bins are of one width and span the inner 99 %, so that one absurd
value does not flatten the rest; where all values are whole numbers, so are the edges, and each bin holds equally many.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import duckdb

from catalog.errors import UnknownTargetError
from catalog.fields import Dictionary, FeatureDefinition
from mmbase.names import SPLITS
from mmbase.suggestion import did_you_mean

NUM_BINS = 12
"""Of a histogram, at most; also the most values of a categorical feature that are counted."""
PERCENTILES = (5, 25, 50, 75, 95)
_BINNED = ("continuous", "date")
_COUNTED_APART = ("categorical", "date")
_BINARY_VALUES = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSummary:
    """A feature in one split."""

    n: int
    """Samples with a value."""
    missing: float
    """Share of the split's samples without one."""
    counts: tuple[int, ...]
    """Samples in each bin or with each value of the feature."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureSummary:
    """A feature over all samples."""

    name: str
    kind: str
    unit: str
    block: str
    is_target: bool
    fields: tuple[int, ...]
    """Showcase fields that it is made from."""
    n: int
    """Samples with a value."""
    missing: float
    """Share of samples without one."""
    mean: float | None
    """Of continuous features."""
    sd: float | None
    """Of continuous features, of the sample (n − 1)."""
    percentiles: dict[int, float]
    """The 5th, 25th, 50th, 75th and 95th of continuous features and dates; interpolated linearly."""
    edges: tuple[float, ...]
    """Where the bins of a continuous feature or date begin and end: one more than there are bins. Each bin contains its
    lower edge; the last both."""
    values: tuple[float, ...]
    """What is counted of a binary feature (0 and 1) or of a categorical one (its most frequent values, by value)."""
    counts: tuple[int, ...]
    """Samples in each bin or with each value."""
    num_distinct: int | None
    """Distinct values of a categorical feature or date."""
    days_from_scan: float | None
    """Median distance between the visit of the value and the scan, in days."""
    splits: dict[str, SplitSummary]


@dataclass(frozen=True, slots=True)
class _Bins:
    """Bins of one width; none where values are counted one by one."""

    low: float = 0.0
    width: float = 1.0
    number: int = 0

    @property
    def edges(self) -> tuple[float, ...]:
        return tuple(self.low + self.width * place for place in range(self.number + 1)) if self.number else ()


def describe_features(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, *, every: bool
) -> list[FeatureSummary]:
    """Describe the targets, in the dictionary's order, and behind them the other features.

    Parameters
    ----------
    every
        Describe the features that are no targets too.
    """
    targets = {name: definition for name, definition in dictionary.items() if definition.target}
    others = {name: definition for name, definition in dictionary.items() if not definition.target}
    wanted = {**targets, **others} if every else targets
    totals = _fetch_totals(connection, wanted)
    bins = {
        name: _choose_bins(totals[name]) if definition.kind in _BINNED and name in totals else _Bins()
        for name, definition in wanted.items()
    }
    counts = _fetch_counts(connection, bins)
    num_samples = dict.fromkeys(SPLITS, 0) | dict(
        connection.execute("SELECT split, count(*) FROM splits GROUP BY split").fetchall()
    )
    return [
        _summary(name, definition, totals.get(name, _NO_TOTALS), bins[name], counts.get(name, {}), num_samples)
        for name, definition in wanted.items()
    ]


def choose_features(dictionary: Dictionary, names: Sequence[str]) -> list[str]:
    """Return the features asked for, in the dictionary's order; all of them where none is named.

    Raises
    ------
    UnknownTargetError
        The dictionary has no feature of a name; suggests the nearest.
    """
    for name in names:
        if name not in dictionary:
            raise UnknownTargetError(
                f"There is no feature {name!r}.{did_you_mean(name, dictionary)}", "See mm targets --all."
            )
    return [name for name in dictionary if not names or name in names]


class _Totals(NamedTuple):
    """A feature over all samples, as SQL returns it."""

    n: int
    mean: float | None
    sd: float | None
    low: float
    percentiles: Sequence[float]
    high: float
    is_whole: bool
    num_distinct: int
    days_from_scan: float | None


_NO_TOTALS = _Totals(0, None, None, 0.0, (), 0.0, False, 0, None)
_TOTALS_SQL = f"""
    SELECT
        name, count(*), avg(value), stddev_samp(value),
        quantile_cont(value, [0.005, {", ".join(str(percentile / 100) for percentile in PERCENTILES)}, 0.995]),
        bool_and(value = floor(value)),
        count(DISTINCT value) FILTER (list_contains($distinct, name)),
        median(abs(days_from_scan))
    FROM feature JOIN (SELECT unnest($names) AS name) USING (name) JOIN samples USING (row)
    GROUP BY name
"""
_COUNTS_SQL = """
    SELECT name, split, place, count(*)
    FROM (
        SELECT name, split, CASE
            WHEN num_bins = 0 THEN value
            WHEN value BETWEEN low AND low + width * num_bins THEN least(floor((value - low) / width), num_bins - 1)
        END AS place
        FROM feature
        JOIN (
            SELECT unnest($names) AS name, unnest($lows) AS low, unnest($widths) AS width, unnest($nums) AS num_bins
        ) USING (name)
        JOIN samples USING (row)
        JOIN splits USING (sample_id)
    )
    GROUP BY name, split, place
"""


def _fetch_totals(connection: duckdb.DuckDBPyConnection, wanted: Dictionary) -> dict[str, _Totals]:
    distinct = [name for name, definition in wanted.items() if definition.kind in _COUNTED_APART]
    rows = connection.execute(_TOTALS_SQL, {"names": list(wanted), "distinct": distinct}).fetchall()
    return {
        name: _Totals(n, mean, sd, quantiles[0], quantiles[1:-1], quantiles[-1], is_whole, num_distinct, days)
        for name, n, mean, sd, quantiles, is_whole, num_distinct, days in rows
    }


def _choose_bins(totals: _Totals) -> _Bins:
    if totals.is_whole:
        low = math.floor(totals.low)
        num_values = math.ceil(totals.high) - low + 1
        width = math.ceil(num_values / NUM_BINS)
        return _Bins(low, width, math.ceil(num_values / width))
    if totals.low == totals.high:
        return _Bins(totals.low - 0.5, 1.0, 1)
    return _Bins(totals.low, (totals.high - totals.low) / NUM_BINS, NUM_BINS)


def _fetch_counts(
    connection: duckdb.DuckDBPyConnection, bins: Mapping[str, _Bins]
) -> dict[str, dict[str, dict[float | None, int]]]:
    """Return samples by feature, split, and number of the bin or value; None stands for what lies outside the bins."""
    parameters = {
        "names": list(bins),
        "lows": [of_feature.low for of_feature in bins.values()],
        "widths": [of_feature.width for of_feature in bins.values()],
        "nums": [of_feature.number for of_feature in bins.values()],
    }
    counts: dict[str, dict[str, dict[float | None, int]]] = {}
    for name, split, place, number in connection.execute(_COUNTS_SQL, parameters).fetchall():
        counts.setdefault(name, {}).setdefault(split, {})[place] = number
    return counts


def _summary(
    name: str,
    definition: FeatureDefinition,
    totals: _Totals,
    bins: _Bins,
    counts: Mapping[str, Mapping[float | None, int]],
    num_samples: Mapping[str, int],
) -> FeatureSummary:
    is_binned, is_continuous = definition.kind in _BINNED, definition.kind == "continuous"
    together = Counter[float | None]()
    for of_split in counts.values():
        together.update(of_split)
    values = () if is_binned else _BINARY_VALUES if definition.kind == "binary" else _frequent_values(together)
    places: Sequence[float] = range(bins.number) if is_binned else values
    splits = {split: counts.get(split, {}) for split in SPLITS}
    return FeatureSummary(
        name=name,
        kind=definition.kind,
        unit=definition.unit,
        block=definition.block,
        is_target=definition.target,
        fields=definition.fields,
        n=totals.n,
        missing=_share_missing(totals.n, sum(num_samples.values())),
        mean=totals.mean if is_continuous else None,
        sd=totals.sd if is_continuous else None,
        percentiles=dict(zip(PERCENTILES, totals.percentiles, strict=False)) if is_binned else {},
        edges=bins.edges,
        values=values,
        counts=tuple(together[place] for place in places),
        num_distinct=totals.num_distinct if definition.kind in _COUNTED_APART else None,
        days_from_scan=totals.days_from_scan,
        splits={
            split: SplitSummary(
                n=sum(of_split.values()),
                missing=_share_missing(sum(of_split.values()), num_samples[split]),
                counts=tuple(of_split.get(place, 0) for place in places),
            )
            for split, of_split in splits.items()
        },
    )


def _frequent_values(counts: Mapping[float | None, int]) -> tuple[float, ...]:
    values = [value for value in counts if value is not None]
    return tuple(sorted(sorted(values, key=lambda value: (-counts[value], value))[:NUM_BINS]))


def _share_missing(n: int, num_samples: int) -> float:
    return (num_samples - n) / num_samples if num_samples else 0.0

"""Counts of participants by value and group, with what must stay hidden hidden: results that may be taken away.

Each participant counts once, by the first imaging visit. Numbers are counted in at most ten bins with round edges
between the 5th and 95th percentile; the outer bins have no end, so that no extreme shows. Values of a categorical
feature that fewer than ten have count together. Totals are not given.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import duckdb

from catalog.errors import CatalogError
from catalog.export.bins import as_date, bin_labels, round_edges, year_edges
from catalog.fields import Dictionary, FeatureDefinition
from catalog.first_visits import FIRST_VISITS_SQL
from catalog.targets import choose_features
from mmbase.disclosure import SMALLEST_COUNT, hidden_cells, hidden_places, rounded
from mmbase.names import SPLITS

SPLIT = "split"
MISSING, OTHER_VALUES = "missing", "other values"
_BINNED = ("continuous", "date")
_BINARY_VALUES = (0.0, 1.0)
_Code: TypeAlias = float | None
"""The number of a bin or split, or a value that is counted as it is; None: missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTable:
    """How many participants have which value of a feature, by group where one is asked for."""

    feature: str
    unit: str
    by: str
    """What makes the groups: a feature, ``split``, or nothing."""
    values: tuple[str, ...]
    """What the rows count; the last are those without a value."""
    groups: tuple[str, ...]
    """What the columns count; one without a name where nothing makes groups."""
    counts_RC: tuple[tuple[int | None, ...], ...]
    """Participants; None: hidden."""
    is_measured: bool
    """A mean and a standard deviation can be given."""
    means_C: tuple[float | None, ...]
    """Of each group; None: hidden, of a group of rare values, or not measured."""
    sds_C: tuple[float | None, ...]


class _Cell(NamedTuple):
    """Participants of a group with the same code of a feature, or all of them who have one (the code is None)."""

    group: _Code
    code: _Code
    number: int
    mean: float
    sd: float
    """NaN of one."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Axis:
    """What the rows or columns of a table count, and where each code belongs."""

    labels: tuple[str, ...]
    places: Mapping[_Code, int]
    rest: int
    """Where the codes belong that have no place of their own."""

    def place(self, code: _Code) -> int:
        return self.places.get(code, self.rest)


def count_groups(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary, names: Sequence[str], by: str = ""
) -> list[GroupTable]:
    """Count participants by the values of each feature, and by the groups that another makes.

    Parameters
    ----------
    names
        Features to count; none stands for all.
    by
        A feature, ``split``, or nothing.

    Raises
    ------
    UnknownTargetError
        A feature is not known.
    CatalogError
        The study has fewer than ten participants with scans.
    """
    makers = choose_features(dictionary, [by]) if by not in ("", SPLIT) else []
    counted = {name: dictionary[name] for name in [*choose_features(dictionary, names), *makers]}
    edges = _choose_edges(connection, counted)
    parameters = {"names": list(edges), "edges": list(edges.values()), "by": by}
    sizes: dict[_Code, int] = dict(connection.execute(_SIZES_SQL, parameters).fetchall())
    if sum(sizes.values()) < SMALLEST_COUNT:
        raise CatalogError(f"Fewer than {SMALLEST_COUNT} participants have scans: nothing may be given of so few.")
    cells: dict[str, list[_Cell]] = {name: [] for name in counted}
    for name, *cell in connection.execute(_CELLS_SQL, parameters).fetchall():
        cells[name].append(_Cell(*cell))
    axes = {name: _value_axis(definition.kind, edges[name], cells[name]) for name, definition in counted.items()}
    columns = axes[by] if makers else _SPLIT_AXIS if by else _ONE_COLUMN
    return [
        _table(name, definition, by, axes[name], columns, cells[name], sizes)
        for name, definition in counted.items()
        if name not in makers
    ]


_SPLIT_AXIS = _Axis(SPLITS, {place + 1: place for place in range(len(SPLITS))}, 0)
_ONE_COLUMN = _Axis(("",), {}, 0)
_VISITS_SQL = f"visit AS ({FIRST_VISITS_SQL})"
_BULKS_SQL = f"""
    WITH {_VISITS_SQL}
    SELECT name, quantile_cont(value, 0.05), quantile_cont(value, 0.95), bool_and(value = floor(value))
    FROM feature JOIN (SELECT unnest($names) AS name) USING (name) JOIN visit USING (row)
    GROUP BY name
"""
_GROUPED_SQL = f"""
    WITH {_VISITS_SQL}, coded AS NOT MATERIALIZED (
        SELECT
            row, name, value,
            CASE WHEN edges IS NULL THEN value ELSE len(list_filter(edges, lambda edge: edge <= value)) END AS code
        FROM feature
        JOIN (SELECT unnest($names) AS name, unnest($edges::DOUBLE[][]) AS edges) USING (name)
        JOIN visit USING (row)
    ), grouped AS (
        SELECT row, CASE WHEN $by = '{SPLIT}' THEN list_position({list(SPLITS)}, split) ELSE code END AS maker
        FROM visit LEFT JOIN (SELECT row, code FROM coded WHERE name = $by) USING (row)
    )
"""
_SIZES_SQL = f"{_GROUPED_SQL} SELECT maker, count(*) FROM grouped GROUP BY maker"
_CELLS_SQL = f"""
    {_GROUPED_SQL}
    SELECT name, maker, code, count(*), avg(value), coalesce(stddev_samp(value), 'nan'), min(value), max(value)
    FROM coded JOIN grouped USING (row)
    GROUP BY GROUPING SETS ((name, maker), (name, maker, code))
"""


def _choose_edges(connection: duckdb.DuckDBPyConnection, counted: Dictionary) -> dict[str, tuple[float, ...] | None]:
    """Return by feature where its bins meet; None where each value is counted."""
    names = [name for name, definition in counted.items() if definition.kind in _BINNED]
    edges: dict[str, tuple[float, ...] | None] = {name: () if name in names else None for name in counted}
    for name, low, high, is_whole in connection.execute(_BULKS_SQL, {"names": names}).fetchall():
        is_date = counted[name].kind == "date"
        edges[name] = year_edges(low, high) if is_date else round_edges(low, high, is_whole=is_whole)
    return edges


def _value_axis(kind: str, edges: Sequence[float] | None, cells: Collection[_Cell]) -> _Axis:
    totals = Counter[float]()
    for cell in cells:
        if cell.code is not None:
            totals[cell.code] += cell.number
    if edges is not None:
        codes = [float(number) for number in range(len(edges) + 1)]
        labels = bin_labels([str(as_date(edge).year) if kind == "date" else f"{edge:.12g}" for edge in edges])
    else:
        frequent = [code for code, total in totals.items() if total >= SMALLEST_COUNT]
        codes = sorted({*frequent, *(_BINARY_VALUES if kind == "binary" else ())})
        labels = tuple(f"{code:.12g}" for code in codes)
    others = () if totals.keys() <= set(codes) else (OTHER_VALUES,)
    places: dict[_Code, int] = {code: place for place, code in enumerate(codes)}
    return _Axis((*labels, *others, MISSING), {**places, None: len(codes) + len(others)}, len(codes))


def _table(
    name: str,
    definition: FeatureDefinition,
    by: str,
    rows: _Axis,
    columns: _Axis,
    cells: Collection[_Cell],
    sizes: Mapping[_Code, int],
) -> GroupTable:
    """Fill a table, and hide of it what must be hidden."""
    counts = [[0] * len(columns.labels) for _ in rows.labels]
    for cell in cells:
        if cell.code is not None:
            counts[rows.place(cell.code)][columns.place(cell.group)] += cell.number
    for column, having in enumerate([sum(line) for line in zip(*counts, strict=True)]):
        size = sum(number for group, number in sizes.items() if columns.place(group) == column)
        counts[-1][column] = size - having
    is_turned = "" < by < name
    hidden = hidden_cells(list(zip(*counts, strict=True)) if is_turned else counts)
    hidden = frozenset((row, column) for column, row in hidden) if is_turned else hidden
    moments = _moments(counts, hidden, cells, columns) if definition.kind == "continuous" else {}
    return GroupTable(
        feature=name,
        unit=definition.unit,
        by=by,
        values=rows.labels,
        groups=columns.labels,
        counts_RC=tuple(
            tuple(None if (r, c) in hidden else count for c, count in enumerate(line)) for r, line in enumerate(counts)
        ),
        is_measured=definition.kind == "continuous",
        means_C=tuple(rounded(moments[c].mean) if c in moments else None for c in range(len(columns.labels))),
        sds_C=tuple(rounded(moments[c].sd) if c in moments else None for c in range(len(columns.labels))),
    )


def _moments(
    counts_RC: Sequence[Sequence[int]], hidden: Collection[tuple[int, int]], cells: Collection[_Cell], columns: _Axis
) -> dict[int, _Cell]:
    """Return by column what its mean and standard deviation may be taken from.

    The numbers of people behind them are a list with hidden places like any other. Where a bin holds a single value, a
    mean is an equation in the counts: it stays hidden with any of them.
    """
    columns_CR = list(zip(*counts_RC, strict=True))
    closed = {
        *hidden_places([sum(line[:-1]) for line in columns_CR]),
        *hidden_places([sum(line) for line in columns_CR]),
    }
    inner = [cell for cell in cells if cell.code is not None and 0 < cell.code < len(counts_RC) - 2]
    if all(cell.low == cell.high for cell in inner):
        closed |= {column for row, column in hidden if row < len(counts_RC) - 1}
    found: dict[int, list[_Cell]] = {}
    for cell in cells:
        if cell.code is None:
            found.setdefault(columns.place(cell.group), []).append(cell)
    return {column: groups[0] for column, groups in found.items() if len(groups) == 1 and column not in closed}

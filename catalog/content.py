"""A digest of what a catalogue holds, to tell whether what was worked out from it still stands."""

import hashlib
from collections.abc import Collection

import duckdb

_LEFT_OUT = ("run", "metric", "migration", "feature")
"""Runs come and go without a change to whom and what they can be made from; features are named."""


def content_digest(connection: duckdb.DuckDBPyConnection, features: Collection[str]) -> str:
    """Return a digest of everything in a catalogue but its runs, and of features those asked for.

    It is worked out from the rows, whoever wrote them and in whatever order: 0.1 s for 2 million values. To find two
    contents of one digest on purpose would be easy; by chance it does not happen.
    """
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary ORDER BY table_name"
    ).fetchall()
    sums = [
        (table, connection.execute(f"SELECT count(*), sum(hash(one)::HUGEINT) FROM {table} AS one").fetchall())
        for (table,) in tables
        if table not in _LEFT_OUT
    ]
    of_features = connection.execute(
        "SELECT count(*), sum(hash(one)::HUGEINT) FROM feature AS one WHERE list_contains($names, name)",
        {"names": sorted(features)},
    ).fetchall()
    told = repr((duckdb.__version__, sums, of_features))  # what hash() returns may change from version to version
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()

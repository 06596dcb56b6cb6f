"""Take participants out of the catalogue: hide them first, then delete whatever any table says of them.

A participant is named by key, and a sample by the row it had in every array; both outlive what is deleted.
"""

from collections.abc import Collection

import duckdb

from catalog.errors import CatalogError
from catalog.identity import salt_hash
from catalog.statements import transaction

_SAMPLES = (
    "SELECT sample_id FROM sample WHERE row IN (SELECT unnest($rows)) OR participant_key IN (SELECT unnest($keys))"
)
_ENTRIES = {
    "similar_scan": f"sample_id IN ({_SAMPLES}) OR other_sample_id IN ({_SAMPLES})",
    "scan_source": f"sample_id IN ({_SAMPLES})",
    "scan_outcome": f"sample_id IN ({_SAMPLES})",
    "feature": f"row IN (SELECT unnest($rows)) OR row IN (SELECT row FROM sample WHERE sample_id IN ({_SAMPLES}))",
    "kinship": "participant_key IN (SELECT unnest($keys)) OR relative_key IN (SELECT unnest($keys))",
    "sample": f"sample_id IN ({_SAMPLES})",
    "participant": "participant_key IN (SELECT unnest($keys))",
}
"""Table to the condition of what is somebody's, in the order of removal: samples go when nothing refers to them."""


def require_same_salt(connection: duckdb.DuckDBPyConnection, salt: str) -> None:
    """Refuse a salt that gives other keys than those in the catalogue.

    Raises
    ------
    CatalogError
        The catalogue was made with another salt.
    """
    found = [value for (value,) in connection.execute("SELECT hash FROM salt_check").fetchall()]
    if found not in ([], [salt_hash(salt)]):
        raise CatalogError(
            "The salt in study.toml is not the one this catalogue was made with: sample ids, splits and withdrawals "
            "would not match.",
            "Put the old salt back, or start a new study.",
        )


def hidden_participants(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the keys of the participants whom the views leave out."""
    return frozenset(key for (key,) in connection.execute("SELECT participant_key FROM withdrawn").fetchall())


def hide_participants(connection: duckdb.DuckDBPyConnection, keys: Collection[str]) -> None:
    """Let the views leave participants out, whether the catalogue knows them or not."""
    if keys:
        connection.executemany("INSERT OR IGNORE INTO withdrawn VALUES (?)", [[key] for key in sorted(keys)])


def participant_samples(connection: duckdb.DuckDBPyConnection, keys: Collection[str]) -> list[tuple[str, str, int]]:
    """Return participant key, sample id and row of every sample of some participants, hidden or not."""
    return connection.execute(
        "SELECT participant_key, sample_id, row FROM sample WHERE participant_key IN (SELECT unnest($keys)) "
        "ORDER BY row",
        {"keys": sorted(keys)},
    ).fetchall()


def count_entries(
    connection: duckdb.DuckDBPyConnection, keys: Collection[str], rows: Collection[int]
) -> dict[str, int]:
    """Return for each table how many entries it has of some participants, or of samples that had these rows."""
    return {
        table: int(
            connection.execute(
                f"SELECT count(*) FROM {table} WHERE {condition}", _named(condition, keys, rows)
            ).fetchall()[0][0]
        )
        for table, condition in _ENTRIES.items()
    }


def remove_participants(connection: duckdb.DuckDBPyConnection, keys: Collection[str], rows: Collection[int]) -> None:
    """Delete every entry of some participants, and of samples that had these rows.

    The free pages of the file still hold them until it is written again: open it with ``rewrite=True``.
    """
    with transaction(connection):
        for table, condition in _ENTRIES.items():
            connection.execute(f"DELETE FROM {table} WHERE {condition}", _named(condition, keys, rows))


def _named(condition: str, keys: Collection[str], rows: Collection[int]) -> dict[str, list[str] | list[int]]:
    """Return the parameters that a condition names."""
    values: dict[str, list[str] | list[int]] = {"keys": sorted(keys), "rows": sorted(rows)}
    return {name: value for name, value in values.items() if f"${name}" in condition}

"""Fingerprints of everybody whom a study knows or has known: who holds one of them can be asked about, nobody listed.

Terms
-----
fingerprint    what stands for a participant or a sample outside the catalogue: `catalog.identity`. To ask whether a
               number is somebody's, whoever asks computes its fingerprint with the study's salt and looks for it here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import duckdb

from catalog.removal import require_same_salt


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprints:
    """Of a study's participants and samples, those who have withdrawn among them."""

    participants: frozenset[str] = field(repr=False)
    """Participant keys."""
    samples: frozenset[str] = field(repr=False)
    """Sample ids."""
    sizes: frozenset[int]
    """How many rows a table of all participants, of all samples or of one split has."""


def read_fingerprints(connection: duckdb.DuckDBPyConnection, salt: str) -> Fingerprints:
    """Return the fingerprints of everybody, hidden or not.

    Raises
    ------
    CatalogError
        The catalogue was made with another salt.
    """
    require_same_salt(connection, salt)
    keys = _column(connection, "SELECT participant_key FROM participant UNION SELECT participant_key FROM withdrawn")
    sizes = _column(
        connection,
        "SELECT count(*) FROM participants UNION SELECT count(*) FROM samples "
        "UNION SELECT count(*) FROM splits GROUP BY split",
    )
    return Fingerprints(
        participants=frozenset(map(str, keys)),
        samples=frozenset(map(str, _column(connection, "SELECT sample_id FROM sample"))),
        sizes=frozenset(map(int, sizes)),
    )


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterable[str]:
    return (value for (value,) in connection.execute(sql).fetchall())

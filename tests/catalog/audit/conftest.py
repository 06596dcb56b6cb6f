from collections.abc import Iterator

import duckdb
import pytest

from tests.catalog.audit.clean import clean_catalog


@pytest.fixture(scope="module")
def kept_clean() -> Iterator[duckdb.DuckDBPyConnection]:
    with clean_catalog() as connection:
        yield connection


@pytest.fixture
def clean(kept_clean: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A clean catalogue to plant one fault in; it is taken back in the end."""
    kept_clean.begin()
    yield kept_clean
    kept_clean.rollback()

import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import duckdb
import pytest

from catalog.database import open_catalog
from catalog.errors import CatalogError
from catalog.query import VIEWS, count_rows, plain_rows, run_query, write_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalogue of three samples."""
    path = tmp_path / "catalog.duckdb"
    with open_catalog(path, writable=True) as connection:
        connection.execute(
            "INSERT INTO participant (participant_key, eid) SELECT 'p' || i, 1000001 + i FROM range(3) t(i)"
        )
        connection.execute("INSERT INTO sample SELECT 's' || i, 'p' || i, 2, i, 'train' FROM range(3) t(i)")
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_catalog(path) as connection:
        yield connection


@pytest.mark.parametrize(
    ("sql", "columns", "rows"),
    [
        ("SELECT sample_id, eid FROM samples ORDER BY row DESC LIMIT 1;", ("sample_id", "eid"), [("s2", 1000003)]),
        ("SELECT 1 AS a, 2 AS a -- twice", ("a", "a"), [(1, 2)]),
        ("FROM (VALUES (1), (NULL)) t(n)", ("n",), [(1,), (None,)]),
        ("WITH a AS (SELECT 3 AS n) SELECT n FROM a", ("n",), [(3,)]),
        ("PIVOT splits ON split USING count(*) GROUP BY split", ("split", "train"), [("train", 3)]),
        ("SELECT n FROM range(0) t(n)", ("n",), []),
    ],
)
def test_a_query_yields_its_columns_and_rows_and_their_number(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]
) -> None:
    result = run_query(connection, sql)
    assert result.columns == columns
    assert list(result.rows) == rows
    assert count_rows(connection, sql) == len(rows)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_that_the_hint_names_can_be_read_and_described(
    connection: duckdb.DuckDBPyConnection, view: str
) -> None:
    columns = run_query(connection, f"SELECT * FROM {view}").columns
    assert tuple(row[0] for row in run_query(connection, f"DESCRIBE SELECT * FROM {view}").rows) == columns


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO withdrawn VALUES ('p0')",
        "WITH gone AS (INSERT INTO withdrawn VALUES ('p0') RETURNING *) SELECT * FROM gone",
        "DELETE FROM sample",
        "UPDATE sample SET split = 'test'",
        "CREATE TABLE mine AS SELECT 1",
        "CREATE TEMP TABLE mine AS SELECT 1",
        "DROP VIEW samples",
        "EXPLAIN ANALYZE DELETE FROM sample",
        "COPY (SELECT 1) TO '{folder}/new.csv'",
        "EXPORT DATABASE '{folder}/new'",
        "ATTACH '{folder}/new.duckdb'",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "CALL pragma_version()",
        "CHECKPOINT",
        "ROLLBACK",
    ],
)
@pytest.mark.parametrize("writable", [False, True])
def test_a_query_cannot_write(path: Path, sql: str, writable: bool) -> None:
    before = sorted(path.parent.iterdir())
    content = path.read_bytes()
    with duckdb.connect(str(path), read_only=not writable) as connection, pytest.raises(CatalogError):
        list(run_query(connection, sql.format(folder=path.parent)).rows)
    assert sorted(path.parent.iterdir()) == before
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "source",
    ["read_csv('{file}')", "'{file}'", "read_text('{file}')", "glob('{file}')", "sniff_csv('{file}')", "secret"],
)
def test_a_query_reads_neither_files_nor_the_programs_variables(
    path: Path, connection: duckdb.DuckDBPyConnection, source: str
) -> None:
    secret = duckdb.sql("SELECT 'secret' AS word")
    file = path.parent / "secret.csv"
    secret.write_csv(str(file))
    with pytest.raises(CatalogError, match="cannot be run"):
        list(run_query(connection, f"SELECT * FROM {source.format(file=file)}").rows)


@pytest.mark.parametrize("setting", ["enable_external_access", "python_enable_replacements", "lock_configuration"])
def test_nothing_that_was_closed_can_be_opened_again(connection: duckdb.DuckDBPyConnection, setting: str) -> None:
    list(run_query(connection, "SELECT 1").rows)
    with pytest.raises(duckdb.Error, match="has been locked"):
        connection.execute(f"SET {setting} = true")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "Expected one SELECT statement, got 0"),
        ("SELECT 1; SELECT 2", "Expected one SELECT statement, got 2"),
        ("DELETE FROM sample", "got DELETE: a query only reads"),
        ("SELEC 1", 'Parser Error: syntax error at or near "SELEC" There are the views samples, scans,'),
        ("SELECT nope FROM samples", 'Referenced column "nope" not found in FROM clause! There are the views'),
        ("SELECT * FROM sampels", 'Table with name sampels does not exist! .*"DESCRIBE samples" shows'),
        ("SELECT ?", "Values were not provided"),
    ],
)
def test_a_query_that_cannot_be_run_says_why_in_one_line(
    connection: duckdb.DuckDBPyConnection, sql: str, message: str
) -> None:
    with pytest.raises(CatalogError, match=message) as caught:
        run_query(connection, sql)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cast", ["eid::TINYINT", "('sub-' || eid)::INTEGER", "error('it is ' || eid)"])
def test_no_error_quotes_a_value_of_the_catalogue(connection: duckdb.DuckDBPyConnection, cast: str) -> None:
    with pytest.raises(CatalogError) as caught:
        list(run_query(connection, f"SELECT {cast} FROM samples").rows)
    assert "1000001" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_rows_are_fetched_only_as_they_are_asked_for(connection: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT * FROM range(1_000_000_000_000)"
    assert list(islice(run_query(connection, sql).rows, 2)) == [(0,), (1,)]
    assert count_rows(connection, "SELECT * FROM range(1_000_000)") == 1_000_000


def test_csv_and_json_hold_every_kind_of_value(connection: duckdb.DuckDBPyConnection) -> None:
    sql = """SELECT 1.5 AS number, NULL AS nothing, DATE '2020-02-29' AS day, 'a,"b' AS text, true AS yes,
        [1, 2] AS list, {'a': 0.5} AS struct, 'nan'::DOUBLE AS none, 2::HUGEINT AS huge"""
    file = io.StringIO()
    write_rows(run_query(connection, sql), file)
    header, line = file.getvalue().splitlines()
    assert header == "number,nothing,day,text,yes,list,struct,none,huge"
    assert line.startswith('1.5,,2020-02-29,"a,""b",True,')
    (row,) = plain_rows(run_query(connection, sql))
    assert row == [1.5, None, "2020-02-29", 'a,"b', True, [1, 2], {"a": 0.5}, None, 2]
    assert json.loads(json.dumps(row, allow_nan=False)) == row

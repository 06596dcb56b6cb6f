"""A catalogue in memory, and a way to fill it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import duckdb
import polars as pl
import pytest

from catalog.database import open_scratch
from catalog.statements import insert_frame

FillCatalog = Callable[..., None]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty catalogue in memory, for all tests of a file."""
    with open_scratch(tmp_path_factory.mktemp("none") / "catalog.duckdb") as connection:
        yield connection


@pytest.fixture(scope="module")
def fill_catalog(catalog: duckdb.DuckDBPyConnection) -> FillCatalog:
    """Put samples and their features in place of all there are."""

    def fill(
        samples: Sequence[tuple[int, int, str]],
        features: Mapping[str, Mapping[int, float]],
        *,
        withdrawn: Sequence[int] = (),
    ) -> None:
        """Fill the catalogue.

        Parameters
        ----------
        samples
            Number of the participant, instance and split, by row.
        features
            Name to values by row.
        withdrawn
            Numbers of participants.
        """
        for table in ("participant", "sample", "withdrawn", "feature"):
            catalog.execute(f"DELETE FROM {table}")
        people = pl.DataFrame(
            [(f"p{number}", 1_000_000 + number, number in withdrawn) for number in {sample[0] for sample in samples}],
            schema={"participant_key": pl.String, "eid": pl.Int64, "has_withdrawn": pl.Boolean},
            orient="row",
        )
        visits = pl.DataFrame(
            [(f"s{row}", f"p{number}", instance, row, split) for row, (number, instance, split) in enumerate(samples)],
            schema={
                "sample_id": pl.String,
                "participant_key": pl.String,
                "instance": pl.Int32,
                "row": pl.Int64,
                "split": pl.String,
            },
            orient="row",
        )
        values = pl.DataFrame(
            [(row, name, value) for name, of_name in features.items() for row, value in of_name.items()],
            schema={"row": pl.Int64, "name": pl.String, "value": pl.Float64},
            orient="row",
        )
        insert_frame(catalog, "INSERT INTO participant BY NAME SELECT * EXCLUDE has_withdrawn FROM incoming", people)
        insert_frame(catalog, "INSERT INTO withdrawn SELECT participant_key FROM incoming WHERE has_withdrawn", people)
        insert_frame(catalog, "INSERT INTO sample BY NAME SELECT * FROM incoming", visits)
        insert_frame(catalog, "INSERT INTO feature BY NAME SELECT * FROM incoming", values)

    return fill

"""FUNPACK, UK Biobank's best-known reader of tables, must find the same numbers as mm.

It is told to leave out what it does beyond reading: recoding, cleaning and processing. It reads labels as missing,
fails at lists of one answer each and knows no ``participant.``, so it is asked for the forms it can read.
"""

import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from catalog.features import wanted_fields
from catalog.fields import load_dictionary
from catalog.tables.tables import TableValues, read_tables
from mmdata.synth.plan import plan_release
from mmdata.synth.table_form import TableForm, table_name, write_table

RAW = ("-sn", "-scv", "-scf", "-sr", "-sp")
WANTED = wanted_fields(load_dictionary())
EPOCH = date(1970, 1, 1)


def read_with_funpack(table: Path, output: Path) -> pl.DataFrame:
    """Return FUNPACK's columns ``FIELD-INSTANCE.ARRAY`` as text."""
    fields = ",".join(map(str, WANTED))
    command = [sys.executable, "-m", "funpack", "-q", "-nd", "-nn", *RAW, "-v", fields, str(output), str(table)]
    subprocess.run(command, check=True, capture_output=True)
    return pl.read_csv(output, separator="\t", infer_schema=False)


def long_form(wide: pl.DataFrame) -> dict[tuple[int, int, int, int], float]:
    """Return values by field, eid, instance and array."""
    values = {}
    for column in wide.columns[1:]:
        field, _, place = column.partition("-")
        instance, array = map(int, place.split("."))
        for eid, text in wide.select("eid", column).drop_nulls().iter_rows():
            is_date = WANTED[int(field)].is_date
            number = (date.fromisoformat(text) - EPOCH).days if is_date else float(text)
            values[int(field), int(eid), instance, array] = float(number)
    return values


def values_of(tables: TableValues) -> dict[tuple[int, int, int, int], float]:
    return {(field, *row[:3]): row[3] for field in WANTED for row in tables.of_field(field).iter_rows()}


@pytest.mark.parametrize("form", ["ukbconv-csv", "rap-tsv"])
def test_every_value_is_the_one_that_funpack_reads(tmp_path: Path, form: TableForm) -> None:
    write_table(tmp_path, form, 3, plan_release(3, 40))
    table = tmp_path / table_name(form)
    theirs = read_with_funpack(table, tmp_path / "funpack.tsv")
    ours = values_of(read_tables([table], WANTED, {}, theirs["eid"].cast(pl.Int64).to_list()))
    expected = long_form(theirs)
    assert {field for field, *_ in expected} == WANTED.keys()
    assert ours == expected and len(ours) > 2000

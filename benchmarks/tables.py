"""Picking the columns that are wanted from UK Biobank's table: this project's reader against FUNPACK and a limit.

Everyone reads the same quoted csv from a warm cache and ends with the wanted columns in memory. `mm` also checks the
length of rows, repeated participants, labels and dates. `funpack` is FUNPACK's import stage alone, in a process of its
own whose start does not count: no cleaning, no processing, nothing written; the faster of one process and one for each
core. `limit` is polars' scan of the same columns as text and nothing else.

A table of UK Biobank's size (`measure_big_table`) is several gigabytes, so it is measured only when it is asked for.
"""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from catalog.features import wanted_fields
from catalog.fields import load_dictionary
from catalog.tables.tables import TableValues, read_tables
from catalog.tables.wanted import WantedField
from mmdata.synth.phenotype import PSYCHOLOGY_FIELDS
from mmdata.synth.table import column_names

REPEATS, FUNPACK_REPEATS = 5, 2
NUM_ROWS, NUM_COLUMNS = 10_000, 4_000
BIG_ROWS, BIG_COLUMNS, BIG_IMAGED = 500_000, 2_000, 100_000
BIG_TABLE_SET = "MM_BENCH_BIG_TABLE"
"""Environment variable that asks for the table of UK Biobank's size too: 5.2 GB in the temporary folder."""
_DATE_FIELDS = (53, 131286, 131494, 131720)
_NUMBER_FIELDS = (20023, 21001, 21002, 21003, 21022, 23099, 30020, 34)
_FIELDS = (31, 54, 1707, 20116, *PSYCHOLOGY_FIELDS, *_NUMBER_FIELDS, *_DATE_FIELDS)
"""They have 92 columns."""
_FIRST_EID = 1_000_000
_NUM_DIFFERENT_ROWS = 997
"""After so many, rows come again under other eids: the same work to read, and quick to write."""
_FUNPACK = """
import sys, time
import funpack.config, funpack.custom, funpack.main, funpack.schema
funpack.custom.registerBuiltIns()
args, _ = funpack.config.parseArgsWithConfigFile(sys.argv[1:])
funpack.schema.DOWNLOAD = False
started = time.perf_counter()
table = funpack.main.doImport(args, None)[0]
print(time.perf_counter() - started)
funpack.main.doExport(table, args)
"""
_RAW = ("-q", "-ow", "-nd", "-tt", "-f", "tsv")


@dataclass(frozen=True, slots=True)
class BigTableResult:
    """What reading a table of UK Biobank's size took."""

    file_gigabytes: float
    seconds: float
    peak_anonymous_gigabytes: float
    """Memory that the process had to itself, sampled 100 times a second."""
    peak_resident_gigabytes: float
    """The kernel's high-water mark, file pages and libraries included."""


def bench_tables(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure the reading of tables; return what was measured, and the ratios."""
    table = make_table(folder / "table.csv")
    num_values = require_equal_values(table)
    times = measure_tables(table)
    seconds = {name: median(of_contender) for name, of_contender in times.items()}
    measured = {
        "rows": NUM_ROWS,
        "columns": NUM_COLUMNS,
        "values": num_values,
        "median_s": {name: round(value, 3) for name, value in seconds.items()},
        "all_s": {name: [round(value, 3) for value in of_contender] for name, of_contender in times.items()},
    }
    if os.environ.get(BIG_TABLE_SET):
        measured["big"] = dataclasses.asdict(measure_big_table(folder))
    ratios = {
        "tables_vs_funpack": round(seconds["funpack"] / seconds["mm"], 2),
        "tables_vs_scan_limit": round(seconds["limit"] / seconds["mm"], 2),
    }
    return measured, ratios


def make_table(path: Path, num_rows: int = NUM_ROWS, num_columns: int = NUM_COLUMNS) -> Path:
    """Write a table as ukbconv does: the wanted columns among others."""
    rng = np.random.default_rng(1)
    wanted = [name for name in column_names() if int(name.split("-")[0]) in _FIELDS]
    names = [f"{200_000 + number}-0.0" for number in range(num_columns - len(wanted))]
    for number, name in enumerate(wanted):
        names.insert(number * num_columns // len(wanted), name)
    cells = [_draw_cells(rng, int(name.split("-")[0])) for name in names]
    rows = [",".join(f'"{cell}"' for cell in row) for row in zip(*cells, strict=True)]
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(f'"{name}"' for name in ("eid", *names)) + "\n")
        file.writelines(f'"{_FIRST_EID + row}",{rows[row % len(rows)]}\n' for row in range(num_rows))
    return path


def measure_tables(table: Path) -> dict[str, list[float]]:
    """Time every contender, turn and turn about; seconds."""
    eids = range(_FIRST_EID, _FIRST_EID + NUM_ROWS)
    times: dict[str, list[float]] = {"mm": [], "limit": [], "funpack": []}
    for repeat in range(-1, REPEATS):
        for name, contender in (("mm", _read), ("limit", _scan_only)):
            started = time.perf_counter()
            contender(table, eids)
            if repeat >= 0:
                times[name].append(time.perf_counter() - started)
        if 0 <= repeat < FUNPACK_REPEATS:
            times["funpack"].append(min(_run_funpack(table, jobs=jobs)[0] for jobs in {1, os.cpu_count() or 1}))
    return times


def require_equal_values(table: Path) -> int:
    """Check that mm and FUNPACK read the same, so that the race is fair; return the number of values."""
    tables = _read(table, range(_FIRST_EID, _FIRST_EID + NUM_ROWS))
    ours = pl.concat([tables.of_field(field).with_columns(pl.lit(field).alias("field")) for field in _FIELDS])
    theirs = _long_form(_run_funpack(table, jobs=1)[1])
    key = ["field", "eid", "instance", "array"]
    both = ours.join(theirs, on=key, how="full", coalesce=True, suffix="_theirs")
    num_different = both.filter(~pl.col("value").eq_missing(pl.col("value_theirs"))).height
    if num_different or ours.is_empty():
        raise RuntimeError(f"mm and FUNPACK read {num_different} of {both.height} values differently")
    return both.height


def measure_big_table(folder: Path) -> BigTableResult:
    """Read a table of UK Biobank's size in a process of its own; the table is removed again."""
    table = make_table(folder / "big.csv", BIG_ROWS, BIG_COLUMNS)
    try:
        command = [sys.executable, "-m", "benchmarks.tables", str(table)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    finally:
        table.unlink()
    return BigTableResult(**json.loads(output))


def _read_big_table(table: Path) -> BigTableResult:
    """Read every fifth participant's values, as `mm ingest` would, one field at a time in long form."""
    eids = range(_FIRST_EID, _FIRST_EID + BIG_ROWS, BIG_ROWS // BIG_IMAGED)
    file_gigabytes = table.stat().st_size / 1e9
    started = time.perf_counter()
    with _sampled_memory() as peak:
        tables = _read(table, eids)
        for field in _FIELDS:
            tables.of_field(field)
    return BigTableResult(
        file_gigabytes=round(file_gigabytes, 2),
        seconds=round(time.perf_counter() - started, 2),
        peak_anonymous_gigabytes=round(peak["RssAnon"] / 1e9, 2),
        peak_resident_gigabytes=round(peak["VmHWM"] / 1e9, 2),
    )


def _draw_cells(rng: np.random.Generator, field: int) -> Sequence[str]:
    """Draw a column's cells, empty in part: dates, numbers or codes for the fields that are wanted."""
    days = np.datetime64("1990-01-01") + rng.integers(0, 12_000, _NUM_DIFFERENT_ROWS)
    numbers = rng.normal(40.0, 10.0, _NUM_DIFFERENT_ROWS).round(2)
    codes = rng.choice([0, 1, 1, 2, -1, -3], _NUM_DIFFERENT_ROWS)
    values = days if field in _DATE_FIELDS else numbers if field in _NUMBER_FIELDS or field % 2 else codes
    is_empty = rng.random(_NUM_DIFFERENT_ROWS) < 0.3
    return ["" if empty else str(value) for empty, value in zip(is_empty, values, strict=True)]


def _wanted() -> dict[int, WantedField]:
    of_dictionary = wanted_fields(load_dictionary())
    return {field: of_dictionary[field] for field in _FIELDS}


def _read(table: Path, eids: range) -> TableValues:
    return read_tables([table], _wanted(), {}, eids)


def _scan_only(table: Path, eids: range) -> pl.DataFrame:
    scan = pl.scan_csv(table, infer_schema=False, encoding="utf8-lossy")
    names = [name for name in scan.collect_schema().names() if name.partition("-")[0] in map(str, _FIELDS)]
    return scan.select("eid", *names).collect(engine="streaming")


def _run_funpack(table: Path, *, jobs: int) -> tuple[float, pl.DataFrame]:
    """Return the seconds that FUNPACK's import takes, and what it read as text."""
    output = table.with_suffix(".funpack.tsv")
    fields = ",".join(map(str, _FIELDS))
    command = [sys.executable, "-c", _FUNPACK, *_RAW, "-nj", str(jobs), "-v", fields, str(output), str(table)]
    seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds, pl.read_csv(output, separator="\t", infer_schema=False)


def _long_form(wide: pl.DataFrame) -> pl.DataFrame:
    place = pl.col("column").str.extract_groups(r"^(?<field>\d+)-(?<instance>\d+)\.(?<array>\d+)$")
    text = pl.col("value")
    days = text.str.to_date("%Y-%m-%d", strict=False).to_physical().cast(pl.Float64)
    return (
        wide.unpivot(index="eid", variable_name="column")
        .drop_nulls("value")
        .with_columns(place.alias("place"))
        .unnest("place")
        .select(
            pl.col("eid").cast(pl.Int64),
            pl.col("field", "instance", "array").cast(pl.Int32),
            days.fill_null(text.cast(pl.Float64, strict=False)).alias("value"),
        )
    )


@contextmanager
def _sampled_memory() -> Iterator[dict[str, int]]:
    """Sample this process's memory; afterwards the dictionary holds the largest of RssAnon and VmHWM, in bytes."""
    peak = {"RssAnon": 0, "VmHWM": 0}
    stop = threading.Event()

    def sample() -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            for name, bytes_before in list(peak.items()):
                peak[name] = max(bytes_before, 1024 * int(status[name].split()[0]))
            if stop.wait(0.01):
                return

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        stop.set()
        sampler.join()


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(_read_big_table(Path(sys.argv[1])))))

"""Withdrawal proven by a search of every byte of the study, also where the command was killed again and again.

``MM_KILLS`` sets how many; a handful is enough to see that it works, 30 to believe it.
"""

import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from mmdata.ledger.tombstones import read_tombstones, read_withdrawal_receipts

MM = Path(sys.executable).with_name("mm")
NUM_KILLS = int(os.environ.get("MM_KILLS", "4"))
SLICE_BYTES = 48
RUN = "age_t1_20260101-000000"


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What the bytes of a study hold of one participant."""

    eid: int
    rows: list[int]
    names: list[bytes]
    """Sample ids."""
    numbers: list[bytes]
    """The eid, as text and as a database keeps a number in its tables and indices."""
    payload: list[bytes]
    """Pieces of the compressed chunks of every array."""

    @property
    def all(self) -> list[bytes]:
        return [*self.names, *self.numbers, *self.payload]


def query(root: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def inner_chunks(array: Path, row: int) -> Iterator[bytes]:
    """Yield the compressed bytes of a row, once for each copy, by the index at the end of its shard.

    Source: the specification of the Zarr v3 codec sharding_indexed.
    """
    described = json.loads((array / "zarr.json").read_text())
    axis = described["dimension_names"].index("sample")
    rows_per_shard = described["chunk_grid"]["configuration"]["chunk_shape"][axis]
    behind = ["0"] * (len(described["shape"]) - axis - 1)
    for copy in range(described["shape"][0]) if axis else (None,):
        before = [] if copy is None else [str(copy)]
        file = array.joinpath("c", *before, str(row // rows_per_shard), *behind)
        content = file.read_bytes() if file.exists() else b""
        index = content[-16 * rows_per_shard - 4 : -4]
        for number, (offset, size) in enumerate(struct.iter_unpack("<QQ", index)):
            if number == row % rows_per_shard and offset != 2**64 - 1:
                yield content[offset : offset + size]


def pieces(chunk: bytes) -> list[bytes]:
    """Cut pieces out of the middle that no other content is likely to have."""
    starts = [int(share * (len(chunk) - SLICE_BYTES)) for share in (0.2, 0.5, 0.8)]
    cut = [chunk[start : start + SLICE_BYTES] for start in starts]
    return [piece for piece in cut if len(set(piece)) > SLICE_BYTES // 2]


def find_traces(root: Path, eid: int) -> Traces:
    samples = query(root, f"SELECT sample_id, row FROM samples WHERE eid = {eid}")
    arrays = [path.parent for path in root.glob("*.zarr/*/*/zarr.json")]
    rows = [row for _, row in samples]
    return Traces(
        eid=eid,
        rows=rows,
        names=[name.encode() for name, _ in samples],
        numbers=[str(eid).encode(), eid.to_bytes(8, "little"), (eid + 2**63).to_bytes(8, "big")],
        payload=[p for array in arrays for row in rows for chunk in inner_chunks(array, row) for p in pieces(chunk)],
    )


def found(root: Path, traces: list[bytes]) -> list[tuple[str, bytes]]:
    """Search every byte of a study."""
    contents = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return [
        (str(path.relative_to(root)), trace)
        for path, content in contents.items()
        for trace in traces
        if trace in content or trace in str(path.relative_to(root)).encode()
    ]


def participants(root: Path) -> list[int]:
    """Return those who have every modality stored, of the training split first, by their first row."""
    return [
        eid
        for (eid,) in query(
            root,
            "SELECT eid FROM samples JOIN splits USING (sample_id) WHERE sample_id IN "
            "(SELECT sample_id FROM scans WHERE status = 'stored' GROUP BY sample_id HAVING count(*) = 4) "
            "ORDER BY split <> 'train', row",
        )
    ]


def add_run(root: Path) -> None:
    """Add a finished run of everybody."""
    run = root / "runs" / RUN
    run.mkdir(parents=True)
    rows = query(root, "SELECT sample_id, row, split FROM samples JOIN splits USING (sample_id) ORDER BY row")
    cohort = pl.DataFrame(rows, schema=["sample_id", "row", "split"], orient="row").with_columns(
        target=pl.col("row") + 0.5
    )
    cohort.write_parquet(run / "cohort.parquet", compression="uncompressed")
    predictions = cohort.select("sample_id", "split", truth="target", prediction="target")
    predictions.write_parquet(run / "predictions.parquet", compression="uncompressed")
    counts = {split: cohort.filter(split=split).height for split in ("train", "val", "test")}
    metrics = {"target": "age", "kind": "regression", "inputs": ["t1"], "n": counts, "val": {}, "test": {}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    findings = [{"text": f"Samples {', '.join(cohort['sample_id'])} are alike."}]
    (run / "config.json").write_text(json.dumps({"audit": findings}))


@pytest.fixture(scope="module")
def before(study: Path, run_mm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with a run, a page and a catalogue that can be searched. Tests must not change it."""
    root = Path(shutil.copytree(study, tmp_path_factory.mktemp("before") / "study"))
    add_run(root)
    spread_out(root / "catalog.duckdb")
    assert run_mm("--study", root, "qc").exit_code == 0
    return root


def spread_out(catalog: Path) -> None:
    """Write a catalogue again without compression, so that a search of its bytes finds whatever its pages hold."""
    plain = catalog.with_suffix(".plain")
    with duckdb.connect(":memory:", config={"storage_compatibility_version": "v1.0.0"}) as connection:
        connection.execute("SET force_compression = 'uncompressed'")
        connection.execute(f"ATTACH '{catalog}' AS old (READ_ONLY)")
        connection.execute(f"ATTACH '{plain}' AS plain")
        connection.execute("COPY FROM DATABASE old TO plain")
    plain.replace(catalog)


def write_list(folder: Path, traces: Traces) -> Path:
    path = folder / "w12345_20260101.csv"
    path.write_text(f"eid\r\n{traces.eid}\r\n9999999\r\n")
    return path


def outcome(root: Path) -> dict[str, Any]:
    """Return all that a study holds: the content of every file, and of the catalogue what is in its tables."""
    unlike = ("catalog.duckdb", "withdrawn.jsonl")  # the one by its tables, the other by what it says in the end
    files: dict[str, Any] = {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name not in unlike
    }
    for name in ("receipts/removals.jsonl", f"runs/{RUN}/withdrawn.json"):
        files[name] = re.sub(rb"\d{4}-\d\d-\d\d", b"DATE", files[name])
    for (table,) in query(root, "SELECT table_name FROM duckdb_tables()"):
        files[f"table {table}"] = sorted(query(root, f"FROM {table}"), key=str)
    tombstones = read_tombstones(root / "receipts")
    files["tombstones"] = {key: (t.status, t.rows, t.removal) for key, t in tombstones.items()}
    return files


def others(root: Path, traces: Traces) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the catalogue's views say of everybody else."""
    names = ", ".join(f"'{name.decode()}'" for name in traces.names)
    views = ("samples", "splits", "scans", "features")
    return {view: sorted(query(root, f"FROM {view} WHERE sample_id NOT IN ({names})"), key=str) for view in views}


def test_no_byte_of_a_participant_is_left(before: Path, tmp_path: Path, run_mm: Any) -> None:
    traces = find_traces(before, participants(before)[0])
    known = {trace for _, trace in found(before, traces.all)}
    assert {*traces.names, *traces.payload} <= known and len(known.intersection(traces.numbers)) >= 2
    assert len(traces.payload) > 20
    named_in = {name for name, _ in found(before, traces.names)}
    of_run = {f"runs/{RUN}/{name}" for name in ("config.json", "cohort.parquet")}
    assert named_in >= {"catalog.duckdb", "receipts/samples.jsonl", "receipts/scans.jsonl", *of_run}

    root = Path(shutil.copytree(before, tmp_path / "study"))
    result = run_mm("--study", root, "withdraw", write_list(tmp_path, traces), "--json")
    assert result.exit_code == 0, result.output
    assert found(root, traces.all) == []
    assert query(root, "SELECT free_blocks FROM pragma_database_size() WHERE database_name = 'catalog'") == [(0,)]
    assert str(traces.eid) not in result.output
    assert others(root, traces) == others(before, traces)
    assert run_mm("--study", root, "verify", "--workers", 0).exit_code == 0


def test_the_withdrawn_do_not_come_back_even_when_the_catalogue_is_lost(
    before: Path, tmp_path: Path, run_mm: Any
) -> None:
    num_rows = query(before, "SELECT value FROM counter WHERE name = 'next_row'")
    ((newest,),) = query(before, f"SELECT eid FROM samples WHERE row = {num_rows[0][0] - 1}")
    traces = find_traces(before, newest)
    root = Path(shutil.copytree(before, tmp_path / "study"))
    assert run_mm("--study", root, "withdraw", write_list(tmp_path, traces)).exit_code == 0
    for lose in (False, True):
        if lose:
            (root / "catalog.duckdb").unlink()
        result = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
        assert result.exit_code == 0, result.output
        assert found(root, traces.all) == []
        assert others(root, traces) == others(before, traces)
        assert query(root, "SELECT value FROM counter WHERE name = 'next_row'") == num_rows


def test_a_list_that_an_ingest_finds_reaches_every_byte_too(before: Path, tmp_path: Path, run_mm: Any) -> None:
    traces = find_traces(before, participants(before)[1])
    root = Path(shutil.copytree(before, tmp_path / "study"))
    result = run_mm("--study", root, "ingest", "ukb", "--workers", 0, "--withdrawals", write_list(tmp_path, traces))
    assert result.exit_code == 0, result.output
    assert found(root, traces.all) == []


def kill_at_random(root: Path, words: list[object], life_seconds: float) -> bool:
    """Run a command and kill it after a while; return whether it had not ended by itself."""
    command = [str(MM), "--study", str(root), *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, messages = process.communicate(timeout=life_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0, messages
    return False


def run(root: Path, *words: object) -> None:
    command = [str(MM), "--study", str(root), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow  # of the same claim, tests/mmstudy/test_withdraw.py stops it after every step
def test_killed_at_random_it_ends_in_the_same_study_without_a_byte_of_the_participant(
    before: Path, tmp_path: Path
) -> None:
    rng = random.Random(7)
    traces = find_traces(before, participants(before)[0])
    withdrawal = write_list(tmp_path, traces)
    whole = Path(shutil.copytree(before, tmp_path / "whole"))
    started = time.monotonic()
    run(whole, "withdraw", withdrawal)
    whole_seconds = time.monotonic() - started
    run(whole, "ingest", "ukb", "--workers", 0)
    expected = outcome(whole)
    assert found(whole, traces.all) == []

    num_known = len(read_withdrawal_receipts(before / "receipts"))
    num_kills = num_studies = 0
    while num_kills < NUM_KILLS:
        root = Path(shutil.copytree(before, tmp_path / f"study{num_studies}"))
        for _ in range(rng.randint(1, 3)):
            life_seconds = rng.uniform(0.3, 1.0) * whole_seconds
            was_killed = kill_at_random(root, ["withdraw", withdrawal], life_seconds)
            num_kills += was_killed
            if not was_killed:  # the machine has less to do than when it was measured
                whole_seconds = life_seconds
        if len(read_withdrawal_receipts(root / "receipts")) < num_known + 2 or rng.random() < 0.5:
            run(root, "withdraw", withdrawal)
        run(root, "ingest", "ukb", "--workers", 0)  # finishes what is left, and brings nobody back
        assert found(root, traces.all) == []
        assert outcome(root) == expected
        shutil.rmtree(root)
        num_studies += 1

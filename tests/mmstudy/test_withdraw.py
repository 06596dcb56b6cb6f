import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

import mmstudy.removal
import mmstudy.withdraw
from catalog.errors import CatalogError, TableError
from catalog.identity import participant_key
from mmdata.errors import StudyError
from mmdata.ledger.lock import hold_stores
from mmdata.ledger.receipt_kinds import ScanReceipt
from mmdata.ledger.receipts import REMOVED, SCAN_RECEIPTS, append_receipts, read_samples, read_scan_receipts
from mmdata.ledger.tombstones import read_removals, read_tombstones, record_withdrawals
from mmdata.ledger.verify import execute_verification, plan_verification
from mmdata.store.array import open_array
from mmdata.study import Study, load_study
from mmstudy.presence import require_present
from mmstudy.summaries import removal_lines
from mmstudy.withdraw import (
    WithdrawalResult,
    finish_removals,
    preview_withdrawal,
    run_withdrawal,
)

STRANGER = 9_999_999
RUN = "age_t1_20260101-000000"


@contextlib.contextmanager
def quiet(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def agree(_: str) -> bool:
    return True


@pytest.fixture
def study_copy(study: Path, tmp_path: Path) -> Study:
    """A copy of the study."""
    return copy_of(study, tmp_path / "study")


def copy_of(study: Path, root: Path) -> Study:
    """Copy a study, and add a finished run, a page and logs."""
    shutil.copytree(study, root)
    add_run(root)
    (root / "qc.html").write_text("single scans")
    (root / "slurm").mkdir()
    (root / "slurm" / "job-1.out").write_text("a log")
    return load_study(root)


def add_run(root: Path) -> None:
    run = root / "runs" / RUN
    run.mkdir(parents=True)
    cohort = query(
        root, "SELECT sample_id, row, split, 60.0 AS target FROM samples JOIN splits USING (sample_id) ORDER BY row"
    )
    cohort.write_parquet(run / "cohort.parquet")
    held_out = cohort.filter(pl.col("split") != "train")
    held_out.select("sample_id", "split", truth="target", prediction="target").write_parquet(
        run / "predictions.parquet"
    )
    counts = {split: cohort.filter(split=split).height for split in ("train", "val", "test")}
    metrics = {"target": "age", "kind": "regression", "inputs": ["t1"], "n": counts, "val": {}, "test": {}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "config.json").write_text("{}")


def query(root: Path, sql: str) -> pl.DataFrame:
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as connection:
        result = connection.execute(sql)
        names = [column[0] for column in result.description]
        return pl.DataFrame(result.fetchall(), schema=names, orient="row")


def somebody(study: Study, split: str = "train") -> tuple[int, list[str], list[int]]:
    """Return the eid, sample ids and rows of a participant who has every modality stored."""
    samples = query(
        study.layout.root,
        f"SELECT eid FROM samples JOIN splits USING (sample_id) WHERE split = '{split}' AND sample_id IN "
        "(SELECT sample_id FROM scans WHERE status = 'stored' GROUP BY ALL HAVING count(*) = 4) ORDER BY row",
    )
    eid = samples["eid"][0]
    every = query(study.layout.root, f"SELECT sample_id, row FROM samples WHERE eid = {eid} ORDER BY row")
    return eid, every["sample_id"].to_list(), every["row"].to_list()


def write_list(study: Study, *eids: int) -> Path:
    path = study.layout.root.parent / "w12345_20260101.csv"
    path.write_text("".join(f"{eid}\n" for eid in eids))
    return path


def withdraw(study: Study, *eids: int) -> WithdrawalResult:
    return run_withdrawal(study, [write_list(study, *eids)] if eids else [], quiet, agree)


def state(study: Study) -> dict[str, tuple[bytes, int]]:
    """Return every file with its content and when it was written, but for the lock that every command takes."""
    return {
        str(path.relative_to(study.layout.root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(study.layout.root.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def outcome(study: Study) -> dict[str, Any]:
    """Return what a withdrawal leaves: every file's content, and of the catalogue what its tables hold."""
    files: dict[str, Any] = {
        name: content
        for name, (content, _) in state(study).items()
        if name not in ("catalog.duckdb", "receipts/withdrawn.jsonl")
    }
    tables = query(study.layout.root, "SELECT table_name FROM duckdb_tables() ORDER BY 1")["table_name"]
    for table in tables:
        files[f"table {table}"] = sorted(query(study.layout.root, f"SELECT * FROM {table}").iter_rows(), key=str)
    files["tombstones"] = read_tombstones(study.layout.receipts)
    return files


def stored(study: Study, name: str) -> Any:
    return np.asarray(open_array(study.layout.root / name).handle.read().result())


def array_names(study: Study) -> list[str]:
    return [
        str(path.parent.relative_to(study.layout.root))
        for path in sorted(study.layout.root.glob("*.zarr/*/*/zarr.json"))
    ]


def test_a_participant_leaves_every_place_and_nobody_else_does(study_copy: Study) -> None:
    study = study_copy
    eid, names, rows = somebody(study)
    before = {name: stored(study, name) for name in array_names(study)}
    receipts = {path.name: path.read_text().splitlines() for path in study.layout.receipts.glob("*.jsonl")}
    features = query(study.layout.root, "SELECT * FROM features ORDER BY sample_id, name")
    result = withdraw(study, eid, STRANGER)

    assert (result.participants, result.known, result.samples) == (2, 1, len(rows))
    assert result.runs == (RUN,) and result.removed_before == 0
    for name, values in before.items():
        after = stored(study, name)
        augmented = name.startswith("augmented")
        axis = 1 if augmented else 0
        others = np.setdiff1d(np.arange(values.shape[axis]), rows)
        assert after.take(others, axis).tobytes() == values.take(others, axis).tobytes()
        gone = after.take(rows, axis)
        assert np.isnan(gone).all() if gone.dtype.kind == "f" else (gone == np.iinfo(gone.dtype).max).all()
    for name in ("samples.jsonl", "scans.jsonl"):
        kept = [line for line in receipts[name] if not any(sample in line for sample in names)]
        assert (study.layout.receipts / name).read_text().splitlines() == kept and len(kept) < len(receipts[name])
    left = query(study.layout.root, "SELECT * FROM features ORDER BY sample_id, name")
    assert left.equals(features.filter(~pl.col("sample_id").is_in(names))) and left.height < features.height
    for table in ("participant", "sample", "scan_source", "scan_outcome", "feature"):
        assert not any(
            v in (eid, *names) for line in query(study.layout.root, f"FROM {table}").iter_rows() for v in line
        )
    assert not study.layout.qc_page.exists() and not study.layout.slurm.exists()
    assert execute_verification(plan_verification(study), workers=0, on_progress=lambda done, total: None) == []


def test_the_run_is_marked_and_the_catalogue_says_so(study_copy: Study) -> None:
    eid, names, rows = somebody(study_copy, "test")
    withdraw(study_copy, eid)
    run = study_copy.layout.runs / RUN
    assert json.loads((run / "withdrawn.json").read_text())["withdrawn"] == {"train": 0, "val": 0, "test": len(rows)}
    for name in ("cohort", "predictions"):
        assert not set(names) & set(pl.read_parquet(run / f"{name}.parquet")["sample_id"])
    assert query(study_copy.layout.root, "SELECT withdrawn FROM runs")["withdrawn"].to_list() == [len(rows)]


def test_the_receipt_says_what_went_where_and_not_who(study_copy: Study) -> None:
    eid, names, rows = somebody(study_copy)
    result = withdraw(study_copy, eid, STRANGER)
    receipt = max(read_removals(study_copy.layout.receipts).values(), key=lambda receipt: receipt.removal)
    assert (receipt.status, receipt.participants, receipt.known, receipt.samples) == (REMOVED, 2, 1, len(rows))
    assert receipt.places == result.places and tuple(receipt.runs) == result.runs
    assert receipt.places["volumes.zarr/t1/64"] == receipt.places["catalog.duckdb/sample"] == len(rows)
    assert receipt.places["augmented.zarr/t1/32"] == 2 * len(rows)
    assert receipt.places["qc.html"] == receipt.places["slurm"] == 1
    text = (study_copy.layout.receipts / "removals.jsonl").read_text()
    assert not [trace for trace in (str(eid), *names, participant_key(study_copy.config.salt, eid)) if trace in text]


def test_a_stranger_gets_a_tombstone_and_costs_nobody_anything(study_copy: Study) -> None:
    before = state(study_copy)
    result = withdraw(study_copy, STRANGER)
    assert (result.participants, result.known, result.places, result.runs) == (1, 0, {}, ())
    tombstone = read_tombstones(study_copy.layout.receipts)[participant_key(study_copy.config.salt, STRANGER)]
    assert tombstone.status == REMOVED and tombstone.rows == []
    changed = {name for name, content in state(study_copy).items() if before.get(name) != content}
    assert changed == {"catalog.duckdb", "receipts/withdrawn.jsonl", "receipts/removals.jsonl"}


def test_a_preview_says_what_would_go_and_writes_nothing(study_copy: Study) -> None:
    eid, _, _ = somebody(study_copy)
    path = write_list(study_copy, eid, STRANGER)
    path.chmod(0o400)
    before = state(study_copy)
    planned = preview_withdrawal(study_copy, [path], quiet)
    assert state(study_copy) == before
    assert planned == run_withdrawal(study_copy, [path], quiet, agree)
    assert preview_withdrawal(study_copy, [path], quiet).removed_before == 2


def test_doing_it_again_writes_nothing(study_copy: Study) -> None:
    eid, _, _ = somebody(study_copy)
    withdraw(study_copy, eid, STRANGER)
    before = state(study_copy)
    again = withdraw(study_copy, eid, STRANGER)
    assert (again.participants, again.removed_before, again.places) == (0, 2, {})
    assert withdraw(study_copy) == replace(again, removed_before=0)
    assert state(study_copy) == before


STEPS = [
    (mmstudy.withdraw, "record_withdrawals", 1),
    (mmstudy.withdraw, "append_receipts", 1),  # tombstones with rows
    (mmstudy.withdraw, "hide", 1),
    (mmstudy.withdraw, "append_receipts", 2),  # what was found
    (mmstudy.removal, "_remove_disposable", 1),
    (mmstudy.removal, "execute_erasure", 1),
    (mmstudy.removal, "forget_withdrawn", 1),
    (mmstudy.removal, "forget_scans", 1),
    (mmstudy.removal, "remove_participants", 1),
    (mmstudy.removal, "index_runs", 1),
    (mmstudy.removal, "forget_samples", 1),
    (mmstudy.withdraw, "append_receipts", 3),  # what was removed
    (mmstudy.withdraw, "append_receipts", 4),  # tombstones of the removed
]


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


@pytest.fixture(scope="module")
def uninterrupted(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    whole = copy_of(study, tmp_path_factory.mktemp("whole") / "study")
    eid, _, _ = somebody(whole, "val")
    withdraw(whole, eid, STRANGER)
    return outcome(whole)


@pytest.mark.parametrize(("module", "name", "call"), STEPS, ids=[f"{name}-{call}" for _, name, call in STEPS])
def test_stopped_after_any_step_the_next_command_ends_in_the_same_state(
    module: Any,
    name: str,
    call: int,
    study_copy: Study,
    uninterrupted: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    eid, _, _ = somebody(study_copy, "val")
    step, calls_left = getattr(module, name), [call]

    def stop(*arguments: Any, **named: Any) -> None:
        step(*arguments, **named)
        calls_left[0] -= 1
        if not calls_left[0]:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, stop)
        with pytest.raises(Killed):
            withdraw(study_copy, eid, STRANGER)
    withdraw(study_copy)
    assert outcome(study_copy) == uninterrupted


def test_an_ingest_removes_whoever_has_a_tombstone_that_is_only_begun(study_copy: Study) -> None:
    eid, _, rows = somebody(study_copy)
    key = participant_key(study_copy.config.salt, eid)
    record_withdrawals(study_copy.layout.receipts, frozenset({key}))
    with hold_stores(study_copy.layout):
        assert finish_removals(study_copy, quiet).samples == len(rows)
        assert finish_removals(study_copy, quiet).participants == 0
    assert read_tombstones(study_copy.layout.receipts)[key].status == REMOVED


def test_whom_only_the_catalogue_hides_is_removed_too(study_copy: Study) -> None:
    eid, _, rows = somebody(study_copy)
    with duckdb.connect(str(study_copy.layout.catalog)) as connection:
        connection.execute("INSERT INTO withdrawn VALUES (?)", [participant_key(study_copy.config.salt, eid)])
    assert preview_withdrawal(study_copy, [], quiet).samples == len(rows)
    assert withdraw(study_copy).samples == len(rows)
    assert query(study_copy.layout.root, f"SELECT count(*) AS n FROM participant WHERE eid = {eid}")["n"][0] == 0


def test_what_came_back_with_a_backup_is_removed_again(study_copy: Study, tmp_path: Path) -> None:
    eid, names, rows = somebody(study_copy)
    backup = shutil.copytree(study_copy.layout.volumes, tmp_path / "backup.zarr")
    withdraw(study_copy, eid)
    shutil.rmtree(study_copy.layout.volumes)
    shutil.copytree(backup, study_copy.layout.volumes)
    again = withdraw(study_copy, eid)
    assert (again.participants, again.removed_before) == (1, 0)
    assert again.places["volumes.zarr/t1/64"] == len(rows) and "catalog.duckdb/sample" not in again.places
    assert withdraw(study_copy, eid).removed_before == 1
    assert not set(names) & read_samples(study_copy.layout.receipts).keys()


def test_a_scan_with_the_same_voxels_goes_with_it_whoever_has_it(study_copy: Study) -> None:
    eid, names, rows = somebody(study_copy, "train")
    _, other_names, other_rows = somebody(study_copy, "val")
    receipts = study_copy.layout.receipts
    scans = read_scan_receipts(receipts)
    twin = replace(scans[other_names[0], "t1"], checksums=scans[names[0], "t1"].checksums)
    append_receipts(receipts / SCAN_RECEIPTS, [twin])
    for side in (64, 32):
        array = open_array(study_copy.layout.volume_array("t1", side))
        start = other_rows[0] - other_rows[0] % 8
        shard = array.read_shard(start)
        shard[other_rows[0] - start] = array.read_rows([(rows[0],)])[0]
        array.write_shard(start, shard)
    withdraw(study_copy, eid)
    assert (stored(study_copy, "volumes.zarr/t1/64")[other_rows[0]] == 65535).all()
    assert not (stored(study_copy, "volumes.zarr/dwi/64")[other_rows[0]] == 65535).all()
    after = read_scan_receipts(receipts)[other_names[0], "t1"]
    assert isinstance(after, ScanReceipt) and (after.status, after.reason) == ("rejected", "duplicate")
    sql = f"SELECT status, reason, brain_ml FROM scans WHERE sample_id = '{other_names[0]}' AND modality = 't1'"
    assert query(study_copy.layout.root, sql).rows() == [("rejected", "duplicate", None)]
    assert withdraw(study_copy, eid).removed_before == 1


def test_without_a_catalogue_the_receipts_say_who_it_is(study_copy: Study) -> None:
    eid, _, rows = somebody(study_copy)
    study_copy.layout.catalog.unlink()
    result = withdraw(study_copy, eid)
    assert (result.known, result.samples, result.places["volumes.zarr/t1/64"]) == (1, len(rows), len(rows))
    assert not study_copy.layout.catalog.exists()


def test_another_salt_is_refused_before_anything_is_written(study_copy: Study) -> None:
    eid, _, _ = somebody(study_copy)
    before = state(study_copy)
    other = Study(study_copy.layout, replace(study_copy.config, salt="another-salt-of-a-study"))
    with pytest.raises(CatalogError, match="would not match"):
        withdraw(other, eid)
    assert state(study_copy) == before


def test_a_list_that_cannot_be_read_is_refused_before_anything_is_written(study_copy: Study) -> None:
    before = state(study_copy)
    path = write_list(study_copy, STRANGER)
    path.write_text("1000001\nsomebody\n")
    with pytest.raises(TableError, match="line 2"):
        run_withdrawal(study_copy, [path], quiet, agree)
    assert state(study_copy) == before


def test_another_command_that_writes_is_waited_for(study_copy: Study) -> None:
    with hold_stores(study_copy.layout), pytest.raises(StudyError, match="is writing to this study"):
        withdraw(study_copy, STRANGER)


def test_leftovers_of_killed_commands_go(study_copy: Study) -> None:
    eid, _, _ = somebody(study_copy)
    root = study_copy.layout.root
    leftovers = [root / ".qc.html.tmp", root / "study.tmp", root / "receipts" / "scans.jsonl.tmp"]
    for path in leftovers:
        path.write_text("of somebody")
    withdraw(study_copy, eid)
    assert not [path for path in leftovers if path.exists()]


def test_rows_of_the_withdrawn_are_refused_to_a_command_that_began_before(study_copy: Study) -> None:
    eid, _, rows = somebody(study_copy)
    require_present(study_copy.layout, rows)
    withdraw(study_copy, eid)
    with pytest.raises(StudyError, match="withdrawn from the study while this command was at work"):
        require_present(study_copy.layout, [*rows, 1])
    require_present(study_copy.layout, {0, 1, 2, 3} - set(rows))


def test_pages_of_many_runs_are_left_for_who_asks_for_them_and_their_files_are_summed_up(
    study_copy: Study,
) -> None:
    for number in range(mmstudy.removal.MOST_PAGES):
        shutil.copytree(study_copy.layout.runs / RUN, study_copy.layout.runs / f"run-{number:02}")
    pages = [run / "report.html" for run in study_copy.layout.runs.iterdir()]
    for page in pages:
        page.write_text("of everybody")
    eid, _, _ = somebody(study_copy)
    told = list(removal_lines(withdraw(study_copy, eid)))
    assert not any(page.exists() for page in pages)
    assert f"  report.html of {len(pages)} runs: {len(pages)}" in told
    assert not any("runs/run-00" in line for line in told)
    assert any(line.startswith("Their pages were removed") for line in told)


def test_the_page_of_a_run_is_made_again_of_those_who_are_left_and_the_internal_one_goes(study_copy: Study) -> None:
    run = study_copy.layout.runs / RUN
    for name in ("report.html", "report-internal.html"):
        (run / name).write_text("of everybody")
    eid, _, _ = somebody(study_copy)
    assert f"runs/{RUN}/report-internal.html" in withdraw(study_copy, eid).places
    assert "Participants have withdrawn since" in (run / "report.html").read_text()
    assert not (run / "report-internal.html").exists()

"""Damage done on purpose, found and mended."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import zarr
from typer.testing import Result

from mmdata.ledger.receipts import read_scan_receipts
from mmdata.ledger.verify import DamagedRow, execute_verification, plan_verification
from mmdata.store.chunks import shard_file
from mmdata.study import load_study

RunMm = Callable[..., Result]
ROWS_PER_SHARD = 8


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """The ingested and augmented study, to be damaged."""
    return Path(shutil.copytree(study, tmp_path / "study"))


def damage(root: Path) -> list[DamagedRow]:
    return execute_verification(plan_verification(load_study(root)), workers=0, on_progress=lambda *_: None)


def store_bytes(root: Path) -> dict[str, bytes]:
    stores = [root / "volumes.zarr", root / "augmented.zarr"]
    return {str(p.relative_to(root)): p.read_bytes() for store in stores for p in store.rglob("*") if p.is_file()}


def stored_rows(root: Path, modality: str) -> set[int]:
    receipts = read_scan_receipts(root / "receipts").values()
    return {receipt.row for receipt in receipts if receipt.modality == modality and receipt.status == "stored"}


def flip_bit(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)


def rows_that_changed(array: Path, before: dict[int, Any]) -> set[int]:
    """Which rows zarr-python cannot read any more, or reads otherwise."""
    stored = zarr.open_array(array, mode="r")
    changed = set()
    for row, values in before.items():
        try:
            if not np.array_equal(stored[row], values):
                changed.add(row)
        except Exception:
            changed.add(row)
    return changed


def test_a_whole_study_has_no_damage(study: Path) -> None:
    assert damage(study) == []
    assert sum(len(task.checksums) for task in plan_verification(load_study(study))) > 100


@pytest.mark.parametrize("name", ["t1/64", "connectivity/glasser360"])
def test_every_flipped_bit_is_found_in_the_rows_it_is_in(copy: Path, name: str) -> None:
    array = copy / "volumes.zarr" / name
    modality = name.split("/", maxsplit=1)[0]
    before = {row: zarr.open_array(array, mode="r")[row] for row in stored_rows(copy, modality)}
    shards = [path for path in array.rglob("c/*/*") if path.is_file() or any(path.rglob("*"))]
    files = sorted(
        {file for path in shards for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()}
    )
    pristine = {file: file.read_bytes() for file in files}
    rng = np.random.default_rng(5)
    num_found = 0
    for _ in range(25):
        file = files[rng.integers(len(files))]
        flip_bit(file, rng)
        found = {row.row for row in damage(copy) if row.modality == modality}
        assert found == rows_that_changed(array, before)
        num_found += bool(found)
        file.write_bytes(pristine[file])
    assert num_found >= 24  # a flip in the slot of a row that was never stored may harm nobody


def test_bytes_of_another_scan_are_found_though_their_own_checksums_hold(copy: Path) -> None:
    rows = sorted(stored_rows(copy, "t1") & stored_rows(copy, "flair"))
    array, other = (copy / "volumes.zarr" / modality / "32" for modality in ("t1", "flair"))
    shutil.copy2(shard_file(other, 0, 3), shard_file(array, 0, 3))
    found = [row for row in damage(copy) if row.array == "32"]
    assert {row.modality for row in found} == {"t1"}
    assert {row.row for row in found} >= {row for row in rows if row < ROWS_PER_SHARD}


def test_a_lost_shard_is_all_its_stored_rows(copy: Path) -> None:
    shard_file(copy / "volumes.zarr" / "dwi" / "64", 1, 3).unlink()
    expected = {row for row in stored_rows(copy, "dwi") if ROWS_PER_SHARD <= row < 2 * ROWS_PER_SHARD}
    assert {(row.modality, row.array, row.row) for row in damage(copy)} == {("dwi", "64", row) for row in expected}


def test_repair_makes_the_same_bytes_again(copy: Path, study: Path, run_mm: RunMm) -> None:
    rng = np.random.default_rng(3)
    flip_bit(shard_file(copy / "volumes.zarr" / "t1" / "64", 0, 3), rng)
    flip_bit(shard_file(copy / "volumes.zarr" / "connectivity" / "glasser360", 2, 1), rng)
    flip_bit(shard_file(copy / "augmented.zarr" / "flair" / "32", 1, 3, copy=1), rng)
    shard_file(copy / "augmented.zarr" / "t1" / "32", 0, 3, copy=0).unlink()
    verified = run_mm("--study", copy, "verify", "--workers", 0, "--json")
    num_damaged = len(json.loads(verified.stdout)["damaged"])
    assert verified.exit_code == 1 and "repair" in verified.stderr and num_damaged > 3
    repaired = run_mm("--study", copy, "repair", "--workers", 0, "--json")
    assert repaired.exit_code == 0, repaired.output
    result = json.loads(repaired.stdout)
    assert result["num_damaged_rows"] == num_damaged and result["num_scans_left"] == 0
    assert result["num_scans_read"] >= 2 and result["num_copies_made"] >= 2
    assert store_bytes(copy) == store_bytes(study)
    assert run_mm("--study", copy, "verify", "--workers", 0).exit_code == 0


def source_of(root: Path) -> Path:
    return Path(load_study(root).config.sources[0])


def use_source(root: Path, source: Path) -> None:
    path = root / "study.toml"
    path.write_text(path.read_text().replace(str(source_of(root)), str(source)))


def catalogued(root: Path) -> dict[str, Any]:
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as connection:
        return dict(connection.execute("SELECT sample_id || modality, status || reason FROM scans").fetchall())


def test_what_cannot_be_read_again_stays_named_and_is_passed_over(
    copy: Path, study: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    """One archive is gone, one is cut short; both rows are lost."""
    source = Path(shutil.copytree(source_of(copy), tmp_path / "source"))
    receipts = read_scan_receipts(copy / "receipts")
    t1s = sorted(
        (r for (_, modality), r in receipts.items() if modality == "t1" and r.row < ROWS_PER_SHARD), key=lambda r: r.row
    )
    lost = [receipt for receipt in t1s if receipt.status == "stored"][:2]
    with duckdb.connect(str(copy / "catalog.duckdb"), read_only=True) as connection:
        sql = "SELECT source FROM scans WHERE sample_id = ? AND modality = 't1'"
        gone, cut = (connection.execute(sql, [receipt.sample_id]).fetchall()[0][0] for receipt in lost)
    (source / Path(gone).relative_to(source_of(copy))).unlink()
    cut_path = source / Path(cut).relative_to(source_of(copy))
    cut_path.write_bytes(cut_path.read_bytes()[:200])
    use_source(copy, source)
    shard_file(copy / "volumes.zarr" / "t1" / "64", 0, 3).unlink()
    result = run_mm("--study", copy, "repair", "--workers", 0)
    assert result.exit_code == 1 and "2 scans could not be stored again" in result.stderr
    changed = {key: value for key, value in catalogued(copy).items() if value != catalogued(study)[key]}
    assert changed == {f"{lost[0].sample_id}t1": "rejecteddamaged", f"{lost[1].sample_id}t1": "rejectedbad-archive"}
    assert damage(copy) and {row.sample_id for row in damage(copy)} == {lost[0].sample_id}


def test_a_store_that_was_only_out_of_sight_is_taken_back(
    copy: Path, study: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    source = source_of(copy)
    use_source(copy, tmp_path / "nowhere")
    (copy / "volumes.zarr").rename(tmp_path / "away")
    assert run_mm("--study", copy, "repair", "--workers", 0).exit_code == 1
    assert not any(value.startswith("stored") for value in catalogued(copy).values())
    (tmp_path / "away").rename(copy / "volumes.zarr")
    use_source(copy, source)
    assert damage(copy) == []
    assert run_mm("--study", copy, "repair", "--workers", 0).exit_code == 0
    assert catalogued(copy) == catalogued(study) and store_bytes(copy) == store_bytes(study)


def test_copies_of_a_damaged_volume_are_made_again_with_it(
    study: Path, run_mm: RunMm, make_study: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_study(tmp_path / "study")
    assert run_mm("--study", root, "ingest", "ukb", "--workers", 0).exit_code == 0
    shutil.copy2(
        shard_file(root / "volumes.zarr" / "flair" / "32", 0, 3), shard_file(root / "volumes.zarr" / "t1" / "32", 0, 3)
    )
    assert run_mm("--study", root, "precompute-augs", "--copies", 2, "--workers", 0).exit_code == 0
    assert store_bytes(root) != store_bytes(study)
    repaired = run_mm("--study", root, "repair", "--workers", 0, "--json")
    assert repaired.exit_code == 0 and json.loads(repaired.stdout)["num_copies_made"] > 0
    assert store_bytes(root) == store_bytes(study)

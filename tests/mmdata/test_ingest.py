"""The whole way, from a synthetic release to the stores, judged with other people's programs."""

import gzip
import hashlib
import io
import logging
import re
import shutil
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import fsl.data.image
import fsl.transform.affine
import fsl.transform.flirt
import nibabel as nib
import numpy as np
import polars as pl
import pytest
import zarr
from numpy.typing import NDArray
from typer.testing import Result

from catalog.database import open_catalog
from catalog.samples import enrol, num_allocated_rows
from catalog.scans import record_sources, stored_training_rows
from catalog.withdrawals import find_withdrawn_eids, read_withdrawals
from mmbase.doubts import DOUBTS
from mmbase.records import Visit
from mmdata.copies.precompute import execute_copies, plan_copies
from mmdata.ingest import execute_ingest, plan_ingest
from mmdata.ledger.receipts import read_scan_receipts
from mmdata.sources.ukb import find_release
from mmdata.study import load_study
from mmdata.study_arrays import stored_modalities
from mmdata.synth.participant import eid_of
from mmdata.synth.plan import plan_release

RunMm = Callable[..., Result]
PARTICIPANTS, SEED = 24, 1337
IMAGES = {
    "t1": ("20252", "T1/T1_unbiased_brain.nii.gz", "T1/transforms/T1_to_MNI_linear.mat"),
    "flair": ("20253", "T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz", "T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat"),
    "dwi": ("20250", "dMRI/dMRI/dti_FA.nii.gz", "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat"),
}
MNI152_AFFINE_44 = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])


def tree(root: Path) -> dict[str, str]:
    """Return every file below a folder and its hash."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stores(study: Path) -> dict[str, str]:
    return {name: digest for name, digest in tree(study).items() if ".zarr/" in name}


def query(study: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(study / "catalog.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def stored_rows(study: Path, modality: str) -> set[int]:
    sql = "SELECT row FROM samples JOIN scans USING (sample_id) WHERE status = 'stored' AND modality"
    return {row for (row,) in query(study, f"{sql} = '{modality}'")}


@pytest.fixture(scope="module")
def truth(release: Path) -> pl.DataFrame:
    return pl.read_parquet(release / "truth.parquet")


@pytest.fixture(scope="module")
def eids(release: Path, truth: pl.DataFrame) -> set[bytes]:
    table = pl.read_csv(release / "ukb_synthetic.csv", columns=["eid"], infer_schema=False)
    return {str(eid).encode() for eid in [*truth["eid"], *table["eid"]]}


@pytest.fixture(scope="module")
def copied(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that tests may run commands on which should change nothing."""
    return shutil.copytree(study, tmp_path_factory.mktemp("copied") / "study", copy_function=shutil.copy2)


def expected_mni_mm(release: Path, rows: pl.DataFrame, modality: str) -> NDArray[np.float64]:
    """Map native landmarks through the archive's own matrix with fslpy."""
    eid, instance = rows["eid"][0], rows["instance"][0]
    field, image, matrix = IMAGES[modality]
    with zipfile.ZipFile(next(release.rglob(f"{eid}_{field}_{instance}_0.zip"))) as archive:
        source = nib.Nifti1Image.from_bytes(gzip.decompress(archive.read(image)))
        has_own = matrix in archive.namelist()
        text = archive.read(matrix) if has_own else b""
    if not has_own:
        field, _, matrix = IMAGES["t1"]
        with zipfile.ZipFile(next(release.rglob(f"{eid}_{field}_{instance}_0.zip"))) as archive:
            text = archive.read(matrix)
    reference = fsl.data.image.Image(nib.Nifti1Image(np.zeros((182, 218, 182), np.uint8), MNI152_AFFINE_44))
    flirt_44 = np.loadtxt(io.BytesIO(text))
    world_44 = fsl.transform.flirt.fromFlirt(flirt_44, fsl.data.image.Image(source), reference, "world", "world")
    mapped: NDArray[np.float64] = fsl.transform.affine.transform(rows.select("^native_._mm$").to_numpy(), world_44)
    return mapped


def find_cyst(
    volume: NDArray[Any], affine_44: NDArray[np.float64], near_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the centre, in mm, of the dark spot near a position, followed for a few steps."""
    world = np.moveaxis(np.indices(volume.shape), 0, -1) @ affine_44[:3, :3].T + affine_44[:3, 3]
    centre = near_mm
    for _ in range(5):
        distance = np.linalg.norm(world - centre, axis=-1)
        rim = np.median(volume[(distance > 7) & (distance < 12)])
        depth = np.clip(rim - volume[distance < 9].astype(float), 0, None)
        assert depth.max() > 0.1 * rim
        depth *= 1 - (distance[distance < 9] / 9) ** 2  # what darkens the ball's rim must not pull the centre outwards
        centre = (depth[:, None] * world[distance < 9]).sum(axis=0) / depth.sum()
    return centre


@pytest.mark.parametrize(("modality", "side"), list(product(IMAGES, (64, 32))))
def test_landmarks_of_the_phantom_lie_where_fslpy_puts_them(
    study: Path, release: Path, truth: pl.DataFrame, modality: str, side: int
) -> None:
    rows = truth.filter(pl.col("visible") & (pl.col("modality") == modality))
    ((row,),) = query(
        study, f"SELECT row FROM samples WHERE eid = {rows['eid'][0]} AND instance = {rows['instance'][0]}"
    )
    array = zarr.open_array(study / "volumes.zarr" / modality / str(side), mode="r")
    affine_44 = np.array(array.attrs["affine_ras"])
    assert affine_44[0, 0] == pytest.approx(192 / side)
    volume = array[row]
    expected = expected_mni_mm(release, rows, modality)
    np.testing.assert_allclose(expected, rows.select("^mni_._mm$").to_numpy(), atol=1e-3)
    offsets = [np.linalg.norm(find_cyst(volume, affine_44, mm) - mm) / (192 / side) for mm in expected]
    assert len(offsets) == 6
    assert max(offsets) < 0.5, offsets


@pytest.mark.parametrize("modality", IMAGES)
def test_level_32_is_the_exact_mean_of_level_64(study: Path, modality: str) -> None:
    fine, coarse = (zarr.open_array(study / "volumes.zarr" / modality / side, mode="r")[:] for side in ("64", "32"))
    rows = sorted(stored_rows(study, modality))
    assert len(rows) > 15
    total = sum(fine[rows, i::2, j::2, k::2].astype(int) for i, j, k in product((0, 1), repeat=3))
    assert np.abs(8 * coarse[rows].astype(int) - total).max() <= 4


def test_every_scan_is_stored_or_rejected_for_its_planted_fault(study: Path, release: Path) -> None:
    withdrawn = {int(line) for line in (release / "w12345_20260101.csv").read_text().split()}
    planned = {
        Visit(eid_of(SEED, visit.index), visit.instance): visit for visit in plan_release(SEED, PARTICIPANTS).visits
    }
    expected = {}
    for scan in find_release([release]).scans:
        if scan.visit.eid in withdrawn:
            continue
        visit, reason = planned[scan.visit], ""
        if scan.modality == "t1" and visit.t1_defect != "none":
            reason = visit.t1_defect
        if scan.modality == "flair" and not visit.flair_has_matrix and "20252" not in visit.fields:
            reason = "missing-transform"
        expected[scan.visit.eid, scan.visit.instance, scan.modality] = ("rejected" if reason else "stored", reason)
    sql = "SELECT eid, instance, modality, status, reason FROM samples JOIN scans USING (sample_id)"
    found = query(study, f"{sql} WHERE status <> 'absent'")
    assert {row[:3]: (row[3], row[4] or "") for row in found} == expected
    assert {"truncated", "unusable"} <= {reason for _, reason in expected.values()}
    absent = {row[4] for row in query(study, f"{sql} WHERE status = 'absent'")}
    assert absent == {"no-file"}


def test_no_synthetic_scan_is_doubted(study: Path) -> None:
    for doubt in DOUBTS:
        for modality in doubt.modalities:
            sql = f"SELECT {doubt.measure} FROM scans WHERE status = 'stored' AND modality = '{modality}'"
            measured = [value for (value,) in query(study, sql)]
            assert len(measured) > 15
            assert all(doubt.lowest <= value <= doubt.highest for value in measured)


def test_rows_hold_data_exactly_where_the_catalogue_says_stored(study: Path) -> None:
    for modality in IMAGES:
        array = zarr.open_array(study / "volumes.zarr" / modality / "32", mode="r")
        holds = {row for row, volume in enumerate(array[:]) if (volume != array.fill_value).any()}
        assert holds == stored_rows(study, modality)
        assert all((array[row][0] == 0).all() for row in holds)


def test_copies_of_only_the_training_rows_exist(study: Path) -> None:
    for modality in IMAGES:
        array = zarr.open_array(study / "augmented.zarr" / modality / "32", mode="r")
        assert array.shape[0] == 2
        sql = "SELECT row FROM samples JOIN splits USING (sample_id) WHERE split = 'train'"
        training = {row for (row,) in query(study, sql)}
        for copy in array[:]:
            holds = {row for row, volume in enumerate(copy) if (volume != array.fill_value).any()}
            assert holds == stored_rows(study, modality) & training != set()


def test_finished_commands_run_again_change_nothing(copied: Path, run_mm: RunMm) -> None:
    before = tree(copied)
    for words in (("ingest", "ukb"), ("precompute-augs", "--copies", 2)):
        result = run_mm("--study", copied, *words, "--workers", 0)
        assert result.exit_code == 0, result.output
    after = tree(copied)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {"catalog.duckdb", "catalog.lock", "receipts/writer.lock"}


def stop_after(num_shards: int) -> Callable[[int, int], None]:
    """Return a progress callback that fails once so many shards are done."""
    calls = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls > num_shards:  # the first call comes before any shard
            raise Interrupted

    return on_progress


class Interrupted(Exception):  # noqa: N818 - as a person's Ctrl-C
    """Stands for a kill."""


def begin_ingest(root: Path, release: Path, num_shards: int) -> None:
    """Do as `mm ingest ukb`, until an interruption."""
    study, found = load_study(root), find_release([release])
    with open_catalog(study.layout.catalog, writable=True) as catalog:
        enrolment = enrol(
            catalog,
            {scan.visit for scan in found.scans},
            salt=study.config.salt,
            val=study.config.splits.val,
            test=study.config.splits.test,
            withdrawn_eids=find_withdrawn_eids(read_withdrawals(found.withdrawal_lists), catalog, found),
        )
        record_sources(catalog, enrolment.samples, found.scans, stored_modalities(study.config))
    plan = plan_ingest(study, found.scans, enrolment.samples, num_rows=enrolment.num_rows, workers=0)
    assert len(plan.tasks) > num_shards
    with pytest.raises(Interrupted):
        execute_ingest(study, plan, workers=0, on_progress=stop_after(num_shards))


def begin_copies(root: Path, num_shards: int) -> None:
    study = load_study(root)
    with open_catalog(study.layout.catalog) as catalog:
        rows = stored_training_rows(catalog, study.config.volumes.modalities)
        num_rows = num_allocated_rows(catalog)
    plan = plan_copies(study, rows, num_rows=num_rows, copies=2, sides=(32,), workers=0)
    assert len(plan.tasks) > num_shards
    with pytest.raises(Interrupted):
        execute_copies(study, plan, workers=0, on_progress=stop_after(num_shards))


@pytest.fixture(scope="module")
def interrupted(
    make_study: Callable[..., Path], release: Path, run_mm: RunMm, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A study like `study`, interrupted in both commands, and all that the commands printed and logged."""
    root = make_study(tmp_path_factory.mktemp("interrupted") / "study")
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        begin_ingest(root, release, 1)
        ingest = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
        begin_copies(root, 1)
        copies = run_mm("--study", root, "precompute-augs", "--copies", 2, "--workers", 0, "--json")
    finally:
        logging.getLogger().removeHandler(handler)
    assert ingest.exit_code == copies.exit_code == 0, ingest.output + copies.output
    return root, "".join((log.getvalue(), ingest.output, ingest.stderr, copies.output, copies.stderr))


def test_interrupted_and_resumed_is_the_same_bytes_as_uninterrupted(study: Path, interrupted: tuple[Path, str]) -> None:
    root, _ = interrupted
    assert stores(root) == stores(study)
    names = ("scans.jsonl", "copies.jsonl")
    for name in names:
        ours, theirs = ((folder / "receipts" / name).read_bytes().splitlines() for folder in (root, study))
        assert sorted(ours) == sorted(theirs)


def test_no_eid_is_outside_the_catalogue(study: Path, interrupted: tuple[Path, str], eids: set[bytes]) -> None:
    root, printed = interrupted
    assert len(eids) > PARTICIPANTS
    pattern = re.compile(b"|".join(eids))
    files = [path for folder in (study, root) for path in folder.rglob("*") if path.name != "catalog.duckdb"]
    assert {"zarr.json", "scans.jsonl", "copies.jsonl", "study.toml"} <= {path.name for path in files}
    for path in files:
        assert not pattern.search(path.name.encode())
        assert not path.is_file() or not pattern.search(path.read_bytes()), path
    assert "rejected" in printed and not pattern.search(printed.encode())


def test_catalogue_counts_are_those_of_the_receipts(study: Path) -> None:
    receipts = read_scan_receipts(study / "receipts").values()
    found = query(study, "SELECT sample_id, modality, status FROM scans WHERE status <> 'absent'")
    assert sorted(found) == sorted((r.sample_id, r.modality, r.status) for r in receipts)


def test_connectivity_rows_are_numpys_correlations(study: Path, release: Path) -> None:
    array = zarr.open_array(study / "volumes.zarr" / "connectivity" / "glasser360", mode="r")
    sql = "SELECT row, eid, instance FROM samples JOIN scans USING (sample_id)"
    rows = query(study, f"{sql} WHERE modality = 'connectivity' AND status = 'stored' ORDER BY row LIMIT 3")
    for row, eid, instance in rows:
        with zipfile.ZipFile(next(release.rglob(f"{eid}_31016_{instance}_0.zip"))) as archive:
            text = gzip.decompress(archive.read("fMRI.Glasser.csv.gz")).decode()
        series = np.array([line.split(",")[1:] for line in text.splitlines()[1:]], float)
        np.testing.assert_allclose(array[row], np.corrcoef(series)[np.triu_indices(360, 1)], atol=1e-5)
    assert len(rows) == 3

"""The same participants in every layout, through the command line."""

import gzip
import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
import zarr

from mmdata.volume.nifti import decode_volume
from tests.conftest import MakeOnce, RunMm

SETTINGS = (
    "salt=salt-of-the-layout-tests",
    "volumes.sides=[32]",
    "volumes.rows_per_shard=8",
    "train.side=32",
    "augment.sides=[32]",
    "splits.val=0.25",
    "splits.test=0.25",
)
MODALITY_OF_FIELD = {"20252": "t1", "20253": "flair", "20250": "dwi", "31016": "connectivity"}


def synthesise(run_mm: RunMm, folder: Path, kind: str, *words: object, participants: int = 8) -> Path:
    small = ("--participants", participants, "--voxel-mm", 4, "--workers", 0)
    result = run_mm("synth", kind, folder, *small, *words)
    assert result.exit_code == 0, result.output
    return folder


def ingest(run_mm: RunMm, root: Path, entry: str, kind: str, *settings: str) -> Path:
    options = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    assert run_mm("--study", root, "init", "--source", entry, *options).exit_code == 0
    result = run_mm("--study", root, "ingest", kind, "--workers", 0)
    assert result.exit_code == 0, result.output
    return root


def query(root: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as connection:
        return connection.execute(sql, list(values)).fetchall()


def stored_visits(root: Path, modality: str) -> dict[tuple[int, int], int]:
    """Return the row of each (eid, instance) whose scan is stored."""
    sql = "SELECT eid, instance, row FROM samples JOIN scans USING (sample_id) WHERE status = 'stored' AND modality = ?"
    return {(eid, instance): row for eid, instance, row in query(root, sql, modality)}


def volume_bytes(root: Path) -> dict[str, str]:
    files = (path for path in (root / "volumes.zarr").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def zips(make_once: MakeOnce, run_mm: RunMm) -> Path:
    def fill(root: Path) -> None:
        release = synthesise(run_mm, root / "release", "ukb")
        ingest(run_mm, root / "study", str(release), "ukb")

    return make_once("layout_zips", fill) / "study"


@pytest.fixture(scope="module")
def with_extras(make_once: MakeOnce, run_mm: RunMm) -> Path:
    """A release of everything that there may be: 100 MB for each participant."""
    return (
        make_once("extras", lambda root: synthesise(run_mm, root / "release", "ukb", "--extras", participants=4))
        / "release"
    )


@pytest.fixture(scope="module")
def bids(make_once: MakeOnce, run_mm: RunMm) -> Path:
    def fill(root: Path) -> None:
        dataset = synthesise(run_mm, root / "dataset", "bids")
        ingest(run_mm, root / "study", f"bids:{dataset}", "bids")

    return make_once("layout_bids", fill) / "study"


@pytest.fixture(scope="module")
def folder(make_once: MakeOnce, run_mm: RunMm) -> Path:
    def fill(root: Path) -> None:
        data = synthesise(run_mm, root / "data", "folder")
        ingest(run_mm, root / "study", f"folder:{data}", "folder")

    return make_once("layout_folder", fill) / "study"


@pytest.mark.parametrize("layout", ["trees", "rap"])
def test_unzipped_or_mounted_is_the_same_as_zipped(layout: str, zips: Path, run_mm: RunMm, tmp_path: Path) -> None:
    source = synthesise(run_mm, tmp_path / "release", "ukb", "--layout", layout)
    root = ingest(run_mm, tmp_path / "study", str(source), "ukb")
    assert volume_bytes(root) == volume_bytes(zips)
    for view in ("samples", "splits", "features"):
        assert sorted(query(root, f"FROM {view}")) == sorted(query(zips, f"FROM {view}"))


def test_bids_puts_the_same_brains_on_the_same_voxels(zips: Path, bids: Path) -> None:
    ours, theirs = (stored_visits(root, "t1") for root in (bids, zips))
    arrays = [zarr.open_array(root / "volumes.zarr" / "t1" / "32", mode="r") for root in (bids, zips)]
    both = sorted(ours.keys() & theirs.keys())
    assert len(both) >= 3
    for visit in both:
        brain, other = (array[row].ravel() for array, row in zip(arrays, (ours[visit], theirs[visit]), strict=True))
        assert np.corrcoef(brain, other)[0, 1] > 0.99


def test_bids_applies_masks_and_asks_for_transforms(bids: Path, run_mm: RunMm) -> None:
    sources = {brain for (brain,) in query(bids, "SELECT DISTINCT brain FROM scans WHERE status = 'stored'")}
    assert sources == {"image", "mask"}
    reasons = {reason for (reason,) in query(bids, "SELECT DISTINCT reason FROM scans WHERE status = 'rejected'")}
    assert "missing-transform" in reasons
    names = query(bids, "SELECT DISTINCT name FROM features ORDER BY name")
    assert names == [("age",), ("handedness",), ("sex",)]


def test_registration_serves_those_without_a_transform(bids: Path, run_mm: RunMm, tmp_path: Path) -> None:
    entry = json.loads(run_mm("--study", bids, "status", "--json").stdout)["study"]
    source = f"bids:{Path(entry).parent / 'dataset'}"
    root = ingest(run_mm, tmp_path / "study", source, "bids", "ingest.register=affine", "volumes.modalities=['t1']")
    rows = query(root, "SELECT transform, registration_nmi, template_overlap FROM scans WHERE status = 'stored'")
    registered = [row for row in rows if row[0] == "registration"]
    assert registered and all(nmi > 1.06 and overlap > 0.9 for _, nmi, overlap in registered)
    assert not query(root, "FROM scans WHERE reason = 'missing-transform'")


def test_deepbet_strips_heads_without_masks_and_a_dry_run_says_how_long_it_may_take(
    bids: Path, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = shutil.copytree(bids.parent / "dataset", tmp_path / "dataset")
    masks = {}
    for path in source.rglob("*_desc-brain_mask.nii.gz"):
        mask = decode_volume(path.read_bytes())
        masks[mask.affine_44.tobytes()] = mask.data_XYZ > 0
        path.unlink()
    monkeypatch.setattr("mmdata.volume.deepbet.find_spec", lambda name: name)
    monkeypatch.setattr("mmdata.readers.brain.find_brain", lambda volume: masks[volume.affine_44.tobytes()])
    monkeypatch.setattr("mmdata.readers.brain.deepbet_version", lambda: "9.9")

    root = tmp_path / "study"
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    assert run_mm("--study", root, "init", "--source", f"bids:{source}", *options).exit_code == 0
    words = ("--study", root, "ingest", "bids", "--brain-extractor", "deepbet")
    plan = json.loads(run_mm(*words, "--dry-run", "--json").stdout)
    assert plan["brain_searches"] == plan["scans"] > 0, "of no image there is a mask any more"
    assert plan["brain_search_cpu_s"] == 5 * plan["scans"]
    assert run_mm(*words, "--workers", 0).exit_code == 0
    found = set(query(root, "SELECT modality, brain FROM scans WHERE starts_with(brain, 't1') OR brain LIKE '%9.9'"))
    assert found == {("t1", "deepbet 9.9"), ("flair", "t1 deepbet 9.9"), ("dwi", "t1 deepbet 9.9")}
    left = query(root, "SELECT modality, detail FROM scans WHERE reason = 'not-skull-stripped'")
    assert left == [("flair", "deepbet knows T1 images alone and the visit has none; give a mask")]


def test_the_folders_split_is_kept_and_its_edges_belong_to_their_ids(folder: Path) -> None:
    source = folder.parent / "data"
    held_out = {path.name.split("_")[0] for path in (source / "TEST").rglob("*.nii.gz")}
    splits = {
        str(eid): split for eid, split in query(folder, "SELECT eid, split FROM samples JOIN splits USING (sample_id)")
    }
    assert held_out & splits.keys()
    assert all((split == "test") == (eid in held_out) for eid, split in splits.items())
    table = next(source.rglob("connectivity*.npy"))
    ids = next(source.rglob("connectivity_ids*")).read_text().split()
    edges = np.load(table)
    stored = zarr.open_array(folder / "volumes.zarr" / "connectivity" / "glasser360", mode="r")
    rows = stored_visits(folder, "connectivity")
    assert len(rows) >= 4
    for (eid, _), row in rows.items():
        np.testing.assert_allclose(stored[row], edges[ids.index(str(eid))], rtol=1e-6)


def test_labels_that_are_no_numbers_stay_in_the_catalogue(run_mm: RunMm, bids: Path, tmp_path: Path) -> None:
    source = tmp_path / "dataset"
    original = sorted((bids.parent / "dataset").glob("sub-*"))[:4]
    for number, person in enumerate(original):
        for path in person.rglob("*"):
            name = str(path.relative_to(person.parent)).replace(person.name, f"sub-XOASIS{number}")
            target = source / name
            if path.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    rows = [f"sub-XOASIS{number}\t{50 + number}\t{'MF'[number % 2]}" for number in range(4)]
    (source / "participants.tsv").write_text("\n".join(["participant_id\tage\tsex", *rows]) + "\n")
    root = ingest(run_mm, tmp_path / "study", f"bids:{source}", "bids", "ingest.register=affine")
    sexes = query(
        root,
        "SELECT label, value FROM participants JOIN samples USING (eid) JOIN features USING (sample_id) "
        "WHERE name = 'sex' ORDER BY label",
    )
    assert sorted(set(sexes)) == [(f"XOASIS{number}", float(number % 2 == 0)) for number in range(4)]
    for path in root.rglob("*"):
        assert "XOASIS" not in path.name
        assert path.name == "catalog.duckdb" or not path.is_file() or b"XOASIS" not in path.read_bytes(), path


def test_every_kind_of_bad_file_is_rejected_for_its_reason(run_mm: RunMm, tmp_path: Path) -> None:
    source = synthesise(run_mm, tmp_path / "release", "ukb", "--faults", "every")
    root = ingest(run_mm, tmp_path / "study", str(source), "ukb")
    faults = pl.read_parquet(source / "faults.parquet")
    assert faults["fault"].n_unique() >= 25
    sql = (
        "SELECT reason FROM scans JOIN samples USING (sample_id) WHERE eid = ? AND modality = ? AND status = 'rejected'"
    )
    for eid, field, fault, expected in faults.iter_rows():
        assert query(root, sql, eid, MODALITY_OF_FIELD[str(field)]) == [(expected,)], fault
    assert query(root, "SELECT count(*) FROM scans WHERE status = 'stored'")[0][0] > 20


@pytest.mark.parametrize(
    ("name", "field", "member", "num_regions"),
    [
        ("schaefer17n100", 31018, "fMRI.Schaefer17n100p.csv.gz", 100),
        ("tian54", 31019, "fMRI.Tian_Subcortex_S4_3T.csv.gz", 54),
    ],
)
def test_time_series_of_other_atlases_are_correlated(
    name: str, field: int, member: str, num_regions: int, with_extras: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    root = ingest(
        run_mm, tmp_path / "study", str(with_extras), "ukb", f"connectivity.name={name}", "volumes.modalities=['t1']"
    )
    stored = zarr.open_array(root / "volumes.zarr" / "connectivity" / name, mode="r")
    rows = stored_visits(root, "connectivity")
    assert len(rows) >= 3
    for (eid, instance), row in list(rows.items())[:2]:
        with zipfile.ZipFile(next(with_extras.rglob(f"{eid}_{field}_{instance}_0.zip"))) as archive:
            found = next(entry for entry in archive.namelist() if entry.endswith(member))
            table = pl.read_csv(gzip.decompress(archive.read(found)))
        series = table.select(pl.all().exclude("label_name")).cast(pl.Float64).to_numpy()
        expected = np.corrcoef(series)[np.triu_indices(num_regions, 1)]
        np.testing.assert_allclose(stored[row], expected, atol=1e-5)


def test_edges_of_uk_biobank_are_stored_row_by_row(with_extras: Path, run_mm: RunMm, tmp_path: Path) -> None:
    root = ingest(
        run_mm, tmp_path / "study", str(with_extras), "ukb", "connectivity.name=partial25", "volumes.modalities=['t1']"
    )
    stored = zarr.open_array(root / "volumes.zarr" / "connectivity" / "partial25", mode="r")
    rows = stored_visits(root, "connectivity")
    assert len(rows) >= 3
    for (eid, instance), row in rows.items():
        values = np.loadtxt(next(with_extras.rglob(f"{eid}_25752_{instance}_0.txt")))
        matrix = np.zeros((21, 21))
        matrix[np.tril_indices(21, -1)] = values
        np.testing.assert_allclose(stored[row], (matrix + matrix.T)[np.triu_indices(21, 1)], rtol=1e-6)


def test_signed_maps_and_warped_images_are_stored_as_what_they_are(
    with_extras: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    root = ingest(run_mm, tmp_path / "mo", str(with_extras), "ukb", "volumes.dwi_map=MO", "volumes.modalities=['dwi']")
    low, high, median = query(
        root, "SELECT min(clamp_low), max(clamp_high), avg(median) FROM scans WHERE status = 'stored'"
    )[0]
    assert -1 <= low < -0.2 and 0.2 < high <= 1 and -1 < median < 1
    warped = ingest(
        run_mm,
        tmp_path / "warped",
        str(with_extras),
        "ukb",
        "volumes.space=MNI152-nonlinear",
        "connectivity.enabled=false",
    )
    counts = dict(query(warped, "SELECT modality, count(*) FROM scans WHERE status = 'stored' GROUP BY ALL"))
    assert min(counts.values()) >= 3 and set(counts) == {"t1", "flair", "dwi"}
    assert zarr.open_array(warped / "volumes.zarr" / "t1" / "32", mode="r").attrs["space"] == "MNI152-nonlinear"

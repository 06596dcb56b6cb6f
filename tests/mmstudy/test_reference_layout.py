"""The reference study's own folders, as its code would have written them, from files to a trained model.

What is expected is computed here from the files, with nibabel and numpy. The study's grid is the reference study's
cube, so that a stored voxel is the mean of 2 x 2 x 2 or 4 x 4 x 4 of a file's, once x runs from left to right.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import nibabel as nib
import numpy as np
import polars as pl
import pytest
import zarr
from numpy.typing import NDArray

from mmbase.records import ScanCandidate, Visit
from mmdata.copies.copy import replay_copy
from mmdata.errors import StoreError
from mmdata.readers.scan import LoadSettings, load_scan
from mmdata.store.array import open_array
from mmdata.synth.landmarks import LANDMARKS_MM
from mmdata.volume.geometry import Grid, apply_affine
from mmdata.volume.settings import ConnectivitySettings, IngestSettings, VolumeSettings
from tests.conftest import MakeOnce, RunMm

PARTICIPANTS = 16
SETTINGS = (
    "salt=salt-of-the-reference-layout",
    "volumes.sides=[64,32]",
    f"volumes.extent_mm={128 / 0.7}",
    f"volumes.centre_mm=[{-13 / 14}, {-251 / 14}, {265 / 14}]",
    "volumes.rows_per_shard=8",
    "augment.sides=[32]",
    "train.side=32",
)
MODALITIES = ("t1", "flair", "dwi")
CLASSES = ("sex", "smoking", "hypertension", "tense")


def run(run_mm: RunMm, *words: object) -> str:
    result = run_mm(*words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def made(make_once: MakeOnce, run_mm: RunMm) -> Path:
    """The folders in ``data``; a study of them, and in ``said.json`` what its ingest said. Tests must not change it."""

    def fill(root: Path) -> None:
        small = ("--participants", PARTICIPANTS, "--voxel-mm", 4, "--workers", 0)
        run(run_mm, "synth", "folder", root / "data", "--layout", "reference", *small)
        options = [word for setting in SETTINGS for word in ("--set", setting)]
        run(run_mm, "--study", root / "study", "init", *options)
        words = ("ingest", "folder", root / "data", "--assume", "reference-grid", "--workers", 0, "--json")
        result = run_mm("--study", root / "study", *words)
        assert result.exit_code == 0, result.output
        (root / "said.json").write_text(result.stdout)

    return make_once("reference_layout", fill)


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    """A copy of the study."""
    return Path(shutil.copytree(made / "study", tmp_path / "study"))


def query(study: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(study / "catalog.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def rows_of(study: Path) -> dict[int, int]:
    return dict(query(study, "SELECT eid, row FROM samples"))


def on_the_grid(path: Path, side: int) -> NDArray[np.float64]:
    """Return a file's voxels on the study's grid, but for their scale."""
    data = nib.load(path).get_fdata()[::-1]
    factor = len(data) // side
    return data.reshape(side, factor, side, factor, side, factor).mean(axis=(1, 3, 5))


def alike(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.corrcoef(np.ravel(one).astype(float), np.ravel(other))[0, 1])


def files_of(folder: Path, modality: str) -> Iterator[tuple[int, Path]]:
    for path in sorted((folder / modality.upper()).iterdir()):
        yield int(path.name.split("_")[0]), path


def test_nothing_is_rejected_and_everything_lies_where_the_identity_does_not_say(made: Path) -> None:
    said = json.loads((made / "said.json").read_text())
    assert set(said["scans"]) == {*MODALITIES, "connectivity"}
    assert all(counts == {"stored": PARTICIPANTS - 1, "rejected": 0, "absent": 0} for counts in said["scans"].values())
    assert said["withdrawn_left_out"] == 1 and not said["image_files_not_understood"]
    assert not any("is it complete" in warning.lower() for warning in said["warnings"])
    sources = dict(
        query(made / "study", "SELECT transform, count(*) FROM scans WHERE modality <> 'connectivity' GROUP BY 1")
    )
    assert sources == {"reference-grid": 3 * (PARTICIPANTS - 1)}
    study, rows = made / "study", rows_of(made / "study")
    for modality in MODALITIES:
        for side in (64, 32):
            stored = zarr.open_array(study / "volumes.zarr" / modality / str(side), mode="r")
            eid, path = next(one for one in files_of(made / "data" / "TRAIN", modality) if one[0] in rows)
            assert alike(stored[rows[eid]], on_the_grid(path, side)) > 0.999
            assert alike(stored[rows[eid]][::-1], on_the_grid(path, side)) < 0.99


def test_train_trains_and_the_rows_of_test_take_turns(made: Path) -> None:
    splits = dict(query(made / "study", "SELECT eid, split FROM samples JOIN splits USING (sample_id)"))
    (withdrawn,) = {int(path.name.split("_")[0]) for path in (made / "data").rglob("*_t1.nii.gz")} - set(splits)
    tested = pl.read_csv(made / "data" / "TEST" / "metadata_test.csv")["biobank_id"].sort().to_list()
    expected = dict.fromkeys(tested[::2], "test") | dict.fromkeys(tested[1::2], "val")
    expected |= dict.fromkeys(pl.read_csv(made / "data" / "TRAIN" / "metadata_train.csv")["biobank_id"], "train")
    assert splits == {eid: split for eid, split in expected.items() if eid != withdrawn}
    assert set(splits.values()) == {"train", "val", "test"}


def test_edges_are_the_upper_triangles_of_their_ids(made: Path) -> None:
    stored = zarr.open_array(made / "study" / "volumes.zarr" / "connectivity" / "glasser360", mode="r")
    rows = rows_of(made / "study")
    for split in ("TRAIN", "TEST"):
        table = made / "data" / split / f"imaging_fmri_{split.lower()}.npy"
        matrices, ids = np.load(table), table.with_suffix(".txt").read_text().split()
        assert matrices.shape == (len(ids), 360, 360)
        for matrix, eid in zip(matrices, map(int, ids), strict=True):
            if eid in rows:
                np.testing.assert_allclose(stored[rows[eid]], matrix[np.triu_indices(360, 1)], rtol=1e-6)


def test_metadata_become_features_of_their_biobank_id(made: Path) -> None:
    features = query(made / "study", "SELECT eid, name, value FROM features JOIN samples USING (sample_id)")
    value_of = {(eid, name): value for eid, name, value in features}
    tables = [made / "data" / split / f"metadata_{split.lower()}.csv" for split in ("TRAIN", "TEST")]
    assert tables[0].read_text().startswith(",biobank_id,sex,age,mood_swings,")
    for path in tables:
        for row in pl.read_csv(path).iter_rows(named=True):
            for name in (
                {*row} - {"", "biobank_id", "handedness"} if row["biobank_id"] in rows_of(made / "study") else ()
            ):
                assert value_of[row["biobank_id"], name] == row[name]
                assert name not in CLASSES or row[name] in (0, 1)
    assert len({name for _, name in value_of}) == 27
    said = json.loads((made / "said.json").read_text())
    assert any("handedness: not read" in warning and "Levels" in warning for warning in said["warnings"])


def test_copy_k_plus_1_is_the_file_of_folder_k_and_nothing_is_known_of_its_recipe(made: Path) -> None:
    rows = rows_of(made / "study")
    for modality in MODALITIES:
        copies = open_array(made / "study" / "augmented.zarr" / modality / "32")
        assert copies.shape[0] == 2
        for k in (0, 1):
            folders = [made / "data" / "AUGMENTATIONS" / "TRAIN" / str(number) for number in (k, 1 - k)]
            both = zip(*(files_of(folder, modality) for folder in folders), strict=True)
            for (eid, path), (_, other) in list(both)[:3]:
                if eid in rows:
                    stored = copies.read_rows([(k, rows[eid])])[0]
                    assert alike(stored, on_the_grid(path, 32)) > 0.999 > alike(stored, on_the_grid(other, 32))
        assert copies.attributes["augmentation"]["origin"] == "source"
        with pytest.raises(StoreError, match=r"read from the source's AUGMENTATIONS, not drawn by mm.*mm repair"):
            replay_copy(copies.attributes, stored, "some sample", 1)
    receipts = (made / "study" / "receipts" / "copies.jsonl").read_text().splitlines()
    assert receipts and all('"origin":"source"' in receipt for receipt in receipts)


def test_a_model_trains_on_the_copies(study: Path, run_mm: RunMm) -> None:
    words = ("--target", "age", "--inputs", "t1,connectivity", "--augment", "precomputed", "--epochs", 1)
    small = ("--channels", "4,4,4,4,4", "--batch-size", 4, "--device", "cpu")
    run(run_mm, "--study", study, "train", *words, *small)
    (directory,) = (study / "runs").iterdir()
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics["n"] == {"train": 12, "val": 2, "test": 2} or sum(metrics["n"].values()) == PARTICIPANTS - 1
    assert json.loads((directory / "model.json").read_text())["trained_on"]["augmented_copies"] == 2
    assert pl.read_parquet(directory / "cohort.parquet").filter(split="train")["augmented"].all()


def test_a_sample_without_all_its_copies_trains_as_it_is(made: Path, run_mm: RunMm, tmp_path: Path) -> None:
    data = Path(shutil.copytree(made / "data", tmp_path / "data"))
    rows = rows_of(made / "study")
    (eid, path), (other, spoilt) = [
        one for one in files_of(data / "AUGMENTATIONS" / "TRAIN" / "1", "t1") if one[0] in rows
    ][:2]
    path.unlink()
    spoilt.write_bytes(spoilt.read_bytes()[:1000])
    options = [word for setting in (*SETTINGS, "volumes.modalities=['t1']") for word in ("--set", setting)]
    root = tmp_path / "study"
    run(run_mm, "--study", root, "init", *options)
    ingest = ("--study", root, "ingest", "folder", data, "--assume", "reference-grid", "--workers", 0)
    assert "copies of the source that cannot be used: 1 truncated. Their samples train without" in run(run_mm, *ingest)
    small = ("--channels", "4,4,4,4,4", "--batch-size", 4, "--epochs", 1, "--device", "cpu")
    run(run_mm, "--study", root, "train", "--target", "age", "--inputs", "t1", *small)
    (directory,) = (root / "runs").iterdir()
    cohort = pl.read_parquet(directory / "cohort.parquet").filter(split="train")
    assert set(cohort.filter(~pl.col("augmented"))["row"]) == {rows_of(root)[eid], rows_of(root)[other]}


def test_a_later_ingest_keeps_the_assumption_and_changes_nothing(study: Path, run_mm: RunMm) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if ".zarr" in str(path) and path.is_file()}
    receipts = {path.name: path.read_bytes() for path in (study / "receipts").glob("*.jsonl")}
    said = json.loads(run_mm("--study", study, "ingest", "folder", "--workers", 0, "--json").stdout)
    assert said["read_now"] == 0 and said["augmented_copies"]["num_read"] == 0
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name: path.read_bytes() for path in (study / "receipts").glob("*.jsonl")} == receipts


def test_a_dry_run_counts_the_disk_of_the_copies(made: Path, run_mm: RunMm, tmp_path: Path) -> None:
    options = [word for setting in (*SETTINGS, "volumes.modalities=['t1']") for word in ("--set", setting)]
    run(run_mm, "--study", tmp_path / "study", "init", *options)
    words = ("ingest", "folder", made / "data", "--dry-run", "--json")
    with_copies = json.loads(run_mm("--study", tmp_path / "study", *words).stdout)
    without = Path(shutil.copytree(made / "data", tmp_path / "data"))
    shutil.rmtree(without / "AUGMENTATIONS")
    words = ("ingest", "folder", without, "--dry-run", "--json")
    alone = json.loads(run_mm("--study", tmp_path / "study", *words).stdout)
    trains = {eid for eid, _ in files_of(made / "data" / "TRAIN", "t1")} & rows_of(made / "study").keys()
    num_bytes = 2 * len(trains) * 32**3 * 2  # two copies of uint16
    assert 0.2 * num_bytes < with_copies["disk_bytes"] - alone["disk_bytes"] < num_bytes


def test_what_was_stored_by_an_assumption_goes_when_it_is_taken_back(study: Path, run_mm: RunMm) -> None:
    told = run(run_mm, "--study", study, "ingest", "folder", "--assume", "none", "--workers", 0)
    assert "45 images have an identity affine" in told and "--assume reference-grid" in told
    run(run_mm, "--study", study, "verify", "--workers", 0)
    assert query(study, "SELECT status, reason, count(*) FROM scans WHERE modality <> 'connectivity' GROUP BY ALL") == [
        ("rejected", "identity-affine", 3 * (PARTICIPANTS - 1))
    ]
    with pytest.raises(StoreError, match="never stored"):
        open_array(study / "volumes.zarr" / "t1" / "64").read_rows([(0,)])
    run(run_mm, "--study", study, "ingest", "folder", "--assume", "reference-grid", "--workers", 0)
    assert query(study, "SELECT count(*) FROM scans WHERE status = 'stored'") == [(4 * (PARTICIPANTS - 1),)]
    run(run_mm, "--study", study, "verify", "--workers", 0)


def test_a_damaged_copy_is_found_and_read_from_the_source_again(study: Path, run_mm: RunMm) -> None:
    shards = sorted(path for path in (study / "augmented.zarr" / "t1" / "32" / "c").rglob("*") if path.is_file())
    whole = shards[0].read_bytes()
    shards[0].write_bytes(whole[:100] + bytes(5000) + whole[5100:])
    assert run_mm("--study", study, "verify", "--workers", 0).exit_code == 1
    assert "copies made again" in run(run_mm, "--study", study, "repair", "--workers", 0)
    run(run_mm, "--study", study, "verify", "--workers", 0)
    assert shards[0].read_bytes() == whole


def test_a_copy_that_cannot_be_read_again_is_told(study: Path, run_mm: RunMm) -> None:
    shards = sorted(path for path in (study / "augmented.zarr" / "t1" / "32" / "c").rglob("*") if path.is_file())
    shards[0].write_bytes(b"")
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace("/data", "/gone"))
    result = run_mm("--study", study, "repair", "--workers", 0)
    assert result.exit_code == 1
    assert "augmented copies could not be read from the source again" in result.stderr


def test_a_withdrawn_participants_copies_go_and_stay_away(study: Path, run_mm: RunMm, tmp_path: Path) -> None:
    eid, row = query(study, "SELECT eid, row FROM samples JOIN splits USING (sample_id) WHERE split = 'train'")[0]
    copies = study / "augmented.zarr" / "flair" / "32"
    assert len(open_array(copies).read_rows([(0, row), (1, row)])) == 2
    (tmp_path / "list.csv").write_text(f"{eid}\n")
    run(run_mm, "--study", study, "withdraw", tmp_path / "list.csv", "--workers", 0, "--yes")
    run(run_mm, "--study", study, "ingest", "folder", "--workers", 0)
    for copy in (0, 1):
        assert open_array(copies).held_rows([row], copy=copy) == set()
    run(run_mm, "--study", study, "verify", "--workers", 0)


def test_drawn_copies_and_the_sources_are_not_mixed(study: Path, run_mm: RunMm) -> None:
    drawing = ("--study", study, "precompute-augs", "--copies", 1, "--workers", 0, "--device", "cpu")
    result = run_mm(*drawing)
    assert result.exit_code == 1
    assert "were read from the source's AUGMENTATIONS" in result.stderr and "receipts/copies.jsonl" in result.stderr
    shutil.rmtree(study / "augmented.zarr")
    (study / "receipts" / "copies.jsonl").unlink()
    run(run_mm, *drawing)
    told = run(run_mm, "--study", study, "ingest", "folder", "--workers", 0)
    assert "augmented copies of the source are left alone" in told
    assert "origin" not in open_array(study / "augmented.zarr" / "t1" / "32").attributes["augmentation"]


def test_the_assumption_is_for_folders_alone(run_mm: RunMm, made: Path, tmp_path: Path) -> None:
    result = run_mm("--study", tmp_path / "s", "ingest", "bids", made / "data", "--assume", "reference-grid")
    assert result.exit_code == 2 and "mm ingest folder" in result.stderr
    result = run_mm("--study", tmp_path / "s", "ingest", "folder", made / "data", "--assume", "mni")
    assert result.exit_code == 1 and "'none' or 'reference-grid'" in result.stderr


def landmark_offsets_mm(level: NDArray[Any], grid: Grid) -> dict[str, float]:
    """Return how far from each landmark a volume has its cyst; infinity where there is no dark spot at all."""
    world_N3 = apply_affine(grid.affine_44, np.indices(level.shape).reshape(3, -1).T.astype(float))
    values_N = level.ravel().astype(float)
    offsets = {}
    for name, centre_3 in LANDMARKS_MM.items():
        distance_N = np.linalg.norm(world_N3 - np.asarray(centre_3), axis=1)
        near_N = distance_N < 9.0
        rim = np.median(values_N[(distance_N > 8.0) & (distance_N < 10.5)])
        depth = np.clip(rim - values_N[near_N], 0.0, None)
        centroid_3 = (depth[:, None] * world_N3[near_N]).sum(axis=0) / max(depth.sum(), 1e-9)
        is_dark = depth.max() > 0.15 * rim
        offsets[name] = float(np.linalg.norm(centroid_3 - centre_3)) if is_dark else np.inf
    return offsets


def load_level(path: Path, modality: str, scratch: Path) -> tuple[NDArray[Any], Grid]:
    volumes = VolumeSettings(sides=(128,))
    settings = LoadSettings(
        volumes=volumes,
        connectivity=ConnectivitySettings(),
        ingest=IngestSettings(assume="reference-grid"),
        scratch=scratch,
    )
    candidate = ScanCandidate(
        visit=Visit(1, 2), modality=modality, path=path, form="image", in_template_space=True, may_assume_grid=True
    )
    return load_scan(candidate, settings).rows["128"], volumes.grid(128)


@pytest.mark.parametrize("modality", MODALITIES)
def test_landmarks_to_the_left_and_right_lie_there_and_a_flipped_file_is_caught(
    made: Path, tmp_path: Path, modality: str
) -> None:
    truth = pl.read_parquet(made / "data" / "truth.parquet").filter("visible", modality=modality)
    (phantom,) = truth["eid"].unique()
    (path,) = (made / "data").glob(f"T*/{modality.upper()}/{phantom}_{modality}.nii.gz")
    right = landmark_offsets_mm(*load_level(path, modality, tmp_path))
    assert max(right.values()) < 2.0, right
    image = nib.load(path)
    flipped = tmp_path / path.name
    nib.save(nib.Nifti1Image(np.ascontiguousarray(np.asarray(image.dataobj)[::-1]), np.eye(4)), flipped)
    wrong = landmark_offsets_mm(*load_level(flipped, modality, tmp_path))
    assert min(wrong.values()) > 2.0, wrong

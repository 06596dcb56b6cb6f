import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsl.data.image
import fsl.transform.affine
import fsl.transform.flirt
import nibabel as nib
import numpy as np
import polars as pl
import pytest

from mmdata.errors import ScanRejected, SourceError
from mmdata.synth.landmarks import LANDMARKS_MM
from mmdata.synth.plan import FLAIR_FIELD, T1_FIELD, plan_release
from mmdata.synth.release import ReleaseSummary, SynthConfig, write_release
from mmdata.volume.flirt import MNI152_1MM
from mmdata.volume.geometry import apply_affine
from mmdata.volume.nifti import decode_volume

PARTICIPANTS = 8
IMAGES = {
    "t1": (T1_FIELD, "T1/T1_unbiased_brain.nii.gz", "T1/transforms/T1_to_MNI_linear.mat"),
    "flair": (FLAIR_FIELD, "T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz", "T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat"),
    "dwi": ("20250", "dMRI/dMRI/dti_FA.nii.gz", "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat"),
}
TARGET_FIELDS = {
    *(31, 21003, 21002, 1707, 20116, 23099, 20002, 6150, 6152, 131286, 131494, 131720, 30020, 30760, 30780, 30750),
    *(1920, 1930, 1940, 1950, 1960, 1970, 1980, 1990, 2000, 2010, 2020, 2030, 20023),
}
CONFOUND_FIELDS = {21001, 20127, 30030, 54, 53, 25741, 24419, 25000, 25756, 25757, 25758, 25759, 21022, 34}


def write(dest: Path, voxel_mm: float = 4.0, participants: int = PARTICIPANTS) -> ReleaseSummary:
    config = SynthConfig(participants=participants, voxel_mm=voxel_mm)
    return write_release(dest, config, workers=0, on_progress=lambda done, total: None)


@pytest.fixture(scope="module")
def release(written: Callable[..., Path]) -> Path:
    return written(participants=PARTICIPANTS)


@pytest.fixture(scope="module")
def truth(release: Path) -> pl.DataFrame:
    return pl.read_parquet(release / "truth.parquet")


@pytest.fixture(scope="module")
def table(release: Path) -> pl.DataFrame:
    return pl.read_csv(release / "ukb_synthetic.csv", infer_schema=False)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def archives(release: Path, field: str) -> list[dict[str, bytes]]:
    return [members(path) for path in sorted((release / "bulk").glob(f"*_{field}_?_0.zip"))]


def good_scans(release: Path, truth: pl.DataFrame):
    """Yield modality, its rows of the truth, image bytes, matrix."""
    for (eid, instance, modality), rows in truth.group_by("eid", "instance", "modality", maintain_order=True):
        field, image, matrix = IMAGES[modality]
        files = members(release / "bulk" / f"{eid}_{field}_{instance}_0.zip")
        if image in files and matrix in files:
            yield modality, rows, files[image], np.loadtxt(io.BytesIO(files[matrix]))


def test_equal_configs_give_equal_bytes(release: Path, tmp_path: Path) -> None:
    write(tmp_path)
    first = {path.relative_to(release): path.read_bytes() for path in release.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert list(first) and first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []


def test_more_participants_leave_ordinary_ones_as_they_are(release: Path, tmp_path: Path) -> None:
    write(tmp_path, participants=PARTICIPANTS - 2)
    same = [
        path.name
        for path in (tmp_path / "bulk").iterdir()
        if (release / "bulk" / path.name).exists() and (release / "bulk" / path.name).read_bytes() == path.read_bytes()
    ]
    assert len(same) >= 5 * (PARTICIPANTS - 2 - 4)  # at most four of these have another role


def test_occupied_destination_is_refused(release: Path) -> None:
    with pytest.raises(SourceError, match="new or empty folder"):
        write(release)


@pytest.mark.parametrize("wrong", [{"participants": 3}, {"participants": 8, "voxel_mm": 5.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SourceError, match=r"expected .* got"):
        SynthConfig(**wrong)


def test_every_member_the_formats_name_is_there(release: Path) -> None:
    for field, image, matrix in IMAGES.values():
        assert any({image, matrix} <= files.keys() for files in archives(release, field))
    assert any("T1/T1_brain_mask.nii.gz" in files for files in archives(release, T1_FIELD))
    assert all("dMRI/dMRI/dti_MD.nii.gz" in files for files in archives(release, "20250"))
    own = [IMAGES["flair"][2] in files for files in archives(release, FLAIR_FIELD)]
    assert any(own) and not all(own)
    assert list((release / "bulk").glob("*_20252_3_0.zip")), "no repeat visit"


def test_connectivity_files_have_their_formats(release: Path) -> None:
    for files in archives(release, "31016"):
        header, *lines = gzip.decompress(files["fMRI.Glasser.csv.gz"]).decode().splitlines()
        assert header.startswith("label_name,timepoint_0,") and header.endswith(",timepoint_489")
        assert len(lines) == 360 and lines[0].startswith("R_") and lines[180].startswith("L_")
        series = np.array([line.split(",")[1:] for line in lines], dtype=float)
        correlation = np.corrcoef(series)[np.triu_indices(360, 1)]
        assert correlation.std() > 0.1 and abs(correlation).max() < 0.99
    for path in (release / "bulk").glob("*_25751_2_0.txt"):
        assert np.isfinite(np.loadtxt(path)).sum() == 1485
        assert len(path.read_text().splitlines()) == 1


def test_flirt_matrices_map_native_landmarks_to_mni_as_fslpy_says(release: Path, truth: pl.DataFrame) -> None:
    reference = fsl.data.image.Image(np.zeros((182, 218, 182), np.uint8), xform=MNI152_1MM.affine_44)
    determinants = set()
    for _, rows, compressed, flirt_44 in good_scans(release, truth):
        try:
            volume = decode_volume(compressed)
        except ScanRejected:
            continue
        image = fsl.data.image.Image(nib.Nifti1Image(volume.data_XYZ, volume.affine_44))
        world_44 = fsl.transform.flirt.fromFlirt(flirt_44, image, reference, from_="world", to="world")
        mapped = fsl.transform.affine.transform(rows.select("^native_._mm$").to_numpy(), world_44)
        np.testing.assert_allclose(mapped, rows.select("^mni_._mm$").to_numpy(), atol=1e-3)
        np.testing.assert_allclose(world_44.ravel(), rows["mni_from_native"][0], atol=1e-5)
        determinants.add(np.sign(np.linalg.det(volume.affine_44)))
    assert determinants == {-1.0, 1.0}


def test_phantom_shows_its_landmarks_where_the_truth_says(release: Path, truth: pl.DataFrame) -> None:
    offsets_mm = {}
    for modality, rows, compressed, _ in good_scans(release, truth.filter("visible")):
        volume = decode_volume(compressed)
        voxels_N3 = np.indices(volume.data_XYZ.shape).reshape(3, -1).T.astype(float)
        world_N3 = apply_affine(volume.affine_44, voxels_N3)
        values_N = volume.data_XYZ.ravel().astype(float)
        for row in rows.iter_rows(named=True):
            centre_3 = np.array([row[f"native_{axis}_mm"] for axis in "xyz"])
            distance_N = np.linalg.norm(world_N3 - centre_3, axis=1)
            near_N = distance_N < 9.0
            rim = np.median(values_N[(distance_N > 8.0) & (distance_N < 10.5)])
            depth = np.clip(rim - values_N[near_N], 0.0, None)
            assert depth.max() > 0.2 * rim, (modality, row["landmark"])
            centroid_3 = (depth[:, None] * world_N3[near_N]).sum(axis=0) / depth.sum()
            offsets_mm[modality, row["landmark"]] = np.linalg.norm(centroid_3 - centre_3)
    assert {landmark for _, landmark in offsets_mm} == set(LANDMARKS_MM)
    assert max(offsets_mm.values()) < 1.5, offsets_mm


def test_images_are_brain_extracted_in_two_number_types_and_odd_shapes(release: Path, truth: pl.DataFrame) -> None:
    dtypes = set()
    for modality, _, compressed, _ in good_scans(release, truth):
        try:
            volume = decode_volume(compressed)
        except ScanRejected:
            continue
        assert all(n % 2 for n in volume.data_XYZ.shape)
        assert 0.2 < (volume.data_XYZ > 0).mean() < 0.7
        assert volume.data_XYZ.min() == 0
        dtypes.add((modality == "dwi", volume.data_XYZ.dtype.name))
    assert dtypes == {(False, "int16"), (False, "float32"), (True, "float32")}


def test_table_has_every_field_and_reads_back(release: Path, table: pl.DataFrame) -> None:
    header, first = (release / "ukb_synthetic.csv").read_text().splitlines()[:2]
    assert all(cell[0] == cell[-1] == '"' for line in (header, first) for cell in line.split(","))
    fields = {int(name.split("-")[0]) for name in table.columns[1:]}
    assert fields == TARGET_FIELDS | CONFOUND_FIELDS
    assert {"21003-0.0", "21003-2.0", "31-0.0", "20002-2.3", "6152-0.4", "131286-0.0", "30760-1.0"} <= set(
        table.columns
    )
    assert "30760-2.0" not in table.columns
    ages = table.select(pl.col("21022-0.0", "21003-2.0").cast(float, strict=False)).drop_nulls()
    assert len(ages) == PARTICIPANTS and (ages["21022-0.0"] <= ages["21003-2.0"] - 4).all()
    assert table["eid"].n_unique() == len(table) > PARTICIPANTS
    assert table["eid"].str.contains(r"^[1-9]\d{6}$").all()


def test_withdrawn_participants_are_of_three_kinds(release: Path, table: pl.DataFrame, truth: pl.DataFrame) -> None:
    eids = (release / "w12345_20260101.csv").read_text().split()
    imaged = [int(eid) in truth["eid"] for eid in eids]
    known = [eid in table["eid"] for eid in eids]
    assert sorted(zip(known, imaged, strict=True)) == [(False, False), (True, False), (True, True)]


def test_bad_files_are_there(release: Path) -> None:
    t1 = archives(release, T1_FIELD)
    assert sum(all(name.startswith("T1/unusable/") for name in files) for files in t1) == 1
    reasons = []
    for files in t1:
        try:
            decode_volume(files.get("T1/T1_unbiased_brain.nii.gz") or files["T1/unusable/T1_unbiased_brain.nii.gz"])
        except ScanRejected as rejected:
            reasons.append(rejected.reason)
    assert reasons == ["truncated"]


def test_every_modality_lacks_about_six_percent() -> None:
    plan = plan_release(7, 200)
    for field in (T1_FIELD, FLAIR_FIELD, "20250", "31016", "25751"):
        assert sum(visit.instance == 2 and field not in visit.fields for visit in plan.visits) == 12


def test_readme_names_nobody(release: Path, table: pl.DataFrame) -> None:
    text = (release / "README.txt").read_text()
    assert "SYNTHETIC" in text
    assert not any(eid in text for eid in table["eid"])

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import nibabel.processing
import numpy as np
import polars as pl
import pytest
import SimpleITK as sitk  # noqa: N813

from catalog.features import derive_features, wanted_fields
from catalog.fields import load_dictionary
from catalog.tables.tables import read_tables
from mmdata.errors import SourceError
from mmdata.synth.release import SynthConfig

Write = Callable[..., Path]

VOLUME_FIELDS = {"20252": "t1", "20253": "flair", "20250": "dwi"}
ITEM_NAME = re.compile(r"(\d{7})_(\d{5})_([23])_0")
BIDS_IMAGE = re.compile(
    r"sub-(\d+)_ses-([23])_(?:(?:space-T1w_)?desc-(?:brain|preproc)_(T1w|FLAIR)|model-tensor_param-(FA)_dwimap)\.nii\.gz"
)
BIDS_MODALITIES = {"T1w": "t1", "FLAIR": "flair", "FA": "dwi"}
FOLDER_IMAGE = re.compile(r"(\d+)_(t1|flair|dwi)\.nii\.gz")
LPS = np.array([-1.0, -1.0, 1.0])
GRID_AFFINE = np.array([[1.5, 0, 0, -95.25], [0, 1.5, 0, -111.75], [0, 0, 1.5, -88.75], [0, 0, 0, 1]])


def item_scans(release: Path) -> set[tuple[str, str, str]]:
    """Return eid, instance and modality of every volume in a layout of bulk items."""
    matches = (ITEM_NAME.fullmatch(path.name.removesuffix(".zip")) for path in release.rglob("*_0*"))
    return {(m[1], m[3], VOLUME_FIELDS[m[2]]) for m in matches if m and m[2] in VOLUME_FIELDS}


def bids_scans(release: Path) -> dict[tuple[str, str, str], Path]:
    matches = {path: BIDS_IMAGE.fullmatch(path.name) for path in release.rglob("*.nii.gz")}
    return {(m[1], m[2], BIDS_MODALITIES[m[3] or m[4]]): path for path, m in matches.items() if m}


def folder_scans(release: Path) -> dict[tuple[str, str, str], Path]:
    matches = {path: FOLDER_IMAGE.fullmatch(path.name) for path in release.rglob("*.nii.gz")}
    return {(m[1], "2", m[2]): path for path, m in matches.items() if m}


def ukb_image(zips: Path, eid: str, instance: str, modality: str) -> bytes:
    field = next(field for field, name in VOLUME_FIELDS.items() if name == modality)
    member = {
        "t1": "T1/T1_unbiased_brain.nii.gz",
        "flair": "T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz",
        "dwi": "dMRI/dMRI/dti_FA.nii.gz",
    }[modality]
    with zipfile.ZipFile(zips / "bulk" / f"{eid}_{field}_{instance}_0.zip") as archive:
        return archive.read(member)


def load(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def truncated_scans(zips: Path) -> set[tuple[str, str, str]]:
    found = set()
    for eid, instance, modality in item_scans(zips):
        try:
            gzip.decompress(ukb_image(zips, eid, instance, modality))
        except EOFError:
            found.add((eid, instance, modality))
    return found


@pytest.mark.parametrize("layout", ["trees", "rap", "bids", "folder"])
def test_every_layout_holds_the_same_scans_and_the_same_truth(written: Write, layout: str) -> None:
    zips, release = written(layout="zips"), written(layout=layout)
    expected = item_scans(zips)
    truth = pl.read_parquet(zips / "truth.parquet")
    if layout == "folder":
        expected = {scan for scan in expected if scan[1] == "2"}
        truth = truth.filter(pl.col("instance") == 2)
    found = {"bids": bids_scans, "folder": folder_scans}.get(layout, item_scans)(release)
    assert set(found) == expected and len(expected) > 10
    assert pl.read_parquet(release / "truth.parquet").equals(truth)
    assert (release / "w12345_20260101.csv").read_bytes() == (zips / "w12345_20260101.csv").read_bytes()


def test_trees_are_the_archives_unpacked(written: Write) -> None:
    zips, trees = written(layout="zips"), written(layout="trees")
    unpacked = {}
    for path in (zips / "bulk").glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            unpacked |= {f"{path.stem}/{name}": archive.read(name) for name in archive.namelist()}
    unpacked |= {path.name: path.read_bytes() for path in (zips / "bulk").glob("*.txt")}
    found = {
        p.relative_to(trees / "bulk").as_posix(): p.read_bytes() for p in (trees / "bulk").rglob("*") if p.is_file()
    }
    assert found == unpacked


def test_platform_holds_the_same_archives_by_modality_and_digits(written: Write) -> None:
    zips, rap = written(layout="zips"), written(layout="rap")
    folders = {"20252": "T1", "20253": "T2 FLAIR", "20250": "dMRI", "31016": "Connectomes", "25751": "rfMRI"}
    found = {path.relative_to(rap).as_posix(): path.read_bytes() for path in rap.glob("Bulk/**/*_0.*")}
    expected = {
        f"Bulk/Brain MRI/{folders[path.name.split('_')[1]]}/{path.name[:2]}/{path.name}": path.read_bytes()
        for path in (zips / "bulk").iterdir()
    }
    assert found == expected


def test_platform_table_has_the_headers_of_the_table_exporter(written: Write) -> None:
    header = (written(layout="rap") / "participant.csv").read_text().splitlines()[0].split(",")
    assert header[:3] == ["participant.eid", "participant.p31", "participant.p34"]
    assert {"participant.p21003_i2", "participant.p131286", "participant.p6150_i0_a1"} <= set(header)


def test_participants_tsv_says_what_the_ukbconv_table_says(written: Write) -> None:
    table = pl.read_csv(written(layout="zips") / "ukb_synthetic.csv", infer_schema=False).rows_by_key("eid", named=True)
    with (written(layout="bids") / "participants.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 5
    for row in rows:
        (cells,) = table[row["participant_id"].removeprefix("sub-")]
        assert row["age"] == cells["21003-2.0"]
        assert row["sex"] == {"0": "F", "1": "M"}[cells["31-0.0"]]
        assert row["handedness"] == {"1": "R", "2": "L", "3": "A"}.get(cells["1707-2.0"], "n/a")


def test_bids_is_declared_a_derivative(written: Write) -> None:
    description = json.loads((written(layout="bids") / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert {"Name", "BIDSVersion", "GeneratedBy"} <= description.keys()


def test_bids_images_are_those_of_the_archives_with_or_without_the_head(written: Write) -> None:
    zips, bids = written(layout="zips"), written(layout="bids")
    kinds = set()
    for scan, path in bids_scans(bids).items():
        if scan in truncated_scans(zips):
            assert path.read_bytes() == ukb_image(zips, *scan)
            continue
        brain, image = load(ukb_image(zips, *scan)), nib.load(path)
        space = "space-T1w_" if scan[2] == "flair" else ""
        mask_path = path.with_name(f"sub-{scan[0]}_ses-{scan[1]}_{space}desc-brain_mask.nii.gz")
        kinds.add(has_head := mask_path.exists())
        np.testing.assert_array_equal(image.affine, brain.affine)
        inside = np.asarray(brain.dataobj) != 0
        if has_head:
            mask = nib.load(mask_path)
            np.testing.assert_array_equal(mask.affine, image.affine)
            np.testing.assert_array_equal(np.asarray(mask.dataobj) != 0, inside)
        np.testing.assert_array_equal(np.asarray(image.dataobj)[inside], np.asarray(brain.dataobj)[inside])
        outside = np.asarray(image.dataobj)[~inside]
        assert (outside > 0).all() if has_head else not outside.any()
        if has_head:
            assert 0.02 < (outside > np.median(np.asarray(brain.dataobj)[inside])).mean() < 0.7, "no scalp"
        assert ("preproc" in path.name) == (has_head and scan[2] != "dwi")
        assert ("_space-T1w_" in path.name) == (scan[2] == "flair")
    assert kinds == {True, False}


def test_bids_transforms_take_landmarks_from_mni_to_the_scan_as_itk_does(written: Write) -> None:
    bids = written(layout="bids")
    truth = pl.read_parquet(bids / "truth.parquet")
    num_read, without = 0, set()
    for (eid, instance, modality), rows in truth.group_by("eid", "instance", "modality"):
        folder, space = ("dwi", "dwi") if modality == "dwi" else ("anat", "T1w")
        name = f"sub-{eid}_ses-{instance}_from-{space}_to-MNI152NLin6Asym_mode-image_xfm.txt"
        path = bids / f"sub-{eid}" / f"ses-{instance}" / folder / name
        if not path.exists():
            without.add(eid)
            continue
        transform = sitk.ReadTransform(str(path))
        for row in rows.iter_rows(named=True):
            mni, native = ([row[f"{world}_{axis}_mm"] for axis in "xyz"] for world in ("mni", "native"))
            np.testing.assert_allclose(transform.TransformPoint((LPS * mni).tolist()), LPS * native, atol=1e-9)
            num_read += 1
    assert num_read > 30
    assert len(without) == 5 // 3
    assert not [path for eid in without for path in (bids / f"sub-{eid}").rglob("*xfm*")]


def test_folder_images_are_the_archives_images_sampled_on_the_mni_grid(written: Write) -> None:
    zips, folder = written(layout="zips"), written(layout="folder")
    truth = pl.read_parquet(zips / "truth.parquet")
    splits = set()
    for scan, path in folder_scans(folder).items():
        splits.add(path.parts[-3])
        assert path.parent.name == scan[2].upper()
        if scan in truncated_scans(zips):
            continue
        image = nib.load(path)
        assert image.shape == (128, 128, 128) and image.get_data_dtype() == np.float32
        np.testing.assert_allclose(image.affine, GRID_AFFINE)
        native = load(ukb_image(zips, *scan))
        eid, instance, modality = scan
        row = truth.filter(eid=int(eid), instance=int(instance), modality=modality).row(0, named=True)
        in_mni = nib.Nifti1Image(
            native.get_fdata(dtype=np.float32), np.reshape(row["mni_from_native"], (4, 4)) @ native.affine
        )
        oracle = nibabel.processing.resample_from_to(in_mni, ((128, 128, 128), GRID_AFFINE), order=1).get_fdata()
        difference = np.abs(image.get_fdata() - oracle) / oracle.max()
        assert difference.max() < 0.01  # of integers, rounded
    assert splits == {"TRAIN", "TEST"}


def test_folder_edges_are_correlations_of_the_archives_time_series(written: Write) -> None:
    zips, folder = written(layout="zips"), written(layout="folder")
    edges, eids = np.load(folder / "connectivity.npy"), (folder / "connectivity_ids.txt").read_text().split()
    assert edges.dtype == np.float32 and edges.shape == (len(eids), 64_620)
    assert {f"{eid}_31016_2_0.zip" for eid in eids} == {path.name for path in (zips / "bulk").glob("*_31016_2_0.zip")}
    for eid, row in zip(eids, edges, strict=True):
        with zipfile.ZipFile(zips / "bulk" / f"{eid}_31016_2_0.zip") as archive:
            text = gzip.decompress(archive.read("fMRI.Glasser.csv.gz"))
        series = pl.read_csv(io.BytesIO(text)).drop("label_name").to_numpy()
        np.testing.assert_allclose(row, np.corrcoef(series)[np.triu_indices(360, 1)], atol=1e-5)


def test_folder_metadata_is_what_the_catalogue_derives_from_the_ukbconv_table(written: Write, tmp_path: Path) -> None:
    metadata = pl.read_csv(written(layout="folder") / "metadata.csv", infer_schema=False)
    definitions = load_dictionary()
    assert set(metadata.columns[1:]) <= definitions.keys()
    samples = metadata.select(
        pl.col("eid").alias("sample_id"), pl.col("eid").cast(pl.Int64), pl.lit(2, pl.Int32).alias("scan_instance")
    )
    table = pl.read_csv(written(layout="zips") / "ukb_synthetic.csv", infer_schema=False)
    first_visits = table.select("eid", r"^\d+-[0-2]\.\d+$")  # the folder knows of no repeat visit
    first_visits.write_csv(tmp_path / "table.csv", quote_style="always")
    tables = read_tables([tmp_path / "table.csv"], wanted_fields(definitions), {}, samples["eid"].to_list())
    derived = {
        (sample_id, name): value
        for name, values in derive_features(tables, samples, definitions)
        for sample_id, value in values.select("sample_id", "value").iter_rows()
    }
    num_compared = 0
    for row in metadata.iter_rows(named=True):
        for name in metadata.columns[1:]:
            recode = definitions[name].recode or {}
            value = float(row[name]) if row[name] else None
            assert recode.get(value, value) == derived.get((row["eid"], name)), name
            num_compared += value is not None
    assert num_compared > 5 * 25


@pytest.mark.parametrize(
    "wrong",
    [
        {"layout": "tar"},
        {"faults": "all"},
        {"extras": True, "layout": "bids"},
        {"extras": True, "layout": "folder"},
        {"table_form": "xlsx"},
        {"table_form": "rap", "layout": "bids"},
        {"table_form": "ukbconv-csv", "layout": "folder"},
    ],
)
def test_settings_that_make_no_release_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SourceError, match=r"expected .* got"):
        SynthConfig(participants=8, **wrong)

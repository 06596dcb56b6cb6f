"""Stored volumes as NIfTI: judged with nibabel, and by where the source's landmarks lie."""

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
import zarr

import mmstudy.nifti_export
from catalog.database import open_catalog
from mmbase.names import VOLUME_MODALITIES
from mmdata.errors import StudyError
from mmdata.ledger.receipts import read_outputs
from mmdata.study import Study, load_study
from mmdata.volume.nifti import encode_stored
from mmstudy.nifti_export import export_nifti
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint
from tests.mmdata.test_ingest import expected_mni_mm, find_cyst
from tests.mmstudy.test_withdraw import copy_of, somebody, withdraw

NAMES = {"t1": "desc-brain_T1w", "flair": "desc-brain_FLAIR", "dwi": "model-tensor_param-FA_desc-brain_dwimap"}


@pytest.fixture(scope="module")
def study(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # what is exported is put on its record
    """A copy of the study of all tests."""
    return Path(shutil.copytree(study, tmp_path_factory.mktemp("exported") / "study"))


@pytest.fixture(scope="module")
def sample(study: Path) -> tuple[str, int]:
    """Id and row of a sample that has all volumes."""
    return whole_sample(load_study(study))


def whole_sample(study: Study, *others: str) -> tuple[str, int]:
    with open_catalog(study.layout.catalog) as catalog:
        rows = catalog.execute(
            "SELECT sample_id, row FROM samples JOIN scans USING (sample_id) WHERE status = 'stored' "
            "GROUP BY ALL HAVING count(*) = 4 ORDER BY row"
        ).fetchall()
    return next((sample_id, row) for sample_id, row in rows if sample_id not in others)


def image_of(folder: Path, sample_id: str, modality: str, side: int = 64) -> nib.Nifti1Image:
    where = "dwi" if modality == "dwi" else "anat"
    name = f"sub-{sample_id}_space-MNI152NLin6Asym_res-{side}_{NAMES[modality]}.nii.gz"
    image = nib.load(folder / f"sub-{sample_id}" / where / name)
    assert isinstance(image, nib.Nifti1Image)
    return image


@pytest.mark.parametrize("modality", VOLUME_MODALITIES)
def test_landmarks_of_the_source_lie_where_its_own_matrix_puts_them(
    study: Path, release: Path, tmp_path: Path, modality: str
) -> None:
    truth = pl.read_parquet(release / "truth.parquet").filter(visible=True, modality=modality)
    with open_catalog(study / "catalog.duckdb") as catalog:
        sample_id = catalog.execute(
            "SELECT sample_id FROM samples WHERE eid = ? AND instance = ?",
            [int(truth["eid"][0]), int(truth["instance"][0])],
        ).fetchall()[0][0]
    export_nifti(load_study(study), sample_id, tmp_path / "out", modalities=[modality])
    image = image_of(tmp_path / "out", sample_id, modality)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    offsets_mm = [
        np.linalg.norm(find_cyst(image.get_fdata(), image.affine, place_mm) - place_mm)
        for place_mm in expected_mni_mm(release, truth, modality)
    ]
    assert len(offsets_mm) == 6 and max(offsets_mm) < 0.5 * image.header.get_zooms()[0], offsets_mm


def test_numbers_are_those_of_the_store_and_the_slope_makes_fractions_of_them(
    study: Path, sample: tuple[str, int], tmp_path: Path
) -> None:
    sample_id, row = sample
    written = export_nifti(load_study(study), sample_id, tmp_path / "out", side=32)
    assert len(written.files) == 3
    for modality in VOLUME_MODALITIES:
        image = image_of(written.folder, sample_id, modality, side=32)
        stored = zarr.open_array(study / "volumes.zarr" / modality / "32", mode="r")
        np.testing.assert_array_equal(image.dataobj.get_unscaled(), stored[row])
        assert image.get_data_dtype() == np.uint16
        np.testing.assert_allclose(image.get_fdata(), stored[row] / 65535, rtol=1e-6)
        np.testing.assert_allclose(image.affine, stored.attrs["affine_ras"], atol=1e-5)
        header = image.header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4) and header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)


def test_the_sidecar_has_the_clamp_with_which_intensities_come_back(
    study: Path, sample: tuple[str, int], tmp_path: Path
) -> None:
    written = export_nifti(load_study(study), sample[0], tmp_path / "out", modalities=["t1"])
    (image,) = written.files
    sidecar = json.loads((written.folder / image.replace(".nii.gz", ".json")).read_text())
    with open_catalog(study / "catalog.duckdb") as catalog:
        ((clamp,),) = catalog.execute(
            "SELECT clamp_high FROM scans WHERE sample_id = ? AND modality = 't1'", [sample[0]]
        ).fetchall()
    assert sidecar["UpperClamp"] == clamp > 10 and sidecar["SkullStripped"] is True
    assert sidecar["Preprocessing"]["clamp_percentiles"] == [0.5, 99.5]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_every_number_type_of_a_store_is_read_by_nibabel(dtype: str) -> None:
    scale = 1.0 if np.dtype(dtype).kind == "f" else 1 / np.iinfo(dtype).max
    stored = (np.random.default_rng(3).random((9, 8, 10)) / scale).astype(dtype)
    affine_44 = np.diag([1.5, 1.5, 1.5, 1.0])
    content = encode_stored(stored, affine_44, scale=scale)
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    np.testing.assert_allclose(image.get_fdata(), stored.astype(float) * scale, rtol=1e-6)
    assert content == encode_stored(stored, affine_44, scale=scale)


def test_samples_share_a_data_set_that_says_what_made_it(study: Path, sample: tuple[str, int], tmp_path: Path) -> None:
    opened, folder = load_study(study), tmp_path / "new" / "out"
    other, _ = whole_sample(opened, sample[0])
    for sample_id in (sample[0], other):
        export_nifti(opened, sample_id, folder, side=32)
    description = json.loads((folder / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Name"] == "mm" and description["DatasetType"] == "derivative"
    assert sorted(path.name for path in folder.glob("sub-*")) == sorted(f"sub-{name}" for name in (sample[0], other))
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))} == {0}
    with pytest.raises(StudyError, match="exists"):
        export_nifti(opened, other, folder, side=32)
    export_nifti(opened, other, folder, side=32, overwrite=True)


def test_a_data_set_of_an_earlier_version_is_added_to(study: Path, sample: tuple[str, int], tmp_path: Path) -> None:
    opened = load_study(study)
    export_nifti(opened, sample[0], tmp_path / "out", side=32)
    path = tmp_path / "out" / "dataset_description.json"
    description = json.loads(path.read_text())
    description["GeneratedBy"][0]["Version"] = "0.1.0"
    path.write_text(json.dumps(description))
    other, _ = whole_sample(opened, sample[0])
    assert export_nifti(opened, other, tmp_path / "out", side=32).files
    description["GeneratedBy"].append({"Name": "another program"})
    path.write_text(json.dumps(description))
    with pytest.raises(StudyError, match="something that mm has not exported"):
        export_nifti(opened, other, tmp_path / "out", side=32, overwrite=True)


def test_a_folder_of_something_else_and_the_study_itself_are_refused(
    study: Path, sample: tuple[str, int], tmp_path: Path
) -> None:
    opened = load_study(study)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for folder, told in (
        (tmp_path / "mine", "something that mm has not exported"),
        (tmp_path / "file", "a file of this name"),
        (study / "out", "lies in the study"),
    ):
        with pytest.raises(StudyError, match=told):
            export_nifti(opened, sample[0], folder)
    assert not [path for path in read_outputs(opened.layout.receipts) if str(tmp_path) in path]


def test_what_is_not_there_is_told_in_one_line(study: Path, run_mm: RunMm, tmp_path: Path) -> None:
    with open_catalog(study / "catalog.duckdb") as catalog:
        (rejected,) = catalog.execute(
            "SELECT sample_id FROM scans WHERE modality = 't1' AND status = 'rejected' LIMIT 1"
        ).fetchall()[0]
    export = ("--study", study, "export-nifti", "--output", tmp_path / "out")
    assert "no sample of this id" in complaint(run_mm(*export, "1000011"))
    assert "has no t1 stored" in complaint(run_mm(*export, rejected, "--modality", "t1"))
    assert "has no connectivity stored as a volume" in complaint(
        run_mm(*export, rejected, "--modality", "connectivity")
    )
    assert "Side 48 is not stored" in complaint(run_mm(*export, rejected, "--side", 48))
    assert not (tmp_path / "out").exists()


def test_a_withdrawal_names_the_folder_and_a_withdrawn_person_is_not_exported(study: Path, tmp_path: Path) -> None:
    copied, folder = copy_of(study, tmp_path / "study"), tmp_path / "out"
    eid, sample_ids, _ = somebody(copied)
    export_nifti(copied, sample_ids[0], folder, side=32)
    assert str(folder) in withdraw(copied, eid).elsewhere
    shutil.rmtree(folder)
    with pytest.raises(StudyError, match="no sample of this id"):
        export_nifti(copied, sample_ids[0], folder, side=32)
    texts = [path.read_bytes() for path in copied.layout.receipts.iterdir()]
    assert not [text for text in texts if sample_ids[0].encode() in text]


def test_an_export_that_fails_leaves_no_image(
    study: Path, sample: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([None, StudyError("withdrawn meanwhile")])

    def withdrawn_at_the_end(*_: object) -> None:
        if error := next(calls):
            raise error

    monkeypatch.setattr(mmstudy.nifti_export, "require_present", withdrawn_at_the_end)
    with pytest.raises(StudyError, match="meanwhile"):
        export_nifti(load_study(study), sample[0], tmp_path / "out", side=32)
    assert not list((tmp_path / "out").rglob("*.nii.gz")) and not list((tmp_path / "out").rglob("sub-*.json"))

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsl.data.image
import fsl.transform.flirt
import nibabel as nib
import nibabel.processing
import numpy as np
import polars as pl
import pytest

from mmdata.synth.layout import LAYOUTS
from mmdata.synth.plan import ALL_FIELDS, ReleasePlan, Visit, add_extras, plan_release
from mmdata.synth.visit import VisitTask, write_visit

Write = Callable[..., Path]
Items = dict[str, dict[str, bytes]]
MNI_AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
REGIONS = {
    "31018": {"Schaefer7n100p": 100, "Schaefer17n100p": 100},
    "31019": {f"Tian_Subcortex_S{scale}_3T": regions for scale, regions in ((1, 16), (2, 32), (3, 50), (4, 54))},
}
NEW_MEMBERS = {
    "20252": {"T1/T1_brain_to_MNI.nii.gz"},
    "20253": {"T2_FLAIR/T2_FLAIR_brain_to_MNI.nii.gz"},
    "20250": {
        "dMRI/dMRI/dti_MO.nii.gz",
        *(f"dMRI/dMRI/NODDI_{name}.nii.gz" for name in ("ICVF", "OD", "ISOVF")),
        "dMRI/TBSS/FA/dti_FA_to_MNI.nii.gz",
        *(f"dMRI/TBSS/stats/all_{name}.nii.gz" for name in ("FA", "MD", "MO", "ICVF", "OD", "ISOVF")),
    },
}


@pytest.fixture(scope="module")
def visit() -> Visit:
    plan = plan_release(1337, 5)
    return next(v for v in plan.visits if v.fields == ALL_FIELDS and v.fault is None)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory, visit: Visit) -> dict[bool, Items]:
    """Bulk items of one visit without and with extras, by field and member."""
    return {has_extras: write(tmp_path_factory.mktemp("visit"), visit, has_extras) for has_extras in (False, True)}


def write(root: Path, visit: Visit, has_extras: bool) -> Items:
    plan = ReleasePlan(visits=(visit,), repeats=frozenset(), num_table_only=0, withdrawn=0)
    plan = add_extras(plan) if has_extras else plan
    LAYOUTS["zips"].prepare(root, 1337, plan)
    write_visit(VisitTask(visit=plan.visits[0], seed=1337, voxel_mm=4.0, layout="zips", root=root))
    items: Items = {}
    for path in (root / "bulk").iterdir():
        field = path.name.split("_")[1]
        if path.suffix == ".txt":
            items[field] = {"": path.read_bytes()}
            continue
        with zipfile.ZipFile(path) as archive:
            items[field] = {name: archive.read(name) for name in archive.namelist()}
    return items


def image(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def matrix(text: bytes, num_nodes: int) -> np.ndarray:
    """Undo field 2575x's scaled Fisher z, column by column."""
    square = np.eye(num_nodes)
    square[np.tril_indices(num_nodes, -1)] = np.tanh(np.array(text.split(), dtype=float) / 15) / 0.999
    return square + np.tril(square, -1).T


def test_extras_change_no_ordinary_member(items: dict[bool, Items]) -> None:
    for field, members in items[False].items():
        assert items[True][field].items() >= members.items()
        assert items[True][field].keys() - members.keys() == NEW_MEMBERS.get(field, set())
    assert items[True].keys() - items[False].keys() == {"31018", "31019", "25750", "25752", "25753"}


def test_new_diffusion_maps_keep_to_their_ranges(items: dict[bool, Items]) -> None:
    members = items[True]["20250"]
    brain = np.asarray(image(members["dMRI/dMRI/dti_FA.nii.gz"]).dataobj) != 0
    for name, low in (("dti_MO", -1.0), ("NODDI_ICVF", 0.0), ("NODDI_OD", 0.0), ("NODDI_ISOVF", 0.0)):
        values = np.asarray(image(members[f"dMRI/dMRI/{name}.nii.gz"]).dataobj)
        assert low <= values.min() and values.max() <= 1 and values.std() > 0.05
        np.testing.assert_array_equal(values != 0, brain)
        assert (values.min() < -0.2) == (name == "dti_MO")


def test_warped_images_are_the_scans_on_the_mni_grid(items: dict[bool, Items], visit: Visit) -> None:
    members = items[True]
    sources = {
        ("20252", "T1/T1_brain_to_MNI.nii.gz"): "T1/T1_unbiased_brain.nii.gz",
        ("20250", "dMRI/TBSS/stats/all_ISOVF.nii.gz"): "dMRI/dMRI/NODDI_ISOVF.nii.gz",
    }
    flirt = {"20252": "T1/transforms/T1_to_MNI_linear.mat", "20250": "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat"}
    for (field, name), source_name in sources.items():
        warped, source = image(members[field][name]), image(members[field][source_name])
        assert warped.shape == (182, 218, 182)
        np.testing.assert_array_equal(warped.affine, MNI_AFFINE)
        in_mni = nib.Nifti1Image(
            source.get_fdata(dtype=np.float32), world_from_flirt(members[field][flirt[field]], source) @ source.affine
        )
        every_third = MNI_AFFINE @ np.diag([3, 3, 3, 1])
        oracle = nibabel.processing.resample_from_to(in_mni, ((60, 72, 60), every_third), order=1).get_fdata()
        sampled = warped.get_fdata()[:180:3, :216:3, :180:3]
        assert np.abs(sampled - oracle).max() < 0.01 * oracle.max()
    fa = members["20250"]["dMRI/TBSS/FA/dti_FA_to_MNI.nii.gz"]
    assert fa == members["20250"]["dMRI/TBSS/stats/all_FA.nii.gz"]


def world_from_flirt(text: bytes, source: nib.Nifti1Image) -> np.ndarray:
    """Return what fslpy makes of a matrix."""
    reference = fsl.data.image.Image(np.zeros((182, 218, 182), np.uint8), xform=MNI_AFFINE)
    matrix_44 = np.loadtxt(io.BytesIO(text))
    return fsl.transform.flirt.fromFlirt(matrix_44, fsl.data.image.Image(source), reference, from_="world", to="world")


def test_further_time_series_have_their_parcellations_regions(items: dict[bool, Items]) -> None:
    for field, parcellations in REGIONS.items():
        assert items[True][field].keys() == {f"fMRI.{name}.csv.gz" for name in parcellations}
        for name, num_regions in parcellations.items():
            table = pl.read_csv(io.BytesIO(gzip.decompress(items[True][field][f"fMRI.{name}.csv.gz"])))
            assert table.shape == (num_regions, 491) and table.columns[:2] == ["label_name", "timepoint_0"]
            correlations = np.corrcoef(table.drop("label_name").to_numpy())[np.triu_indices(num_regions, 1)]
            assert correlations.std() > 0.1 and np.abs(correlations).max() < 0.99


def test_partial_correlations_are_those_of_the_full_ones(items: dict[bool, Items]) -> None:
    for full_field, partial_field, num_nodes in (("25750", "25752", 21), ("25751", "25753", 55)):
        full, partial = (matrix(items[True][field][""], num_nodes) for field in (full_field, partial_field))
        precision = np.linalg.inv(full)
        scale = np.sqrt(np.diag(precision))
        expected = -precision / np.outer(scale, scale)
        upper = np.triu_indices(num_nodes, 1)
        np.testing.assert_allclose(partial[upper], expected[upper], atol=2e-3)
        assert np.abs(partial[upper] - full[upper]).max() > 0.1

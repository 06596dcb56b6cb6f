import gzip
from collections.abc import Callable
from pathlib import Path

import fsl.data.image
import fsl.transform.flirt
import nibabel as nib
import nitransforms
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from mmbase.records import ScanCandidate, Visit
from mmdata.errors import ScanRejected
from mmdata.readers import image
from mmdata.readers.image import read_image
from mmdata.readers.native import NativeScan
from mmdata.volume.geometry import apply_affine
from mmdata.volume.nifti import encode_volume

LINEAR, NONLINEAR = "MNI152-linear", "MNI152-nonlinear"
SHAPE = (12, 14, 10)
AFFINE_44 = np.array([[-2.0, 0, 0, 20], [0, 1.9, -0.3, -15], [0, 0.3, 1.9, -8], [0, 0, 0, 1.0]])
DATA = np.random.default_rng(4).integers(1, 900, SHAPE).astype(np.int16)
POINTS_N3 = np.random.default_rng(5).uniform(-80, 80, (20, 3))
LPS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture
def image_path(tmp_path: Path) -> Path:
    path = tmp_path / "image.nii.gz"
    path.write_bytes(encode_volume(DATA, AFFINE_44, np.int16))
    return path


def candidate(
    path: Path, *, transform: Path | None = None, mask: Path | None = None, in_template_space: bool = False
) -> ScanCandidate:
    return ScanCandidate(
        visit=Visit(1000223, 2),
        modality="t1",
        path=path,
        form="image",
        transform_path=transform,
        mask_path=mask,
        in_template_space=in_template_space,
    )


def rejection(scan: ScanCandidate, space: str = LINEAR) -> ScanRejected:
    with pytest.raises(ScanRejected) as caught:
        read_image(scan, space)
    assert "1000223" not in str(caught.value)
    assert str(scan.path.parent) not in str(caught.value)
    return caught.value


def itk_affine() -> sitk.AffineTransform:
    """An affine around a centre, LPS: points of MNI152 to points of the image."""
    transform = sitk.AffineTransform(3)
    rng = np.random.default_rng(8)
    transform.SetMatrix((np.eye(3) + rng.normal(0, 0.15, (3, 3))).ravel().tolist())
    transform.SetTranslation(rng.uniform(-30, 30, 3).tolist())
    transform.SetCenter(rng.uniform(-30, 30, 3).tolist())
    return transform


def test_image_alone_has_neither_transform_nor_mask(image_path: Path) -> None:
    scan = read_image(candidate(image_path), LINEAR)
    np.testing.assert_array_equal(scan.volume.data_XYZ, DATA)
    np.testing.assert_allclose(scan.volume.affine_44, AFFINE_44, atol=1e-6)
    assert scan.mni_from_native_44 is None and scan.brain_XYZ is None


def test_uncompressed_image_is_read_too(image_path: Path) -> None:
    plain = image_path.with_name("image.nii")
    plain.write_bytes(gzip.decompress(image_path.read_bytes()))
    np.testing.assert_array_equal(read_image(candidate(plain), LINEAR).volume.data_XYZ, DATA)


@pytest.mark.parametrize("space", [LINEAR, NONLINEAR])
def test_image_in_template_space_needs_no_transform(image_path: Path, space: str) -> None:
    scan = read_image(candidate(image_path, in_template_space=True), space)
    np.testing.assert_array_equal(scan.mni_from_native_44, np.eye(4))


def test_nonlinear_space_takes_no_image_that_was_not_warped(image_path: Path) -> None:
    assert rejection(candidate(image_path), NONLINEAR).reason == "not-in-template-space"


@pytest.mark.parametrize(
    "kind", ["AffineTransform_double", "AffineTransform_float", "MatrixOffsetTransformBase_double"]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_itk_transform_brings_the_image_to_where_itk_resamples_it_from(
    image_path: Path, kind: str, line_end: str
) -> None:
    path = image_path.with_name("xfm.txt")
    sitk.WriteTransform(itk_affine(), str(path))
    text = path.read_text().replace("AffineTransform_double", kind)
    path.write_bytes(text.replace("\n", line_end).encode())
    mni_from_native_44 = read_image(candidate(image_path, transform=path), LINEAR).mni_from_native_44
    assert mni_from_native_44 is not None
    native_N3 = np.array([itk_affine().TransformPoint((LPS * point).tolist()) for point in POINTS_N3]) * LPS
    np.testing.assert_allclose(apply_affine(mni_from_native_44, native_N3), POINTS_N3, atol=1e-6)


def test_itk_transform_is_the_one_that_nitransforms_reads(image_path: Path) -> None:
    path = image_path.with_name("xfm.txt")
    sitk.WriteTransform(itk_affine(), str(path))
    mni_from_native_44 = read_image(candidate(image_path, transform=path), LINEAR).mni_from_native_44
    native_from_mni = nitransforms.linear.load(path, fmt="itk")  # from the reference's points to the moving image's
    assert mni_from_native_44 is not None
    np.testing.assert_allclose(
        native_from_mni.map(POINTS_N3), apply_affine(np.linalg.inv(mni_from_native_44), POINTS_N3), atol=1e-5
    )


@pytest.mark.parametrize("reference_mm", [1, 2])
@pytest.mark.parametrize("flipped", [False, True])
def test_flirt_matrix_is_read_as_fslpy_does_for_either_resolution_of_the_reference(
    tmp_path: Path, reference_mm: int, flipped: bool
) -> None:
    affine_44 = AFFINE_44 @ np.diag([-1.0 if flipped else 1.0, 1, 1, 1])
    path, transform = tmp_path / "image.nii.gz", tmp_path / "flirt.mat"
    path.write_bytes(encode_volume(DATA, affine_44, np.int16))
    flirt_44 = np.eye(4)
    flirt_44[:3] += np.random.default_rng(2).normal(0, 0.1, (3, 4))
    np.savetxt(transform, flirt_44, fmt="%.12f", delimiter="  ")
    found_44 = read_image(candidate(path, transform=transform), LINEAR).mni_from_native_44
    reference_44 = np.array(
        [[-reference_mm, 0, 0, 90], [0, reference_mm, 0, -126], [0, 0, reference_mm, -72.0], [0, 0, 0, 1]]
    )
    shape = (182, 218, 182) if reference_mm == 1 else (91, 109, 91)
    source = fsl.data.image.Image(nib.Nifti1Image(DATA, affine_44))
    reference = fsl.data.image.Image(nib.Nifti1Image(np.zeros(shape, np.uint8), reference_44))
    expected_44 = fsl.transform.flirt.fromFlirt(flirt_44, source, reference, from_="world", to="world")
    np.testing.assert_allclose(found_44, expected_44, atol=1e-4)


def itk_text(parameters: str = "1 0 0 0 1 0 0 0 1 0 0 0", fixed: str = "0 0 0", kind: str = "AffineTransform") -> bytes:
    transform = f"Transform: {kind}_double_3_3\nParameters: {parameters}\nFixedParameters: {fixed}\n"
    return f"#Insight Transform File V1.0\n#Transform 0\n{transform}".encode()


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (itk_text(kind="Euler3DTransform"), "got Euler3DTransform_double_3_3"),
        (itk_text() + itk_text(), "got 2 transforms"),
        (b"#Insight Transform File V1.0\n", "got 0 transforms"),
        (itk_text(parameters="1 0 0 0 1 0 0 0 1"), "12 finite parameters, got 9"),
        (itk_text(parameters=""), "12 finite parameters, got 0"),
        (itk_text(parameters="1 0 0 0 nan 0 0 0 1 0 0 0"), "finite"),
        (itk_text(parameters="1 0 0 0 one 0 0 0 1 0 0 0"), "other than numbers"),
        (itk_text(parameters="0 0 0 0 1 0 0 0 1 0 0 0"), "determinant is 0"),
        (itk_text(fixed=""), "3 finite parameters, got 0"),
        (b"", "4 x 4"),
        (b"1 0 0\n0 1 0\n0 0 1\n", "4 x 4"),
        (b"\x00\xff\xfe", "other than rows of numbers"),
        (b"1 " * 40_000, "at most 65,536 bytes"),
    ],
)
def test_transform_that_is_none_is_rejected(image_path: Path, content: bytes, detail: str) -> None:
    path = image_path.with_name("xfm.txt")
    path.write_bytes(content)
    found = rejection(candidate(image_path, transform=path))
    assert found.reason == "bad-transform"
    assert detail in found.detail


@pytest.mark.parametrize("name", ["0GenericAffine.mat", "xfm.h5"])
def test_binary_transform_of_itks_is_rejected_with_how_to_export_it(image_path: Path, name: str) -> None:
    path = image_path.with_name(name)
    sitk.WriteTransform(itk_affine(), str(path))
    found = rejection(candidate(image_path, transform=path))
    assert found.reason == "bad-transform"
    assert "ConvertTransformFile" in found.detail


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_mask_is_brain_from_one_half_on(image_path: Path, dtype: str, scale: float) -> None:
    inside = DATA > 300
    path = image_path.with_name("mask.nii.gz")
    path.write_bytes(encode_volume(scale * inside, AFFINE_44, np.dtype(dtype)))
    np.testing.assert_array_equal(read_image(candidate(image_path, mask=path), LINEAR).brain_XYZ, inside)


def test_probability_of_brain_is_a_mask(image_path: Path) -> None:
    probability = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    path = image_path.with_name("mask.nii.gz")
    path.write_bytes(encode_volume(probability, AFFINE_44, np.float32))
    np.testing.assert_array_equal(read_image(candidate(image_path, mask=path), LINEAR).brain_XYZ, probability >= 0.5)


def moved_by(shift_mm: float) -> NDArray[np.float64]:
    affine_44 = AFFINE_44.copy()
    affine_44[0, 3] += shift_mm
    return affine_44


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (lambda: encode_volume(DATA[:-1], AFFINE_44, np.uint8), "another shape or position"),
        (lambda: encode_volume(DATA, moved_by(2.0), np.uint8), "another shape or position"),
        (lambda: encode_volume(DATA, AFFINE_44, np.uint8)[:-9], "truncated"),
        (lambda: b"nothing", "not-gzip"),
    ],
)
def test_mask_that_does_not_fit_is_rejected(image_path: Path, content: Callable[[], bytes], detail: str) -> None:
    path = image_path.with_name("mask.nii.gz")
    path.write_bytes(content())
    found = rejection(candidate(image_path, mask=path))
    assert found.reason == "bad-mask"
    assert detail in found.detail


@pytest.mark.parametrize("missing", ["image", "transform", "mask"])
def test_file_that_cannot_be_read_is_unreadable(image_path: Path, missing: str) -> None:
    gone = image_path.with_name("1000223_gone")
    scan = {
        "image": candidate(gone),
        "transform": candidate(image_path, transform=gone),
        "mask": candidate(image_path, mask=gone),
    }[missing]
    assert rejection(scan).reason == "unreadable"


def test_a_link_that_leads_nowhere_says_how_to_fetch_its_file(tmp_path: Path) -> None:
    link = tmp_path / "image.nii.gz"
    link.symlink_to(".git/annex/objects/none")
    found = rejection(candidate(link))
    assert found.reason == "unreadable" and "datalad get" in found.detail


def test_the_mask_that_is_looked_for_is_named_without_the_participant(image_path: Path) -> None:
    named = image_path.rename(image_path.with_name("sub-1000223_run-1_desc-preproc_T1w.nii.gz"))
    expected = read_image(candidate(named), LINEAR).expected_mask
    assert expected == "sub-…_run-…_desc-brain_mask.nii.gz beside it or in derivatives/*"


def test_file_beyond_all_measure_is_rejected_unread(image_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_VOLUME_BYTES", 1000)
    assert rejection(candidate(image_path)).reason == "bad-dimensions"


CUBE = np.random.default_rng(6).integers(1, 900, (64, 64, 64)).astype(np.int16)


def read_cube(
    path: Path,
    affine_44: NDArray[np.float64],
    data: NDArray[np.int16] = CUBE,
    *,
    own: bool = True,
    assume: str = "none",
) -> NativeScan:
    path.write_bytes(encode_volume(data, affine_44, np.int16))
    candidate = ScanCandidate(
        visit=Visit(1, 2), modality="t1", path=path, form="image", in_template_space=True, may_assume_grid=own
    )
    return read_image(candidate, LINEAR, assume=assume)


def test_an_identity_affine_is_refused_with_what_to_say_about_it(tmp_path: Path) -> None:
    with pytest.raises(ScanRejected, match="--assume reference-grid") as caught:
        read_cube(tmp_path / "i.nii.gz", np.eye(4))
    assert caught.value.reason == "identity-affine"


def test_an_identity_affine_becomes_the_reference_grid_where_the_user_says_so(tmp_path: Path) -> None:
    native = read_cube(tmp_path / "i.nii.gz", np.eye(4), assume="reference-grid")
    assert native.transform_source == "reference-grid"
    np.testing.assert_array_equal(native.volume.data_XYZ, CUBE)
    first, last = apply_affine(native.volume.affine_44, np.array([(-0.5, -0.5, -0.5), (63.5, 63.5, 63.5)]))
    np.testing.assert_allclose(first, (90.5, -109.357, -72.5), atol=1e-3)  # the first voxel is to the right
    np.testing.assert_allclose(last, (-92.357, 73.5, 110.357), atol=1e-3)


def test_every_other_image_keeps_its_affine_whatever_is_assumed(tmp_path: Path) -> None:
    own_44 = np.diag([-1.0, 1.0, 1.0, 1.0])
    for affine_44, data, is_own in ((own_44, CUBE, True), (np.eye(4), CUBE[:, :, :60], True), (np.eye(4), CUBE, False)):
        native = read_cube(tmp_path / "i.nii.gz", affine_44, data, own=is_own, assume="reference-grid")
        assert native.transform_source == "source"
        np.testing.assert_array_equal(native.volume.affine_44, affine_44)

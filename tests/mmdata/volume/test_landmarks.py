"""The geometry from a file's bytes to the study's grid: labelled blobs must end where pen and paper put them.

A phantom is five Gaussian blobs of their own brightness on a background of 0. Its blobs lie at `LANDMARKS_N3` of
MNI152; the affine between the two worlds says where that is in the native world, and the file's affine at which voxels.
Files are written header field by header field with nibabel, FLIRT matrices are fslpy's: nothing that is tested here
has a part in making them.
"""

import gzip
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from pathlib import Path

import fsl.data.image
import fsl.transform.flirt
import nibabel as nib
import nitransforms
import numpy as np
import pytest
from nitransforms.resampling import apply
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from mmdata.readers.matrix import parse_matrix
from mmdata.volume.flirt import MNI152_1MM, world_from_flirt
from mmdata.volume.geometry import Grid, Matrix44, apply_affine
from mmdata.volume.nifti import Volume, decode_volume
from mmdata.volume.preprocess import preprocess_volume
from mmdata.volume.resample import resample_to_grid
from mmdata.volume.settings import VolumeSettings

LANDMARKS_N3 = np.array(
    [(-42.0, -62.0, -20.0), (40.0, -58.0, 24.0), (-36.0, 34.0, 44.0), (38.0, 30.0, -22.0), (-4.0, -10.0, 60.0)]
)
"""No two of them closer than 50 mm, and no exchange or flip of axes maps them onto each other."""
BRIGHTNESS_N = np.array([80.0, 110.0, 140.0, 170.0, 200.0])
SIGMA_MM = 5.0
WINDOW_MM = 24.0
"""Half the edge of the cube around a landmark that holds its blob and no other."""
TOLERANCE_MM = 0.1
SETTINGS = VolumeSettings(clamp_percentiles=(0, 100))
SIGNS = list(product((-1, 1), repeat=3))
BYTE_ORDERS = ("<", ">")
FORMS = ("sform", "qform", "both", "conflicting")
SCALINGS = (None, (2.0, 0.0), (2.0, -10.0))
DTYPES = ("uint8", "int16", "int32", "float32", "float64")
Encoding = tuple[str, str, tuple[float, float] | None, str]
ENCODINGS: list[Encoding] = list(product(BYTE_ORDERS, FORMS, SCALINGS, DTYPES))


def world_transform() -> Matrix44:
    """Return MNI152 from native: rotation, scales, shear and shift, as between a head and the template."""
    matrix_44 = np.eye(4)
    shape_33 = np.array([[1.08, 0.03, -0.02], [0.0, 1.02, 0.04], [0.0, 0.0, 1.12]])
    matrix_44[:3, :3] = Rotation.from_euler("xyz", (11.0, -7.0, 9.0), degrees=True).as_matrix() @ shape_33
    matrix_44[:3, 3] = [14.0, -22.0, 31.0]
    return matrix_44


MNI_FROM_NATIVE_44 = world_transform()
NATIVE_N3 = apply_affine(np.linalg.inv(MNI_FROM_NATIVE_44), LANDMARKS_N3)


@dataclass(frozen=True, eq=False)
class Layout:
    """How voxels lie in the native world."""

    affine_44: Matrix44
    shape: tuple[int, int, int]


def layout(axes_33: NDArray[np.float64], zooms_mm: tuple[float, float, float]) -> Layout:
    """Lay voxels along the columns of `axes_33`, around the landmarks."""
    affine_44 = np.eye(4)
    affine_44[:3, :3] = axes_33 * zooms_mm
    voxels_N3 = apply_affine(np.linalg.inv(affine_44), NATIVE_N3)
    margin_3 = 4 * SIGMA_MM / np.array(zooms_mm)
    first_3 = np.floor(voxels_N3.min(axis=0) - margin_3)
    affine_44[:3, 3] = affine_44[:3, :3] @ first_3
    num_x, num_y, num_z = (int(n) for n in np.ceil(voxels_N3.max(axis=0) + margin_3) - first_3 + 1)
    return Layout(affine_44, (num_x, num_y, num_z))


def oriented(axes: tuple[int, ...], signs: tuple[int, ...]) -> NDArray[np.float64]:
    axes_33 = np.zeros((3, 3))
    axes_33[list(axes), range(3)] = signs
    return axes_33


OBLIQUE = layout(Rotation.from_euler("xyz", (8.0, -12.0, 20.0), degrees=True).as_matrix() * [-1, 1, 1], (3.5, 3.5, 3.5))


@lru_cache(maxsize=4)
def phantom(where: Layout) -> NDArray[np.float64]:
    points_mm = apply_affine(where.affine_44, np.indices(where.shape).reshape(3, -1).T.astype(float))
    values = np.zeros(len(points_mm))
    for position_mm, brightness in zip(NATIVE_N3, BRIGHTNESS_N, strict=True):
        values += brightness * np.exp(-0.5 * ((points_mm - position_mm) ** 2).sum(axis=1) / SIGMA_MM**2)
    return np.where(values < 0.5, 0.0, values).reshape(where.shape)


def nifti(where: Layout, *, order: str, form: str, scaling: tuple[float, float] | None, dtype: str) -> bytes:
    """Return a compressed file of the phantom; what a code of 0 declares void holds nonsense."""
    wrong_44 = np.diag([1.0, -2.0, 3.0, 1.0])
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    header.set_data_shape(where.shape)
    header.set_qform(where.affine_44 if form in ("qform", "both") else wrong_44, code=int(form != "sform"))
    header.set_sform(wrong_44 if form == "qform" else where.affine_44, code=2 * int(form != "qform"))
    header["pixdim"][1:4] = np.linalg.norm(where.affine_44[:3, :3], axis=0)
    header["vox_offset"] = 352
    slope, intercept = scaling or (1.0, 0.0)
    if scaling:
        header.set_slope_inter(slope, intercept)
    stored = (phantom(where) - intercept) / slope
    if np.dtype(dtype).kind in "iu":
        stored = np.rint(stored)
    voxels = stored.astype(np.dtype(dtype).newbyteorder(order)).tobytes(order="F")
    return gzip.compress(header.binaryblock + bytes(4) + voxels, compresslevel=1)


def flirt_text(where: Layout) -> bytes:
    """Return the FLIRT matrix that fslpy makes of the transform between the worlds."""
    source, reference = (
        fsl.data.image.Image(nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), affine_44))
        for shape, affine_44 in ((where.shape, where.affine_44), ((182, 218, 182), MNI152_1MM.affine_44))
    )
    flirt_44 = fsl.transform.flirt.toFlirt(MNI_FROM_NATIVE_44, source, reference, from_="world", to="world")
    return "\n".join("  ".join(f"{number:.10f}" for number in row) for row in flirt_44).encode()


def blobs_on(grid: Grid, data_XYZ: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centre of mass in MNI152 mm and the mass of what lies around each landmark."""
    ticks = [grid.affine_44[axis, 3] + grid.spacing_mm * np.arange(grid.side) for axis in range(3)]
    centres, masses = [], []
    for landmark_mm in LANDMARKS_N3:
        window = [np.abs(t - c) <= WINDOW_MM for t, c in zip(ticks, landmark_mm, strict=True)]
        weights = data_XYZ[np.ix_(*window)].astype(np.float64)
        masses.append(weights.sum())
        others = ((1, 2), (0, 2), (0, 1))
        centres.append([weights.sum(axis=o) @ t[w] / masses[-1] for o, t, w in zip(others, ticks, window, strict=True)])
    return np.array(centres), np.array(masses)


def error_on_grids(volume: Volume, mni_from_native_44: Matrix44) -> float:
    """Return the largest distance in mm between a blob and its landmark on the study's grids.

    Every blob must have its own brightness: the landmarks are not exchanged.
    """
    worst_mm = 0.0
    for side, level in preprocess_volume(volume, mni_from_native_44, SETTINGS).levels.items():
        centres_N3, masses_N = blobs_on(SETTINGS.grid(side), level)
        np.testing.assert_allclose(masses_N / masses_N.sum(), BRIGHTNESS_N / BRIGHTNESS_N.sum(), atol=0.005)
        worst_mm = max(worst_mm, np.linalg.norm(centres_N3 - LANDMARKS_N3, axis=1).max())
    return worst_mm


def decoded(where: Layout, encoding: Encoding) -> Volume:
    order, form, scaling, dtype = encoding
    return decode_volume(nifti(where, order=order, form=form, scaling=scaling, dtype=dtype))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_file_says_the_same_in_every_encoding(encoding: Encoding) -> None:
    volume = decoded(OBLIQUE, encoding)
    np.testing.assert_allclose(volume.affine_44, OBLIQUE.affine_44, atol=1e-4)
    np.testing.assert_allclose(volume.data_XYZ, phantom(OBLIQUE), atol=1.01)
    assert not volume.data_XYZ[phantom(OBLIQUE) == 0].any()


@pytest.mark.parametrize("signs", SIGNS)
def test_landmarks_reach_the_grids_from_every_orientation(signs: tuple[int, int, int]) -> None:
    for number, axes in enumerate(permutations(range(3))):
        where = layout(oriented(axes, signs), (3.5, 3.5, 3.5))
        encoding = ENCODINGS[37 * (number + 6 * SIGNS.index(signs)) % len(ENCODINGS)]
        volume = decoded(where, encoding)
        mni_from_native_44 = world_from_flirt(parse_matrix(flirt_text(where)), volume.frame)
        assert error_on_grids(volume, mni_from_native_44) < TOLERANCE_MM


@pytest.mark.parametrize("mirror", [-1, 1])
@pytest.mark.parametrize(
    ("degrees", "zooms_mm", "shear"),
    [
        ((30.0, 0.0, 0.0), (3.0, 3.0, 3.0), 0.0),
        ((-20.0, 30.0, 25.0), (3.0, 3.5, 4.0), 0.0),
        ((10.0, -15.0, 30.0), (2.0, 2.5, 6.0), 0.0),
        ((0.0, 0.0, 0.0), (5.0, 2.5, 2.5), 0.15),
        ((12.0, 30.0, -8.0), (3.0, 4.0, 2.5), 0.2),
    ],
)
def test_landmarks_reach_the_grids_from_oblique_oblong_and_sheared_voxels(
    degrees: tuple[float, float, float], zooms_mm: tuple[float, float, float], shear: float, mirror: int
) -> None:
    axes_33 = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * [mirror, 1, 1]
    axes_33[:, 2] += shear * axes_33[:, 0]  # which no quaternion can say
    where = layout(axes_33 / np.linalg.norm(axes_33, axis=0), zooms_mm)
    assert np.sign(np.linalg.det(where.affine_44)) == mirror
    volume = decoded(where, ("<", "conflicting", None, "float32"))
    mni_from_native_44 = world_from_flirt(parse_matrix(flirt_text(where)), volume.frame)
    assert error_on_grids(volume, mni_from_native_44) < TOLERANCE_MM


def test_wrong_transform_is_seen_by_these_tests() -> None:
    volume = decoded(OBLIQUE, ENCODINGS[0])
    off_by_a_voxel_44 = MNI_FROM_NATIVE_44.copy()
    off_by_a_voxel_44[0, 3] += 1.0
    assert error_on_grids(volume, off_by_a_voxel_44) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("mirror", [-1, 1])
def test_sampled_voxels_are_those_of_scipy_and_nitransforms(tmp_path: Path, mirror: int) -> None:
    """The grid is no coarser than the voxels, so that nothing is averaged and all interpolate alike."""
    where = layout(OBLIQUE.affine_44[:3, :3] / 3.5 * [mirror, 1, 1], (3.5, 3.5, 3.5))
    volume = decoded(where, ("<", "both", None, "float32"))
    grid = SETTINGS.grid(64)
    sampled = resample_to_grid(
        volume.data_XYZ, np.linalg.inv(MNI_FROM_NATIVE_44 @ where.affine_44) @ grid.affine_44, grid
    )

    points_N3 = apply_affine(grid.affine_44, np.indices(sampled.shape).reshape(3, -1).T.astype(float))
    voxels_N3 = apply_affine(np.linalg.inv(MNI_FROM_NATIVE_44 @ where.affine_44), points_N3)
    by_scipy = map_coordinates(phantom(where), voxels_N3.T, order=1, mode="constant").reshape(sampled.shape)
    np.testing.assert_allclose(sampled, by_scipy, atol=0.02)

    moving = nib.Nifti1Image(phantom(where).astype(np.float32), where.affine_44)
    reference = nib.Nifti1Image(np.zeros(sampled.shape, np.float32), grid.affine_44)
    mat, mni = (
        tmp_path / "native_to_mni.mat",
        nib.Nifti1Image(np.zeros((182, 218, 182), np.uint8), MNI152_1MM.affine_44),
    )
    mat.write_bytes(flirt_text(where))
    native_from_mni = nitransforms.linear.load(mat, fmt="fsl", reference=mni, moving=moving)
    native_from_mni.reference = reference
    by_nitransforms = apply(native_from_mni, moving, order=1, prefilter=False).get_fdata()
    np.testing.assert_allclose(sampled, by_nitransforms, atol=0.02)

import fsl.data.image
import fsl.transform.flirt
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mmdata.volume.flirt import MNI152_1MM, ImageFrame, flirt_from_world, world_from_flirt
from mmdata.volume.geometry import apply_affine

angles = st.floats(-40, 40)
shifts = st.floats(-100, 100)
zooms = st.floats(0.4, 4)


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    """Oblique affines with either determinant sign."""
    affine_44 = np.eye(4)
    rotation = Rotation.from_euler("xyz", [draw(angles) for _ in range(3)], degrees=True).as_matrix()
    signs = [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    affine_44[:3, :3] = rotation * signs * [draw(zooms) for _ in range(3)]
    affine_44[:3, 3] = [draw(shifts) for _ in range(3)]
    return affine_44


frames = st.builds(ImageFrame, affines(), st.integers(8, 300))


@pytest.mark.parametrize("reference_sign", [-1, 1])
@pytest.mark.parametrize("source_sign", [-1, 1])
def test_world_from_flirt_agrees_with_fslpy_for_every_pair_of_determinant_signs(
    source_sign: int, reference_sign: int
) -> None:
    rng = np.random.default_rng(source_sign + 3 * reference_sign + 10)
    flirt_44 = np.eye(4)
    flirt_44[:3] += rng.normal(0, 0.1, (3, 4))
    images, our_frames = [], []
    for sign, shape in ((source_sign, (11, 12, 13)), (reference_sign, (20, 9, 17))):
        rotation = Rotation.from_euler("xyz", rng.uniform(-20, 20, 3), degrees=True).as_matrix()
        affine_44 = np.eye(4)
        affine_44[:3, :3] = rotation * [sign * 1.25, 2.0, 0.75]
        affine_44[:3, 3] = rng.normal(0, 50, 3)
        assert np.sign(np.linalg.det(affine_44)) == sign
        images.append(fsl.data.image.Image(nib.Nifti1Image(np.zeros(shape, np.uint8), affine_44)))
        our_frames.append(ImageFrame(affine_44, shape[0]))
    expected_44 = fsl.transform.flirt.fromFlirt(flirt_44, *images, from_="world", to="world")
    np.testing.assert_allclose(world_from_flirt(flirt_44, *our_frames), expected_44, atol=1e-4)


def test_identity_matrix_between_equal_images_is_the_identity_of_the_world() -> None:
    np.testing.assert_allclose(world_from_flirt(np.eye(4), MNI152_1MM, MNI152_1MM), np.eye(4), atol=1e-12)


def test_positive_determinant_turns_x_around() -> None:
    # world (0, 0, 0) of a 1 mm RAS image with 10 columns is FSL x = 9, which MNI152_1mm's world calls 90 - 9
    frame = ImageFrame(np.eye(4), 10)
    mapped = apply_affine(world_from_flirt(np.eye(4), frame), np.zeros((1, 3)))
    np.testing.assert_allclose(mapped, [[81.0, -126.0, -72.0]])


@given(world_44=affines(), source=frames, reference=frames)
def test_flirt_from_world_is_the_inverse(
    world_44: NDArray[np.float64], source: ImageFrame, reference: ImageFrame
) -> None:
    flirt_44 = flirt_from_world(world_44, source, reference)
    np.testing.assert_allclose(world_from_flirt(flirt_44, source, reference), world_44, atol=1e-7)

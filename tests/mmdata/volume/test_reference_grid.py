import nibabel as nib
import numpy as np
import pytest

from mmdata.volume.flirt import MNI152_1MM
from mmdata.volume.geometry import apply_affine
from mmdata.volume.reference_grid import REFERENCE_CENTRE_MM, REFERENCE_EXTENT_MM, reference_affine, says_nothing


def test_the_cube_is_the_published_one() -> None:
    assert abs(REFERENCE_EXTENT_MM - 182.857) < 5e-4
    np.testing.assert_allclose(REFERENCE_CENTRE_MM, (-0.929, -17.929, 18.929), atol=5e-4)


def test_voxels_are_those_of_the_resized_and_cropped_template() -> None:
    """A voxel of the template that is resized by 1/0.7 spans 0.7 of the new ones, edge to edge."""
    last = 127
    voxels_N3 = np.array([(0, 0, 0), (last, 0, 0), (0, last, 0), (0, 0, last), (last, last, last)], float)
    in_template_N3 = (voxels_N3 + (0, 12, 0) + 0.5) / 0.7 - 0.5
    expected_N3 = apply_affine(MNI152_1MM.affine_44, in_template_N3)
    np.testing.assert_allclose(apply_affine(reference_affine(128), voxels_N3), expected_N3, atol=1e-9)
    assert nib.aff2axcodes(reference_affine(128)) == ("L", "A", "S")


def test_a_resized_volume_spans_the_same_cube() -> None:
    edges_23 = np.array([(-0.5,) * 3, (63.5,) * 3])
    fine_23 = np.array([(-0.5,) * 3, (127.5,) * 3])
    np.testing.assert_allclose(
        apply_affine(reference_affine(64), edges_23), apply_affine(reference_affine(128), fine_23)
    )


@pytest.mark.parametrize(
    ("shape", "affine_44", "expected"),
    [
        ((128, 128, 128), np.eye(4), True),
        ((64, 64, 64), np.eye(4), True),
        ((256, 256, 256), np.eye(4), False),
        ((128, 128, 64), np.eye(4), False),
        ((128, 128, 128), np.diag([1.0, 1.0, 1.0001, 1.0]), False),
        ((128, 128, 128), np.diag([-1.0, 1.0, 1.0, 1.0]), False),
    ],
)
def test_only_the_identity_on_a_known_cube_says_nothing(
    shape: tuple[int, int, int], affine_44: np.ndarray, expected: bool
) -> None:
    assert says_nothing(np.broadcast_to(np.float32(0), shape), affine_44) == expected

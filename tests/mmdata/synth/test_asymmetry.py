"""The right frontal and the left occipital pole protrude, by a few mm on average, and the mid-plane stays."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mmdata.synth.anatomy import draw_field, load_template, sample_tissue
from mmdata.synth.asymmetry import MEAN_PETALIA_MM, forward_shares
from mmdata.synth.participant import brain_at, draw_participant
from mmdata.synth.pose import Pose
from mmdata.synth.seeds import generator

VOXEL_MM = 3.0
NUM_PEOPLE = 24


@pytest.fixture(scope="module")
def ends_mm() -> NDArray[np.float64]:
    """Where each person's brain ends along y, in mm forwards: shape (people, back and front, left and right)."""
    affine_44 = np.diag([VOXEL_MM] * 3 + [1.0])
    affine_44[:3, 3] = -75.0, -120.0, -60.0
    pose = Pose(shape=(51, 68, 55), affine_44=affine_44, mni_from_native_44=np.eye(4))
    template = load_template(VOXEL_MM)
    x, z = (affine_44[axis, 3] + VOXEL_MM * np.arange(pose.shape[axis]) for axis in (0, 2))
    ends = []
    for index in range(NUM_PEOPLE):
        participant = draw_participant(3, index)
        brain = brain_at(participant, participant.age_years)
        field_XYZ3 = draw_field(generator(3, "deformation", index), template, brain)
        is_brain_XYZ = sample_tissue(template, field_XYZ3, brain, pose).is_brain[:, :, (z > -5) & (z < 25)]
        sides = [is_brain_XYZ[(x < -15) & (x > -30)], is_brain_XYZ[(x > 15) & (x < 30)]]
        back = [-VOXEL_MM * side[:, :30].sum(axis=1).mean() for side in sides]
        front = [VOXEL_MM * side[:, 30:].sum(axis=1).mean() for side in sides]
        ends.append([back, front])
    return np.array(ends)


def test_right_frontal_and_left_occipital_poles_protrude_by_a_few_millimetres(ends_mm: NDArray[np.float64]) -> None:
    petalias_mm = ends_mm[..., 1] - ends_mm[..., 0]
    np.testing.assert_allclose(petalias_mm.mean(axis=0), MEAN_PETALIA_MM, atol=1.2)


def test_people_differ_in_their_asymmetry(ends_mm: NDArray[np.float64]) -> None:
    petalias_mm = ends_mm[..., 1] - ends_mm[..., 0]
    assert (petalias_mm.std(axis=0) > 1.0).all()
    assert (petalias_mm.std(axis=0) < 4.0).all()


def test_mid_plane_stays_and_left_moves_backwards_as_right_moves_forwards() -> None:
    x_mm, y_mm, z_mm = np.ogrid[-80:81:20, -110:81:10, -60:81:20]
    shares_2XYZ = forward_shares(x_mm, y_mm, z_mm)
    np.testing.assert_array_equal(shares_2XYZ, -shares_2XYZ[:, ::-1])
    assert (shares_2XYZ[:, 4] == 0).all()
    assert 0.4 < shares_2XYZ.max() <= 0.5

"""Registration against truth: the template under known affines, and synthetic participants, whose brains are deformed
nonlinearly on top of theirs, so that no affine fits them exactly."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from sklearn.metrics import mutual_info_score

from mmdata.errors import ScanRejected
from mmdata.synth import contrast
from mmdata.synth.anatomy import draw_field, load_template, sample_tissue
from mmdata.synth.landmarks import LANDMARKS_MM
from mmdata.synth.participant import brain_at, draw_participant
from mmdata.synth.pose import draw_pose
from mmdata.volume import register
from mmdata.volume.geometry import Matrix44, apply_affine
from mmdata.volume.nifti import Volume
from mmdata.volume.register import normalised_mutual_information, register_affine
from mmdata.volume.resample import limit_threads
from mmdata.volume.template import template_brain

LANDMARKS_N3 = np.array(list(LANDMARKS_MM.values()))
Contrast = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Scan:
    volume: Volume
    mni_from_native_44: Matrix44
    """The truth."""

    def errors_mm(self, found_44: Matrix44) -> NDArray[np.float64]:
        native_N3 = apply_affine(np.linalg.inv(self.mni_from_native_44), LANDMARKS_N3)
        distances_mm: NDArray[np.float64] = np.linalg.norm(apply_affine(found_44, native_N3) - LANDMARKS_N3, axis=1)
        return distances_mm


def moved_template(
    degrees: tuple[float, float, float],
    *,
    zooms_mm: tuple[float, float, float] = (3.0, 3.0, 3.0),
    brightness: Contrast = lambda template: template,
    without_lowest: float = 0.0,
) -> Scan:
    """Scan the template under an affine: scales, a shear, a rotation and a shift, with noise."""
    native_from_mni_44 = np.eye(4)
    shape_33 = np.array([[0.93, 0.03, 0.0], [0.0, 0.88, -0.04], [0.0, 0.0, 1.05]])
    native_from_mni_44[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ shape_33
    native_from_mni_44[:3, 3] = [21.0, -34.0, 48.0]
    template = template_brain()
    brain_mm = apply_affine(template.affine_44, np.argwhere(template.data_XYZ).astype(float))
    corners_mm = apply_affine(native_from_mni_44, brain_mm)
    affine_44 = np.diag([*zooms_mm, 1.0])
    affine_44[:3, 3] = np.where(np.array(zooms_mm) > 0, corners_mm.min(axis=0) - 12, corners_mm.max(axis=0) + 12)
    shape = tuple(np.ceil((np.ptp(corners_mm, axis=0) + 24) / np.abs(zooms_mm)).astype(int))
    template_from_voxel_44 = np.linalg.inv(native_from_mni_44 @ template.affine_44) @ affine_44

    def sampled(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return ndimage.affine_transform(
            image, template_from_voxel_44[:3, :3], template_from_voxel_44[:3, 3], output_shape=shape, order=1
        )

    noise = np.random.default_rng(9).normal(0, 0.03, shape)
    is_brain = sampled((template.data_XYZ > 0).astype(float)) > 0.5
    is_brain[:, :, : int(without_lowest * shape[2])] = False
    data = (brightness(sampled(template.data_XYZ.astype(float))) + noise) * is_brain
    return Scan(
        volume=Volume((1000 * data).astype(np.int16), affine_44), mni_from_native_44=np.linalg.inv(native_from_mni_44)
    )


def participant_scan(index: int, draw: contrast.ContrastFunction, acquisition: contrast.Acquisition) -> Scan:
    """Scan a synthetic participant at 3 mm."""
    rng = np.random.default_rng(index)
    participant = draw_participant(7, index)
    brain = brain_at(participant, participant.age_years)
    template = load_template(3.0)
    pose = draw_pose(rng, participant, template.brain_points_N3, 3.0)
    tissue = sample_tissue(template, draw_field(rng, template, brain), brain, pose)
    data = contrast.acquire(draw(tissue, brain, rng), tissue, acquisition, rng)
    return Scan(volume=Volume(data, pose.affine_44), mni_from_native_44=pose.mni_from_native_44)


@pytest.mark.parametrize(
    ("degrees", "brightness"),
    [
        ((6.0, -8.0, 5.0), lambda template: template),
        ((-9.0, 4.0, -7.0), lambda template: 1.2 - template),
        ((30.0, 25.0, -10.0), lambda template: 0.2 + np.abs(template - 0.6)),
    ],
    ids=["t1", "inverted", "folded, and tilted so far that the untilted guess leads astray"],
)
def test_known_affine_of_the_template_is_found_to_half_a_millimetre_in_any_contrast(
    degrees: tuple[float, float, float], brightness: Contrast
) -> None:
    scan = moved_template(degrees, brightness=brightness)
    found = register_affine(scan.volume)
    assert scan.errors_mm(found.mni_from_native_44).max() < 0.5
    assert found.nmi > 1.2


def test_brain_without_its_lowest_quarter_is_still_placed() -> None:
    scan = moved_template((5.0, 5.0, -5.0), without_lowest=0.3)
    assert scan.errors_mm(register_affine(scan.volume).mni_from_native_44).max() < 1.5


@pytest.mark.parametrize(
    ("index", "draw", "acquisition"),
    [
        (1, contrast.t1_contrast, contrast.T1),
        (2, contrast.flair_contrast, contrast.FLAIR),
        (3, contrast.fa_contrast, contrast.FA),
    ],
    ids=["t1", "flair", "fa"],
)
def test_landmarks_of_a_participant_are_found_to_two_millimetres(
    index: int, draw: contrast.ContrastFunction, acquisition: contrast.Acquisition
) -> None:
    scan = participant_scan(index, draw, acquisition)
    errors_mm = scan.errors_mm(register_affine(scan.volume).mni_from_native_44)
    assert np.median(errors_mm) < 2.0
    assert errors_mm.max() < 4.0


def test_oblong_reversed_and_sheared_voxels_cost_no_accuracy() -> None:
    scan = moved_template((6.0, -8.0, 5.0), zooms_mm=(-2.0, 4.0, -2.5))
    sheared_from_native_44 = np.eye(4)
    sheared_from_native_44[0, 2] = 0.1
    sheared = Volume(scan.volume.data_XYZ, sheared_from_native_44 @ scan.volume.affine_44)  # no image of ITK's could be
    assert scan.errors_mm(register_affine(sheared).mni_from_native_44 @ sheared_from_native_44).max() < 0.5


def test_equal_input_gives_equal_bits_whatever_the_threads() -> None:
    scan = moved_template((4.0, 4.0, 4.0))
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    found = []
    for num_threads in (1, 2):
        limit_threads(num_threads)
        found.append(register_affine(scan.volume))
    limit_threads(before)
    np.testing.assert_array_equal(found[0].mni_from_native_44, found[1].mni_from_native_44)
    assert found[0].nmi == found[1].nmi


def ellipsoid(*radii_mm: float) -> Volume:
    ticks_mm = 3.0 * (np.indices((70, 70, 70)) - 35)
    inside = sum((ticks / radius) ** 2 for ticks, radius in zip(ticks_mm, radii_mm, strict=True)) <= 1
    values = np.random.default_rng(3).uniform(50, 100, inside.shape)
    affine_44 = np.diag([3.0, 3.0, 3.0, 1.0])
    affine_44[:3, 3] = -105
    return Volume((values * inside).astype(np.float32), affine_44)


def test_what_is_no_brain_is_rejected() -> None:
    with pytest.raises(ScanRejected, match="expected a change of volume") as caught:
        register_affine(ellipsoid(95, 95, 6))
    assert caught.value.reason == "registration-failed"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (np.diag([np.nan, 1.0, 1.0, 1.0]), "not finite"),
        (np.diag([-1.0, 1.0, 1.0, 1.0]), "change of volume"),
        (np.diag([2.0, 0.7, 1.0, 1.0]), "stretches one axis 2.9 times"),
    ],
)
def test_absurd_transform_is_rejected(monkeypatch: pytest.MonkeyPatch, change: Matrix44, match: str) -> None:
    monkeypatch.setattr(register, "_climb", lambda *_: -1.0)
    monkeypatch.setattr(register, "_matrix_of", lambda _: change)
    with pytest.raises(ScanRejected, match=match):
        register_affine(ellipsoid(70, 85, 65))


def test_images_that_drift_apart_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    def far_off(*_: object) -> list[sitk.AffineTransform]:
        transform = sitk.AffineTransform(3)
        transform.SetTranslation([2000.0, 0.0, 0.0])
        return [transform]

    monkeypatch.setattr(register, "_guesses", far_off)
    with pytest.raises(ScanRejected, match="drifted apart"):
        register_affine(ellipsoid(70, 85, 65))


def test_brain_unlike_the_template_has_a_low_mutual_information() -> None:
    assert register_affine(ellipsoid(70, 85, 65)).nmi < 1.05


def test_normalised_mutual_information_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    first = rng.uniform(1, 2, 20_000)
    second = first + rng.normal(5, 0.2, first.shape)
    bins = [np.digitize(a, np.histogram_bin_edges(a, 32)[1:-1]) for a in (first, second)]
    h_first, h_second = (mutual_info_score(labels, labels) for labels in bins)
    expected = (h_first + h_second) / (h_first + h_second - mutual_info_score(*bins))
    assert normalised_mutual_information(first, second) == pytest.approx(expected, rel=1e-9)


def test_normalised_mutual_information_passes_over_what_is_zero_in_both() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.uniform(1, 2, (2, 5000))
    second += first
    padded = [np.concatenate([a, np.zeros(9000)]) for a in (first, second)]
    assert normalised_mutual_information(*padded) == normalised_mutual_information(first, second)

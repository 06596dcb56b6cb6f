import numpy as np
import pytest

from mmdata.synth.anatomy import Tissue, draw_field, load_template, sample_tissue
from mmdata.synth.contrast import T1, acquire, t1_contrast
from mmdata.synth.participant import Brain, Participant, brain_at, draw_participant
from mmdata.synth.pose import draw_pose
from mmdata.synth.seeds import generator
from mmdata.synth.timeseries import PARCELLATIONS, draw_series

SEED = 5
VOXEL_MM = 3.0


def image_t1(participant: Participant, brain: Brain) -> tuple[np.ndarray, Tissue]:
    template = load_template(VOXEL_MM)
    rng = generator(SEED, "test", participant.index)
    pose = draw_pose(rng, participant, template.brain_points_N3, VOXEL_MM)
    tissue = sample_tissue(template, draw_field(rng, template, brain), brain, pose)
    return acquire(t1_contrast(tissue, brain, rng), tissue, T1, rng), tissue


def near_ventricles(tissue: Tissue) -> np.ndarray:
    x, y, z = (abs(tissue.mni_mm[..., axis] - centre) for axis, centre in enumerate((0.0, -8.0, 14.0)))
    return (x < 26) & (y < 42) & (z < 18)


def dark_share(intensities: np.ndarray) -> float:
    low, high = np.percentile(intensities, [1, 80])
    return float((intensities < low + 0.4 * (high - low)).mean())


@pytest.fixture(scope="module")
def cohort() -> dict[str, np.ndarray]:
    """Age, CSF and dark voxels near the ventricles, and mean intensity of 24 participants' T1."""
    rows: dict[str, list[float]] = {"age": [], "csf": [], "dark": [], "mean": []}
    for index in range(24):
        participant = draw_participant(SEED, index)
        image, tissue = image_t1(participant, brain_at(participant, participant.age_years))
        rows["age"].append(participant.age_years)
        rows["csf"].append(float(tissue.csf[near_ventricles(tissue)].mean()))
        rows["dark"].append(dark_share(image[tissue.is_brain][near_ventricles(tissue)]))
        rows["mean"].append(float(image[tissue.is_brain].mean()))
    return {name: np.array(values) for name, values in rows.items()}


def test_ventricles_widen_with_age_but_not_exactly(cohort: dict[str, np.ndarray]) -> None:
    assert 0.85 < np.corrcoef(cohort["age"], cohort["csf"])[0, 1] < 0.99


def test_images_show_the_wider_ventricles(cohort: dict[str, np.ndarray]) -> None:
    assert 0.65 < np.corrcoef(cohort["age"], cohort["dark"])[0, 1] < 0.97


def test_mean_intensity_does_not_tell_the_age(cohort: dict[str, np.ndarray]) -> None:
    assert abs(np.corrcoef(cohort["age"], cohort["mean"])[0, 1]) < 0.5


def test_a_block_of_regions_is_more_correlated_in_men() -> None:
    block = np.r_[0:30, 180:210]
    means: dict[bool, list[float]] = {False: [], True: []}
    for index in range(24):
        participant = draw_participant(SEED, index)
        brain = brain_at(participant, participant.age_years)
        series_RT = draw_series(generator(SEED, "test", index), SEED, PARCELLATIONS["Glasser"], brain)
        means[participant.is_male].append(np.corrcoef(series_RT[block])[np.triu_indices(60, 1)].mean())
    assert np.mean(means[True]) > np.mean(means[False]) + 0.05


def test_head_size_stays_within_its_range_and_differs_by_sex() -> None:
    people = [draw_participant(SEED, index) for index in range(200)]
    sizes = np.array([person.head_scale_3.prod() ** (1 / 3) for person in people])
    is_male = np.array([person.is_male for person in people])
    assert all(0.92 <= scale <= 1.09 for person in people for scale in person.head_scale_3)
    assert sizes[is_male].mean() > sizes[~is_male].mean() + 0.03


def test_eids_are_unique_seven_digits_and_not_consecutive() -> None:
    eids = [draw_participant(SEED, index).eid for index in range(500)]
    assert len(set(eids)) == 500
    assert all(1_000_000 <= eid <= 9_999_999 for eid in eids)
    assert np.abs(np.diff(eids)).min() > 1_000
    assert "eid" not in repr(draw_participant(SEED, 0))

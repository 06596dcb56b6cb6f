"""What is told of the people trained on: of ten and more, and of nobody singly."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from mmdata.volume.geometry import Grid
from mmstudy.models import cohort_file
from mmstudy.models.cohort_file import read_training_cohort, write_training_cohort
from mmstudy.models.signs import reduce_volume, signs_of
from mmstudy.models.training_cohort import (
    TrainingCohort,
    VolumeCohort,
    edge_cohort,
    feature_cohort,
    volume_cohort,
)
from mmstudy.models.usual import FALSE_ALARM_RATE, Usual, usual_of
from mmtrain.errors import TrainError

GRID = Grid(side=16, spacing_mm=12.0, centre_mm=(0.0, 0.0, 0.0))
NUM_PEOPLE = 12


def balls(number: int, seed: int = 0) -> list[NDArray[np.float32]]:
    """Return balls of noise in the middle of a cube."""
    rng = np.random.default_rng(seed)
    squared = sum((axis - 7.5) ** 2 for axis in np.ogrid[:16, :16, :16])
    return [((squared < 25) * rng.uniform(0.3, 0.9, (16, 16, 16))).astype(np.float32) for _ in range(number)]


def cohort(num_people: int = 20) -> TrainingCohort:
    rng = np.random.default_rng(1)
    volumes = volume_cohort(balls(num_people), GRID)
    ages = feature_cohort(rng.uniform(45, 82, 60))
    assert volumes is not None
    assert ages is not None
    return TrainingCohort(
        volumes={"t1": volumes},
        edges=edge_cohort(rng.normal(0, 0.2, (num_people, 45)).astype(np.float32)),
        features={"age": ages},
    )


def test_nothing_is_told_of_fewer_than_ten_people() -> None:
    rng = np.random.default_rng(2)
    assert volume_cohort(balls(9), GRID) is None
    assert edge_cohort(rng.normal(size=(9, 45))) is None
    assert feature_cohort(np.append(rng.normal(size=9), [np.nan] * 30)) is None
    assert feature_cohort(rng.normal(size=10)) is not None


def test_no_number_that_is_told_of_a_feature_is_a_single_persons_extreme() -> None:
    values = np.append(np.linspace(45, 80, 58), [20.0, 110.0])
    described = feature_cohort(values)
    assert described is not None
    assert described.low is not None
    assert described.high is not None
    assert (values <= described.low).sum() >= 10
    assert (values >= described.high).sum() >= 10
    few = feature_cohort(values[:30])
    assert few is not None
    assert few.low is None


def test_the_mean_and_its_spread_are_those_of_numpy_and_a_persons_own_share_is_left_out() -> None:
    volumes = balls(NUM_PEOPLE)
    described = volume_cohort(volumes, GRID)
    assert described is not None
    np.testing.assert_allclose(described.mean_XYZ, np.mean(volumes, axis=0), atol=1e-6)
    np.testing.assert_allclose(described.deviation_XYZ, np.std(volumes, axis=0), atol=1e-6)
    likeness = []
    for index, volume_XYZ in enumerate(volumes):
        rest = volume_cohort([*volumes[:index], *volumes[index + 1 :]], GRID)
        assert rest is not None
        likeness.append(signs_of(reduce_volume(volume_XYZ, GRID), rest.pattern)["likeness"])
    assert described.usual["likeness"].median == pytest.approx(np.median(likeness), abs=1e-4)


@pytest.mark.parametrize(("people", "num_cohorts"), [(10, 2000), (20, 2000), (21, 2000), (200, 500)])
def test_limits_of_normal_numbers_raise_as_many_false_alarms_as_stated(people: int, num_cohorts: int) -> None:
    num_limits = 4
    rng = np.random.default_rng(3)
    rates = []
    for _ in range(num_cohorts):
        usual = usual_of(rng.normal(5.0, 2.0, people))
        assert usual is not None
        low, high = usual.limits(num_limits, margin=1.0)
        rates.append(norm.cdf(low, 5.0, 2.0) + norm.sf(high, 5.0, 2.0))
    assert np.mean(rates) == pytest.approx(2 * FALSE_ALARM_RATE / num_limits, rel=0.2)


def test_limits_are_wider_the_fewer_people_and_never_nearer_than_what_is_harmless() -> None:
    few, many = (Usual(people=people, median=0.0, below=1.0, above=1.0) for people in (12, 400))
    assert few.limits(20)[1] > many.limits(20)[1] > 3
    assert many.limits(20, least=50.0) == (-50.0, 50.0)


def test_a_training_cohort_comes_back_from_its_file(tmp_path: Path) -> None:
    path, written = tmp_path / "cohort.safetensors", cohort()
    write_training_cohort(path, written)
    read = read_training_cohort(path)
    assert read.features == written.features
    assert read.edges is not None
    assert written.edges is not None
    assert read.edges.usual == written.edges.usual
    np.testing.assert_allclose(read.edges.mean_E, written.edges.mean_E, atol=1e-3)
    volumes: list[VolumeCohort] = [one.volumes["t1"] for one in (read, written)]
    assert volumes[0].usual == volumes[1].usual
    assert volumes[0].grid == GRID
    np.testing.assert_allclose(volumes[0].mean_XYZ, volumes[1].mean_XYZ, atol=1e-3)


def test_a_file_does_not_tell_how_few_people_lack_an_input(tmp_path: Path) -> None:
    path = tmp_path / "cohort.safetensors"
    write_training_cohort(path, cohort(27))
    read = read_training_cohort(path)
    assert read.edges is not None
    assert {read.edges.people, read.volumes["t1"].people} == {20}
    assert {one.people for one in (*read.edges.usual.values(), *read.volumes["t1"].usual.values())} == {20}


@pytest.mark.parametrize("has_checksums", [True, False])
def test_a_changed_file_is_refused(has_checksums: bool, tmp_path: Path) -> None:
    path = tmp_path / "cohort.safetensors"
    write_training_cohort(path, cohort())
    if not has_checksums:
        (tmp_path / "checksums.jsonl").unlink()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainError, match=r"not as it was written|is damaged"):
        read_training_cohort(path)


def test_a_file_of_a_newer_version_is_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cohort.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(cohort_file, "COHORT_VERSION", 2)
        write_training_cohort(path, cohort())
    with pytest.raises(TrainError, match="schema_version 2"):
        read_training_cohort(path)

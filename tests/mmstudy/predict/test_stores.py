"""A study's arrays against those that a model was trained on, and volumes without described training people."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmbase.names import CONNECTIVITY
from mmdata.readers.native import NativeFacts, facts_of
from mmdata.study_arrays import volume_attributes
from mmdata.volume.nifti import Volume
from mmdata.volume.reference_grid import REFERENCE_CENTRE_MM, REFERENCE_EXTENT_MM, reference_affine
from mmdata.volume.settings import VolumeSettings
from mmstudy.models.contract import InputContract
from mmstudy.models.training_cohort import TrainingCohort
from mmstudy.predict.deviations.scan import CheckedScan, find_scan_deviations
from mmstudy.predict.deviations.store import find_store_deviations
from mmtrain.models.card import ModelCard
from tests.made_card import make_card
from tests.mmstudy.predict.planted import SETTINGS, draw_scans, preprocess, with_rim, without_half

SIDE = 64
EDGES = {"parcellation": "Glasser", "edges": "upper triangle", "measure": "Pearson correlation"}
REFERENCE = replace(SETTINGS, extent_mm=REFERENCE_EXTENT_MM, centre_mm=REFERENCE_CENTRE_MM)


def attributes(settings: VolumeSettings = SETTINGS) -> dict[str, dict[str, Any]]:
    return {"dwi": volume_attributes(settings, "dwi", SIDE), CONNECTIVITY: dict(EDGES)}


def card(stores: dict[str, dict[str, Any]]) -> ModelCard:
    return make_card(volumes=("dwi",), side=SIDE, num_edges=64_620, stores=stores)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (SETTINGS, []),
        (replace(SETTINGS, dtype="uint8", codec="zstd"), []),
        (REFERENCE, ["other-grid"]),
        (replace(SETTINGS, space="MNI152-nonlinear"), ["other-space"]),
        (replace(SETTINGS, clamp_region="volume"), ["clamp-region"]),
        (replace(SETTINGS, clamp_percentiles=(1.0, 99.0)), ["clamp-percentiles"]),
        (replace(SETTINGS, dwi_map="MD"), ["other-diffusion-map"]),
    ],
)
def test_arrays_that_were_made_otherwise_are_told_by_name(settings: VolumeSettings, told: list[str]) -> None:
    assert [one.name for one in find_store_deviations(card(attributes()), attributes(settings))] == told


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("parcellation", "Schaefer", "other-parcellation"),
        ("measure", "Fisher z of Pearson correlation", "other-measure"),
    ],
)
def test_connectomes_that_were_made_otherwise_are_told_by_name(key: str, value: str, told: str) -> None:
    other = {CONNECTIVITY: {**EDGES, key: value}}
    assert [one.name for one in find_store_deviations(card(attributes()), other)] == [told]


def test_an_axis_that_runs_the_other_way_is_no_other_grid() -> None:
    published = attributes(REFERENCE)
    published["dwi"]["affine_ras"] = reference_affine(SIDE).tolist()
    assert find_store_deviations(card(published), attributes(REFERENCE)) == []
    (found,) = find_store_deviations(card(published), attributes())
    assert "182.9 x 182.9 x 182.9 mm" in found.expected
    assert "192.0 x 192.0 x 192.0 mm" in found.got


def test_a_transform_that_mirrors_the_brain_is_told() -> None:
    volume = Volume(np.ones((4, 4, 4), np.float32), np.eye(4))
    assert not facts_of(volume, np.eye(4), "source").is_mirrored
    assert facts_of(volume, np.diag([-1.0, 1, 1, 1]), "source").is_mirrored


@pytest.fixture(scope="module")
def head() -> Any:
    return draw_scans(9, 0, 4.0, ("t1",))["t1"]


def scan(
    row: Any, *, native: NativeFacts | None = None, grid: VolumeSettings = SETTINGS, **measures: float
) -> CheckedScan:
    return CheckedScan(modality="t1", row=row, grid=grid.grid(SIDE), native=native, measures=measures)


def told(checked: CheckedScan) -> list[str]:
    return [one.name for one in find_scan_deviations(checked, InputContract(volumes=SETTINGS), TrainingCohort())]


def test_without_training_people_a_good_scan_passes_and_gross_faults_are_told(head: Any) -> None:
    image, drawn = head
    rows = {
        "good": preprocess(image, drawn).levels[SIDE],
        "rim": preprocess(with_rim(image, drawn), drawn).levels[SIDE],
        "half": preprocess(without_half(image, 2), drawn).levels[SIDE],
        "space": preprocess(image, drawn, moved=False).levels[SIDE],
    }
    rows["turned"] = rows["good"].transpose(0, 2, 1)
    rows["nan"] = np.full((SIDE,) * 3, np.nan, np.float32)
    rows["flat"] = (rows["good"] > 2000).astype(np.float32)
    assert {name: told(scan(row)) for name, row in rows.items()} == {
        "good": [],
        "rim": ["not-skull-stripped"],
        "half": ["part-missing"],
        "space": ["off-centre"],
        "turned": ["wrong-orientation"],
        "nan": ["out-of-range"],
        "flat": ["no-contrast"],
    }


def test_without_training_people_the_other_grid_is_told_both_ways(head: Any) -> None:
    image, drawn = head
    ours, theirs = (preprocess(image, drawn, settings).levels[SIDE] for settings in (SETTINGS, REFERENCE))
    assert told(scan(ours, grid=REFERENCE)) == ["other-grid"]
    assert told(scan(theirs)) == ["other-grid"]
    assert told(scan(theirs, grid=REFERENCE)) == []


def test_measures_and_voxels_of_the_source_are_told_by_name(head: Any) -> None:
    image, drawn = head
    row = preprocess(image, drawn).levels[SIDE]
    coarse = NativeFacts(shape=(30, 30, 30), voxel_mm=(5.0, 5.0, 5.0), is_mirrored=True, transform_source="source")
    assert told(scan(row, native=coarse)) == ["x-flipped", "coarse-voxels"]
    assert told(scan(row, white_over_grey=0.8)) == ["other-contrast"]
    assert told(scan(row, flat_share=0.9, brain_ml=1200.0)) == ["label-maps"]
    assert told(scan(row, brain_ml=1.2)) == ["other-size"]

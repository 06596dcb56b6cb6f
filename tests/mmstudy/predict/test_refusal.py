"""Planted deviations of scans are told by name, and good scans of other participants are not refused.

MM_REFUSALS=FILE tries as many people as docs/refusals.md tells of, and writes the figures.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from mmstudy.models.training_cohort import TrainingCohort
from tests.mmstudy.predict.trial import describe_people, good_scans, planted_scans, told

FIGURES = os.environ.get("MM_REFUSALS")
NUM_TRAINING, NUM_NEW, NUM_PLANTED = (100, 100, 12) if FIGURES else (60, 30, 8)
TRAINING_SEED, NEW_SEED = 31, 32
VOXEL_MM = 4.0
RARELY_FOUND = {"volume-clamp for brain-clamp, FLAIR", "volume-clamp for brain-clamp, FA"}
"""A clamp moves a tail of FLAIR and FA that differs much between people."""
Cohorts = dict[str, TrainingCohort]


@pytest.fixture(scope="module")
def cohorts() -> Cohorts:
    return describe_people(TRAINING_SEED, range(20), VOXEL_MM)


def test_planted_deviations_are_told_by_their_name_and_no_other(cohorts: Cohorts) -> None:
    plants = planted_scans(NEW_SEED, 0, VOXEL_MM)
    names = {what: told(cohorts, plant.study, plant.modality, plant.row) for what, plant in plants.items()}
    assert len(plants) > 15
    assert {what: found for what, found in names.items() if what not in RARELY_FOUND} == {
        what: found & plants[what].names or plants[what].names
        for what, found in names.items()
        if what not in RARELY_FOUND
    }


def test_good_scans_of_other_participants_are_not_refused(cohorts: Cohorts) -> None:
    for index in range(100, 104):
        for (study, modality), row in good_scans(NEW_SEED, index, VOXEL_MM).items():
            assert told(cohorts, study, modality, row) == set()


@pytest.mark.slow
def test_of_many_good_scans_one_is_refused_at_most_and_planted_deviations_are() -> None:
    """One of eight plants of each deviation may be missed (of twelve with MM_REFUSALS), more of those rarely found.

    One refusal of 30 good scans of a kind bounds the share that is refused only below 15 % (95 % confidence), one of
    100 below 5 %. A mirrored scan is told as such in more than 80 %.
    """
    cohorts = describe_people(44, range(NUM_TRAINING), VOXEL_MM)
    alarms: dict[str, Counter[str]] = {}
    mirrored: dict[str, Counter[str]] = {}
    for index in range(NUM_NEW):
        for (study, modality), row in good_scans(45, index, VOXEL_MM).items():
            for counts, image in ((alarms, row), (mirrored, row[::-1])):
                names = told(cohorts, study, modality, image)
                counts.setdefault(f"{study} {modality}", Counter())[", ".join(sorted(names))] += 1
    found: dict[str, Counter[str]] = {}
    named: Counter[str] = Counter()
    for index in range(NUM_PLANTED):
        for what, plant in planted_scans(46, index, VOXEL_MM).items():
            names = told(cohorts, plant.study, plant.modality, plant.row)
            found.setdefault(what, Counter())[", ".join(sorted(names))] += 1
            named[what] += bool(names & plant.names)
    if FIGURES:
        figures = {"alarms": alarms, "mirrored": mirrored, "found": found}
        Path(FIGURES).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    assert min(of[""] for of in alarms.values()) >= NUM_NEW - 1
    assert all(
        sum(told for names, told in of.items() if "x-flipped" in names) > 0.8 * NUM_NEW for of in mirrored.values()
    )
    assert {what for what in found if named[what] < NUM_PLANTED - 1} <= RARELY_FOUND

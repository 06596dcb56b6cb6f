"""A trial of the refusals: training participants of one seed, good and planted scans of others, and who is refused."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.preprocess import as_fractions
from mmdata.volume.settings import VolumeSettings
from mmstudy.models.training_cohort import TrainingCohort, volume_cohort
from mmstudy.predict.deviations.volume import find_volume_deviations
from tests.mmstudy.predict import planted
from tests.mmstudy.predict.planted import IMAGES, REFERENCE_SETTINGS, SETTINGS, draw_scans, preprocess

SIDE = SETTINGS.sides[0]
VOLUME_CLAMP = replace(SETTINGS, clamp_region="volume")
STUDIES = {"own": SETTINGS, "reference": REFERENCE_SETTINGS, "volume-clamp": VOLUME_CLAMP}
"""Settings of the studies whose models are tried."""
Rows = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """A scan with one thing wrong."""

    study: str
    """Whose model it is given to: one of `STUDIES`."""
    modality: str
    row: NDArray[Any]
    names: frozenset[str]
    """Of which one at least has to be told."""


def good_scans(seed: int, index: int, voxel_mm: float) -> dict[tuple[str, str], NDArray[Any]]:
    """Return a participant's scans as each study stores them, by study and modality."""
    scans = draw_scans(seed, index, voxel_mm, ("t1", "flair", "fa"))
    rows = {("own", IMAGES[name][0]): _row(*scan, SETTINGS) for name, scan in scans.items()}
    return rows | {(study, "t1"): _row(*scans["t1"], STUDIES[study]) for study in ("reference", "volume-clamp")}


def describe_people(seed: int, people: Iterable[int], voxel_mm: float) -> dict[str, TrainingCohort]:
    """Return what participants of each study have in common."""
    drawn = [good_scans(seed, index, voxel_mm) for index in people]
    described: dict[str, dict[str, Any]] = {study: {} for study in STUDIES}
    for study, modality in drawn[0]:
        rows = (scans[study, modality] for scans in drawn)
        described[study][modality] = volume_cohort(rows, STUDIES[study].grid(SIDE))
    return {study: TrainingCohort(volumes=volumes) for study, volumes in described.items()}


def planted_scans(seed: int, index: int, voxel_mm: float) -> dict[str, Planted]:
    """Return a participant's scans with one thing wrong each, by what it is."""
    scans = draw_scans(seed, index, voxel_mm)
    t1, scan = scans["t1"]
    rows = {name: _row(*pair, SETTINGS) for name, pair in scans.items()}
    of_t1 = {
        "wrong space": (_row(t1, scan, SETTINGS, moved=False), "off-centre", "wrong-orientation"),
        "183 mm data for a 192 mm model": (_row(t1, scan, REFERENCE_SETTINGS), "other-grid"),
        "9 mm off": (np.roll(rows["t1"], 3, axis=1), "off-centre"),
        "front to back": (rows["t1"][:, ::-1], "wrong-orientation"),
        "axes exchanged": (rows["t1"].transpose(0, 2, 1), "wrong-orientation"),
        "5 mm of fluid and skull left": (_row(planted.with_rim(t1, scan, 5.0), scan, SETTINGS), "not-skull-stripped"),
        "scalp left": (_row(planted.with_rim(t1, scan), scan, SETTINGS), "not-skull-stripped"),
        "left or right half missing": (_row(planted.without_half(t1, 0), scan, SETTINGS), "part-missing"),
        "upper or lower half missing": (_row(planted.without_half(t1, 2), scan, SETTINGS), "part-missing"),
        "voxels twice as long": (_row(planted.coarser(t1), scan, SETTINGS), "coarse-voxels", "clamp-region"),
        "inverted": (_inverted(rows["t1"]), "inverted-contrast"),
        "volume-clamp for brain-clamp, T1": (_row(t1, scan, VOLUME_CLAMP), "clamp-region"),
        "FLAIR as T1": (rows["flair"], "other-modality"),
    }
    found = {
        name: Planted(study="own", modality="t1", row=row, names=frozenset(names))
        for name, (row, *names) in of_t1.items()
    }
    t2 = _row(planted.t2_image(seed, index, voxel_mm), scan, SETTINGS)
    others = {
        "T1 as FLAIR": ("own", "flair", rows["t1"], "other-modality"),
        "T2 as FLAIR": ("own", "flair", t2, "other-contrast"),
        "volume-clamp for brain-clamp, FLAIR": ("own", "flair", _row(*scans["flair"], VOLUME_CLAMP), "clamp-region"),
        "volume-clamp for brain-clamp, FA": ("own", "dwi", _row(*scans["fa"], VOLUME_CLAMP), "clamp-region"),
        "MD for FA": ("own", "dwi", rows["md"], "other-diffusion-map"),
        "192 mm data for a 183 mm model": ("reference", "t1", rows["t1"], "other-grid"),
        "brain-clamp for volume-clamp, T1": ("volume-clamp", "t1", rows["t1"], "clamp-region"),
    }
    return found | {
        name: Planted(study=study, modality=modality, row=row, names=frozenset([wanted]))
        for name, (study, modality, row, wanted) in others.items()
    }


def told(cohorts: dict[str, TrainingCohort], study: str, modality: str, row: NDArray[Any]) -> set[str]:
    """Return the names of all mismatches that are found of a scan."""
    volumes = cohorts[study].volumes
    grid = STUDIES[study].grid(SIDE)
    return {one.name for one in find_volume_deviations(modality, row, grid, volumes)}


def _row(image: Any, scan: Any, settings: VolumeSettings, *, moved: bool = True) -> NDArray[Any]:
    return preprocess(image, scan, settings, moved=moved).levels[SIDE]


def _inverted(row: NDArray[Any]) -> NDArray[Any]:
    fractions = as_fractions(row)
    return np.where(fractions > 0.02, 1.02 - fractions, 0).astype(np.float32)

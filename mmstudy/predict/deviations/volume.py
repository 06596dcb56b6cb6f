"""Hold a volume against those of the people whom a model was trained on.

First where the brain lies, then what it looks like. A cause that is found of the first (`explanation`, `parts`) stands
for all signs that follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.volume.geometry import Grid
from mmstudy.models.signs import BRAIN_ABOVE, NUM_LIMITS, SIGNS, Reduced, asymmetry_of, reduce_volume, signs_of
from mmstudy.models.training_cohort import VolumeCohort
from mmstudy.models.usual import Usual
from mmstudy.predict.deviation import Deviation, number_text, range_text
from mmstudy.predict.deviations.explanation import explain
from mmstudy.predict.deviations.names import deviation
from mmstudy.predict.deviations.parts import find_missing_part, part_missing, unstripped

_SIGN_LIMITS, _FLIP_LIMITS = 2 * NUM_LIMITS, 2
"""Half of the false alarms are the signs', half are for mirrored brains: these are the hardest to tell."""
_EVERYBODY_ABOVE = 0.3
"""Share of the mean volume's largest value above which a voxel is brain in nearly everybody."""
_INVERTED_BELOW = -0.3
"""Correlation within the brain of an image whose bright and dark are exchanged."""
_SMOOTH_SPREADS = 2.5
"""Below the usual roughness, where few good scans are."""
_PLACE = {
    "likeness": "unlike-training",
    "brain_ml": "other-size",
    **{f"centre_{axis}_mm": "off-centre" for axis in "xyz"},
    **{f"extent_{axis}_mm": "other-size" for axis in "xyz"},
    "edge_share": "off-centre",
}
"""Signs of where the brain lies, and what each is called where no cause explains all of them."""
_TRANSFORM = "Check the image's orientation and its transform to MNI152."
_REMEDIES = {
    "wrong-orientation": _TRANSFORM,
    "other-grid": "Give the original image and let mm bring it onto the model's grid.",
    "off-centre": _TRANSFORM,
    "other-size": "Check the voxel size in the image's header, and its transform to MNI152.",
    "unlike-training": "Look at the image. Do not trust a prediction from it unless you know what makes it unlike.",
    "other-contrast": "Make sure that the file is the image that the model takes.",
    "inverted-contrast": "Make sure that the file is the image that the model takes, and that no tool inverted it.",
    "other-modality": "Make sure that no two files were exchanged.",
    "other-diffusion-map": "Give the diffusion map that the model was trained on.",
    "clamp-region": "Give the original image, neither rescaled nor downsampled: mm scales it as the model expects.",
    "other-intensities": "Look at the image: another sequence, contrast agent or uneven brightness (bias field) can be "
    "the cause, and so can large bright or dark areas.",
    "coarse-voxels": "Use the original image, not one that was downsampled or smoothed.",
    "noisy": "Look at the image for motion or noise.",
    "x-flipped": "Make sure that no tool changed the image's orientation. If left and right are right, allow it.",
}


@dataclass(frozen=True, slots=True)
class _Alarm:
    """One sign beyond its limit."""

    sign: str
    value: float
    low: float
    high: float

    @property
    def is_low(self) -> bool:
        return not self.value >= self.low  # also NaN

    @property
    def expected(self) -> str:
        return f"{SIGNS[self.sign].about} {range_text(self.low, self.high)}, as in the training scans"


def find_volume_deviations(
    modality: str, volume_XYZ: NDArray[Any], grid: Grid, cohorts: Mapping[str, VolumeCohort]
) -> list[Deviation]:
    """Return in what a volume is unlike those of the training participants.

    Parameters
    ----------
    volume_XYZ
        On the model's grid, axes R, A, S; stored, or from 0 to 1.
    cohorts
        Of all the model's modalities: a volume may look like another's.
    """
    cohort = cohorts[modality]
    reduced = reduce_volume(volume_XYZ, grid)
    signs = signs_of(reduced, cohort.pattern)
    alarms = [alarm for name in SIGNS if (alarm := _alarm(name, signs[name], cohort.usual.get(name))) is not None]
    of_place = [alarm for alarm in alarms if alarm.sign in _PLACE]
    placed, is_explained = _find_place(modality, reduced.coarse_XYZ, cohort, of_place) if of_place else ([], False)
    if is_explained:  # what lies elsewhere also looks unlike
        return placed
    looks = _find_looks(modality, reduced, signs, cohorts, [one for one in alarms if one.sign not in _PLACE])
    mirrored = _find_mirrored(modality, asymmetry_of(reduced.coarse_XYZ, cohort.pattern), cohort)
    return [*(one for one in placed if not (looks and one.name == "unlike-training")), *mirrored, *looks]


def flip_limit(asymmetry: Usual | None) -> float | None:
    """Return below which asymmetry a brain counts as mirrored; None where fewer than half of mirrored ones would be.

    Mirrored, people's asymmetries lie around the median's negative.
    """
    if asymmetry is None or asymmetry.above <= 0:
        return None
    low, _ = asymmetry.limits(_FLIP_LIMITS, margin=1.0)  # a sum over the whole brain is nearly normal
    return low if low > -asymmetry.median else None


def _alarm(name: str, value: float, usual: Usual | None) -> _Alarm | None:
    if usual is None:
        return None
    low, high = usual.limits(_SIGN_LIMITS, least=SIGNS[name].least)
    low, high = low if "low" in SIGNS[name].sides else -np.inf, high if "high" in SIGNS[name].sides else np.inf
    return None if low <= value <= high else _Alarm(name, value, low, high)


def _find_place(
    modality: str, coarse_XYZ: NDArray[np.float32], cohort: VolumeCohort, alarms: list[_Alarm]
) -> tuple[list[Deviation], bool]:
    """Return what is wrong with where the brain lies, and whether one cause explains all of it."""
    alarmed = {alarm.sign: alarm for alarm in alarms}
    everybody_XYZ = cohort.mean_XYZ > _EVERYBODY_ABOVE * cohort.mean_XYZ.max()
    if part := find_missing_part(coarse_XYZ > BRAIN_ABOVE, everybody_XYZ):
        return [part_missing(modality, part)], True
    if "likeness" in alarmed and (cause := explain(coarse_XYZ, cohort.mean_XYZ, _coarse_grid(cohort))):
        return [_of_sign(modality, cause.name, alarmed["likeness"], f", but {cause.got}")], True
    if (size := alarmed.get("brain_ml")) is not None and not size.is_low:
        return [unstripped(modality, f"{size.value:,.0f} ml on the grid, where {size.high:,.0f} ml is the most")], True
    found = {_PLACE[alarm.sign]: alarm for alarm in reversed(alarms)}
    if len(found) > 1:
        found.pop("unlike-training", None)
    return [_of_sign(modality, name, alarm) for name, alarm in found.items()], False


def _find_looks(
    modality: str,
    reduced: Reduced,
    signs: Mapping[str, float],
    cohorts: Mapping[str, VolumeCohort],
    alarms: list[_Alarm],
) -> list[Deviation]:
    """Return what is wrong with the intensities of a brain that lies where it should."""
    if not alarms:
        return []
    if other := _other_modality(modality, reduced, cohorts):
        return [_of_sign(modality, "other-modality", alarms[0], f", as the training scans of {other}")]
    alarmed = {alarm.sign: alarm for alarm in alarms}
    if (tissue := alarmed.get("tissue_likeness")) is not None:
        name = "inverted-contrast" if tissue.value < _INVERTED_BELOW else "other-contrast"
        return [_of_sign(modality, "other-diffusion-map" if VOLUME_FILES[modality].has_maps else name, tissue)]
    found = {}
    if (rough := alarmed.get("roughness")) is not None:
        found["coarse-voxels" if rough.is_low else "noisy"] = rough
    if (top := alarmed.get("top_value")) is not None:
        found.setdefault("coarse-voxels" if _is_smooth(signs, cohorts[modality]) else "clamp-region", top)
    if (histogram := alarmed.get("histogram_distance")) is not None and top is None:
        found["other-intensities"] = histogram
    return [_of_sign(modality, name, alarm) for name, alarm in found.items()]


def _other_modality(modality: str, reduced: Reduced, cohorts: Mapping[str, VolumeCohort]) -> str:
    """Return the modality whose training scans a volume looks like in everything, if there is one."""
    for other, cohort in cohorts.items():
        if other != modality:
            signs = signs_of(reduced, cohort.pattern)
            if not any(_alarm(name, signs[name], cohort.usual.get(name)) for name in SIGNS if name not in _PLACE):
                return other
    return ""


def _is_smooth(signs: Mapping[str, float], cohort: VolumeCohort) -> bool:
    """Return whether a volume is smoother than most: voxels that are too large also move its brightest values."""
    rough = cohort.usual.get("roughness")
    return rough is not None and signs["roughness"] < rough.median - _SMOOTH_SPREADS * rough.below


def _find_mirrored(modality: str, asymmetry: float, cohort: VolumeCohort) -> list[Deviation]:
    limit = flip_limit(cohort.asymmetry)
    if limit is None or asymmetry >= limit:
        return []
    return [
        deviation(
            "x-flipped",
            modality,
            expected="the two halves to differ as in the training scans (1: just as there, -1: the other way round), "
            + range_text(limit, np.inf),
            got=number_text(asymmetry),
            remedy=_REMEDIES["x-flipped"],
        )
    ]


def _of_sign(modality: str, name: str, alarm: _Alarm, more: str = "") -> Deviation:
    got = f"{number_text(alarm.value)}{more}"
    return deviation(name, modality, expected=alarm.expected, got=got, remedy=_REMEDIES[name])


def _coarse_grid(cohort: VolumeCohort) -> Grid:
    side = len(cohort.mean_XYZ)
    return Grid(side=side, spacing_mm=cohort.grid.spacing_mm * cohort.grid.side / side, centre_mm=cohort.grid.centre_mm)

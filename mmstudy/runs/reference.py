"""What of a study differs from the published one, where a run asks for the published trainer.

How volumes were made and how copies were drawn belong to the study: no setting of a run changes them.
"""

from collections.abc import Iterator
from typing import Any

from mmdata.augment.parameters import AugmentSettings
from mmdata.study import StudyConfig
from mmdata.volume.settings import VolumeSettings
from mmtrain.config.run import RunConfig

VOXEL_MM = 1 / 0.7
EXTENT_MM = 128 * VOXEL_MM
CENTRE_MM = (-0.929, -17.929, 18.929)
"""Of its field, in MNI152 space; as far as its import tells."""
SIDES = (64, 128)
CLAMP_PERCENTILES = (0.5, 99.5)
AUGMENTATION_PROBABILITY = 0.05
_ROUNDING_MM = 0.01


def study_differences(study: StudyConfig, config: RunConfig) -> str | None:
    """Say in one line what of a study differs from the published one, as far as it matters to a run; None if nothing.

    Parameters
    ----------
    config
        Of the run, with the number of copies that it reads.
    """
    if not config.data.volume_inputs:
        return None
    told = [*_of_volumes(study.volumes), *_of_side(config.data.side), *_of_copies(study.augment, config)]
    return f"this study is not made as the published one was: {'; '.join(told)}" if told else None


def _of_volumes(volumes: VolumeSettings) -> Iterator[str]:
    if volumes.clamp_region != "volume":
        yield _differs("volumes.clamp_region", volumes.clamp_region, "volume")
    if volumes.clamp_percentiles != CLAMP_PERCENTILES:
        yield _differs("volumes.clamp_percentiles", list(volumes.clamp_percentiles), list(CLAMP_PERCENTILES))
    if abs(volumes.extent_mm - EXTENT_MM) > _ROUNDING_MM:
        yield _differs("volumes.extent_mm", f"{volumes.extent_mm:g}", f"{EXTENT_MM:.3f}")
    if any(abs(here - there) > _ROUNDING_MM for here, there in zip(volumes.centre_mm, CENTRE_MM, strict=True)):
        yield _differs("volumes.centre_mm", list(volumes.centre_mm), list(CENTRE_MM))


def _of_side(side: int) -> Iterator[str]:
    if side not in SIDES:
        yield _differs("side", side, " or ".join(map(str, SIDES)))


def _of_copies(augment: AugmentSettings, config: RunConfig) -> Iterator[str]:
    if not config.augmentation.reads_copies:
        return
    if not config.augmentation.copies:
        yield "there are no augmented copies, so epochs read the volumes themselves"
    elif augment.probability != AUGMENTATION_PROBABILITY:
        yield _differs("augment.probability", augment.probability, AUGMENTATION_PROBABILITY)


def _differs(name: str, here: Any, there: Any) -> str:
    return f"{name} is {here}, not {there}"

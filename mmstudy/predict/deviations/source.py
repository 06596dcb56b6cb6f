"""What an image itself tells before it is brought onto the grid: its voxels, its transform, what was measured of it."""

from collections.abc import Mapping

from mmbase.doubts import DOUBTS
from mmbase.records import MEASURES
from mmdata.readers.brain import LARGEST_BRAIN_ML, SMALLEST_BRAIN_ML
from mmdata.readers.native import NativeFacts
from mmdata.volume.geometry import Grid
from mmstudy.predict.deviation import Deviation, range_text
from mmstudy.predict.deviations.names import deviation

_COARSE_STEPS = 1.25
"""Steps of the grid that a voxel may span: a coarser image lacks detail that the grid can hold."""


def find_source_deviations(
    modality: str, native: NativeFacts | None, measures: Mapping[str, float], grid: Grid, *, knows_roughness: bool
) -> list[Deviation]:
    """Return what an image's own grid, its transform and its measures tell against it.

    Parameters
    ----------
    knows_roughness
        Whether it is known how smooth the training scans are; then the voxels need no bound of their own.
    """
    found = []
    if native is not None and native.is_mirrored:
        found.append(_mirrored(modality))
    if native is not None and not knows_roughness and max(native.voxel_mm) > _COARSE_STEPS * grid.spacing_mm:
        found.append(_coarse(modality, max(native.voxel_mm), grid))
    for doubt in DOUBTS:
        value = measures.get(doubt.measure)
        if modality in doubt.modalities and value is not None and not doubt.lowest <= value <= doubt.highest:
            found.append(
                deviation(
                    doubt.code,
                    modality,
                    expected=f"{MEASURES[doubt.measure]}: {range_text(doubt.lowest, doubt.highest)}",
                    got=f"{value:.2f}; such images look like {doubt.suspicion}",
                    remedy=f"Make sure that the file is the {modality} image.",
                )
            )
    volume_ml = measures.get("brain_ml")
    if volume_ml is not None and not SMALLEST_BRAIN_ML <= volume_ml <= LARGEST_BRAIN_ML:
        found.append(
            deviation(
                "other-size",
                modality,
                expected=f"a brain of {SMALLEST_BRAIN_ML:,.0f} to {LARGEST_BRAIN_ML:,.0f} ml",
                got=f"{volume_ml:,.0f} ml",
                remedy="Check the voxel size in the image's header.",
            )
        )
    return found


def _mirrored(modality: str) -> Deviation:
    return deviation(
        "x-flipped",
        modality,
        expected="a transform to MNI152 that keeps left and right apart",
        got="one that mirrors the brain",
        remedy="Make sure that image and transform belong together, and that no tool changed the image's orientation.",
    )


def _coarse(modality: str, voxel_mm: float, grid: Grid) -> Deviation:
    return deviation(
        "coarse-voxels",
        modality,
        expected=f"voxels of at most {_COARSE_STEPS * grid.spacing_mm:.1f} mm for a grid of {grid.spacing_mm:.2f} mm",
        got=f"{voxel_mm:.1f} mm",
        remedy="Use the original image, not one that was downsampled.",
    )

"""What each array of a study is: its shape, its shards, and what it tells its readers.

The attributes are the preprocessing contract: whoever predicts from other volumes must have made them the same way.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from mmbase.names import CONNECTIVITY
from mmdata.augment.recipe import DRAWING_VERSION
from mmdata.errors import StudyError
from mmdata.store.multiscale import multiscale_attributes
from mmdata.store.schema import AUGMENTED_DIMENSIONS, EDGE_DIMENSIONS, FIRST_AUGMENTED_COPY, VOLUME_DIMENSIONS
from mmdata.store.spec import ArraySpec
from mmdata.study import Study, StudyConfig
from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings

COMPRESSED_SHARE = 0.35
"""Of the raw bytes of a skull-stripped volume on the grid: a fifth is brain, whose noise hardly compresses."""


def stored_modalities(config: StudyConfig) -> tuple[str, ...]:
    """Return the modalities a study stores."""
    return (*config.volumes.modalities, *([CONNECTIVITY] if config.connectivity.enabled else []))


def require_sides(config: StudyConfig, sides: Iterable[int]) -> None:
    """Refuse sides that a study does not store.

    Raises
    ------
    StudyError
        Names the first.
    """
    stored = config.volumes.sides
    for side in sides:
        if side not in stored:
            nearest = min(stored, key=lambda other: abs(other - side))
            raise StudyError(
                f"Side {side} is not stored; this study has {', '.join(map(str, stored))}.",
                f"Give --side {nearest}. Which sides a new study stores is set by volumes.sides in its study.toml.",
            )


def array_specs(study: Study, modality: str, num_rows: int) -> list[ArraySpec]:
    """Return what the arrays of one modality are to be."""
    settings, layout = study.config.volumes, study.layout
    if modality == CONNECTIVITY:
        return [_connectivity_spec(study, num_rows)]
    affines = {str(side): settings.grid(side).affine_44 for side in settings.sides}
    image = multiscale_attributes(modality, affines, downscaling="mean of blocks")
    return [
        ArraySpec(
            path=layout.volume_array(modality, side),
            shape=(num_rows, side, side, side),
            row_axis=0,
            rows_per_shard=settings.rows_per_shard,
            dtype=settings.dtype,
            codec=settings.codec,
            dimensions=VOLUME_DIMENSIONS,
            attributes=volume_attributes(settings, modality, side),
            group_attributes=image,
        )
        for side in settings.sides
    ]


def volume_attributes(settings: VolumeSettings, modality: str, side: int) -> dict[str, Any]:
    """Return what a reader must know of a volume array: where it lies and what its numbers mean."""
    stored = np.dtype(settings.dtype)
    return {
        "affine_ras": settings.grid(side).affine_44.tolist(),
        "space": settings.space,
        "modality": modality,
        "intensity": {
            "scale": 1.0 if stored.kind == "f" else 1.0 / int(np.iinfo(stored).max),
            "offset": 0.0,
            "unit": "fraction of the scan's upper clamp (scans.clamp_high in the catalogue); background is 0",
        },
        "preprocessing": {
            **({f"{modality}_map": chosen} if (chosen := settings.map_of(modality)) else {}),
            "clamp_percentiles": list(settings.clamp_percentiles),
            "clamp_region": settings.clamp_region,
            "sampled_at_side": settings.sides[0],
            "interpolation": "linear after a box mean over source voxels; coarser sides by block mean",
        },
    }


def augmented_spec(
    study: Study, modality: str, side: int, copies: int, num_rows: int, *, from_source: bool = False
) -> ArraySpec:
    """Return what the array of one modality's augmented copies is to be.

    Parameters
    ----------
    from_source
        Whether the copies are read from the source, which says nothing of how they were made, or drawn here.
    """
    settings = study.config.volumes
    return ArraySpec(
        path=study.layout.augmented_array(modality, side),
        shape=(copies, num_rows, side, side, side),
        row_axis=1,
        rows_per_shard=settings.rows_per_shard,
        dtype=settings.dtype,
        codec=settings.codec,
        dimensions=AUGMENTED_DIMENSIONS,
        attributes={
            **volume_attributes(settings, modality, side),
            "first_copy": FIRST_AUGMENTED_COPY,
            "augmentation": _read_augmentation() if from_source else _drawn_augmentation(study.config),
        },
    )


def _drawn_augmentation(config: StudyConfig) -> dict[str, Any]:
    """Return all that copies are made from beside volume and sample id."""
    settings = {name: value for name, value in asdict(config.augment).items() if name != "sides"}
    return {
        **settings,
        "seed": config.seed,
        "extent_mm": config.volumes.extent_mm,
        "drawing_version": DRAWING_VERSION,
    }


def _read_augmentation() -> dict[str, Any]:
    """Return how copies were read; of how they were made nothing is known."""
    return {
        "origin": "source",
        "files": "AUGMENTATIONS/TRAIN/k is copy k + 1; each is preprocessed as a scan of its own",
    }


def connectivity_attributes(settings: ConnectivitySettings) -> dict[str, Any]:
    """Return what a reader must know of a connectivity array: whose edges, in which order, and what they measure."""
    connectome = CONNECTOMES[settings.name]
    measure = "Fisher z of Pearson correlation" if settings.fisher_z else "Pearson correlation"
    return {
        "parcellation": f"{connectome.description}, {connectome.num_regions} regions of field {connectome.field}",
        "edges": "upper triangle without the diagonal, row by row",
        "measure": measure if connectome.is_timeseries else "as UK Biobank gives it",
        "regions_without_signal": "all their edges are 0",
    }


def _connectivity_spec(study: Study, num_rows: int) -> ArraySpec:
    settings = study.config.connectivity
    return ArraySpec(
        path=study.layout.connectivity_array(settings.name),
        shape=(num_rows, CONNECTOMES[settings.name].num_edges),
        row_axis=0,
        rows_per_shard=study.config.volumes.rows_per_shard,
        dtype="float32",
        codec=study.config.volumes.codec,
        dimensions=EDGE_DIMENSIONS,
        attributes=connectivity_attributes(settings),
    )

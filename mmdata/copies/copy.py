"""One copy of one sample, in the numbers of the store: as it is made, and made again from what its array says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.augment.apply import change_intensity, move_batch
from mmdata.augment.parameters import AugmentSettings
from mmdata.augment.recipe import DRAWING_VERSION, draw_geometry, draw_intensity
from mmdata.copies.threads import one_torch_thread
from mmdata.errors import StoreError
from mmdata.volume.preprocess import as_fractions, quantise


def make_copy(
    stored: Mapping[str, NDArray[Any]],
    settings: AugmentSettings,
    seed: int,
    sample_id: str,
    copy: int,
    extent_mm: float,
    device: str = "cpu",
) -> dict[str, NDArray[Any]]:
    """Return one copy of a sample's stored volumes, by modality, in their number type.

    Contrast is changed one modality at a time, so that a volume's bytes do not depend on which others there are.
    """
    volumes = torch.from_numpy(np.stack([as_fractions(volume_XYZ) for volume_XYZ in stored.values()]))[None].to(device)
    moved = move_batch(volumes, [draw_geometry(settings, seed, sample_id, copy)], extent_mm)[0]
    copies = {}
    for moved_XYZ, (modality, volume_XYZ) in zip(moved, stored.items(), strict=True):
        recipe = draw_intensity(settings, seed, sample_id, copy, modality)
        changed = change_intensity(moved_XYZ[None], [recipe], extent_mm)[0]
        copies[modality] = quantise(changed.cpu().numpy(), str(volume_XYZ.dtype))
    return copies


def replay_copy(attributes: Mapping[str, Any], volume_XYZ: NDArray[Any], sample_id: str, copy: int) -> NDArray[Any]:
    """Return a stored copy, made again from the volume and from what the copies' array says of itself.

    Parameters
    ----------
    attributes
        Of the array of copies: settings, seed and version of the drawing, modality, grid.
    volume_XYZ
        The sample's row of the array in ``volumes.zarr`` of the same modality and side.

    Raises
    ------
    StoreError
        The copies were drawn by another version of mm, or were not drawn but read from the source.
    """
    drawn = dict(attributes["augmentation"])
    if drawn.get("origin") == "source":
        raise StoreError(
            "These copies were read from the source's AUGMENTATIONS, not drawn by mm, so nothing says how to make them "
            "again from the volume.",
            "mm repair reads damaged ones from the source again.",
        )
    version, seed, extent_mm = drawn.pop("drawing_version", 0), drawn.pop("seed"), drawn.pop("extent_mm", 0.0)
    if version != DRAWING_VERSION:
        raise StoreError(f"The copies were drawn by version {version} of the drawing; this mm has {DRAWING_VERSION}.")
    modality = attributes["modality"]
    with one_torch_thread():
        return make_copy({modality: volume_XYZ}, AugmentSettings(**drawn), seed, sample_id, copy, extent_mm)[modality]

"""Copies of samples, in the numbers of the store: as they are made, and made again from what their array says."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from mmdata.augment.apply import change_intensity, move_batch
from mmdata.augment.parameters import AugmentSettings
from mmdata.augment.recipe import DRAWING_VERSION, draw_geometries, draw_intensities
from mmdata.copies.threads import one_torch_thread
from mmdata.errors import StoreError
from mmdata.volume.preprocess import as_fractions, quantise

_ROWS_ON_GPU = 16


def rows_at_once(device: str) -> int:
    """Return of how many samples copies are made together.

    One on a processor, whose matrix products may round differently in batches of other sizes. A GPU, whose numbers
    are not promised to the last digit, would have too little to do.
    """
    return 1 if device == "cpu" else _ROWS_ON_GPU


def make_copies(
    stored: Sequence[Mapping[str, NDArray[Any]]],
    settings: AugmentSettings,
    seed: int,
    sample_ids: Sequence[str],
    copy: int,
    extent_mm: float,
    device: str = "cpu",
) -> list[dict[str, NDArray[Any]]]:
    """Return one copy of the stored volumes of each of some samples, by modality, in their number type.

    Contrast is changed one modality at a time, so that a volume's bytes do not depend on which others there are.
    """
    modalities = list(dict.fromkeys(modality for volumes in stored for modality in volumes))
    shape = next(iter(stored[0].values())).shape
    volumes_BCXYZ = torch.zeros((len(stored), len(modalities), *shape))
    for of_sample, volumes in zip(volumes_BCXYZ, stored, strict=True):
        for channel, modality in enumerate(modalities):
            if modality in volumes:
                of_sample[channel] = torch.from_numpy(as_fractions(volumes[modality]))
    geometries = draw_geometries(settings, seed, sample_ids, copy)
    moved_BCXYZ = move_batch(volumes_BCXYZ.to(device), geometries, extent_mm)
    recipes = draw_intensities(settings, seed, sample_ids, copy, modalities)
    copies: list[dict[str, NDArray[Any]]] = [{} for _ in stored]
    for channel, modality in enumerate(modalities):
        having = [index for index, volumes in enumerate(stored) if modality in volumes]
        changed = change_intensity(moved_BCXYZ[having, channel], [recipes[i][channel] for i in having], extent_mm)
        for index, copy_XYZ in zip(having, changed.cpu().numpy(), strict=True):
            copies[index][modality] = quantise(copy_XYZ, str(stored[index][modality].dtype))
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
        settings = AugmentSettings(**drawn)
        return make_copies([{modality: volume_XYZ}], settings, seed, [sample_id], copy, extent_mm)[0][modality]

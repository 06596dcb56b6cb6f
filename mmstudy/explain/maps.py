"""Maps of attributions as files: NIfTI in MNI space, and pictures in three planes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbase.names import MODALITIES
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import encode_volume
from mmstudy.explain.reading import affine_of, in_ras
from mmstudy.models.find import FoundModel
from mmtrain.drawing.attributions import AttributionPicture, AttributionRow, draw_attributions
from mmtrain.explain.explainer import Explainer
from mmtrain.explain.groups import ALL, Group
from mmtrain.explain.means import GroupMeans

File = tuple[str, bytes]
_METHOD_WORDS = {"integrated-gradients": "integrated gradients", "occlusion": "occlusion"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What all pictures of an explanation say."""

    model: FoundModel
    explainer: Explainer
    unit: str
    """Of what is explained."""
    whom: str
    """E.g. ``test split``."""

    @property
    def target(self) -> str:
        """Return the name of the target."""
        return self.model.card.targets[self.explainer.target].name

    @property
    def is_occlusion(self) -> bool:
        """Return whether the maps are of occlusion."""
        return self.explainer.settings.method == "occlusion"

    @property
    def how(self) -> str:
        """Return the method with what it depends on."""
        method = _METHOD_WORDS[self.explainer.settings.method]
        if not self.is_occlusion:
            return f"{method}, {self.explainer.settings.steps} steps"
        return f"{method}, cubes of {self.explainer.cube} voxels"

    @property
    def map_unit(self) -> str:
        """Return the unit of a map's values."""
        return f"{self.unit} per {'cube' if self.is_occlusion else 'voxel'}"

    def subtitle(self, num_people: int) -> str:
        """Return whom and what a picture shows, and by which method."""
        people = "one person" if num_people == 1 else f"{num_people:,} people"
        return f"{people}, {self.whom} · {self.how} · model {self.model.name}"


def files_of_sample(
    words: Words, attribution_CXYZ: NDArray[np.float32], volumes_CXYZ: NDArray[np.float32]
) -> Iterator[File]:
    """Yield the map of each volume of one sample, and a picture of it over the person's own brain."""
    for index, modality in enumerate(words.model.card.shape.volumes):
        affine_44, volume_XYZ = affine_of(words.model, modality), attribution_CXYZ[index]
        yield f"{modality}_attribution.nii.gz", encode_volume(volume_XYZ, affine_44, np.float32)
        row = AttributionRow(volume_XYZ=volume_XYZ, label=f"attribution, {words.map_unit}", is_signed=True)
        brain_XYZ = (volumes_CXYZ[index] + 1.0) / 2.0
        yield f"{modality}.png", _draw(words, modality, "", 1, brain_XYZ, affine_44, [row])


def files_of_groups(words: Words, groups: Sequence[Group], means: GroupMeans) -> Iterator[File]:
    """Yield the mean brains, and of each volume and group the mean maps and a picture of them."""
    brains_CXYZ = means.mean_volumes()
    for index, modality in enumerate(words.model.card.shape.volumes):
        affine_44 = affine_of(words.model, modality)
        yield f"{modality}_brain.nii.gz", encode_volume(brains_CXYZ[index], affine_44, np.float32)
        for number, group in enumerate(groups):
            mean_XYZ, size_XYZ = means.mean(number)[index], means.mean_size(number)[index]
            stem = f"{modality}_{group.name}"
            yield f"{stem}_mean.nii.gz", encode_volume(mean_XYZ, affine_44, np.float32)
            yield f"{stem}_mean-absolute.nii.gz", encode_volume(size_XYZ, affine_44, np.float32)
            rows = [
                AttributionRow(volume_XYZ=mean_XYZ, label=f"mean, {words.map_unit}", is_signed=True),
                AttributionRow(volume_XYZ=size_XYZ, label=f"mean |…|, {words.map_unit}", is_signed=False),
            ]
            title = "" if group.name == ALL else group.title
            picture = _draw(words, modality, title, group.num_people, brains_CXYZ[index], affine_44, rows)
            yield f"{stem}.png", picture


def _draw(
    words: Words,
    modality: str,
    group: str,
    num_people: int,
    brain_XYZ: NDArray[np.float32],
    affine_44: Matrix44,
    rows: list[AttributionRow],
) -> bytes:
    in_order = [
        AttributionRow(volume_XYZ=in_ras(row.volume_XYZ, affine_44)[0], label=row.label, is_signed=row.is_signed)
        for row in rows
    ]
    brain, affine = in_ras(brain_XYZ, affine_44)
    of_group = f", {group}" if group else ""
    return draw_attributions(
        AttributionPicture(
            title=f"What the model of {words.target} used in {MODALITIES[modality].title}{of_group}",
            subtitle=words.subtitle(num_people),
            brain_XYZ=brain,
            affine_44=affine,
            rows=in_order,
        )
    )

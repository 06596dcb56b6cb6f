"""Where each source keeps each volume modality: one entry a modality, which finding, reading and synthesis follow.

Another volume is an entry of `mmbase.names.MODALITIES` and one here. A modality that has several *maps* (dwi: FA, MD …)
has an image for each; which one stands for it is a setting.

The layout of the reference study needs no entry: its folders and files are named for the modality.

Sources: the UK Biobank showcase and the FMRIB pipeline's names of files; the Brain Imaging Data Structure
specification, 1.10.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ONLY_IMAGE = ""
"""Name of the image of a modality that has no maps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UkbImage:
    """The members of a UK Biobank archive that hold one image; empty where there is none."""

    brain: str
    """Brain-extracted and, of a structural image, bias-corrected, on the scan's own grid."""
    head: str = ""
    """The same of the whole head; read with `mask` where `brain` is missing."""
    mask: str = ""
    """Brain mask on the scan's own grid."""
    warped: str = ""
    """Brain-extracted and warped to MNI152."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UkbFiles:
    """Where UK Biobank keeps a volume."""

    field: int
    """Bulk field of the archive."""
    folder: str
    """Folder of the archive's members; also the name of the folder in an unpacked participant's."""
    images: Mapping[str, UkbImage]
    """By map, `ONLY_IMAGE` where there are none."""
    matrix: str = ""
    """Member with the scan's FLIRT matrix to MNI152."""
    base: str = ""
    """Modality of the same visit whose matrix to MNI152 is used where the scan has none of its own."""
    matrix_to_base: str = ""
    """Member with the scan's FLIRT matrix to the image of `base`; empty: it lies on the same grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BidsFiles:
    """How BIDS names a volume."""

    datatype: str
    """Folder in a session's."""
    suffix: str
    """Of a file's name; a diffusion map is found by its own name instead."""
    is_brain_only: bool = False
    """Whether images hold brain alone without saying so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeFiles:
    """Where sources keep one modality."""

    ukb: UkbFiles
    bids: BidsFiles

    @property
    def has_maps(self) -> bool:
        """Whether there is an image for each of several maps."""
        return ONLY_IMAGE not in self.ukb.images

    @property
    def on_base_grid(self) -> bool:
        """Whether UK Biobank's images lie on the grid of another modality."""
        return bool(self.ukb.base) and not self.ukb.matrix_to_base


def _structural(folder: str) -> Mapping[str, UkbImage]:
    stem = f"{folder}/{folder}"
    image = UkbImage(
        brain=f"{stem}_unbiased_brain.nii.gz",
        head=f"{stem}_unbiased.nii.gz",
        mask=f"{stem}_brain_mask.nii.gz",
        warped=f"{stem}_brain_to_MNI.nii.gz",
    )
    return {ONLY_IMAGE: image}


def _diffusion() -> Mapping[str, UkbImage]:
    maps = {"dti": ("FA", "MD", "MO", "L1", "L2", "L3"), "NODDI": ("ICVF", "OD", "ISOVF")}
    warped = {"FA": "dMRI/TBSS/FA/dti_FA_to_MNI.nii.gz"}
    return {
        name: UkbImage(
            brain=f"dMRI/dMRI/{model}_{name}.nii.gz", warped=warped.get(name, f"dMRI/TBSS/stats/all_{name}.nii.gz")
        )
        for model, names in maps.items()
        for name in names
    }


VOLUME_FILES = {
    "t1": VolumeFiles(
        ukb=UkbFiles(field=20252, folder="T1", images=_structural("T1"), matrix="T1/transforms/T1_to_MNI_linear.mat"),
        bids=BidsFiles(datatype="anat", suffix="T1w"),
    ),
    "flair": VolumeFiles(
        ukb=UkbFiles(
            field=20253,
            folder="T2_FLAIR",
            images=_structural("T2_FLAIR"),
            matrix="T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat",
            base="t1",
        ),
        bids=BidsFiles(datatype="anat", suffix="FLAIR"),
    ),
    "dwi": VolumeFiles(
        ukb=UkbFiles(field=20250, folder="dMRI", images=_diffusion(), matrix="dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat"),
        bids=BidsFiles(datatype="dwi", suffix="dwi", is_brain_only=True),
    ),
}
"""By modality, in the order in which messages list them."""

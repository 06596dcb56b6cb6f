"""Read scans out of UK Biobank's bulk items: zip archives, the folders they were unpacked to, and text files.

In linear space only bias-corrected T1 and FLAIR are read: the uncorrected ones beside them must not get mixed into a
cohort. FLAIR lies on the grid of its visit's T1, so where its own matrix to MNI152 is missing, T1's is the same. In
nonlinear space the images that UK Biobank warped to MNI152 are read; its T1 and FLAIR are not bias-corrected.
"""

from pathlib import Path

import numpy as np

from mmbase.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.readers.brain import on_same_grid
from mmdata.readers.matrix import parse_matrix
from mmdata.readers.members import Members, open_members, read_member
from mmdata.readers.native import NativeScan
from mmdata.volume.connectome import Connectome
from mmdata.volume.flirt import world_from_flirt
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import Volume, decode_volume

MAX_TEXT_BYTES = 1 << 20
_BRAIN_IMAGES = {"t1": "T1/T1_unbiased_brain.nii.gz", "flair": "T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz"}
_HEAD_IMAGES = {"t1": "T1/T1_unbiased.nii.gz", "flair": "T2_FLAIR/T2_FLAIR_unbiased.nii.gz"}
_MASKS = {"t1": "T1/T1_brain_mask.nii.gz", "flair": "T2_FLAIR/T2_FLAIR_brain_mask.nii.gz"}
_WARPED_IMAGES = {"t1": "T1/T1_brain_to_MNI.nii.gz", "flair": "T2_FLAIR/T2_FLAIR_brain_to_MNI.nii.gz"}
_TRANSFORMS = {
    "t1": "T1/transforms/T1_to_MNI_linear.mat",
    "flair": "T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat",
    "dwi": "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat",
}
_NODDI_MAPS = ("ICVF", "OD", "ISOVF")


def read_native(scan: ScanCandidate, dwi_map: str) -> NativeScan:
    """Read a scan on its own grid, with its FLIRT matrix to MNI152 as a world transform.

    Raises
    ------
    ScanRejected
        ``bad-archive``, ``unsafe-archive``, ``unreadable``, ``unusable``, ``missing-image``, ``bad-transform``,
        ``bad-mask``, or what `mmdata.volume.nifti.decode_volume` finds.
    """
    with open_members(scan.path) as members:
        volume, mask = _read_image(members, scan.modality, dwi_map)
        matrix = _read_matrix(members, scan.modality)
    if matrix is None and scan.transform_path is not None:
        with open_members(scan.transform_path) as members:
            matrix = _read_matrix(members, "t1")
    transform = None if matrix is None else world_from_flirt(matrix, volume.frame)
    brain_XYZ = None if mask is None else mask.data_XYZ > 0
    return NativeScan(volume=volume, mni_from_native_44=transform, brain_XYZ=brain_XYZ)


def read_warped(scan: ScanCandidate, dwi_map: str) -> NativeScan:
    """Read the image that UK Biobank warped to MNI152 with a nonlinear transform.

    Raises
    ------
    ScanRejected
        As `read_native`.
    """
    with open_members(scan.path) as members:
        name = _WARPED_IMAGES.get(scan.modality) or _warped_diffusion_image(dwi_map)
        return NativeScan(volume=decode_volume(read_member(members, name)), mni_from_native_44=np.eye(4))


def read_connectome(path: Path, connectome: Connectome) -> bytes:
    """Return the bytes of one scan's time series (a gzipped csv) or edges (a text file).

    Raises
    ------
    ScanRejected
        ``bad-archive``, ``unsafe-archive``, ``unreadable``, ``unusable``, ``missing-image`` or ``bad-dimensions``.
    """
    if connectome.is_timeseries:
        with open_members(path) as members:
            return read_member(members, connectome.member)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TEXT_BYTES)
    except OSError as error:
        raise ScanRejected("unreadable", f"the file cannot be read ({error.strerror})") from error
    if len(text) == MAX_TEXT_BYTES:
        raise ScanRejected("bad-dimensions", f"expected a line of edges, the file has {MAX_TEXT_BYTES:,} bytes or more")
    return text


def _read_image(members: Members, modality: str, dwi_map: str) -> tuple[Volume, Volume | None]:
    """Return the brain image, or the image of the whole head and the brain mask beside it."""
    if modality == "dwi":
        return decode_volume(read_member(members, _diffusion_image(dwi_map))), None
    head, mask = _HEAD_IMAGES[modality], _MASKS[modality]
    if members.find(_BRAIN_IMAGES[modality]) or not (members.find(head) and members.find(mask)):
        return decode_volume(read_member(members, _BRAIN_IMAGES[modality])), None
    volume, brain = decode_volume(read_member(members, head)), decode_volume(read_member(members, mask))
    if not on_same_grid(volume, brain):
        raise ScanRejected("bad-mask", "expected a mask on the image's grid, it has another shape or place")
    return volume, brain


def _diffusion_image(dwi_map: str) -> str:
    return f"dMRI/dMRI/{'NODDI' if dwi_map in _NODDI_MAPS else 'dti'}_{dwi_map}.nii.gz"


def _warped_diffusion_image(dwi_map: str) -> str:
    return "dMRI/TBSS/FA/dti_FA_to_MNI.nii.gz" if dwi_map == "FA" else f"dMRI/TBSS/stats/all_{dwi_map}.nii.gz"


def _read_matrix(members: Members, modality: str) -> Matrix44 | None:
    found = members.find(_TRANSFORMS[modality])
    return parse_matrix(members.read(found)) if found else None

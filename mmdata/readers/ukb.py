"""Read scans out of UK Biobank's bulk items: zip archives, the folders they were unpacked to, and text files.

In linear space only bias-corrected T1 and FLAIR are read: the uncorrected ones beside them must not get mixed into a
cohort. FLAIR lies on the grid of its visit's T1, so where its own matrix to MNI152 is missing, T1's is the same; a
modality with a matrix to its visit's T1 goes through T1's. Names of members: `mmdata.sources.volume_files`. In
nonlinear space the images that UK Biobank warped to MNI152 are read; its T1 and FLAIR are not bias-corrected.
"""

from pathlib import Path

import numpy as np

from mmbase.input_files import require_regular
from mmbase.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.readers.brain import on_same_grid
from mmdata.readers.matrix import parse_matrix
from mmdata.readers.members import Members, open_members, read_member
from mmdata.readers.native import NativeScan
from mmdata.sources.volume_files import VOLUME_FILES, UkbImage
from mmdata.volume.connectome import Connectome
from mmdata.volume.flirt import world_from_flirt
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import Volume, decode_volume
from mmdata.volume.settings import VolumeSettings

MAX_TEXT_BYTES = 1 << 20


def read_native(scan: ScanCandidate, volumes: VolumeSettings) -> NativeScan:
    """Read a scan on its own grid, with its FLIRT matrix to MNI152 as a world transform.

    Parameters
    ----------
    volumes
        Which of a modality's maps to read.

    Raises
    ------
    ScanRejected
        ``bad-archive``, ``unsafe-archive``, ``unreadable``, ``unusable``, ``missing-image``, ``bad-transform``,
        ``bad-mask``, or what `mmdata.volume.nifti.decode_volume` finds.
    """
    files = VOLUME_FILES[scan.modality].ukb
    with open_members(scan.path) as members:
        volume, mask = _read_image(members, files.images[volumes.map_of(scan.modality)])
        matrix = _read_matrix(members, files.matrix)
        base_from_scan = _read_matrix(members, files.matrix_to_base)
    if matrix is None and scan.transform_path is not None:
        with open_members(scan.transform_path) as members:
            matrix = _read_matrix(members, VOLUME_FILES[files.base].ukb.matrix)
        if matrix is not None and files.matrix_to_base:
            matrix = None if base_from_scan is None else matrix @ base_from_scan
    transform = None if matrix is None else world_from_flirt(matrix, volume.frame)
    brain_XYZ = None if mask is None else mask.data_XYZ > 0
    return NativeScan(volume=volume, mni_from_native_44=transform, brain_XYZ=brain_XYZ)


def read_warped(scan: ScanCandidate, volumes: VolumeSettings) -> NativeScan:
    """Read the image that UK Biobank warped to MNI152 with a nonlinear transform.

    Parameters
    ----------
    volumes
        As for `read_native`.

    Raises
    ------
    ScanRejected
        As `read_native`.
    """
    with open_members(scan.path) as members:
        name = VOLUME_FILES[scan.modality].ukb.images[volumes.map_of(scan.modality)].warped
        return NativeScan(volume=decode_volume(read_member(members, *_forms(name))), mni_from_native_44=np.eye(4))


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
        require_regular(path)
        with path.open("rb") as file:
            text = file.read(MAX_TEXT_BYTES)
    except OSError as error:
        raise ScanRejected("unreadable", f"the file cannot be read ({error.strerror})") from error
    if len(text) == MAX_TEXT_BYTES:
        raise ScanRejected("bad-dimensions", f"expected a line of edges, the file has {MAX_TEXT_BYTES:,} bytes or more")
    return text


def _read_image(members: Members, image: UkbImage) -> tuple[Volume, Volume | None]:
    """Return the brain image, or the image of the whole head and the brain mask beside it."""
    if not _find_image(members, image.brain) and image.head:
        head, mask = _find_image(members, image.head), _find_image(members, image.mask)
        if head and mask:
            volume, brain = decode_volume(members.read(head)), decode_volume(members.read(mask))
            if not on_same_grid(volume, brain):
                raise ScanRejected("bad-mask", "expected a mask on the image's grid, it has another shape or position")
            return volume, brain
    return decode_volume(read_member(members, *_forms(image.brain))), None


def _forms(name: str) -> tuple[str, str]:
    """Return the names of an image's member as the archive has it and decompressed."""
    return name, name.removesuffix(".gz")


def _find_image(members: Members, name: str) -> str | None:
    return next(filter(None, map(members.find, _forms(name))), None)


def _read_matrix(members: Members, name: str) -> Matrix44 | None:
    found = members.find(name) if name else None
    return parse_matrix(members.read(found)) if found else None

"""Read single members out of UK Biobank's archives.

FLAIR lies on the grid of its visit's T1, so where its own matrix to MNI152 is missing, T1's is the same.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from catalog.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.flirt import world_from_flirt
from mmdata.geometry import Matrix44
from mmdata.nifti import MAX_VOLUME_BYTES, Volume, decode_volume

_NOT_DATA = ("unusable", "incompatible")
_IMAGES = {
    "t1": ("T1/T1_unbiased_brain.nii.gz", "T1/T1_brain.nii.gz"),
    "flair": ("T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz", "T2_FLAIR/T2_FLAIR_brain.nii.gz"),
}
_TRANSFORMS = {
    "t1": ("T1/transforms/T1_to_MNI_linear.mat",),
    "flair": ("T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat",),
    "dwi": ("dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat",),
}
_GLASSER = ("fMRI.Glasser.csv.gz",)


def read_volume(scan: ScanCandidate, dwi_map: str) -> tuple[Volume, Matrix44]:
    """Read a scan's image and its world transform, MNI152 from native, RAS+ mm.

    Raises
    ------
    ScanRejected
        ``bad-archive``, ``unusable``, ``missing-image``, ``missing-transform``, ``bad-transform``, or what
        `mmdata.nifti.decode_volume` finds.
    """
    images = _IMAGES.get(scan.modality) or _diffusion_images(dwi_map)
    with _open_archive(scan.path) as archive:
        volume = decode_volume(_read_member(archive, images, "missing-image"))
        matrix = _find_member(archive, _TRANSFORMS[scan.modality])
        text = _read_member(archive, _TRANSFORMS[scan.modality], "missing-transform") if matrix else None
    if text is None and scan.transform_path is not None:
        with _open_archive(scan.transform_path) as archive:
            text = _read_member(archive, _TRANSFORMS["t1"], "missing-transform")
    if text is None:
        raise ScanRejected("missing-transform", f"expected {_TRANSFORMS[scan.modality][0]}")
    return volume, world_from_flirt(_parse_matrix(text), volume.frame)


def read_glasser_timeseries(scan: ScanCandidate) -> bytes:
    """Return the gzipped csv of one scan's 360 regional time series.

    Raises
    ------
    ScanRejected
        ``bad-archive``, ``unusable`` or ``missing-image``.
    """
    with _open_archive(scan.path) as archive:
        return _read_member(archive, _GLASSER, "missing-image")


def _diffusion_images(dwi_map: str) -> tuple[str, ...]:
    prefix = "NODDI" if dwi_map in ("ICVF", "OD", "ISOVF") else "dti"
    return (f"dMRI/dMRI/{prefix}_{dwi_map}.nii.gz",)


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ScanRejected("bad-archive", f"the zip archive is damaged ({type(error).__name__})") from error
    except OSError as error:
        raise ScanRejected("unreadable", f"the archive cannot be read ({error.strerror})") from error


def _read_member(archive: zipfile.ZipFile, wanted: tuple[str, ...], missing_reason: str) -> bytes:
    member = _find_member(archive, wanted)
    if member is not None:
        if member.file_size > MAX_VOLUME_BYTES:
            raise ScanRejected("bad-dimensions", f"{wanted[0]} unpacks to {member.file_size:,} bytes")
        return archive.read(member)
    for mark in _NOT_DATA:
        if any(mark in name for name in archive.namelist()):
            raise ScanRejected("unusable", f"the archive marks its images as {mark}")
    raise ScanRejected(missing_reason, f"expected {' or '.join(wanted)} in the archive")


def _find_member(archive: zipfile.ZipFile, wanted: tuple[str, ...]) -> zipfile.ZipInfo | None:
    """Return the first wanted member, at the archive's root or below one folder named after the archive."""
    usable = [member for member in archive.infolist() if not any(mark in member.filename for mark in _NOT_DATA)]
    for name in wanted:
        for member in usable:
            if member.filename == name or member.filename.endswith("/" + name):
                return member
    return None


def _parse_matrix(text: bytes) -> Matrix44:
    try:
        matrix_44 = np.array(
            [[float(number) for number in line.split()] for line in text.decode().splitlines() if line]
        )
    except ValueError as error:
        raise ScanRejected("bad-transform", "the matrix holds something other than numbers") from error
    if matrix_44.shape != (4, 4) or not np.isfinite(matrix_44).all() or abs(np.linalg.det(matrix_44)) < 1e-6:
        raise ScanRejected("bad-transform", f"expected an invertible 4 x 4 matrix, got shape {matrix_44.shape}")
    return matrix_44

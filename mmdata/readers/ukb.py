"""Read single members out of UK Biobank's archives.

Only bias-corrected T1 and FLAIR are read: the uncorrected ones beside them must not get mixed into a cohort. FLAIR lies
on the grid of its visit's T1, so where its own matrix to MNI152 is missing, T1's is the same.
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
    "t1": "T1/T1_unbiased_brain.nii.gz",
    "flair": "T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz",
}
_TRANSFORMS = {
    "t1": "T1/transforms/T1_to_MNI_linear.mat",
    "flair": "T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat",
    "dwi": "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat",
}
_GLASSER = "fMRI.Glasser.csv.gz"


def read_volume(scan: ScanCandidate, dwi_map: str) -> tuple[Volume, Matrix44]:
    """Read a scan's image and its world transform, MNI152 from native, RAS+ mm.

    Raises
    ------
    ScanRejected
        ``bad-archive``, ``unusable``, ``missing-image``, ``missing-transform``, ``bad-transform``, or what
        `mmdata.nifti.decode_volume` finds.
    """
    with _open_archive(scan.path) as archive:
        image = _read_member(archive, _IMAGES.get(scan.modality) or _diffusion_image(dwi_map), "missing-image")
        text = _read_transform(archive, _TRANSFORMS[scan.modality])
    if text is None and scan.transform_path is not None:
        with _open_archive(scan.transform_path) as archive:
            text = _read_transform(archive, _TRANSFORMS["t1"])
    if text is None:
        raise ScanRejected("missing-transform", f"expected {_TRANSFORMS[scan.modality]}, or T1's for a FLAIR")
    volume = decode_volume(image)
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


def _diffusion_image(dwi_map: str) -> str:
    prefix = "NODDI" if dwi_map in ("ICVF", "OD", "ISOVF") else "dti"
    return f"dMRI/dMRI/{prefix}_{dwi_map}.nii.gz"


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ScanRejected("bad-archive", f"the zip archive is damaged ({type(error).__name__})") from error
    except OSError as error:
        raise ScanRejected("unreadable", f"the archive cannot be read ({error.strerror})") from error


def _read_member(archive: zipfile.ZipFile, name: str, missing_reason: str) -> bytes:
    member = _find_member(archive, name)
    if member is not None:
        if member.file_size > MAX_VOLUME_BYTES:
            raise ScanRejected("bad-dimensions", f"{name} unpacks to {member.file_size:,} bytes")
        return archive.read(member)
    for mark in _NOT_DATA:
        if any(mark in found for found in archive.namelist()):
            raise ScanRejected("unusable", f"the archive marks its images as {mark}")
    raise ScanRejected(missing_reason, f"expected {name} in the archive")


def _read_transform(archive: zipfile.ZipFile, name: str) -> bytes | None:
    return _read_member(archive, name, "missing-transform") if _find_member(archive, name) else None


def _find_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo | None:
    """Return a member by name, at the archive's root or below other folders, unless it is marked as no data."""
    for member in archive.infolist():
        marked = any(mark in member.filename for mark in _NOT_DATA)
        if not marked and (member.filename == name or member.filename.endswith("/" + name)):
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

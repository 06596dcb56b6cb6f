"""Read one NIfTI image with the brain mask and the affine transform that lie beside it.

A transform file is one of two things, told apart by its first bytes:

ITK's text      ``#Insight Transform File V1.0`` with one affine. Its points are LPS mm, and it is what resampling the
                image on MNI152 takes, so it maps MNI152 to the image's world. BIDS names such a file
                ``from-T1w_to-MNI152..._mode-image_xfm.txt``: the image goes from T1w to MNI152, points the other way.
FLIRT's matrix  four rows of four numbers, from the image's FSL coordinates to those of MNI152_T1_1mm or MNI152_T1_2mm.

Source: ITK Software Guide, 3.9 (transforms map points of the output to the input); BIDS extension proposal 14 (names).
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmbase.input_files import require_regular
from mmbase.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.readers.brain import on_same_grid
from mmdata.readers.matrix import parse_matrix
from mmdata.readers.members import unreadable
from mmdata.readers.native import NativeScan
from mmdata.sources.bids_masks import expected_mask
from mmdata.volume.flirt import world_from_flirt
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import MAX_VOLUME_BYTES, Volume, decode_volume
from mmdata.volume.reference_grid import reference_affine, says_nothing

_ITK_TEXT = b"#Insight Transform File"
_ITK_MATLAB = re.compile(rb"\w+Transform_(?:double|float)_3_3\x00")
_ITK_AFFINES = {
    f"{kind}_{real}_3_3" for kind in ("AffineTransform", "MatrixOffsetTransformBase") for real in ("double", "float")
}
_HDF5 = b"\x89HDF"
_MAX_TRANSFORM_BYTES = 1 << 16
_MAX_REPORTED_CHARACTERS = 40
_RAS_FROM_LPS_44 = np.diag([-1.0, -1.0, 1.0, 1.0])
_BRAIN_THRESHOLD = 0.5
"""Of a mask's values: 0 and 1, 0 and 255, or the probability of brain."""


def read_image(candidate: ScanCandidate, space: str, *, assume: str = "none") -> NativeScan:
    """Read an image on its own grid.

    Parameters
    ----------
    space
        `VolumeSettings.space`: of nonlinear space only images that are there already can be read.
    assume
        `IngestSettings.assume`: what to take for granted where the affine says nothing.

    Raises
    ------
    ScanRejected
        ``unreadable``, ``bad-mask``, ``bad-transform``, ``not-in-template-space``, ``identity-affine``, or what
        `mmdata.volume.nifti.decode_volume` finds.
    """
    if space == "MNI152-nonlinear" and not candidate.in_template_space:
        raise ScanRejected("not-in-template-space", "expected an image that was warped to MNI152, this one was not")
    volume = decode_volume(_read_bytes(candidate.path, MAX_VOLUME_BYTES, "bad-dimensions"))
    is_assumed = candidate.may_assume_grid and says_nothing(volume.data_XYZ, volume.affine_44)
    if is_assumed:
        volume = _on_reference_grid(volume, assume)
    return NativeScan(
        volume=volume,
        transform_source="reference-grid" if is_assumed else "source",
        mni_from_native_44=_mni_from_native(candidate, volume),
        brain_XYZ=_read_mask(candidate.mask_path, volume) if candidate.mask_path else None,
        expected_mask=f"{mask} beside it or in derivatives/*" if (mask := expected_mask(candidate.path.name)) else "",
    )


def parse_transform(content: bytes, volume: Volume) -> Matrix44:
    """Return the MNI152 from native transform, RAS+ mm, of a transform file for a volume.

    Raises
    ------
    ScanRejected
        ``bad-transform``.
    """
    if content.startswith(_ITK_TEXT):
        return _parse_itk(content)
    if content.startswith(_HDF5) or _ITK_MATLAB.search(content):
        raise ScanRejected(
            "bad-transform",
            "expected text, got a binary file of ITK's; export its affine, e.g. ConvertTransformFile 3 in.mat out.txt",
        )
    return world_from_flirt(parse_matrix(content), volume.frame)


def _on_reference_grid(volume: Volume, assume: str) -> Volume:
    """Return an image with the affine that its file does not give."""
    if assume != "reference-grid":
        raise ScanRejected(
            "identity-affine",
            "expected an affine that says where the image lies, got the identity; where the reference study's own code "
            "wrote it, say so with --assume reference-grid",
        )
    return Volume(volume.data_XYZ, reference_affine(volume.data_XYZ.shape[0]))


def _mni_from_native(candidate: ScanCandidate, volume: Volume) -> Matrix44 | None:
    if candidate.in_template_space:
        return np.eye(4)
    if candidate.transform_path is None:
        return None
    return parse_transform(_read_bytes(candidate.transform_path, _MAX_TRANSFORM_BYTES, "bad-transform"), volume)


def _parse_itk(content: bytes) -> Matrix44:
    """Parse ITK's text: 9 numbers of the matrix row by row, 3 of the translation; as fixed parameters the centre."""
    lines = re.findall(r"^(\w+):[ \t]*(.*?)\s*$", content.decode("ascii", errors="replace"), re.MULTILINE)
    kinds = [value for key, value in lines if key == "Transform"]
    if len(kinds) != 1 or kinds[0] not in _ITK_AFFINES:
        found = kinds[0][:_MAX_REPORTED_CHARACTERS] if len(kinds) == 1 else f"{len(kinds)} transforms"
        raise ScanRejected("bad-transform", f"expected one affine of ITK's, got {found}")
    fields = dict(lines)
    numbers_12, centre_3 = _numbers(fields.get("Parameters", ""), 12), _numbers(fields.get("FixedParameters", ""), 3)
    native_from_mni_44 = np.eye(4)
    native_from_mni_44[:3, :3] = numbers_12[:9].reshape(3, 3)
    native_from_mni_44[:3, 3] = numbers_12[9:] + centre_3 - native_from_mni_44[:3, :3] @ centre_3
    if abs(np.linalg.det(native_from_mni_44)) < 1e-6:
        raise ScanRejected("bad-transform", "expected an invertible transform, its determinant is 0")
    return np.asarray(_RAS_FROM_LPS_44 @ np.linalg.inv(native_from_mni_44) @ _RAS_FROM_LPS_44, np.float64)


def _numbers(text: str, expected: int) -> NDArray[np.float64]:
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise ScanRejected("bad-transform", "the parameters hold something other than numbers") from error
    if len(numbers) != expected or not np.isfinite(numbers).all():
        raise ScanRejected("bad-transform", f"expected {expected} finite parameters, got {len(numbers)}")
    return numbers


def _read_mask(path: Path, volume: Volume) -> NDArray[np.bool_]:
    content = _read_bytes(path, MAX_VOLUME_BYTES, "bad-mask")
    try:
        mask = decode_volume(content)
    except ScanRejected as rejection:
        raise ScanRejected("bad-mask", f"the mask is {rejection}") from rejection
    if not on_same_grid(volume, mask):
        raise ScanRejected("bad-mask", "expected a mask on the image's grid, it has another shape or position")
    inside: NDArray[np.bool_] = mask.data_XYZ >= _BRAIN_THRESHOLD
    return inside


def _read_bytes(path: Path, limit: int, too_large: str) -> bytes:
    """Return a file's bytes, or reject it for the reason `too_large`."""
    try:
        num_bytes = require_regular(path).st_size
        if num_bytes > limit:
            raise ScanRejected(too_large, f"expected a file of at most {limit:,} bytes, got {num_bytes:,}")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error

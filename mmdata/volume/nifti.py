"""NIfTI files as bytes: read with every check that keeps a bad file from doing harm, written the same way every time.

A file is decompressed once, to the end of its last gzip member, so that every CRC is checked; its header is judged
before anything is allocated. Behind the last member zeros are padding and anything else is damage, as gzip has it.
Voxels are integers as the file has them, or float32. Lengths are in the unit that the header names. NaN from the border
inwards is background and becomes 0; NaN that a number surrounds is a fault.

Source: https://nifti.nimh.nih.gov/nifti-1 (format; xyzt_units), RFC 1952 (gzip).
"""

import gzip
import io
import math
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip
from isal.isal_zlib import IsalError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import DTypeLike, NDArray
from scipy.ndimage import label

from mmdata.errors import ScanRejected
from mmdata.volume.flirt import ImageFrame
from mmdata.volume.geometry import Matrix44, zooms_mm

MAX_VOXELS = 1 << 25
"""Larger volumes are refused: 320³ is smaller."""
MAX_VOLUME_BYTES = MAX_VOXELS * 8
"""Larger decompressed volumes are refused: a 1 mm T1 takes 109 MB as float64."""
MAX_EXTENSION_BYTES = 1 << 20
"""Bytes a file may hold between its header and its voxels, and again behind them."""
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
"""Of NIfTI's codes for metre and micron; millimetre is 2, and not known, 0, is taken for it."""
_UNIT_BITS = 7
_VOXEL_MM = (0.05, 20.0)
"""Edges that a voxel of a head can have. Units are a factor of 1,000 apart, so that one of them fits at most."""
_HEADER_CLASSES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_NIFTI1_HEADER_BYTES = 348
_EXTENDER_BYTES = 4
_SINGLE_FILE_MAGICS = (b"n+1", b"n+2")
_PIECE_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Volume:
    """A three-dimensional image and where it lies."""

    data_XYZ: NDArray[Any]
    affine_44: Matrix44
    """Voxel to the file's own world, RAS+ mm."""

    @property
    def frame(self) -> ImageFrame:
        """Return what a FLIRT matrix of this image refers to."""
        return ImageFrame(affine_44=self.affine_44, num_x=self.data_XYZ.shape[0])


def decode_volume(content: bytes) -> Volume:
    """Decode the bytes of one NIfTI file, ``.nii.gz`` or ``.nii``.

    Returns
    -------
    Volume
        Voxels in native byte order; integers of the file's number type where the header has no slope or intercept,
        otherwise float32.

    Raises
    ------
    ScanRejected
        ``not-gzip``, ``truncated``, ``corrupt``, ``not-nifti``, ``bad-dimensions``, ``bad-datatype``, ``bad-affine``,
        ``non-finite``.
    """
    try:
        return _read_volume(_open_stream(content))
    except EOFError as error:
        raise ScanRejected("truncated", "the gzip stream ends before its checksum, or stray bytes follow it") from error
    except (gzip.BadGzipFile, IsalError) as error:
        raise ScanRejected("corrupt", f"the gzip stream does not decode: {error}") from error


def encode_volume(data_XYZ: NDArray[Any], affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Encode a volume as the bytes of a ``.nii.gz`` file; equal input gives equal bytes.

    Parameters
    ----------
    data_XYZ
        Voxels; rounded where `dtype` is an integer type.
    affine_44
        Voxel to world, RAS+ mm; written as sform and, where it has no shear, qform.
    """
    target = np.dtype(dtype)
    voxels = np.rint(data_XYZ) if target.kind in "iu" else data_XYZ
    image = nib.Nifti1Image(voxels.astype(target), affine_44)
    image.set_sform(affine_44, code=1)
    image.set_qform(affine_44, code=1)
    compressed: bytes = igzip.compress(image.to_bytes(), mtime=0)
    return compressed


def encode_stored(stored_XYZ: NDArray[Any], affine_44: Matrix44, *, scale: float, offset: float = 0.0) -> bytes:
    """Encode stored numbers as they are as the bytes of a ``.nii.gz`` file; equal input gives equal bytes.

    Parameters
    ----------
    stored_XYZ
        Integers or floats; float16, which NIfTI does not have, becomes float32.
    affine_44
        Voxel to MNI152 space, RAS+ mm; written as sform and qform.
    scale, offset
        From a stored number to its value: slope and intercept of the header, which readers apply.
    """
    voxels = stored_XYZ.astype(np.float32) if stored_XYZ.dtype == np.float16 else stored_XYZ
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header.set_sform(affine_44, code="mni")
    header.set_qform(affine_44, code="mni")
    header.set_xyzt_units("mm")
    header.set_slope_inter(scale, offset)
    header["magic"], header["vox_offset"] = _SINGLE_FILE_MAGICS[0], _NIFTI1_HEADER_BYTES + _EXTENDER_BYTES
    content = header.binaryblock + bytes(_EXTENDER_BYTES) + voxels.tobytes(order="F")
    return gzip.compress(content, compresslevel=4, mtime=0)  # smaller than igzip: pages hold many


def _open_stream(content: bytes) -> io.BufferedIOBase:
    file = io.BytesIO(content)
    if content.startswith(_GZIP_MAGIC):
        stream: io.BufferedIOBase = igzip.IGzipFile(fileobj=file, mode="rb")
        return stream
    if _header_size(content) is None:
        found = f"the first bytes are {content[:4].hex()}" if content else "the file is empty"
        raise ScanRejected("not-gzip", f"expected a gzip stream or a NIfTI header, {found}")
    return file


def _read_volume(stream: io.BufferedIOBase) -> Volume:
    header = _read_header(stream)
    shape = _checked_shape(header)
    dtype = _checked_dtype(header)
    affine_44 = _checked_affine(header)
    num_voxels = math.prod(shape)
    if num_voxels > MAX_VOXELS:
        raise ScanRejected("bad-dimensions", f"expected at most {MAX_VOXELS:,} voxels, got {num_voxels:,}")
    num_bytes = num_voxels * dtype.itemsize
    _skip_extensions(stream, header)
    voxels = _read_voxels(stream, num_bytes)
    if len(stream.read(MAX_EXTENSION_BYTES + 1)) > MAX_EXTENSION_BYTES:  # a shorter read came to the last checksum
        raise ScanRejected("bad-dimensions", f"over {MAX_EXTENSION_BYTES:,} bytes follow the voxels")
    data_XYZ = voxels.view(dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F")
    return Volume(_scaled(data_XYZ, header), affine_44)


def _read_header(stream: io.BufferedIOBase) -> Any:
    head = stream.read(_NIFTI1_HEADER_BYTES)
    if len(head) < _NIFTI1_HEADER_BYTES:
        raise ScanRejected("truncated", f"expected a header of {_NIFTI1_HEADER_BYTES} bytes, got {len(head)}")
    size = _header_size(head)
    if size is None:
        raise ScanRejected("not-nifti", f"expected a header size of 348 or 540, got the bytes {head[:4].hex()}")
    head += stream.read(size - len(head))
    if len(head) < size:
        raise ScanRejected("truncated", f"expected a header of {size} bytes, got {len(head)}")
    try:
        header = _HEADER_CLASSES[size](head)
    except (HeaderDataError, ValueError) as error:
        raise ScanRejected("not-nifti", str(error)) from error
    if bytes(header["magic"])[:3] not in _SINGLE_FILE_MAGICS:
        raise ScanRejected("not-nifti", "expected header and voxels in one file, got the header of a .hdr/.img pair")
    return header


def _header_size(head: bytes) -> int | None:
    """Return what the first four bytes say, in the byte order in which it is a NIfTI header's size."""
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    return next(iter(sizes & _HEADER_CLASSES.keys()), None)


def _skip_extensions(stream: io.BufferedIOBase, header: Any) -> None:
    """Go forward to the voxels."""
    position, offset = int(header["sizeof_hdr"]), float(header["vox_offset"])
    if not position + _EXTENDER_BYTES <= offset <= position + MAX_EXTENSION_BYTES:
        raise ScanRejected("not-nifti", f"the header says that voxels start at byte {offset:,.0f}")
    stream.read(int(offset) - position)


def _read_voxels(stream: io.BufferedIOBase, num_bytes: int) -> NDArray[np.uint8]:
    """Read piece by piece into an array, whose memory comes in large pages: one large read spends a third on pages."""
    voxels = np.empty(num_bytes, np.uint8)
    num_read = 0
    while num_read < num_bytes:
        count = stream.readinto(voxels.data[num_read : num_read + _PIECE_BYTES])
        if not count:
            raise ScanRejected("truncated", f"expected {num_bytes:,} bytes of voxels, got {num_read:,}")
        num_read += count
    return voxels


def _checked_shape(header: Any) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in header.get_data_shape())
    spatial, rest = shape[:3], shape[3:]
    if len(spatial) != 3 or any(n != 1 for n in rest) or not all(8 <= n <= 2048 for n in spatial):
        raise ScanRejected("bad-dimensions", f"expected three axes of 8 to 2048 voxels, got {shape}")
    return spatial[0], spatial[1], spatial[2]


def _checked_dtype(header: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except HeaderDataError as error:
        raise ScanRejected("bad-datatype", str(error)) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ScanRejected("bad-datatype", f"expected real numbers of at most 64 bits, got {dtype}")
    return dtype


def _checked_affine(header: Any) -> Matrix44:
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise ScanRejected("bad-affine", "neither sform nor qform says where the image lies")
    try:
        affine_44 = _in_mm(np.asarray(header.get_best_affine(), dtype=np.float64), header)
    except HeaderDataError as error:
        raise ScanRejected("bad-affine", str(error)) from error
    if not np.isfinite(affine_44).all() or abs(np.linalg.det(affine_44[:3, :3])) < 1e-6:
        raise ScanRejected("bad-affine", "the affine is singular or not finite")
    return affine_44


def _in_mm(affine_44: Matrix44, header: Any) -> Matrix44:
    """Return an affine in mm; a header that names another unit though its voxels are mm is not believed."""
    mm_per_unit = _MM_PER_UNIT.get(int(header["xyzt_units"]) & _UNIT_BITS, 1.0)
    lowest_mm, highest_mm = _VOXEL_MM
    zooms = zooms_mm(affine_44)
    if mm_per_unit == 1.0 or ((zooms >= lowest_mm) & (zooms <= highest_mm)).all():
        return affine_44
    return np.diag([mm_per_unit] * 3 + [1.0]) @ affine_44


def _scaled(data_XYZ: NDArray[Any], header: Any) -> NDArray[Any]:
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise ScanRejected("non-finite", str(error)) from error
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite
        if data_XYZ.dtype.kind == "f":
            data_XYZ = data_XYZ.astype(np.float32, copy=False)
        if (slope, intercept) not in ((None, None), (1.0, 0.0)):
            data_XYZ = data_XYZ.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if not (np.isfinite(data_XYZ.min()) and np.isfinite(data_XYZ.max())):
        _clear_background(data_XYZ)
    return data_XYZ


def _clear_background(data_XYZ: NDArray[Any]) -> None:
    """Set to 0 what is NaN from the border of an image inwards.

    Raises
    ------
    ScanRejected
        ``non-finite``: there is NaN elsewhere, or infinity.
    """
    is_nan_XYZ = np.isnan(data_XYZ)
    if is_nan_XYZ.all():
        raise ScanRejected("non-finite", "expected numbers within float32, every voxel is NaN")
    labels_XYZ, _ = label(is_nan_XYZ)
    faces = (np.take(labels_XYZ, index, axis) for axis in range(3) for index in (0, -1))
    on_border = np.unique(np.concatenate([face.ravel() for face in faces]))
    num_inside = np.count_nonzero(is_nan_XYZ & ~np.isin(labels_XYZ, on_border))
    if num_inside:
        raise ScanRejected(
            "non-finite",
            f"expected numbers inside the image, {num_inside:,} voxels there are NaN; set them to 0 where they are "
            "background, e.g. fslmaths IN -nan OUT",
        )
    if np.isinf(data_XYZ).any():
        raise ScanRejected("non-finite", "expected numbers within float32, the voxels hold infinity or more")
    data_XYZ[is_nan_XYZ] = 0

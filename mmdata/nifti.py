"""NIfTI files as bytes: read with every check that keeps a bad file from doing harm, written the same way every time.

A file is decompressed once, to the end of the stream, so that its CRC is checked; its header is judged before anything
is allocated. Voxels keep the file's own number type unless the header scales them.

Source: https://nifti.nimh.nih.gov/nifti-1 (format), RFC 1952 (gzip).
"""

import gzip
import math
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from isal.isal_zlib import IsalError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import DTypeLike, NDArray

from mmdata.errors import ScanRejected
from mmdata.flirt import ImageFrame
from mmdata.geometry import Matrix44

MAX_VOLUME_BYTES = 1 << 28
"""Larger decompressed volumes are refused: a 1 mm T1 takes 109 MB as float64."""
MAX_EXTENSION_BYTES = 1 << 20
"""Bytes a file may hold between its header and its voxels, and again behind them."""
_HEADER_CLASSES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_NIFTI1_VOXEL_OFFSET = 352
_GZIP_WBITS = 31


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


def decode_volume(compressed: bytes) -> Volume:
    """Decode the bytes of one ``.nii.gz`` file.

    Returns
    -------
    Volume
        Voxels in native byte order; the file's number type, or float32 where the header has a slope or intercept.

    Raises
    ------
    ScanRejected
        ``not-gzip``, ``truncated``, ``corrupt``, ``not-nifti``, ``bad-dimensions``, ``bad-datatype``, ``bad-affine``,
        ``non-finite``.
    """
    stream = _GzipStream(compressed)
    head = stream.read(_NIFTI1_VOXEL_OFFSET)
    header = _parse_header(head, stream)
    shape = _checked_shape(header)
    dtype = _checked_dtype(header)
    affine_44 = _checked_affine(header)
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes > MAX_VOLUME_BYTES:
        raise ScanRejected(
            "bad-dimensions", f"expected at most {MAX_VOLUME_BYTES:,} bytes of voxels, got {num_bytes:,}"
        )
    stream.skip_to(float(header["vox_offset"]))
    voxels = stream.read(num_bytes)
    if len(voxels) < num_bytes:
        raise ScanRejected("truncated", f"expected {num_bytes:,} bytes of voxels, got {len(voxels):,}")
    stream.finish()
    data_XYZ = np.frombuffer(voxels, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F")
    return Volume(_scaled(data_XYZ, header), affine_44)


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
    return gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)


class _GzipStream:
    """One gzip member, read piece by piece and judged at its end."""

    def __init__(self, compressed: bytes) -> None:
        if compressed[:2] != b"\x1f\x8b":
            raise ScanRejected(
                "not-gzip", f"expected a gzip stream, the first bytes are {compressed[:2].hex() or 'none'}"
            )
        self._decoder = isal_zlib.decompressobj(_GZIP_WBITS)
        self._pending = compressed
        self._position = 0

    def read(self, num_bytes: int) -> bytes:
        """Return the next `num_bytes`, fewer at the end of the stream."""
        if num_bytes <= 0 or self._decoder.eof:
            return b""
        try:
            piece: bytes = self._decoder.decompress(self._pending, num_bytes)
        except IsalError as error:
            raise ScanRejected("corrupt", f"the gzip stream does not decode: {error}") from error
        self._pending = self._decoder.unconsumed_tail
        self._position += len(piece)
        return piece

    def skip_to(self, offset: float) -> None:
        """Go forward to an offset into the decompressed stream."""
        if not self._position <= offset <= self._position + MAX_EXTENSION_BYTES:
            raise ScanRejected("not-nifti", f"the header says that voxels start at byte {offset:,.0f}")
        self.read(int(offset) - self._position)

    def finish(self) -> None:
        """Read to the end, where the checksum is compared."""
        trailing = self.read(MAX_EXTENSION_BYTES)
        if self._decoder.eof:
            return
        if len(trailing) >= MAX_EXTENSION_BYTES:
            raise ScanRejected("bad-dimensions", f"over {MAX_EXTENSION_BYTES:,} bytes follow the voxels")
        raise ScanRejected("truncated", "the gzip stream ends before its checksum")


def _parse_header(head: bytes, stream: _GzipStream) -> Any:
    if len(head) < _NIFTI1_VOXEL_OFFSET:
        raise ScanRejected("truncated", f"expected a header of {_NIFTI1_VOXEL_OFFSET} bytes, got {len(head)}")
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    size = next(iter(sizes & _HEADER_CLASSES.keys()), None)
    if size is None:
        raise ScanRejected("not-nifti", f"expected a header size of 348 or 540, got the bytes {head[:4].hex()}")
    head += stream.read(size - len(head))
    if len(head) < size:
        raise ScanRejected("truncated", f"expected a header of {size} bytes, got {len(head)}")
    try:
        return _HEADER_CLASSES[size](head[:size])  # extensions, between header and voxels, are not of interest
    except (HeaderDataError, ValueError) as error:
        raise ScanRejected("not-nifti", str(error)) from error


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
        affine_44 = np.asarray(header.get_best_affine(), dtype=np.float64)
    except HeaderDataError as error:
        raise ScanRejected("bad-affine", str(error)) from error
    if not np.isfinite(affine_44).all() or abs(np.linalg.det(affine_44[:3, :3])) < 1e-6:
        raise ScanRejected("bad-affine", "the affine is singular or not finite")
    return affine_44


def _scaled(data_XYZ: NDArray[Any], header: Any) -> NDArray[Any]:
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise ScanRejected("non-finite", str(error)) from error
    if (slope, intercept) not in ((None, None), (1.0, 0.0)):
        data_XYZ = data_XYZ.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    with np.errstate(invalid="ignore"):  # infinities of both signs
        is_finite = data_XYZ.dtype.kind != "f" or np.isfinite(data_XYZ.sum(dtype=np.float64))
    if not is_finite:
        raise ScanRejected("non-finite", "expected numbers, the voxels hold NaN or infinity")
    return data_XYZ

"""NIfTI files that must not be believed. Each function encodes an image as `encode_volume` does, with one fault.

Headers are patched byte by byte, because no library writes them. Offsets: https://nifti.nimh.nih.gov/nifti-1.
"""

import bz2
import gzip
import struct

import numpy as np
from numpy.typing import DTypeLike

from mmdata.synth.anatomy import Map
from mmdata.synth.faults.zeros import gzip_before_zeros
from mmdata.synth.head import with_head
from mmdata.synth.seeds import generator
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import encode_volume

_DIM, _DATATYPE, _QFORM_CODE, _SFORM_CODE, _SROW_X, _SROW_Z = 40, 70, 252, 254, 280, 312
_VOXELS = 352
_RGB24, _COMPLEX64 = (128, 24), (32, 64)
"""NIfTI's code of a number type and its bits."""
_CRC_BYTES = _LENGTH_BYTES = 4
_LARGEST_DIM = 32767
_KEPT_WHEN_TRUNCATED = 0.6
_KEPT_VOXEL_BYTES = 64


def truncated(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """End in the middle of the gzip stream."""
    content = encode_volume(image, affine_44, dtype)
    return content[: int(len(content) * _KEPT_WHEN_TRUNCATED)]


def wrong_crc(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Give a CRC that is not the content's, as after a bit has flipped."""
    content = encode_volume(image, affine_44, dtype)
    body, crc, length = content[:-8], content[-8:-_LENGTH_BYTES], content[-_LENGTH_BYTES:]
    return body + bytes(byte ^ 0xFF for byte in crc) + length


def wrong_length(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Give a length that is not the content's."""
    content = encode_volume(image, affine_44, dtype)
    (num_bytes,) = struct.unpack("<I", content[-_LENGTH_BYTES:])
    return content[:-_LENGTH_BYTES] + struct.pack("<I", num_bytes - 1)


def not_gzip(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Hold another format's compression under the name of gzip's."""
    return bz2.compress(_plain(image, affine_44, dtype))


def all_zero(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Hold nothing but zeros."""
    return encode_volume(np.zeros_like(image), affine_44, dtype)


def nan_voxels(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Hold NaN in one brain voxel; float32, because integers have none."""
    return encode_volume(_with_voxel(image, np.nan), affine_44, np.float32)


def infinite_voxels(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Hold infinity in one brain voxel; float32, because integers have none."""
    return encode_volume(_with_voxel(image, np.inf), affine_44, np.float32)


def four_dimensional(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Hold two volumes."""
    plain = _plain(image, affine_44, dtype)
    plain = _patched(plain, _DIM, "<8h", 4, *image.shape, 2, 1, 1, 1)
    return _packed(plain + plain[_VOXELS:])


def rgb(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Hold three bytes of colour for each voxel, as pictures made for viewing do."""
    grey = np.rint(255 * image / image.max()).astype(np.uint8)
    return _with_number_type(image, affine_44, _RGB24, np.repeat(grey.ravel(order="F"), 3).tobytes())


def complex_voxels(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Hold complex numbers, as raw k-space images do."""
    return _with_number_type(image, affine_44, _COMPLEX64, image.astype(np.complex64).tobytes(order="F"))


def singular_sform(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Map all slices to one plane; there is no qform to fall back on."""
    plain = _patched(_plain(image, affine_44, dtype), _SROW_Z, "<4f", 0.0, 0.0, 0.0, 0.0)
    return _packed(_patched(plain, _QFORM_CODE, "<h", 0))


def nan_sform(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Map voxels to NaN; there is no qform to fall back on."""
    plain = _patched(_plain(image, affine_44, dtype), _SROW_X, "<f", np.nan)
    return _packed(_patched(plain, _QFORM_CODE, "<h", 0))


def no_form(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Say neither by sform nor by qform where the image lies."""
    plain = _plain(image, affine_44, dtype)
    return _packed(_patched(_patched(plain, _QFORM_CODE, "<h", 0), _SFORM_CODE, "<h", 0))


def absurd_dimensions(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Claim 32767³ voxels, some 60 terabytes, and hold a few bytes."""
    plain = _plain(image, affine_44, dtype)[: _VOXELS + _KEPT_VOXEL_BYTES]
    return _packed(_patched(plain, _DIM, "<8h", 3, *[_LARGEST_DIM] * 3, 1, 1, 1, 1))


def gzip_bomb(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Be a good image with more than 1 GiB of zeros behind its last voxel."""
    return gzip_before_zeros(_plain(image, affine_44, dtype))


def not_skull_stripped(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    """Show the whole head under the name of a brain."""
    return encode_volume(with_head(image, image != 0, affine_44, generator(0, "not-skull-stripped")), affine_44, dtype)


def _plain(image: Map, affine_44: Matrix44, dtype: DTypeLike) -> bytes:
    return gzip.decompress(encode_volume(image, affine_44, dtype))


def _packed(plain: bytes) -> bytes:
    return gzip.compress(plain, compresslevel=4, mtime=0)


def _patched(plain: bytes, offset: int, layout: str, *values: float) -> bytes:
    patch = struct.pack(layout, *values)
    return plain[:offset] + patch + plain[offset + len(patch) :]


def _with_voxel(image: Map, value: float) -> Map:
    spoilt = image.astype(np.float32)
    spoilt.flat[np.flatnonzero(image)[0]] = value
    return spoilt


def _with_number_type(image: Map, affine_44: Matrix44, code_and_bits: tuple[int, int], voxels: bytes) -> bytes:
    header = _patched(_plain(image, affine_44, np.float32)[:_VOXELS], _DATATYPE, "<2h", *code_and_bits)
    return _packed(header + voxels)

import gzip
import io
import struct
import tracemalloc
from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdata.errors import ScanRejected
from mmdata.volume.nifti import MAX_VOLUME_BYTES, decode_volume, encode_volume

SHAPE = (9, 8, 10)
AFFINE_44 = np.array([[-1.5, 0.2, 0, 10], [0.1, 2, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1.0]])
DIM, DATATYPE, VOX_OFFSET, SLOPE, INTERCEPT, QFORM_CODE, SFORM_CODE, SROW_X = 40, 70, 108, 112, 116, 252, 254, 280
"""Byte offsets in a NIfTI-1 header, from nifti1.h."""


def voxels(dtype: str = "int16") -> NDArray[np.generic]:
    return np.random.default_rng(5).integers(0, 250, SHAPE).astype(dtype)


def plain(dtype: str = "int16", order: str = "<", slope: float | None = None, intercept: float = 0.0) -> bytes:
    """Return an uncompressed file that nibabel writes."""
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    header.set_data_shape(SHAPE)
    header.set_sform(AFFINE_44, 1)
    header["vox_offset"] = 352
    if slope is not None:
        header.set_slope_inter(slope, intercept)
    stored = voxels(dtype).astype(np.dtype(dtype).newbyteorder(order))
    return header.binaryblock + bytes(4) + stored.tobytes(order="F")


def patched(offset: int, form: str, *values: float) -> bytes:
    content = bytearray(plain())
    struct.pack_into("<" + form, content, offset, *values)
    return gzip.compress(bytes(content))


def reason_of(content: bytes) -> str:
    with pytest.raises(ScanRejected) as caught:
        decode_volume(content)
    return caught.value.reason


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["nii.gz", "nii"])
@pytest.mark.parametrize("scaling", [(None, 0.0), (2.5, 0.0), (1.0, -7.0), (0.5, 3.0)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64"])
def test_voxels_and_affine_are_what_nibabel_reads(
    dtype: str, order: str, scaling: tuple[float | None, float], pack: Callable[[bytes], bytes]
) -> None:
    content = plain(dtype, order, *scaling)
    image = nib.Nifti1Image.from_bytes(content)
    volume = decode_volume(pack(content))
    assert image.header.endianness == order
    np.testing.assert_allclose(volume.data_XYZ, image.get_fdata(), rtol=1e-6)
    np.testing.assert_array_equal(volume.affine_44, image.affine)
    assert volume.data_XYZ.dtype == np.dtype("float32" if scaling[0] is not None or dtype == "float64" else dtype)
    assert volume.data_XYZ.dtype.isnative


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64"])
def test_encoded_volume_decodes_to_itself_and_nibabel_agrees(dtype: str) -> None:
    compressed = encode_volume(voxels(dtype), AFFINE_44, dtype)
    volume = decode_volume(compressed)
    np.testing.assert_array_equal(volume.data_XYZ, voxels(dtype))
    np.testing.assert_allclose(volume.affine_44, AFFINE_44, atol=1e-6)
    image = nib.Nifti1Image.from_bytes(gzip.decompress(compressed))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), voxels(dtype))


def test_nifti2_is_read() -> None:
    image = nib.Nifti2Image(voxels(), AFFINE_44)
    volume = decode_volume(gzip.compress(image.to_bytes()))
    np.testing.assert_array_equal(volume.data_XYZ, voxels())
    np.testing.assert_array_equal(volume.affine_44, AFFINE_44)


def test_header_extensions_are_passed_over() -> None:
    image = nib.Nifti1Image(voxels(), AFFINE_44)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 1000))
    np.testing.assert_array_equal(decode_volume(gzip.compress(image.to_bytes())).data_XYZ, voxels())


def test_trailing_axes_of_length_one_are_dropped() -> None:
    image = nib.Nifti1Image(voxels()[..., None], AFFINE_44)
    assert decode_volume(gzip.compress(image.to_bytes())).data_XYZ.shape == SHAPE


def test_qform_serves_where_there_is_no_sform() -> None:
    rigid_44 = np.diag([-2.0, 1.0, 3.0, 1.0])
    image = nib.Nifti1Image(voxels(), None)
    image.set_qform(rigid_44, code=1)
    np.testing.assert_allclose(decode_volume(gzip.compress(image.to_bytes())).affine_44, rigid_44, atol=1e-6)


COMPRESSED = gzip.compress(plain("float32"), mtime=0)


@settings(max_examples=300)
@given(st.integers(0, len(COMPRESSED) - 1))
def test_truncation_at_any_byte_is_seen(cut: int) -> None:
    assert reason_of(COMPRESSED[:cut]) == ("truncated" if cut >= 2 else "not-gzip")


@settings(max_examples=300)
@given(st.integers(0, len(plain("float32")) - 1))
def test_truncation_at_any_byte_is_seen_in_an_uncompressed_file(cut: int) -> None:
    assert reason_of(plain("float32")[:cut]) == ("truncated" if cut >= 2 else "not-gzip")


def in_members(content: bytes, piece_bytes: int) -> list[bytes]:
    """Return a stream as block compressors write it: many gzip members, one behind the other."""
    return [gzip.compress(content[i : i + piece_bytes], mtime=0) for i in range(0, len(content), piece_bytes)]


@pytest.mark.parametrize("piece_bytes", [100, 352, 1000])
def test_gzip_members_behind_each_other_are_one_file(piece_bytes: int) -> None:
    members = in_members(plain("float32"), piece_bytes)
    assert len(members) > 3
    np.testing.assert_array_equal(decode_volume(b"".join(members)).data_XYZ, voxels("float32"))


@pytest.mark.parametrize("which", [0, 1, -1])
def test_wrong_checksum_of_any_gzip_member_is_corrupt(which: int) -> None:
    members = in_members(plain("float32"), 1000)
    damaged = bytearray(members[which])
    damaged[-5] ^= 1
    members[which] = bytes(damaged)
    assert reason_of(b"".join(members)) == "corrupt"


def test_missing_last_gzip_member_is_truncation() -> None:
    assert reason_of(b"".join(in_members(plain("float32"), 1000)[:-1])) == "truncated"


def test_zeros_behind_the_gzip_stream_are_padding() -> None:
    np.testing.assert_array_equal(decode_volume(COMPRESSED + bytes(1000)).data_XYZ, voxels("float32"))


def test_a_few_bytes_behind_the_gzip_stream_are_named_as_what_may_be_wrong() -> None:
    with pytest.raises(ScanRejected, match="or stray bytes follow it"):
        decode_volume(COMPRESSED + b"x" * 7)


@pytest.mark.parametrize("garbage", [b"x", bytes(7) + b"x", b"\x1f\x8b\x07"])
def test_anything_else_behind_the_gzip_stream_is_corrupt(garbage: bytes) -> None:
    assert reason_of(COMPRESSED + garbage * 100) == "corrupt"


@settings(max_examples=300)
@given(st.integers(10, len(COMPRESSED) - 1), st.integers(1, 255))
def test_flipped_bits_are_seen_unless_they_mean_the_same_bytes(position: int, mask: int) -> None:
    damaged = bytearray(COMPRESSED)
    damaged[position] ^= mask
    try:
        volume = decode_volume(bytes(damaged))
    except ScanRejected:
        return
    assert gzip.decompress(damaged) == gzip.decompress(COMPRESSED)  # e.g. a run copied from another run of zeros
    np.testing.assert_array_equal(volume.data_XYZ, voxels("float32"))


@pytest.mark.parametrize("from_end", [1, 5], ids=["length", "crc"])
def test_wrong_trailer_is_corrupt(from_end: int) -> None:
    damaged = bytearray(COMPRESSED)
    damaged[-from_end] ^= 1
    assert reason_of(bytes(damaged)) == "corrupt"


def test_flipped_voxel_in_a_stored_block_is_corrupt() -> None:
    damaged = bytearray(gzip.compress(plain(), compresslevel=0, mtime=0))
    damaged[len(damaged) // 2] ^= 1
    assert reason_of(bytes(damaged)) == "corrupt"


def rgb() -> bytes:
    image = nib.Nifti1Image(np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE_44)
    return gzip.compress(image.to_bytes())


def with_voxel(value: float, dtype: str = "float32") -> bytes:
    data = voxels(dtype)
    data[3, 4, 5] = value
    return gzip.compress(nib.Nifti1Image(data, AFFINE_44).to_bytes())


def half_of_a_pair(header_class: type[nib.AnalyzeHeader], num_following_bytes: int = 0) -> bytes:
    header = header_class()
    header.set_data_shape(SHAPE)
    return bytes(header.binaryblock) + bytes(num_following_bytes)


REJECTED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty file": ("not-gzip", lambda: b""),
    "text": ("not-gzip", lambda: b"eid,31-0.0\n" * 100),
    "zip archive": ("not-gzip", lambda: b"PK\x03\x04" + bytes(1000)),
    "header of a pair": ("not-nifti", lambda: half_of_a_pair(nib.nifti1.Nifti1PairHeader)),
    "gzipped header of a pair": ("not-nifti", lambda: gzip.compress(half_of_a_pair(nib.nifti1.Nifti1PairHeader))),
    "header of a NIfTI-2 pair": ("not-nifti", lambda: gzip.compress(half_of_a_pair(nib.nifti2.Nifti2PairHeader))),
    "header of a pair before voxels": ("not-nifti", lambda: half_of_a_pair(nib.nifti1.Nifti1PairHeader, 4000)),
    "Analyze header": ("not-nifti", lambda: half_of_a_pair(nib.AnalyzeHeader)),
    "image of a pair": ("not-gzip", lambda: voxels().tobytes()),
    "gzip of text": ("not-nifti", lambda: gzip.compress(b"eid,31-0.0\n" * 100)),
    "gzip of little": ("truncated", lambda: gzip.compress(b"little")),
    "NIfTI-2 header cut short": (
        "truncated",
        lambda: gzip.compress(nib.Nifti2Image(voxels(), AFFINE_44).to_bytes()[:400]),
    ),
    "4D": ("bad-dimensions", lambda: gzip.compress(nib.Nifti1Image(np.zeros((9, 9, 9, 2)), AFFINE_44).to_bytes())),
    "2D": ("bad-dimensions", lambda: gzip.compress(nib.Nifti1Image(np.zeros((9, 9)), AFFINE_44).to_bytes())),
    "no dimensions": ("bad-dimensions", lambda: patched(DIM, "h", 0)),
    "negative dimension": ("bad-dimensions", lambda: patched(DIM, "4h", 3, -9, 8, 10)),
    "thin": ("bad-dimensions", lambda: patched(DIM, "4h", 3, 1, 8, 90)),
    "long axis": ("bad-dimensions", lambda: patched(DIM, "4h", 3, 32767, 8, 10)),
    "gigabytes": ("bad-dimensions", lambda: patched(DIM, "4h", 3, 2048, 2048, 2048)),
    "RGB": ("bad-datatype", rgb),
    "complex": ("bad-datatype", lambda: gzip.compress(nib.Nifti1Image(voxels("c8"), AFFINE_44).to_bytes())),
    "unknown datatype": ("not-nifti", lambda: patched(DATATYPE, "h", 999)),
    "no s/qform": ("bad-affine", lambda: patched(QFORM_CODE, "2h", 0, 0)),
    "singular sform": ("bad-affine", lambda: patched(SROW_X, "4f", 0, 0, 0, 0)),
    "NaN sform": ("bad-affine", lambda: patched(SROW_X, "f", float("nan"))),
    "voxels before the header's end": ("not-nifti", lambda: patched(VOX_OFFSET, "f", 16)),
    "voxels far behind": ("not-nifti", lambda: patched(VOX_OFFSET, "f", 1e9)),
    "voxels nowhere": ("not-nifti", lambda: patched(VOX_OFFSET, "f", float("nan"))),
    "voxels at infinity": ("not-nifti", lambda: patched(VOX_OFFSET, "f", float("inf"))),
    "NaN voxel": ("non-finite", lambda: with_voxel(np.nan)),
    "infinite voxel": ("non-finite", lambda: with_voxel(np.inf)),
    "voxel beyond float32": ("non-finite", lambda: with_voxel(1e39, "float64")),
    "voxel far below zero": ("non-finite", lambda: with_voxel(-1e39, "float64")),
    "uncompressed NaN voxel": ("non-finite", lambda: gzip.decompress(with_voxel(np.nan))),
    "uncompressed gigabytes": ("bad-dimensions", lambda: gzip.decompress(patched(DIM, "4h", 3, 2048, 2048, 2048))),
    "fewer voxels than said": ("truncated", lambda: patched(DIM, "4h", 3, 9, 8, 11)),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_cannot_be_used_is_rejected_for_its_own_reason(name: str) -> None:
    reason, make = REJECTED[name]
    assert reason_of(make()) == reason


def in_unit(unit: str, units_per_mm: float) -> bytes:
    """Return a file whose lengths are in a unit of the header's."""
    affine_44 = np.diag([units_per_mm] * 3 + [1.0]) @ AFFINE_44
    image = nib.Nifti1Image(voxels(), affine_44)
    image.header.set_xyzt_units(unit, "sec")
    return gzip.compress(image.to_bytes())


@pytest.mark.parametrize(
    ("unit", "units_per_mm"), [("micron", 1000.0), ("meter", 0.001), ("mm", 1.0), ("unknown", 1.0)]
)
def test_lengths_are_in_the_unit_that_the_header_names(unit: str, units_per_mm: float) -> None:
    np.testing.assert_allclose(decode_volume(in_unit(unit, units_per_mm)).affine_44, AFFINE_44, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("unit", ["micron", "meter"])
def test_a_unit_in_which_no_voxel_of_a_head_can_be_is_not_believed(unit: str) -> None:
    np.testing.assert_allclose(decode_volume(in_unit(unit, 1.0)).affine_44, AFFINE_44, rtol=1e-5)


def test_a_unit_of_time_is_no_unit_of_length() -> None:
    image = nib.Nifti1Image(voxels(), AFFINE_44)
    image.header.set_xyzt_units("unknown", "usec")
    np.testing.assert_allclose(decode_volume(gzip.compress(image.to_bytes())).affine_44, AFFINE_44, rtol=1e-5)


def with_nan(inside: NDArray[np.bool_]) -> bytes:
    data = voxels("float32")
    data[inside] = np.nan
    return gzip.compress(nib.Nifti1Image(data, AFFINE_44).to_bytes())


def test_nan_from_the_border_inwards_is_background() -> None:
    background = np.ones(SHAPE, bool)
    background[3:6, 2:7, 3:8] = False
    background[4, 4, 5:] = True  # a bay that reaches deep into the image
    volume = decode_volume(with_nan(background))
    np.testing.assert_array_equal(volume.data_XYZ, np.where(background, 0, voxels("float32")))


def test_nan_that_numbers_surround_is_rejected_with_what_to_do() -> None:
    hole = np.zeros(SHAPE, bool)
    hole[0] = True
    hole[3:5, 4, 4] = True
    with pytest.raises(ScanRejected, match=r"2 voxels there are NaN; set them to 0") as caught:
        decode_volume(with_nan(hole))
    assert caught.value.reason == "non-finite"


def test_an_image_of_nan_alone_or_of_nan_and_infinity_is_rejected() -> None:
    assert reason_of(with_nan(np.ones(SHAPE, bool))) == "non-finite"
    data = voxels("float32")
    data[0], data[5, 5, 5] = np.nan, np.inf
    assert reason_of(gzip.compress(nib.Nifti1Image(data, AFFINE_44).to_bytes())) == "non-finite"


def test_infinities_of_both_signs_are_rejected() -> None:
    data = voxels("float32")
    data[0, 0, 0], data[0, 0, 1] = np.inf, -np.inf
    assert reason_of(gzip.compress(nib.Nifti1Image(data, AFFINE_44).to_bytes())) == "non-finite"


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, float("nan")), (2.0, float("inf")), (1e38, 0.0)])
def test_scaling_to_no_numbers_is_rejected(slope: float, intercept: float) -> None:
    with np.errstate(over="ignore"):
        assert reason_of(patched(SLOPE, "2f", slope, intercept)) == "non-finite"


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_slope_that_means_no_scaling_leaves_voxels_alone(slope: float) -> None:
    np.testing.assert_array_equal(decode_volume(patched(SLOPE, "2f", slope, 0.0)).data_XYZ, voxels())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 347), st.binary(min_size=1, max_size=8))
def test_any_header_is_read_or_rejected(position: int, noise: bytes) -> None:
    content = bytearray(plain())
    content[position : position + len(noise)] = noise
    with np.errstate(all="ignore"):
        try:
            volume = decode_volume(gzip.compress(bytes(content), compresslevel=1))
        except ScanRejected:
            return
    assert volume.data_XYZ.ndim == 3 and np.isfinite(volume.affine_44).all()


def peak_bytes(content: bytes) -> tuple[str, int]:
    tracemalloc.start()
    try:
        return reason_of(content), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_absurd_dimensions_allocate_nothing() -> None:
    assert 208 * 256 * 256 * 8 < MAX_VOLUME_BYTES < 2048**3
    reason, num_bytes = peak_bytes(patched(DIM, "4h", 3, 2048, 2048, 2048))
    assert reason == "bad-dimensions"
    assert num_bytes < 1 << 20


def test_gzip_bomb_behind_the_voxels_is_not_unpacked() -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as file:
        file.write(plain())
        for _ in range(64):
            file.write(bytes(1 << 20))
    reason, num_bytes = peak_bytes(bomb.getvalue())
    assert reason == "bad-dimensions"
    assert num_bytes < 8 << 20

"""The table of faults: what each spoils, and the reason by which mm should reject the scan.

A fault replaces one step in writing a scan: encoding its image, gathering its archive's members, or packing
the archive. A layout without archives shows only the faults of images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from numpy.typing import DTypeLike

from mmdata.synth.anatomy import Map
from mmdata.synth.archive import zip_bytes
from mmdata.synth.faults import archives, images, members
from mmdata.synth.faults.members import Members
from mmdata.synth.plan import GLASSER_FIELD, T1_FIELD, Visit
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import encode_volume

Part = Literal["image", "members", "archive"]
Encode = Callable[[Map, Matrix44, DTypeLike], bytes]
Gather = Callable[[Members], Members]
Pack = Callable[[Members], bytes]


def _as_they_are(members: Members) -> Members:
    return members


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One way of writing a bulk item."""

    part: Part
    """What is spoilt."""
    expected_reason: str
    """Of `mmdata.errors.ScanRejected`; ``duplicate`` for two scans that cannot both be right."""
    field: str = T1_FIELD
    """The bulk field that is spoilt."""
    encode: Encode = encode_volume
    gather: Gather = _as_they_are
    pack: Pack = zip_bytes


def _image(encode: Encode, expected_reason: str) -> Fault:
    return Fault(part="image", encode=encode, expected_reason=expected_reason)


def _members(gather: Gather, expected_reason: str, field: str = T1_FIELD) -> Fault:
    return Fault(part="members", gather=gather, expected_reason=expected_reason, field=field)


def _archive(pack: Pack, expected_reason: str) -> Fault:
    return Fault(part="archive", pack=pack, expected_reason=expected_reason)


NO_FAULT = Fault(part="image", expected_reason="")
FAULTS = {
    "truncated": _image(images.truncated, "truncated"),
    "wrong-crc": _image(images.wrong_crc, "corrupt"),
    "wrong-length": _image(images.wrong_length, "corrupt"),
    "not-gzip": _image(images.not_gzip, "not-gzip"),
    "all-zero": _image(images.all_zero, "empty"),
    "nan-voxels": _image(images.nan_voxels, "non-finite"),
    "infinite-voxels": _image(images.infinite_voxels, "non-finite"),
    "four-dimensional": _image(images.four_dimensional, "bad-dimensions"),
    "rgb": _image(images.rgb, "bad-datatype"),
    "complex": _image(images.complex_voxels, "bad-datatype"),
    "singular-sform": _image(images.singular_sform, "bad-affine"),
    "nan-sform": _image(images.nan_sform, "bad-affine"),
    "no-form": _image(images.no_form, "bad-affine"),
    "absurd-dimensions": _image(images.absurd_dimensions, "bad-dimensions"),
    "gzip-bomb": _image(images.gzip_bomb, "bad-dimensions"),
    "not-skull-stripped": _image(images.not_skull_stripped, "not-skull-stripped"),
    "duplicate": _image(encode_volume, "duplicate"),
    "unusable": _members(members.unusable, "unusable"),
    "missing-image": _members(members.missing_image, "missing-image"),
    "singular-matrix": _members(members.singular_matrix, "bad-transform"),
    "text-matrix": _members(members.text_matrix, "bad-transform"),
    "few-regions": _members(members.few_regions, "bad-dimensions", GLASSER_FIELD),
    "text-in-series": _members(members.text_in_series, "bad-table", GLASSER_FIELD),
    "nan-series": _members(members.nan_series, "empty", GLASSER_FIELD),
    "outside-paths": _archive(archives.outside_paths, "unsafe-archive"),
    "zip-bomb": _archive(archives.zip_bomb, "bad-dimensions"),
    "truncated-zip": _archive(archives.truncated_zip, "bad-archive"),
    "not-zip": _archive(archives.not_zip, "bad-archive"),
    "empty-file": _archive(archives.empty_file, "bad-archive"),
}
"""By name. The order is part of a release's bytes: add new ones at the end."""


def fault_in(visit: Visit, field: str) -> Fault:
    """Return the fault of one bulk item of a visit, or `NO_FAULT`."""
    fault = NO_FAULT if visit.fault is None else FAULTS[visit.fault]
    return fault if fault.field == field else NO_FAULT

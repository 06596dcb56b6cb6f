"""Forms of files that are known by their first bytes, and that hold what is of single people or runs code.

Sources: the NIfTI-1 and NIfTI-2 headers (nifti.nimh.nih.gov), DICOM PS3.10 7.1, FreeSurfer's MGH and surface formats,
teem's NRRD, MetaIO, the magic numbers of the `file` program.
"""

import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

from mmstudy.release.kinds import Kind, Mark

_MAX_VOXELS = 1 << 14
"""Along one edge."""


class _Magic(NamedTuple):
    """First bytes of a form."""

    start: int
    magic: bytes
    kind: Kind
    what: str


_FORMS = (
    _Magic(128, b"DICM", Kind.IMAGE, "a DICOM file: an image with whom it is of"),
    _Magic(0, b"NRRD00", Kind.IMAGE, "an image (NRRD)"),
    _Magic(0, b"ObjectType = Image", Kind.IMAGE, "an image (MetaImage)"),
    _Magic(0, b"\xff\xff\xfe", Kind.IMAGE, "a surface of a brain (FreeSurfer)"),
    _Magic(0, b"CDF\x01\x00\x00\x00", Kind.IMAGE, "an image (MINC or NetCDF)"),
    _Magic(0, b"\x89HDF\r\n\x1a\n", Kind.ARRAY, "arrays (HDF5)"),
    _Magic(0, b"MATLAB 5.0 MAT-file", Kind.ARRAY, "arrays (MATLAB)"),
    _Magic(0, b"SQLite format 3\0", Kind.DATABASE, "a database (SQLite)"),
    _Magic(8, b"DUCK", Kind.DATABASE, "a database (DuckDB), such as the catalogue of a study"),
    _Magic(0, b"\x6c\x1b\x01", Kind.GENOTYPES, "genotypes (PLINK)"),
    _Magic(0, b"\x6c\x1b\x10", Kind.GENOTYPES, "genotypes (PLINK 2)"),
    _Magic(16, b"bgen", Kind.GENOTYPES, "genotypes (BGEN)"),
    _Magic(0, b"##fileformat=VCF", Kind.GENOTYPES, "genotypes (VCF)"),
    _Magic(0, b"RDX2\n", Kind.ROWS, "data of R"),
    _Magic(0, b"RDX3\n", Kind.ROWS, "data of R"),
    _Magic(0, b"X\n\x00\x00\x00\x02", Kind.ROWS, "data of R"),
    _Magic(0, b"X\n\x00\x00\x00\x03", Kind.ROWS, "data of R"),
    _Magic(0, b"<stata_dta>", Kind.ROWS, "a table of Stata"),
    _Magic(0, b"$FL2@(#)", Kind.ROWS, "a table of SPSS"),
    _Magic(0, b"$FL3@(#)", Kind.ROWS, "a table of SPSS"),
    _Magic(
        12,
        b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00\x09\xc7\x31\x8c\x18\x1f\x10\x11",
        Kind.ROWS,
        "a table of SAS",
    ),
    _Magic(0, b"ORC", Kind.UNREAD, "a table (ORC) that cannot be looked into"),
    _Magic(0, b"FEA1", Kind.UNREAD, "a table (Feather 1) that cannot be looked into"),
    _Magic(0, b"7z\xbc\xaf\x27\x1c", Kind.UNREAD, "an archive (7z) that cannot be looked into"),
    _Magic(0, b"Rar!\x1a\x07", Kind.UNREAD, "an archive (RAR) that cannot be looked into"),
    _Magic(0, b"version https://git-lfs.github.com/spec", Kind.UNREAD, "a file kept by Git LFS, which is not here"),
)
_SUFFIXES = {
    ".dta": _Magic(0, b"", Kind.ROWS, "a table of Stata"),
    ".sas7bdat": _Magic(0, b"", Kind.ROWS, "a table of SAS"),
    ".xls": _Magic(0, b"\xd0\xcf\x11\xe0", Kind.UNREAD, "a table (Excel before 2007) that cannot be looked into"),
    ".zst": _Magic(0, b"\x28\xb5\x2f\xfd", Kind.UNREAD, "a compressed file (zstd) that cannot be looked into"),
    ".7z": _Magic(0, b"", Kind.UNREAD, "an archive (7z) that cannot be looked into"),
}
_GIFTI = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!DOCTYPE[^>]*>\s*)?<GIFTI\b")
_IMAGE_NAMES = (".mgz", ".mgh")


def known_form(head: bytes, suffixes: Sequence[str]) -> Mark | None:
    """Return what a file is that must not be published whatever it says; None for any other.

    Parameters
    ----------
    head
        The first bytes.
    suffixes
        The endings of its name, in small letters.
    """
    for form in _FORMS:
        if head.startswith(form.magic, form.start):
            return Mark(form.kind, form.what)
    last = suffixes[-1] if suffixes else ""
    if (named := _SUFFIXES.get(last)) and head.startswith(named.magic):
        return Mark(named.kind, named.what)
    if _is_nifti(head):
        return Mark(Kind.IMAGE, "an image (NIfTI)")
    if _is_mgh(head, last):
        return Mark(Kind.IMAGE, "an image (FreeSurfer)")
    if _GIFTI.match(head):
        return Mark(Kind.IMAGE, "a surface of a brain (GIfTI)")
    return None


def _is_nifti(head: bytes) -> bool:
    """Return whether a file begins with a header of NIfTI-1, NIfTI-2 or Analyze 7.5."""
    if len(head) < 348:
        return False
    sizes = struct.unpack("<i", head[:4]) + struct.unpack(">i", head[:4])
    return 348 in sizes or (540 in sizes and head[4:8] in (b"n+2\0", b"ni2\0"))


def _is_mgh(head: bytes, suffix: str) -> bool:
    """Return whether a file begins with a header of FreeSurfer's MGH."""
    if len(head) < 284 or head[:4] != b"\0\0\0\1":
        return False
    *sides, num_frames, number_type = struct.unpack(">5i", head[4:24])
    is_plausible = all(0 < side <= _MAX_VOXELS for side in (*sides, num_frames)) and number_type in (0, 1, 3, 4)
    return is_plausible or suffix in _IMAGE_NAMES

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest

from mmdata.synth.faults.kinds import FAULTS
from mmdata.synth.faults.participants import FAULTY_INDEX, add_faults, limit_plan, write_faults
from mmdata.synth.layout import LAYOUTS
from mmdata.synth.plan import GLASSER_FIELD, T1_FIELD, plan_release

Write = Callable[..., Path]
IMAGE = "T1/T1_unbiased_brain.nii.gz"
MATRIX = "T1/transforms/T1_to_MNI_linear.mat"
SERIES = "fMRI.Glasser.csv.gz"
GIB = 1 << 30


@pytest.fixture(scope="module")
def faulty(written: Write) -> Path:
    return written(faults="every")


@pytest.fixture(scope="module")
def faults(faulty: Path) -> pl.DataFrame:
    return pl.read_parquet(faulty / "faults.parquet")


@pytest.fixture(scope="module")
def archive_of(faulty: Path, faults: pl.DataFrame) -> Callable[[str], Path]:
    """Return the archive of the last participant, an additional one, who has a fault."""

    def find(fault: str) -> Path:
        eid, field, *_ = faults.filter(fault=fault).row(-1)
        return faulty / "bulk" / f"{eid}_{field}_2_0.zip"

    return find


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def header(path: Path) -> nib.Nifti1Header:
    return nib.Nifti1Header.from_fileobj(io.BytesIO(zlib.decompressobj(31).decompress(members(path)[IMAGE], 348)))


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(members(path)[IMAGE])).dataobj)


def series(path: Path) -> list[list[str]]:
    return [line.split(",")[1:] for line in gzip.decompress(members(path)[SERIES]).decode().splitlines()[1:]]


def raises(error: type[Exception], text: str, call: Callable[[], object]) -> bool:
    with pytest.raises(error, match=text):
        call()
    return True


def unpacked_bytes(content: bytes) -> int:
    decoder, total = zlib.decompressobj(31), 0
    while not decoder.eof:
        total += len(decoder.decompress(content, 1 << 24))
        content = decoder.unconsumed_tail
    return total


def is_gzip_bomb(path: Path) -> bool:
    content = members(path)[IMAGE]
    return path.stat().st_size < 2e6 and unpacked_bytes(content) > GIB  # the decoder checks CRC and length


def is_zip_bomb(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        total = 0
        with archive.open(IMAGE) as member:
            while piece := member.read(1 << 24):  # to the end, where the CRC is checked
                total += len(piece)
        return path.stat().st_size < 2e6 and total == archive.getinfo(IMAGE).file_size > GIB


def is_cut_zip(path: Path) -> bool:
    is_begun = path.read_bytes().startswith(b"PK\x03\x04")
    return is_begun and raises(zipfile.BadZipFile, "not a zip", lambda: zipfile.ZipFile(path))


def has_wrong_crc_alone(path: Path) -> bool:
    content = members(path)[IMAGE]
    (length,) = struct.unpack("<I", content[-4:])
    plain = zlib.decompressobj(-15).decompress(content[10:])
    return raises(gzip.BadGzipFile, "CRC check", lambda: gzip.decompress(content)) and length == len(plain)


def has_wrong_length_alone(path: Path) -> bool:
    content = members(path)[IMAGE]
    crc, length = struct.unpack("<II", content[-8:])
    plain = zlib.decompressobj(-15).decompress(content[10:])
    return crc == zlib.crc32(plain) and length != len(plain)


def is_singular(matrix: np.ndarray) -> bool:
    return matrix.shape == (4, 4) and abs(np.linalg.det(matrix)) < 1e-12


CHECKS: dict[str, Callable[[Path], bool]] = {
    "truncated": lambda path: raises(EOFError, "ended", lambda: gzip.decompress(members(path)[IMAGE])),
    "wrong-crc": has_wrong_crc_alone,
    "wrong-length": has_wrong_length_alone,
    "not-gzip": lambda path: raises(gzip.BadGzipFile, "Not a gzipped", lambda: gzip.decompress(members(path)[IMAGE])),
    "all-zero": lambda path: not voxels(path).any(),
    "nan-voxels": lambda path: np.isnan(voxels(path)).any() and not np.isinf(voxels(path)).any(),
    "infinite-voxels": lambda path: np.isinf(voxels(path)).any() and not np.isnan(voxels(path)).any(),
    "four-dimensional": lambda path: voxels(path).ndim == 4 and voxels(path)[..., 1].any(),
    "rgb": lambda path: voxels(path).dtype.names == ("R", "G", "B") and voxels(path)["G"].max() == 255,
    "complex": lambda path: voxels(path).dtype == np.complex64 and voxels(path).any(),
    "singular-sform": lambda path: is_singular(header(path).get_best_affine()),
    "nan-sform": lambda path: np.isnan(header(path).get_best_affine()).any(),
    "no-form": lambda path: header(path)["sform_code"] == header(path)["qform_code"] == 0,
    "absurd-dimensions": lambda path: header(path).get_data_shape() == (32767,) * 3 and path.stat().st_size < 20_000,
    "gzip-bomb": is_gzip_bomb,
    "not-skull-stripped": lambda path: (voxels(path) > 0).mean() > 0.99,
    "unusable": lambda path: all("/unusable/" in name for name in members(path)),
    "missing-image": lambda path: IMAGE not in members(path) and MATRIX in members(path),
    "singular-matrix": lambda path: is_singular(np.loadtxt(io.BytesIO(members(path)[MATRIX]))),
    "text-matrix": lambda path: raises(ValueError, "could not", lambda: np.loadtxt(io.BytesIO(members(path)[MATRIX]))),
    "few-regions": lambda path: 0 < len(series(path)) < 360,
    "text-in-series": lambda path: sum(cell == "high" for row in series(path) for cell in row) == 1,
    "nan-series": lambda path: np.isnan(np.array(series(path), dtype=float)).all(),
    "outside-paths": lambda path: any(name.startswith("../../") for name in members(path)) and IMAGE in members(path),
    "zip-bomb": is_zip_bomb,
    "truncated-zip": is_cut_zip,
    "not-zip": lambda path: path.read_bytes()[:2] != b"PK" and path.stat().st_size > 0,
    "empty-file": lambda path: path.stat().st_size == 0,
}


@pytest.mark.parametrize("fault", CHECKS)
def test_each_fault_is_what_its_name_says(archive_of: Callable[[str], Path], fault: str) -> None:
    assert CHECKS[fault](archive_of(fault))


def test_a_duplicate_is_the_same_archive_under_two_names(faulty: Path, faults: pl.DataFrame) -> None:
    eids = faults.filter(fault="duplicate")["eid"].to_list()
    first, second = (faulty / "bulk" / f"{eid}_20252_2_0.zip" for eid in eids)
    assert first.name != second.name and first.read_bytes() == second.read_bytes()


def test_every_fault_is_checked_and_listed_once(faults: pl.DataFrame) -> None:
    assert set(CHECKS) | {"duplicate"} == FAULTS.keys()
    counts = dict(faults.group_by("fault").len().rows())
    assert counts == dict.fromkeys(FAULTS, 1) | {"duplicate": 2, "truncated": 2}  # an ordinary T1 is truncated
    assert faults.columns == ["eid", "field", "fault", "expected_reason"]
    assert set(faults["field"]) == {T1_FIELD, GLASSER_FIELD} and faults["expected_reason"].str.len_bytes().min() > 0


def test_additional_participants_leave_ordinary_ones_as_they_are(faulty: Path, written: Write) -> None:
    ordinary = written(layout="zips")
    for path in (ordinary / "bulk").iterdir():
        assert (faulty / "bulk" / path.name).read_bytes() == path.read_bytes()
    lines = set((faulty / "ukb_synthetic.csv").read_text().splitlines())
    assert set((ordinary / "ukb_synthetic.csv").read_text().splitlines()) < lines
    assert (faulty / "w12345_20260101.csv").read_bytes() == (ordinary / "w12345_20260101.csv").read_bytes()
    assert not (ordinary / "faults.parquet").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_show_only_faults_that_they_have_a_place_for(layout: str) -> None:
    shown = LAYOUTS[layout].shown
    plan = add_faults(limit_plan(plan_release(7, 40), shown), shown)
    faults = {visit.fault for visit in plan.visits} - {None}
    has_archives, has_members = layout in ("zips", "rap"), layout in ("zips", "rap", "trees")
    assert {"truncated", "gzip-bomb", "duplicate", "no-form"} <= faults
    assert ({"zip-bomb", "not-zip", "outside-paths"} <= faults) == has_archives
    assert ({"unusable", "missing-image", "text-matrix"} <= faults) == has_members
    ordinary = [visit for visit in plan.visits if visit.index < 40]
    assert (sum(T1_FIELD in visit.fields for visit in ordinary if visit.instance == 2) == 38) == has_members
    assert {visit.index for visit in plan.visits} - set(range(40)) <= set(range(FAULTY_INDEX - 1, FAULTY_INDEX + 100))


def test_a_flair_that_cannot_be_normalised_is_listed(tmp_path: Path) -> None:
    plan = plan_release(7, 400)
    stranded = [v for v in plan.visits if {"20252", "20253"} & set(v.fields) == {"20253"} and not v.flair_has_matrix]
    write_faults(tmp_path / "faults.parquet", 7, plan)
    listed = pl.read_parquet(tmp_path / "faults.parquet").filter(fault="no-matrix")
    assert len(listed) == len(stranded) > 0
    assert set(listed["expected_reason"]) == {"missing-transform"}

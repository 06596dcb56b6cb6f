import gzip
import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbase.records import ScanCandidate, Visit
from mmdata.errors import ScanRejected
from mmdata.readers.native import NativeScan
from mmdata.readers.ukb import read_connectome, read_native, read_warped
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.nifti import encode_volume
from mmdata.volume.settings import VolumeSettings

EID = 7654321
VOLUMES = VolumeSettings()
AFFINE_44 = np.diag([1.0, 1.0, 1.0, 1.0])
T1_IMAGE, T1_MATRIX = "T1/T1_unbiased_brain.nii.gz", "T1/transforms/T1_to_MNI_linear.mat"
FLAIR_IMAGE = "T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz"
FLAIR_MATRIX = "T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat"
DWI_MATRIX = "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat"


def image(value: int) -> bytes:
    return encode_volume(np.full((9, 10, 11), value), AFFINE_44, np.int16)


def matrix(shift: float) -> bytes:
    return f"1 0 0 {shift}  \n0 1 0 0  \n0 0 1 0  \n0 0 0 1  \n".encode()


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def scan(path: Path, modality: str = "t1", transform_path: Path | None = None) -> ScanCandidate:
    return ScanCandidate(visit=Visit(EID, 2), modality=modality, path=path, transform_path=transform_path)


def matrix_of(native: NativeScan) -> np.ndarray:
    assert native.mni_from_native_44 is not None
    return native.mni_from_native_44


def rejection(candidate: ScanCandidate) -> ScanRejected:
    with pytest.raises(ScanRejected) as caught:
        read_native(candidate, VOLUMES)
    assert str(EID) not in str(caught.value)
    return caught.value


@pytest.fixture
def t1(tmp_path: Path) -> Path:
    return zipped(tmp_path / f"{EID}_20252_2_0.zip", {T1_IMAGE: image(5), T1_MATRIX: matrix(4)})


def test_image_and_matrix_are_read(t1: Path) -> None:
    native = read_native(scan(t1), VOLUMES)
    assert native.volume.data_XYZ.shape == (9, 10, 11) and (native.volume.data_XYZ == 5).all()
    # native world (0, 0, 0): FSL x is 8 (nine columns turned around), 12 after the matrix, world 90 - 12
    np.testing.assert_allclose(matrix_of(native)[:3, 3], [78.0, -126.0, -72.0])


@pytest.mark.parametrize("prefix", ["", "7654321_20252_2_0/", "a/b/"])
def test_only_the_bias_corrected_image_is_read_wherever_it_lies(tmp_path: Path, prefix: str) -> None:
    members = {"T1/T1_brain.nii.gz": image(1), T1_IMAGE: image(2), T1_MATRIX: matrix(0)}
    path = zipped(tmp_path / "a.zip", {prefix + name: content for name, content in members.items()})
    assert (read_native(scan(path), VOLUMES).volume.data_XYZ == 2).all()
    path = zipped(tmp_path / "b.zip", {prefix + name: c for name, c in members.items() if name != T1_IMAGE})
    with pytest.raises(ScanRejected, match="missing-image"):
        read_native(scan(path), VOLUMES)


@pytest.mark.parametrize(("dwi_map", "member"), [("FA", "dti_FA"), ("MD", "dti_MD"), ("ICVF", "NODDI_ICVF")])
def test_diffusion_map_is_the_one_asked_for(tmp_path: Path, dwi_map: str, member: str) -> None:
    names = ("dti_FA", "dti_MD", "NODDI_ICVF")
    members = {f"dMRI/dMRI/{name}.nii.gz": image(value) for value, name in enumerate(names, start=1)}
    path = zipped(tmp_path / "a.zip", {**members, DWI_MATRIX: matrix(0)})
    assert (
        read_native(scan(path, "dwi"), VolumeSettings(dwi_map=dwi_map)).volume.data_XYZ == names.index(member) + 1
    ).all()


def test_flair_without_a_matrix_takes_that_of_its_t1(tmp_path: Path, t1: Path) -> None:
    flair = zipped(tmp_path / "flair.zip", {FLAIR_IMAGE: image(3)})
    native = read_native(scan(flair, "flair", t1), VOLUMES)
    assert (native.volume.data_XYZ == 3).all()
    np.testing.assert_array_equal(matrix_of(native), matrix_of(read_native(scan(t1), VOLUMES)))
    assert read_native(scan(flair, "flair"), VOLUMES).mni_from_native_44 is None
    bare_t1 = zipped(tmp_path / "bare.zip", {T1_IMAGE: image(1)})
    assert read_native(scan(flair, "flair", bare_t1), VOLUMES).mni_from_native_44 is None


def test_a_matrix_to_the_t1_is_taken_through_that_of_the_t1(
    tmp_path: Path, t1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swi = replace(VOLUME_FILES["flair"].ukb, matrix="", matrix_to_base="SWI/SWI_to_T1.mat")
    monkeypatch.setitem(VOLUME_FILES, "flair", replace(VOLUME_FILES["flair"], ukb=swi))
    path = zipped(tmp_path / "swi.zip", {FLAIR_IMAGE: image(3), "SWI/SWI_to_T1.mat": matrix(30)})
    assert matrix_of(read_native(scan(path, "flair", t1), VOLUMES))[0, 3] == pytest.approx(90 - 8 - 30 - 4)
    without = zipped(tmp_path / "without.zip", {FLAIR_IMAGE: image(3)})
    assert read_native(scan(without, "flair", t1), VOLUMES).mni_from_native_44 is None


def test_flair_prefers_its_own_matrix(tmp_path: Path, t1: Path) -> None:
    flair = zipped(tmp_path / "flair.zip", {FLAIR_IMAGE: image(3), FLAIR_MATRIX: matrix(30)})
    assert matrix_of(read_native(scan(flair, "flair", t1), VOLUMES))[0, 3] == pytest.approx(90 - 8 - 30)


@pytest.mark.parametrize("mark", ["unusable", "incompatible"])
def test_what_the_archive_marks_is_not_data(tmp_path: Path, mark: str) -> None:
    path = zipped(tmp_path / "a.zip", {f"T1/{mark}/T1_unbiased_brain.nii.gz": image(1), T1_MATRIX: matrix(0)})
    assert rejection(scan(path)).reason == "unusable"
    path = zipped(tmp_path / "b.zip", {f"{mark}/{T1_IMAGE}": image(1), T1_IMAGE: image(2), T1_MATRIX: matrix(0)})
    assert (read_native(scan(path), VOLUMES).volume.data_XYZ == 2).all()


@pytest.mark.parametrize(
    ("reason", "members"),
    [
        ("missing-image", {"T1/T1.nii.gz": image(1), T1_MATRIX: matrix(0)}),
        ("missing-image", {}),
        ("bad-transform", {T1_IMAGE: image(1), T1_MATRIX: b"1 0 0 0\n0 1 0 0\n0 0 1 0\n"}),
        ("bad-transform", {T1_IMAGE: image(1), T1_MATRIX: b""}),
        ("bad-transform", {T1_IMAGE: image(1), T1_MATRIX: b"\xff\xfe"}),
        ("bad-transform", {T1_IMAGE: image(1), T1_MATRIX: matrix(float("nan"))}),
        ("bad-transform", {T1_IMAGE: image(1), T1_MATRIX: matrix(0).replace(b"1", b"0")}),
        ("bad-transform", {T1_IMAGE: image(1), T1_MATRIX: matrix(0).replace(b"1", b"one")}),
        ("bad-transform", {T1_IMAGE: image(1), T1_MATRIX: b"1 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"}),
        ("truncated", {T1_IMAGE: image(1)[:60], T1_MATRIX: matrix(0)}),
        ("not-gzip", {T1_IMAGE: b"", T1_MATRIX: matrix(0)}),
    ],
)
def test_what_is_missing_or_wrong_is_the_reason(tmp_path: Path, reason: str, members: dict[str, bytes]) -> None:
    assert rejection(scan(zipped(tmp_path / f"{EID}_20252_2_0.zip", members))).reason == reason


def test_absent_archive_is_unreadable(tmp_path: Path) -> None:
    assert rejection(scan(tmp_path / f"{EID}_20252_2_0.zip")).reason == "unreadable"


def test_member_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path, t1: Path) -> None:
    content = bytearray(t1.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        position = content.index(signature)
        content[position + offset : position + offset + 4] = (3 << 30).to_bytes(4, "little")
    t1.write_bytes(content)
    assert rejection(scan(t1)).reason == "bad-dimensions"


BUFFER = io.BytesIO()
with zipfile.ZipFile(BUFFER, "w", zipfile.ZIP_DEFLATED) as _archive:
    _archive.writestr(zipfile.ZipInfo(T1_IMAGE), image(5), zipfile.ZIP_STORED)
    _archive.writestr(zipfile.ZipInfo(T1_MATRIX), matrix(4), zipfile.ZIP_DEFLATED)
INTACT = BUFFER.getvalue()


@settings(max_examples=400, deadline=None)
@given(position=st.integers(0, len(INTACT) - 1), noise=st.binary(min_size=1, max_size=4))
def test_damaged_archive_is_rejected_or_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, position: int, noise: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(INTACT[:position] + noise + INTACT[position + len(noise) :])
    try:
        native = read_native(scan(path), VOLUMES)
    except ScanRejected:
        return
    assert (native.volume.data_XYZ == 5).all()
    if native.mni_from_native_44 is not None:  # the matrix's name may be what was damaged: then there is none
        np.testing.assert_allclose(matrix_of(native)[:3, 3], [78.0, -126.0, -72.0])


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, len(INTACT) - 1))
def test_archive_cut_short_is_rejected(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.zip"
    path.write_bytes(INTACT[:cut])
    assert rejection(scan(path)).reason == "bad-archive"


def test_time_series_are_those_of_the_connectome_asked_for(tmp_path: Path) -> None:
    glasser, schaefer = CONNECTOMES["glasser360"], CONNECTOMES["schaefer17n100"]
    members = {"1_31018_2_0/fMRI.Schaefer7n100p.csv.gz": b"7", "1_31018_2_0/fMRI.Schaefer17n100p.csv.gz": b"17"}
    path = zipped(tmp_path / "a.zip", members)
    assert read_connectome(path, schaefer) == b"17"
    with pytest.raises(ScanRejected, match="missing-image"):
        read_connectome(path, glasser)


def test_edges_are_a_text_file_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "edges.txt"
    path.write_bytes(b"1 2 3\n")
    assert read_connectome(path, CONNECTOMES["partial25"]) == b"1 2 3\n"
    path.write_bytes(b" " * (2 << 20))
    with pytest.raises(ScanRejected, match="bad-dimensions"):
        read_connectome(path, CONNECTOMES["partial25"])


def test_an_unpacked_archive_reads_the_same(tmp_path: Path, t1: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(t1) as archive:
        archive.extractall(folder)
    np.testing.assert_array_equal(
        matrix_of(read_native(scan(folder), VOLUMES)), matrix_of(read_native(scan(t1), VOLUMES))
    )
    (folder / T1_IMAGE).rename(folder / "T1" / "unusable_T1_unbiased_brain.nii.gz")
    assert rejection(scan(folder)).reason == "unusable"


def test_the_whole_head_comes_with_its_mask_where_there_is_no_brain_image(tmp_path: Path) -> None:
    brain = np.zeros((9, 10, 11))
    brain[3:6, 3:6, 3:6] = 1
    members = {
        "T1/T1_unbiased.nii.gz": image(7),
        "T1/T1_brain_mask.nii.gz": encode_volume(brain, AFFINE_44, np.uint8),
        T1_MATRIX: matrix(0),
    }
    native = read_native(scan(zipped(tmp_path / "a.zip", members)), VOLUMES)
    assert (native.volume.data_XYZ == 7).all() and native.brain_XYZ is not None
    np.testing.assert_array_equal(native.brain_XYZ, brain > 0)
    plain = {name.removesuffix(".gz"): gzip.decompress(members[name]) for name in members if name != T1_MATRIX}
    native = read_native(scan(zipped(tmp_path / "plain.zip", {**plain, T1_MATRIX: matrix(0)})), VOLUMES)
    assert native.brain_XYZ is not None
    members["T1/T1_brain_mask.nii.gz"] = encode_volume(brain[1:], AFFINE_44, np.uint8)
    assert rejection(scan(zipped(tmp_path / "b.zip", members))).reason == "bad-mask"


@pytest.mark.parametrize(
    ("modality", "dwi_map", "member"),
    [
        ("t1", "FA", "T1/T1_brain_to_MNI.nii.gz"),
        ("flair", "FA", "T2_FLAIR/T2_FLAIR_brain_to_MNI.nii.gz"),
        ("dwi", "FA", "dMRI/TBSS/FA/dti_FA_to_MNI.nii.gz"),
        ("dwi", "OD", "dMRI/TBSS/stats/all_OD.nii.gz"),
    ],
)
def test_warped_images_lie_in_template_space(tmp_path: Path, modality: str, dwi_map: str, member: str) -> None:
    native = read_warped(
        scan(zipped(tmp_path / "a.zip", {member: image(4)}), modality), VolumeSettings(dwi_map=dwi_map)
    )
    assert (native.volume.data_XYZ == 4).all()
    np.testing.assert_array_equal(matrix_of(native), np.eye(4))


def test_an_archive_packed_on_windows_or_a_mac_is_read(tmp_path: Path) -> None:
    windows = {name.replace("/", "\\"): content for name, content in ((T1_IMAGE, image(2)), (T1_MATRIX, matrix(4)))}
    mac = {f"__MACOSX/{T1_IMAGE}": b"\0\5\x16\7", T1_IMAGE: image(2), T1_MATRIX: matrix(4)}
    for name, members in {"windows.zip": windows, "mac.zip": mac}.items():
        native = read_native(scan(zipped(tmp_path / name, members)), VOLUMES)
        assert (native.volume.data_XYZ == 2).all()
        assert matrix_of(native)[0, 3] == pytest.approx(90 - 8 - 4)


@pytest.mark.parametrize("space", ["MNI152-linear", "MNI152-nonlinear"])
def test_images_that_were_decompressed_are_read(tmp_path: Path, space: str) -> None:
    read = read_native if space == "MNI152-linear" else read_warped
    name = T1_IMAGE if space == "MNI152-linear" else "T1/T1_brain_to_MNI.nii.gz"
    (tmp_path / "T1").mkdir()
    (tmp_path / name.removesuffix(".gz")).write_bytes(gzip.decompress(image(2)))
    assert (read(scan(tmp_path), VOLUMES).volume.data_XYZ == 2).all()
    (tmp_path / name).write_bytes(image(3))
    assert (read(scan(tmp_path), VOLUMES).volume.data_XYZ == 3).all(), "the archive's own form comes first"


@pytest.mark.parametrize(
    "name",
    ["../../T1/T1_unbiased_brain.nii.gz", "/T1/T1_unbiased_brain.nii.gz", "..\\..\\T1\\T1_unbiased_brain.nii.gz"],
)
def test_an_archive_whose_paths_lead_out_is_refused_whole(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", {T1_IMAGE: image(1), T1_MATRIX: matrix(0), name: image(2)})
    assert rejection(scan(path)).reason == "unsafe-archive"


def test_an_endless_table_of_contents_is_not_read(t1: Path) -> None:
    content = bytearray(t1.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 16] = (1 << 30).to_bytes(4, "little")
    t1.write_bytes(content)
    assert "table of contents" in rejection(scan(t1)).detail

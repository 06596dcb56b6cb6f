"""Of several copies of a scan the first that can be used is stored, and what became of the others is told."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from mmbase.records import EnrolledSample, ScanCandidate, Visit, rank_copies
from mmdata import shard
from mmdata.ingest import execute_ingest, plan_ingest, read_outcomes
from mmdata.ledger.receipt_kinds import ScanReceipt
from mmdata.ledger.receipts import read_scan_receipts
from mmdata.readers.scan import LoadedScan, LoadSettings, load_scan
from mmdata.sources.ukb import find_release
from mmdata.store.array import open_array
from mmdata.study import Study, StudyConfig, create_study
from mmdata.volume.nifti import encode_volume
from mmdata.volume.settings import VolumeSettings

VISIT = Visit(1000223, 2)
SAMPLE = EnrolledSample(sample_id="0" * 16, row=0, split="train")
SPACING_MM = 4.0
SHAPE = (48, 56, 48)
AFFINE_44 = np.diag([SPACING_MM] * 3 + [1.0])
AFFINE_44[:3, 3] = np.array([0.0, -16.5, 6.5]) - SPACING_MM * (np.array(SHAPE) - 1) / 2
ITK_IDENTITY = (
    "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
)


def brain(seed: int) -> NDArray[np.float64]:
    offset_mm = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING_MM + AFFINE_44[:3, 3] - [0.0, -16.5, 6.5]
    inside = ((offset_mm / [68.0, 85.0, 71.0]) ** 2).sum(axis=-1) < 1
    return inside * np.random.default_rng(seed).integers(300, 900, SHAPE)


def image(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_volume(brain(seed), AFFINE_44, np.int16))
    return path


def series(path: Path) -> Path:
    path.write_bytes(gzip.compress(nib.Nifti1Image(np.zeros((9, 9, 9, 3), np.int16), AFFINE_44).to_bytes()))
    return path


def truncated(path: Path) -> Path:
    image(path).write_bytes(path.read_bytes()[:5000])
    return path


def dangling(path: Path) -> Path:
    path.symlink_to("../../.git/annex/objects/none.nii.gz")
    return path


def runs(*paths: Path) -> ScanCandidate:
    copies = (
        ScanCandidate(visit=VISIT, modality="t1", path=path, form="image", in_template_space=True) for path in paths
    )
    return rank_copies(*copies)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    volumes = VolumeSettings(modalities=("t1",), sides=(64, 32), rows_per_shard=8)
    return create_study(tmp_path / "study", StudyConfig(volumes=volumes))


Ingest = Callable[[ScanCandidate], int]


@pytest.fixture
def ingest(study: Study) -> Ingest:
    """Ingest one scan and return how many were read."""

    def run(candidate: ScanCandidate) -> int:
        plan = plan_ingest(study, [candidate], {VISIT: SAMPLE}, num_rows=8, workers=0)
        execute_ingest(study, plan, workers=0, on_progress=lambda *_: None)
        return plan.num_scans

    return run


def receipt(study: Study) -> ScanReceipt:
    (found,) = read_scan_receipts(study.layout.receipts).values()
    assert "1000223" not in repr(found)
    return found


def stored(study: Study) -> NDArray[np.generic]:
    return open_array(study.layout.volume_array("t1", 32)).read_rows([(0,)])[0]


def test_the_first_copy_that_can_be_used_is_stored_as_if_it_were_alone(
    study: Study, ingest: Ingest, tmp_path: Path
) -> None:
    good = image(tmp_path / "run-3.nii.gz", seed=3)
    candidate = runs(series(tmp_path / "run-1.nii.gz"), dangling(tmp_path / "run-2.nii.gz"), good)
    assert ingest(candidate) == 1
    found = receipt(study)
    assert (found.status, found.reason, found.passed_over) == ("stored", "", ["bad-dimensions", "unreadable"])
    assert found.detail.startswith("copy 3 of 3; passed over: bad-dimensions: expected three axes")
    assert "datalad get" in found.detail
    assert [outcome.num_passed_over for outcome in read_outcomes(study)] == [2]
    alone = load_scan(runs(good), shard_settings(study)).rows["32"]
    np.testing.assert_array_equal(stored(study), alone)


def shard_settings(study: Study) -> LoadSettings:
    return LoadSettings(
        volumes=study.config.volumes,
        connectivity=study.config.connectivity,
        ingest=study.config.ingest,
        scratch=study.layout.scratch,
    )


def test_further_copies_are_not_read_where_the_first_can_be_used(study: Study, ingest: Ingest, tmp_path: Path) -> None:
    ingest(runs(image(tmp_path / "run-1.nii.gz"), dangling(tmp_path / "run-2.nii.gz")))
    assert (receipt(study).detail, receipt(study).passed_over) == ("", [])


def test_a_scan_without_a_usable_copy_is_rejected_for_the_reason_of_its_first(
    study: Study, ingest: Ingest, tmp_path: Path
) -> None:
    copies = [
        truncated(tmp_path / "run-1.nii.gz"),
        series(tmp_path / "run-2.nii.gz"),
        series(tmp_path / "run-3.nii.gz"),
    ]
    ingest(runs(*copies))
    found = receipt(study)
    assert (found.status, found.reason, found.passed_over) == ("rejected", "truncated", ["bad-dimensions"] * 2)
    assert found.detail.endswith("; nor can further copies be used: bad-dimensions")
    assert ingest(runs(*copies)) == 0
    image(copies[1], seed=2)
    assert ingest(runs(*copies)) == 1, "a copy was mended"
    assert receipt(study).passed_over == ["truncated"]


def test_a_copy_that_the_machine_could_not_read_is_tried_again(study: Study, ingest: Ingest, tmp_path: Path) -> None:
    candidate = runs(series(tmp_path / "run-1.nii.gz"), dangling(tmp_path / "run-2.nii.gz"))
    assert [ingest(candidate), ingest(candidate)] == [1, 1]


def test_a_new_copy_of_a_rejected_scan_is_tried(study: Study, ingest: Ingest, tmp_path: Path) -> None:
    first = series(tmp_path / "run-1.nii.gz")
    assert [ingest(runs(first)), ingest(runs(first))] == [1, 0]
    assert ingest(runs(first, image(tmp_path / "run-2.nii.gz"))) == 1
    assert receipt(study).status == "stored"


def test_what_is_stored_stays_when_the_first_copy_is_mended_until_it_is_lost(
    study: Study, ingest: Ingest, tmp_path: Path
) -> None:
    candidate = runs(series(tmp_path / "run-1.nii.gz"), image(tmp_path / "run-2.nii.gz", seed=2))
    ingest(candidate)
    second = stored(study)
    image(candidate.path, seed=1)
    assert ingest(candidate) == 0
    np.testing.assert_array_equal(stored(study), second)
    shutil.rmtree(study.layout.volume_array("t1", 32))
    assert ingest(candidate) == 1
    assert (receipt(study).detail, receipt(study).passed_over) == ("", [])
    assert (stored(study) != second).any()


def test_the_next_mask_and_the_next_transform_are_taken_too(study: Study, ingest: Ingest, tmp_path: Path) -> None:
    path = image(tmp_path / "image.nii.gz")
    mask, half = tmp_path / "mask.nii.gz", tmp_path / "half.nii.gz"
    mask.write_bytes(encode_volume(brain(1) > 0, AFFINE_44, np.uint8))
    half.write_bytes(encode_volume(brain(1)[:24] > 0, AFFINE_44, np.uint8))
    transform, binary = tmp_path / "xfm.txt", tmp_path / "xfm.mat"
    transform.write_text(ITK_IDENTITY)
    binary.write_bytes(b"AffineTransform_double_3_3\0" + bytes(100))
    copies = [
        ScanCandidate(visit=VISIT, modality="t1", path=path, form="image", mask_path=m, transform_path=t)
        for m in (half, mask)
        for t in (binary, transform)
    ]
    ingest(rank_copies(*copies))
    found = receipt(study)
    assert found.status == "stored" and found.provenance == {"brain": "mask", "transform": "source"}
    assert found.detail.startswith("another mask or transform; passed over: bad-")


def test_a_fault_of_the_program_with_one_copy_does_not_cost_the_next(
    study: Study, ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image(tmp_path / "run-1.nii.gz")

    def load(scan: ScanCandidate, settings: LoadSettings) -> LoadedScan:
        if scan.path == first:
            raise ZeroDivisionError
        return load_scan(scan, settings)

    monkeypatch.setattr(shard, "load_scan", load)
    ingest(runs(first, image(tmp_path / "run-2.nii.gz", seed=2)))
    assert (receipt(study).status, receipt(study).passed_over) == ("stored", ["unexpected"])


@pytest.mark.parametrize("num_bytes", [0, 5000])
def test_an_archive_that_was_cut_off_is_replaced_by_the_folder_it_was_unpacked_to(
    study: Study, ingest: Ingest, release: Path, tmp_path: Path, num_bytes: int
) -> None:
    archive = next(path for path in sorted(release.rglob("*_20252_2_0.zip")) if path.stat().st_size > 20_000)
    name = f"{VISIT.eid}_20252_2_0"
    shutil.unpack_archive(archive, tmp_path / "ukb" / name)
    (tmp_path / "ukb" / f"{name}.zip").write_bytes(archive.read_bytes()[:num_bytes])
    (candidate,) = find_release([tmp_path / "ukb"]).scans
    ingest(candidate)
    assert (receipt(study).status, receipt(study).passed_over) == ("stored", ["bad-archive"])


def test_the_fingerprint_of_a_scan_with_one_copy_is_that_of_earlier_versions(study: Study, tmp_path: Path) -> None:
    path = image(tmp_path / "run-1.nii.gz")
    entry = path.stat()
    parts = shard.source_fingerprint(runs(path), shard_settings(study)).split("/")
    assert parts[:3] == [f"{entry.st_size:x}-{entry.st_mtime_ns:x}", "none", "none"]
    assert len(parts) == 4

"""Whole heads that deepbet strips: a T1 by itself, every other image by the mask of its visit's T1."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmbase.records import ScanCandidate, with_t1
from mmbase.records import Visit as SourceVisit
from mmdata.errors import ScanRejected
from mmdata.readers import brain as brain_module
from mmdata.readers.scan import LoadSettings, load_scan
from mmdata.synth.drawing import DrawnVisit, draw_visit
from mmdata.synth.head import with_head
from mmdata.synth.itk import itk_affine_text
from mmdata.synth.plan import Visit
from mmdata.volume.nifti import Volume, encode_volume
from mmdata.volume.settings import ConnectivitySettings, IngestSettings, VolumeSettings

VISIT = SourceVisit(1000223, 2)
SEARCHED: list[tuple[int, ...]] = []
"""Shapes of the images that the stand-in for deepbet was given, in the test that runs."""


@pytest.fixture(scope="module")
def drawn() -> DrawnVisit:
    return draw_visit(Visit(index=0, instance=2, fields=("20252", "20253", "20250")), seed=7, voxel_mm=4.0)


@pytest.fixture
def settings(drawn: DrawnVisit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LoadSettings:
    """Let deepbet know the T1's brain, whatever it is given."""

    def find_brain(volume: Volume) -> NDArray[np.bool_]:
        SEARCHED.append(volume.data_XYZ.shape)
        return drawn.scans["t1"].is_brain

    SEARCHED.clear()
    monkeypatch.setattr(brain_module, "find_brain", find_brain)
    monkeypatch.setattr(brain_module, "deepbet_version", lambda: "9.9")
    return LoadSettings(
        volumes=VolumeSettings(sides=(32,)),
        connectivity=ConnectivitySettings(),
        ingest=IngestSettings(brain_extractor="deepbet"),
        scratch=tmp_path / "scratch",
    )


@pytest.fixture
def heads(drawn: DrawnVisit, tmp_path: Path) -> dict[str, ScanCandidate]:
    """Whole heads without masks, each with its affine to MNI152."""
    found = []
    for modality, name in {"t1": "T1", "flair": "FLAIR", "dwi": "FA"}.items():
        scan = drawn.scans[modality]
        affine_44 = scan.pose.affine_44
        head = with_head(scan.images[name], scan.is_brain, affine_44, np.random.default_rng(5))
        image, transform = tmp_path / f"{modality}.nii.gz", tmp_path / f"{modality}.txt"
        image.write_bytes(encode_volume(head, affine_44, np.float32))
        transform.write_bytes(itk_affine_text(scan.pose.mni_from_native_44))
        found.append(ScanCandidate(visit=VISIT, modality=modality, path=image, form="image", transform_path=transform))
    return {one.modality: one for one in with_t1(found)}


def without_transform(candidate: ScanCandidate) -> ScanCandidate:
    return replace(candidate, transform_path=None)


def true_mask(drawn: DrawnVisit, modality: str, folder: Path) -> Path:
    scan, path = drawn.scans[modality], folder / "mask.nii.gz"
    path.write_bytes(encode_volume(scan.is_brain, scan.pose.affine_44, np.uint8))
    return path


def rejection(candidate: ScanCandidate, settings: LoadSettings) -> ScanRejected:
    with pytest.raises(ScanRejected) as caught:
        load_scan(candidate, settings)
    return caught.value


def test_a_t1_is_stripped_by_itself_and_its_provenance_names_extractor_and_version(
    heads: dict[str, ScanCandidate], settings: LoadSettings, drawn: DrawnVisit
) -> None:
    loaded = load_scan(heads["t1"], settings)
    assert loaded.provenance == {"brain": "deepbet 9.9", "transform": "source"}
    assert [drawn.scans["t1"].is_brain.shape] == SEARCHED


@pytest.mark.parametrize("modality", ["flair", "dwi"])
def test_other_images_get_the_mask_of_the_t1_moved_by_the_transforms(
    heads: dict[str, ScanCandidate], settings: LoadSettings, drawn: DrawnVisit, tmp_path: Path, modality: str
) -> None:
    loaded = load_scan(heads[modality], settings)
    assert loaded.provenance["brain"] == "t1 deepbet 9.9"
    assert [drawn.scans["t1"].is_brain.shape] == SEARCHED, "the network was given an image that is no T1"
    truth = load_scan(replace(heads[modality], mask_path=true_mask(drawn, modality, tmp_path)), settings)
    found, expected = (scan.rows["32"] > 0 for scan in (loaded, truth))
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) >= 0.97


def test_without_transforms_the_mask_goes_to_images_on_the_t1s_own_grid_alone(
    heads: dict[str, ScanCandidate], settings: LoadSettings
) -> None:
    t1 = without_transform(heads["t1"])
    for modality, reason in {"flair": "missing-transform", "dwi": "not-skull-stripped"}.items():
        found = rejection(replace(without_transform(heads[modality]), t1=t1), settings)
        assert found.reason == reason, "the brain of a FLAIR on the T1's grid is known; only where it lies is not"


def test_a_visit_without_a_t1_has_nothing_that_says_where_the_brain_is(
    heads: dict[str, ScanCandidate], settings: LoadSettings
) -> None:
    found = rejection(replace(heads["flair"], t1=None), settings)
    assert found.reason == "not-skull-stripped" and "T1 images alone" in found.detail


def test_what_is_wrong_with_the_t1_is_said_of_the_images_that_need_its_mask(
    heads: dict[str, ScanCandidate], settings: LoadSettings
) -> None:
    heads["t1"].path.write_bytes(b"not an image")
    at_t1, at_flair = rejection(heads["t1"], settings), rejection(heads["flair"], settings)
    assert at_flair.reason == at_t1.reason
    assert at_flair.detail == f"of the visit's T1, whose brain mask is needed: {at_t1.detail}"


@pytest.mark.parametrize("share", ["nothing", "everything", "too little"])
def test_what_deepbet_finds_is_judged_as_any_mask_is(
    heads: dict[str, ScanCandidate], settings: LoadSettings, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    def find_brain(volume: Volume) -> NDArray[np.bool_]:
        found = np.full(volume.data_XYZ.shape, share == "everything")
        found[0, 0, 0] |= share == "too little"
        return found

    monkeypatch.setattr(brain_module, "find_brain", find_brain)
    reason = "implausible-brain" if share == "too little" else "extractor-failed"
    assert rejection(heads["t1"], settings).reason == reason


def test_an_image_with_a_mask_of_its_own_keeps_it(
    heads: dict[str, ScanCandidate], settings: LoadSettings, drawn: DrawnVisit, tmp_path: Path
) -> None:
    loaded = load_scan(replace(heads["dwi"], mask_path=true_mask(drawn, "dwi", tmp_path)), settings)
    assert loaded.provenance["brain"] == "mask" and not SEARCHED

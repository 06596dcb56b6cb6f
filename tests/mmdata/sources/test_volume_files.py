"""Another volume modality is two entries: in `mmbase/names.py`, and in `mmdata/sources/volume_files.py`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmbase.names import MODALITIES, Modality
from mmdata.sources.bids import find_bids
from mmdata.sources.every import Source, find_sources
from mmdata.sources.folder import find_folder
from mmdata.sources.volume_files import ONLY_IMAGE, VOLUME_FILES, BidsFiles, UkbFiles, UkbImage, VolumeFiles
from mmdata.study import StudyConfig
from mmdata.volume.settings import VolumeSettings

Touch = Callable[..., Path]
ROOT = Path(__file__).parents[3]
SWI = VolumeFiles(
    ukb=UkbFiles(field=20251, folder="SWI", images={ONLY_IMAGE: UkbImage(brain="SWI/SWI_brain.nii.gz")}, base="t1"),
    bids=BidsFiles(datatype="swi", suffix="swi"),
)


@pytest.fixture
def _swi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODALITIES, "swi", Modality(name="swi", title="SWI", kind="volume"))
    monkeypatch.setitem(VOLUME_FILES, "swi", SWI)


def test_every_volume_modality_has_its_files() -> None:
    assert set(VOLUME_FILES) == {name for name, modality in MODALITIES.items() if modality.kind == "volume"}


def test_a_modality_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"modalities must name at least one of flair, t1, dwi, got \('swi',\)"):
        VolumeSettings(modalities=("swi",))


@pytest.mark.usefixtures("_swi")
def test_another_modality_is_found_in_every_source(touch: Touch) -> None:
    root = touch(
        "ukb/1000001_20251_2_0.zip",
        "ukb/1000001_20252_2_0.zip",
        "ukb/1000002/SWI/SWI_brain.nii.gz",
        "bids/sub-1000003/swi/sub-1000003_desc-brain_swi.nii.gz",
        "folder/SWI/1000004_swi.nii.gz",
    )
    config = StudyConfig(volumes=VolumeSettings(modalities=("swi",)))
    found = find_sources([Source(kind="ukb", path=root / "ukb")], config)
    assert [(scan.visit.eid, scan.path.name) for scan in found.scans] == [
        (1000001, "1000001_20251_2_0.zip"),
        (1000002, "1000002"),
    ]
    assert found.scans[0].transform_path == root / "ukb" / "1000001_20252_2_0.zip"
    for others in (find_bids(root / "bids", config.volumes), find_folder(root / "folder")):
        assert [scan.modality for scan in others.scans] == ["swi"]


def test_another_modality_is_synthesised_read_stored_and_shown(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, Path(__file__).with_name("swi_study.py"), tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["stored"] == result["archives"] - 1  # one participant has withdrawn
    assert result["overlap_with_t1"] > 0.95  # so its matrix was taken through the T1's
    assert result["on_the_page"] and result["in_the_readme"]

"""The page of `mm view`: whom it shows, where it lies, and that it goes with a withdrawal."""

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from catalog.database import open_catalog
from mmbase.names import VOLUME_MODALITIES
from mmdata.study import load_study
from mmdata.volume.nifti import decode_volume
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint
from tests.mmstudy.test_nifti_export import whole_sample
from tests.mmstudy.test_withdraw import copy_of, somebody, withdraw


@pytest.fixture(scope="module")
def viewed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the study, for pages are written into it."""
    return Path(shutil.copytree(study, tmp_path_factory.mktemp("viewed") / "study"))


@pytest.fixture(scope="module")
def shown(viewed: Path, run_mm: RunMm) -> dict[str, Any]:
    """What the command said of a sample that has all volumes, with the sample's id and row."""
    sample_id, row = whole_sample(load_study(viewed))
    result = run_mm("--study", viewed, "view", sample_id, "--json")
    assert result.exit_code == 0, result.output
    return {**json.loads(result.stdout), "sample_id": sample_id, "row": row}


def content_of(page: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="volumes">(.*?)</script>', page, re.DOTALL)
    content: dict[str, Any] = json.loads(found)
    return content


def test_the_page_lies_in_the_study_for_its_owner_alone(viewed: Path, shown: dict[str, Any]) -> None:
    page = viewed / "views" / f"{shown['sample_id']}.html"
    assert shown["page"] == str(page) and page.stat().st_size == shown["page_bytes"]
    assert page.stat().st_mode & 0o077 == page.parent.stat().st_mode & 0o077 == 0
    assert shown["modalities"] == list(VOLUME_MODALITIES)


def test_the_page_names_the_sample_and_no_participant(viewed: Path, shown: dict[str, Any]) -> None:
    page = Path(shown["page"]).read_text()
    said = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert shown["sample_id"] in said and "must not leave" in said
    with open_catalog(viewed / "catalog.duckdb") as catalog:
        eids = {str(eid) for (eid,) in catalog.execute("SELECT eid FROM samples").fetchall()}
        others = {name for (name,) in catalog.execute("SELECT sample_id FROM samples").fetchall()} - {
            shown["sample_id"]
        }
    titles = str([volume["title"] for volume in content_of(page)["volumes"]])
    assert len(eids) > 10 and not [word for word in eids | others if word in said + titles]
    assert str(viewed) not in page


def test_volumes_are_those_of_the_finest_level_and_means_are_over_the_others(
    viewed: Path, shown: dict[str, Any]
) -> None:
    content = content_of(Path(shown["page"]).read_text())
    for modality, volume in zip(VOLUME_MODALITIES, content["volumes"], strict=True):
        array = zarr.open_array(viewed / "volumes.zarr" / modality / "64", mode="r")
        picture = decode_volume(base64.b64decode(volume["picture"]))
        assert np.abs(picture.data_XYZ - array[shown["row"]] / 65535).max() <= 0.5 / 255 + 1e-6
        np.testing.assert_allclose(picture.affine_44, array.attrs["affine_ras"], atol=1e-5)
        with open_catalog(viewed / "catalog.duckdb") as catalog:
            rows = catalog.execute(
                "SELECT row FROM samples JOIN scans USING (sample_id) WHERE status = 'stored' AND modality = ?",
                [modality],
            ).fetchall()
        others = sorted({row for (row,) in rows} - {shown["row"]})
        mean = content["means"][modality]
        expected = array.oindex[others].mean(axis=0) / 65535
        assert mean["num_averaged"] == len(others)
        assert np.abs(decode_volume(base64.b64decode(mean["picture"])).data_XYZ - expected).max() <= 0.5 / 255 + 1e-6


def test_what_a_sample_lacks_is_said_with_its_reason(viewed: Path, run_mm: RunMm) -> None:
    with open_catalog(viewed / "catalog.duckdb") as catalog:
        ((sample_id, reason),) = catalog.execute(
            "SELECT sample_id, reason FROM scans WHERE modality = 't1' AND status = 'rejected' LIMIT 1"
        ).fetchall()
    result = run_mm("--study", viewed, "view", sample_id, "--side", 32, "--json")
    page = Path(json.loads(result.stdout)["page"]).read_text()
    assert f"No T1: rejected ({reason})." in page and "Volumes of 32³ voxels of 6 mm" in page


def test_nobody_and_a_level_that_is_not_stored_are_told(viewed: Path, run_mm: RunMm, shown: dict[str, Any]) -> None:
    assert "no sample of this id" in complaint(run_mm("--study", viewed, "view", "../viewed"))
    for side in (48, 0):
        told = complaint(run_mm("--study", viewed, "view", shown["sample_id"], "--side", side))
        assert f"Side {side} is not stored" in told


def test_a_withdrawal_removes_every_view(study: Path, tmp_path: Path, run_mm: RunMm) -> None:
    copied = copy_of(study, tmp_path / "study")
    eid, _, _ = somebody(copied)
    sample_id, _ = whole_sample(copied)
    assert run_mm("--study", copied.layout.root, "view", sample_id, "--side", 32).exit_code == 0
    num_views = len(list(copied.layout.views.iterdir()))
    assert withdraw(copied, eid).places["views"] == num_views > 0
    assert not copied.layout.views.exists()

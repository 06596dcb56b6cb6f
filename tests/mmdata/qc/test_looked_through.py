"""The most unusual volumes, whole, in the page of `mm qc`."""

import re
from pathlib import Path

import numpy as np
import pytest

from mmdata.qc.looked_through import MAX_LOOKED_THROUGH, UnusualVolume, viewer_of
from mmdata.qc.page import write_page
from mmdata.viewer.viewer import LIBRARY, ShownMean, ShownVolume, encode_picture, read_part
from tests.mmdata.qc.test_page import SPOILT, MakeCohort
from tests.mmdata.viewer.browser import ON_THE_PROCESSOR, show


def unusual(modality: str, scores: list[float], content: bytes = b"volume") -> list[UnusualVolume]:
    mean = ShownMean(picture=f"mean of {modality}".encode(), num_averaged=40)
    return [
        UnusualVolume(
            score=score, volume=ShownVolume(title=f"{modality} {score}", picture=content, modality=modality), mean=mean
        )
        for score in scores
    ]


def test_the_dozen_is_of_all_modalities_and_the_furthest_comes_first() -> None:
    viewer = viewer_of([*unusual("t1", [9.0, 4.0, 3.0]), *unusual("dwi", [0.25 * step for step in range(14)])])
    assert viewer is not None
    titles = re.findall(r'"title":"([^"]+)"', viewer.content)
    assert titles[:4] == ["t1 9.0", "t1 4.0", "dwi 3.25", "t1 3.0"] and len(titles) == MAX_LOOKED_THROUGH
    assert viewer_of([]) is None


def test_a_modality_without_a_chosen_volume_takes_no_room_with_its_mean() -> None:
    viewer = viewer_of([*unusual("t1", [9.0] * MAX_LOOKED_THROUGH), *unusual("dwi", [1.0])])
    assert viewer is not None and '"t1":{"picture"' in viewer.content and "dwi" not in viewer.content


def test_noise_at_128_voxels_an_edge_is_the_most_that_a_page_takes_and_stays_below_15_mb() -> None:
    """A brain takes a third of the grid at most; here a ball of a third of it is noise, which hardly compresses."""
    rng, place = np.random.default_rng(5), np.indices((128, 128, 128))
    inside = np.linalg.norm(place - 63.5, axis=0) < 55
    noise = np.where(inside, 0.5 + 0.1 * rng.standard_normal(inside.shape), 0.0).clip(0, 1)
    content = encode_picture(noise, np.eye(4))
    viewer = viewer_of(unusual("t1", [9.0] * MAX_LOOKED_THROUGH, content))
    assert viewer is not None
    assert len(viewer.content) + len(read_part(LIBRARY)) < 15e6


def test_a_planted_fault_is_looked_through_in_a_browser_that_asks_for_nothing(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cohort, path = make_cohort(40, SPOILT), tmp_path / "qc.html"
    write_page(path, cohort.scans, cohort.study, on_progress=lambda done, total: None)
    with show(path, *ON_THE_PROCESSOR) as shown:
        assert shown.page.locator("#one").is_hidden()
        shown.page.get_by_text("Show them").click()
        shown.wait()
        titles = shown.page.locator("#volume option").all_inner_texts()
        assert len(titles) == MAX_LOOKED_THROUGH
        assert {int(title.split(", ")[1][:4]) for title in titles[:3]} == set(SPOILT)
        assert shown.page.locator("#mean-title").inner_text() == "Mean of 40 scans"
        assert (shown.picture("one") > 0.2).mean() > 0.02 and shown.picture("mean").std() > 0.05
        assert shown.complaints == [] and shown.requests == [path.as_uri()]


@pytest.mark.parametrize("num_samples", [1, 7])
def test_a_page_of_too_few_scans_to_rank_has_no_script(
    make_cohort: MakeCohort, tmp_path: Path, num_samples: int
) -> None:
    cohort, path = make_cohort(num_samples), tmp_path / "qc.html"
    write_page(path, cohort.scans, cohort.study, on_progress=lambda done, total: None)
    text = path.read_text()
    assert "<script" not in text and 'href="#look"' not in text and "script-src ;" in text

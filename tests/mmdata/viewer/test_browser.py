"""The page of one sample in a browser, opened from a folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmdata.viewer.page import viewer_page
from tests.mmdata.viewer.browser import ON_THE_PROCESSOR, show
from tests.mmdata.viewer.drawn import drawn_sample


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "sample.html"
    path.write_bytes(viewer_page(drawn_sample()))
    return path


def test_volumes_are_drawn_move_together_and_can_be_chosen_and_nothing_is_asked_for(page: Path) -> None:
    with show(page, *ON_THE_PROCESSOR) as shown:
        shown.wait()
        shown.page.locator("#crosshair").uncheck()
        shown.page.select_option("#view", "axial")
        flair, mean = shown.picture("one"), shown.picture("mean")
        assert 0.15 < (flair > 0.3).mean() < 0.9 and (flair > 0.95).mean() > 0.02, "the ball, and its bright core"
        assert (mean > 0.95).mean() < 0.01 < (mean > 0.3).mean()
        bright = np.argwhere(flair.min(axis=2) > 0.95)[:, 1]
        assert bright.mean() > 0.55 * flair.shape[1], "the right of the brain is on the right"

        box = shown.page.locator("#one").bounding_box()
        assert box is not None
        for side, values in ((0.62, (1.0, 0.6)), (0.4, (0.4, 0.4))):
            shown.page.mouse.click(box["x"] + side * box["width"], box["y"] + box["height"] / 2)
            assert shown.values() == pytest.approx(values, abs=0.01)
        place = shown.page.locator("#position").inner_text()

        shown.page.select_option("#volume", label="T1")
        shown.wait_for("one-value", "0.800")
        assert shown.page.locator("#position").inner_text() == place, "the crosshair stays where it was"
        assert np.abs(shown.picture("one") - flair).mean() > 0.1
        shown.page.locator("#reset").click()
        assert shown.page.locator("#position").inner_text() != place
        assert shown.complaints == [] and shown.requests == [page.as_uri()]


def test_volumes_without_means_are_shown_alone(page: Path) -> None:
    page.write_bytes(viewer_page(replace(drawn_sample(), means={})))
    with show(page, *ON_THE_PROCESSOR) as shown:
        shown.wait()
        shown.page.select_option("#view", "axial")
        box = shown.page.locator("#one").bounding_box()
        assert box is not None
        shown.page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2)
        shown.wait_for("one-value", "0.400")
        shown.page.select_option("#volume", label="T1")
        shown.wait_for("one-value", "0.800")
        assert shown.page.locator("#beside").is_hidden() and shown.complaints == []


def test_a_browser_that_cannot_draw_says_so(page: Path) -> None:
    with show(page, "--disable-gpu", "--disable-3d-apis") as shown:
        shown.page.wait_for_selector("#failure:visible")
        assert "WebGL 2 is switched off" in shown.page.locator("#failure").inner_text()
        assert shown.requests == [page.as_uri()]

"""The page of one sample holds its volumes, and nothing of it can act or ask."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np

from mmdata.viewer import page as page_module
from mmdata.viewer.page import viewer_page
from mmdata.viewer.viewer import LIBRARY, LICENCE, read_part
from mmdata.volume.nifti import decode_volume
from tests.mmdata.viewer.drawn import COARSE_SIDE, SIDE, drawn, drawn_sample, grid

FOLDER = files(page_module.__package__)


def content_of(page: bytes) -> dict[str, Any]:
    (found,) = re.findall(rb'<script type="application/json" id="volumes">(.*?)</script>', page, re.DOTALL)
    content: dict[str, Any] = json.loads(found)
    return content


def test_the_library_is_the_one_that_was_published_and_its_licence_is_in_the_page() -> None:
    library = FOLDER.joinpath(LIBRARY).read_bytes()
    assert hashlib.sha256(library).hexdigest() == "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
    page = viewer_page(drawn_sample())
    assert library in page and html.escape(FOLDER.joinpath(LICENCE).read_text(), quote=False)[:80].encode() in page


def test_the_policy_names_the_scripts_and_the_style_by_their_hashes_and_allows_nothing_else() -> None:
    page = viewer_page(drawn_sample()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    style, _, body = page.partition("<style>")[2].partition("</style>")
    texts = [style, *re.findall(r"<script>(.*?)</script>", body, re.DOTALL)]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    assert len(hashes) == 3 and set(re.findall(r"sha256-([^&;]+)&#39;", policy)) == set(hashes)
    rest = re.sub(r" 'sha256-[^']+'", "", html.unescape(policy))
    assert rest == "default-src 'none'; script-src; style-src; img-src data:; base-uri 'none'; form-action 'none'"


def test_volumes_come_back_with_their_place_within_half_a_step() -> None:
    content = content_of(viewer_page(drawn_sample()))
    shown = [(content["volumes"][0], SIDE, (0.4, 1.0)), (content["means"]["t1"], COARSE_SIDE, (0.8, 0.4))]
    for found, side, shades in shown:
        decoded = decode_volume(base64.b64decode(found["picture"]))
        np.testing.assert_array_equal(decoded.affine_44, grid(side).affine_44)
        assert np.abs(decoded.data_XYZ - drawn(side, *shades)).max() <= 0.5 / 255 + 1e-6


def test_what_is_said_of_a_sample_is_text() -> None:
    hostile = "</script><script>alert(1)</script>"
    sample = drawn_sample()
    volume = replace(sample.volumes[0], title=hostile)
    page = viewer_page(replace(sample, grid=hostile, volumes=[volume], means={}, lacking=[hostile])).decode()
    assert content_of(page.encode())["volumes"][0]["title"] == hostile
    assert page.replace(read_part(LIBRARY), "").count("<script") == page.count("</script>") == 3


def test_equal_samples_give_equal_bytes() -> None:
    assert viewer_page(drawn_sample()) == viewer_page(drawn_sample())

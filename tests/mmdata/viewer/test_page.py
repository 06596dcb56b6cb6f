"""The page of one sample holds its volumes, and nothing of it can act or ask."""

import base64
import gzip
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

import nibabel as nib
import numpy as np

from mmbase.version import VERSION
from mmdata.viewer import page as page_module
from mmdata.viewer.page import LIBRARY, LICENCE, Picture, ViewedSample, ViewedVolume, viewer_page
from mmdata.volume.nifti import decode_volume
from tests.mmdata.viewer.drawn import AFFINE_44, drawn_sample

FOLDER = files(page_module.__package__)


def content_of(page: bytes) -> dict[str, Any]:
    (found,) = re.findall(rb'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
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
    texts = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    assert len(hashes) == 3 and set(re.findall(r"sha256-([^&;]+)&#39;", policy)) == set(hashes)
    rest = re.sub(r" 'sha256-[^']+'", "", html.unescape(policy))
    assert rest == "default-src 'none'; script-src; style-src; img-src data:; base-uri 'none'; form-action 'none'"


def test_volumes_come_back_with_their_place_within_half_a_step() -> None:
    sample = drawn_sample()
    shown = content_of(viewer_page(sample))["volumes"]
    for volume, found in zip(sample.volumes, shown, strict=True):
        assert volume.mean is not None
        for picture, text in ((volume.sample, found["sample"]), (volume.mean, found["mean"])):
            decoded = decode_volume(base64.b64decode(text))
            np.testing.assert_array_equal(decoded.affine_44, picture.affine_44)
            assert np.abs(decoded.data_XYZ - picture.fractions_XYZ).max() <= 0.5 / 255 + 1e-6


def test_a_sample_without_others_is_shown_alone_and_what_it_lacks_is_said_as_text() -> None:
    alone = ViewedVolume(
        title="T1", sample=Picture(np.zeros((8, 8, 8), np.float32), AFFINE_44), mean=None, num_averaged=0
    )
    hostile = "</script><script>alert(1)</script>"
    page = viewer_page(ViewedSample(sample_id="0" * 16, grid=hostile, volumes=[alone], lacking=[hostile]))
    assert content_of(page)["volumes"][0]["mean"] is None
    assert page.count(b"<script") - page.count(b"<script>alert") == page.count(b"</script>") == 3
    assert f"Made by mm {VERSION}".encode() in page


def test_equal_samples_give_equal_bytes() -> None:
    assert viewer_page(drawn_sample()) == viewer_page(drawn_sample())


def test_nibabel_places_the_volume_in_mni_space() -> None:
    text = content_of(viewer_page(drawn_sample()))["volumes"][0]["sample"]
    header = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text))).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
    assert header.get_xyzt_units()[0] == "mm"

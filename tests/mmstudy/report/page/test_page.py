"""A report's page holds its content, and nothing of it can act."""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

import pytest

from mmbase.sealed_page import embedded_json
from mmstudy.report.page import page as page_module
from mmstudy.report.page.page import LIBRARY, SCRIPTS, STYLES, report_page
from tests.mmstudy.report.page.made_up import made_up_content, small_content

FOLDER = files(page_module.__package__)
HOSTILE = "</script><script>alert(1)</script><!--"


def embedded(page: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
    content: dict[str, Any] = json.loads(found)
    return content


def test_the_content_comes_back_as_it_was() -> None:
    content = small_content()
    assert embedded(report_page(content)) == content


@pytest.mark.parametrize("text", [HOSTILE, "<!-- <script>", "\u2028", "'\"&"])
def test_no_text_ends_the_script_that_holds_it(text: str) -> None:
    content = small_content(limits=[text])
    content["about"]["title"] = text
    page = report_page(content)
    assert embedded(page) == content
    assert page.count("<script") == page.count("</script>") == 3 and "<!--" not in page
    assert "<" not in embedded_json(content)


def test_a_number_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        report_page(small_content(limits=[float("nan")]))


def test_the_policy_names_the_scripts_and_the_style_by_their_hashes_and_allows_nothing_else() -> None:
    page = report_page(small_content())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    texts = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    assert len(hashes) == 3 and set(re.findall(r"sha256-([^&;]+)&#39;", policy)) == set(hashes)
    rest = re.sub(r" 'sha256-[^']+'", "", html.unescape(policy))
    assert rest == "default-src 'none'; script-src; style-src; img-src data:; base-uri 'none'; form-action 'none'"


def test_the_library_is_the_one_that_was_published() -> None:
    library = FOLDER.joinpath(LIBRARY).read_bytes()
    found = hashlib.sha256(library).hexdigest()
    assert found == "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1"
    assert b"d3js.org v7.9.2" in library[:80]
    assert "Permission to use, copy, modify" in FOLDER.joinpath("vendor/d3.LICENSE").read_text()


def test_every_script_and_style_that_lies_there_is_on_the_page() -> None:
    assert {f"{name}.js" for name in SCRIPTS} == {path.name for path in FOLDER.joinpath("scripts").iterdir()}
    assert {f"{name}.css" for name in STYLES} == {path.name for path in FOLDER.joinpath("styles").iterdir()}


def test_seven_hundred_models_of_25_targets_take_less_than_six_megabytes() -> None:
    content = made_up_content()
    assert len(content["models"]["target"]) == 700 and len(content["targets"]) == 25
    assert len(report_page(content).encode()) < 6_000_000

"""The grid in a browser: the marks of flags, their filters, and the grid as a picture."""

import re
from typing import Any

import pytest

from mmstudy.comparison.flags import FLAGS
from tests.mmstudy.report.page.conftest import Show, Shown

SVG = "{http://www.w3.org/2000/svg}"


def of_series(content: dict[str, Any], series: int = 0) -> list[int]:
    return [model for model, of in enumerate(content["models"]["series"]) if of == series]


def gravest(content: dict[str, Any], model: int) -> str:
    return next((flag.mark for flag in FLAGS if content["models"][flag.name][model]), "")


def test_each_cell_has_the_mark_of_its_gravest_flag_and_the_key_says_what_marks_mean(
    show: Show, compared: dict[str, Any]
) -> None:
    shown = show(compared, fragment="#grid")
    cells = shown.page.locator("#panel-grid td.cell")
    found = {int(str(cell.get_attribute("data-model"))): cell.locator(".mark").inner_text() for cell in cells.all()}
    assert found == {model: gravest(compared, model) for model in of_series(compared)}
    assert set(found.values()) == {"", *(flag.mark for flag in FLAGS)}
    key = shown.page.locator(".grid-key").inner_text()
    assert all(f"{flag.mark} {flag.title}" in key for flag in FLAGS)
    names = [flag.title for flag in FLAGS]
    assert shown.page.get_by_role("group", name="flagged").locator("label").all_inner_texts() == names


def test_a_published_table_explains_no_mark_that_it_has_not(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#grid")
    key = shown.page.locator(".grid-key").inner_text()
    assert [flag.name for flag in FLAGS if flag.title in key] == ["predicts_one_class"]


@pytest.mark.parametrize("name", [flag.name for flag in FLAGS])
def test_models_with_a_flag_are_left_out_when_it_is_not_ticked(show: Show, compared: dict[str, Any], name: str) -> None:
    (title,) = [flag.title for flag in FLAGS if flag.name == name]
    shown = show(compared, fragment="#grid")
    shown.page.get_by_role("checkbox", name=title).press(" ")
    left = {model for model in of_series(compared) if not compared["models"][name][model]}
    cells = shown.page.locator("#panel-grid td.cell").evaluate_all("(cells) => cells.map((cell) => cell.dataset.model)")
    assert set(map(int, cells)) == left and len(left) < len(of_series(compared))


def save(shown: Shown, form: str) -> bytes:
    with shown.page.expect_download() as download:
        shown.page.get_by_role("button", name=f"Save the grid as {form}").click()
    assert download.value.suggested_filename == f"grid-separate-fusion.{form.lower()}"
    content: bytes = download.value.path().read_bytes()
    return content


@pytest.mark.parametrize(("form", "beginning"), [("PNG", b"\x89PNG"), ("JPG", b"\xff\xd8\xff")])
def test_the_grid_is_saved_as_pixels(show: Show, compared: dict[str, Any], form: str, beginning: bytes) -> None:
    shown = show(compared, fragment="#grid")
    content = save(shown, form)
    assert content.startswith(beginning) and len(content) > 30_000
    (asked,) = [request for request in shown.requests if not request.startswith(("data:", "blob:"))]
    assert f"{asked}#grid" == shown.address
    assert shown.complaints == []


def test_the_saved_grid_has_every_cell_that_is_shown_with_its_colour_marks_outlines_names_and_legend(
    show: Show, compared: dict[str, Any]
) -> None:
    shown = show(compared, fragment="#grid")
    shown.page.get_by_label("diffusion", exact=True).select_option("with")
    drawn = shown.page.evaluate_handle(
        "(text) => new DOMParser().parseFromString(text, 'image/svg+xml')", save(shown, "SVG").decode()
    )
    cells = shown.page.locator("#panel-grid td.cell")
    colours = drawn.evaluate(
        "(svg) => [...svg.querySelectorAll('rect[rx=\"2\"]')].map((cell) => cell.getAttribute('fill'))"
    )
    assert colours == cells.evaluate_all("(cells) => cells.map((cell) => cell.style.background)")
    outlines = drawn.evaluate("(svg) => svg.querySelectorAll('rect[fill=none]').length")
    assert outlines == shown.page.locator("#panel-grid td.best-cell").count() + 1  # and one in the legend
    texts = drawn.evaluate("(svg) => [...svg.querySelectorAll('text')].map((text) => text.textContent)")
    marks = [text for text in shown.page.locator("#panel-grid td.cell .mark").all_inner_texts() if text]
    legend = {flag.mark for flag in FLAGS}
    assert sorted(text for text in texts if text in legend) == sorted([*marks, *legend])
    titles = shown.page.locator("#panel-grid tbody th, #panel-grid tfoot th, #panel-grid h3").all_inner_texts()
    assert {*titles, *(flag.title for flag in FLAGS), "best set, chosen on validation", "blank: no model"} <= set(texts)
    assert f"separate fusion: {cells.count()} of {len(of_series(compared))} models" in texts
    dots = drawn.evaluate("(svg) => svg.querySelectorAll('circle').length")
    assert dots == shown.page.locator("#panel-grid tfoot td").count()


def test_nothing_of_the_saved_grid_lies_outside_of_it(show: Show, compared: dict[str, Any]) -> None:
    shown = show(compared, fragment="#grid")
    svg = re.sub(r"^<\?xml.*?\?>", "", save(shown, "SVG").decode())
    beyond = shown.page.evaluate(
        """(text) => {
          document.body.innerHTML = text;
          const svg = document.querySelector("svg");
          const { width, height } = svg.getBoundingClientRect();
          return [...svg.querySelectorAll("rect, circle, text")].filter((shape) => {
            const { x, y, width: wide, height: tall } = shape.getBBox();
            return x < 0 || y < 0 || x + wide > width || y + tall > height;
          }).map((shape) => shape.outerHTML);
        }""",
        svg,
    )
    assert beyond == []

"""The pane of a target in a browser: differences, flags, and what there is of each run."""

from typing import Any

import pytest

from tests.mmstudy.report.page.conftest import Show
from tests.mmstudy.report.page.made_up import small_content

COPY = ["clipboard-read", "clipboard-write"]


def test_a_model_shows_what_it_adds_and_how_far_it_is_from_the_best_set(show: Show) -> None:
    shown = show(small_content())
    shown.node(0).press("Enter")
    pane = shown.page.locator("#panel-graph .pane")
    headings = pane.locator("thead th").all_inner_texts()
    best, other = (dict(zip(headings, row.locator("th, td").all_inner_texts(), strict=True)) for row in _rows(pane))
    assert best["Adds"] == "diffusion +0.100 (0.040 to 0.160), q 0.002" and best["Against the best set"] == ""
    assert other["Against the best set"] == "−0.100\n(−0.160 to −0.040), q 0.003"
    assert "Chosen on validation" in pane.inner_text() and "Against the best set: score less" in pane.inner_text()


def test_a_target_without_tests_has_no_column_for_them(show: Show) -> None:
    shown = show(small_content())
    shown.node(1).press("Enter")
    assert "Against the best set" not in shown.page.locator("#panel-graph .pane thead").inner_text()


def test_what_speaks_against_the_best_model_stands_in_its_line_and_in_its_row(show: Show) -> None:
    shown = show(small_content())
    shown.node(1).press("Enter")
    pane = shown.page.locator("#panel-graph .pane")
    told = "not told apart from baseline linear (difference +0.350 (−0.010 to 0.710), q 0.300)"
    assert pane.locator(".best").inner_text().endswith(f"Flags: {told}.")
    assert pane.locator("tr.chosen td", has_text=told).count() == 1
    flagged = pane.locator("tr.flagged td", has_text="predicts one class").inner_text().split("\n")
    assert flagged == ["predicts one class", "not above chance", "not better than baseline linear (0.550)"]
    assert told in str(shown.node(1).get_attribute("aria-label"))
    shown.node(0).press("Enter")
    assert "Flags" not in pane.locator(".best").inner_text()


def test_a_run_is_linked_to_what_there_is_and_what_there_is_not_is_told_as_a_command(show: Show) -> None:
    shown = show(small_content())
    shown.node(0).press("Enter")
    pane = shown.page.locator("#panel-graph .pane")
    assert pane.get_by_role("link", name="age_2", exact=True).get_attribute("href") == "runs/age_2/report.html"
    assert pane.get_by_role("link", name="bundle of age_2").get_attribute("href") == "models/age/"
    assert pane.get_by_role("link").count() == 2 and pane.locator(".run summary").count() == 1
    pane.locator(".run summary").press("Enter")
    assert pane.locator("code").all_inner_texts() == ["mm page age_1", "mm export-model age_1 FOLDER"]


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_command_is_copied_or_selected_where_the_browser_does_not_let_a_page_copy(
    show: Show, is_allowed: bool
) -> None:
    shown = show(small_content())
    if is_allowed:
        shown.page.context.grant_permissions(COPY)
    else:
        shown.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")
    shown.node(1).press("Enter")
    shown.page.locator(".run", has_text="sex_1").locator("summary").click()
    shown.page.get_by_role("button", name="Copy mm export-model sex_1 FOLDER").press("Enter")
    copied = "navigator.clipboard.readText()" if is_allowed else "getSelection().toString()"
    shown.page.wait_for_selector("#said:not(:empty)")
    assert shown.page.evaluate(f"async () => await {copied}") == "mm export-model sex_1 FOLDER"
    assert shown.page.locator("#said").inner_text().startswith("Copied" if is_allowed else "The text is selected")
    assert shown.complaints == []


def test_every_tested_model_but_the_best_of_each_series_is_held_against_it(
    show: Show, compared: dict[str, Any]
) -> None:
    shown = show(compared)
    shown.node(0).press("Enter")
    pane = shown.page.locator("#panel-graph .pane")
    place = pane.locator("thead th").all_inner_texts().index("Against the best set") + 1
    texts = pane.locator(f"tbody tr > :nth-child({place})").all_inner_texts()
    families, models = compared["differences"], compared["models"]
    of_target = sum(
        family == "best against others" and models["target"][model] == 0
        for family, model in zip(families["family"], families["model"], strict=True)
    )
    assert sum("q " in text for text in texts) == of_target > 10
    assert texts.count("") == 3  # the best of each series


def _rows(pane: Any) -> list[Any]:
    rows: list[Any] = pane.locator("tbody tr").all()
    return rows

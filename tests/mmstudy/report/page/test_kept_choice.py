"""What is chosen and opened is there again when the page is loaded again, and it stands in the address alone."""

from typing import Any

import pytest

from tests.mmstudy.report.page.conftest import Show, Shown
from tests.mmstudy.report.page.made_up import small_content

CHOSEN = "(selects) => selects.map((select) => select.selectedOptions[0].textContent)"


def reload(shown: Shown) -> None:
    shown.page.reload()
    assert shown.complaints == []


def test_series_target_and_measures_of_the_graph_survive_a_reload(show: Show, compared: dict[str, Any]) -> None:
    shown = show(compared)
    page, pane = shown.page, shown.page.locator("#panel-graph .pane")
    page.get_by_label("Models by").select_option("shared fusion")
    page.get_by_label("Edges", exact=True).select_option("inverse distance over shared sets")
    page.get_by_label("Size of nodes").select_option(index=2)
    page.get_by_label("Colour of nodes").select_option(index=1)
    chosen = page.locator("select").evaluate_all(CHOSEN)
    shown.node(2).press("Enter")
    reload(shown)
    assert pane.locator("h2").inner_text() == compared["targets"][2]["title"]
    assert page.locator("select").evaluate_all(CHOSEN) == chosen and "shared fusion" in chosen
    assert page.evaluate("document.activeElement === document.body")
    pane.get_by_role("button", name="Close").click()
    reload(shown)
    assert not pane.is_visible()


def test_the_target_that_is_open_beside_the_grid_survives_a_reload(show: Show) -> None:
    shown = show(small_content(), fragment="#grid")
    shown.page.get_by_role("button", name="sex", exact=True).click()
    reload(shown)
    assert shown.page.locator("#panel-grid .pane h2").inner_text() == "sex"
    shown.page.locator("#tab-graph").click()
    assert not shown.page.locator("#panel-graph .pane").is_visible()


def test_a_served_page_is_loaded_again_with_what_was_opened(show: Show) -> None:
    shown = show(small_content(), reload_seconds=1)
    with shown.page.expect_event("load"):
        shown.node(0).press("Enter")
    assert shown.page.locator("#panel-graph .pane h2").inner_text() == "age"
    assert {of.partition("#")[0] for of in shown.requests} == {shown.address}


@pytest.mark.parametrize(
    "fragment",
    [
        "#nothing",
        "#grid&grid-target=none",
        "#graph&series=none&edges=none&nodes=none&colours=none&graph-target=",
        "#&%",
    ],
)
def test_an_address_that_names_what_there_is_not_shows_the_page_as_at_first(show: Show, fragment: str) -> None:
    shown = show(small_content(), fragment=fragment)
    assert shown.page.locator("[role=tabpanel]:visible").count() == 1
    assert not shown.page.locator(".pane:visible").count() and shown.complaints == []
    assert shown.page.get_by_label("Models by").input_value() == "0"

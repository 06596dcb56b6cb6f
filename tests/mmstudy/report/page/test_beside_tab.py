"""The tab of another table in a browser, and its scores in hints and panes."""

from typing import Any

import polars as pl
import pytest

from catalog.fields import load_dictionary
from mmstudy.comparison.compare import compare
from mmstudy.comparison.flags import with_one_class
from mmstudy.report.beside import Beside
from mmstudy.report.content import About, report_content
from mmstudy.report.other_table import OtherTable
from tests.mmstudy.report.page.conftest import Show
from tests.mmstudy.report.page.made_up import made_up_scores, small_content

OTHER = "other.csv"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="session")
def published_beside() -> dict[str, Any]:
    """Return the content of 700 made-up models beside a table whose scores are lower by a tenth."""
    scores = made_up_scores()
    lower = with_one_class(scores.with_columns(score=0.9 * pl.col("score")))
    beside = Beside(table=OtherTable(name=OTHER, scores=lower), settings={})
    about = About(title="Made-up scores", source="table", made_on="2026-01-01")
    return report_content(compare(scores, None), load_dictionary(), about, beside=beside)


def made_up_part() -> dict[str, Any]:
    """Return what another table says of models of `small_content`."""
    return {
        "name": OTHER,
        "cells": {
            "model": [0, 2, 3],
            "score": [0.55, 0.7, 0.5],
            "difference": [-0.05, 0.2, 0.0],
            "predicts_one_class": [False, False, True],
            "num_models": [1, 2, 1],
        },
        "series": {
            "series": [0, 1],
            "num_cells": [3, 0],
            "num_targets": [2, 0],
            "higher": [1, 0],
            "lower": [1, 0],
            "told": ["Three cells.", "No cell."],
        },
        "targets": {
            "series": [0, 0],
            "target": [0, 1],
            "num_cells": [1, 2],
            "higher": [0, 1],
            "lower": [1, 0],
            "mean_difference": [-0.05, 0.1],
            "one_class": [0, 1],
            "best_score": [0.55, 0.7],
            "best_set": ["T1", "T1"],
            "cautions": [["Tested on 400 samples here."], []],
        },
        "cautions": ["Other people."],
        "unmatched": {"reason": ["no such set"], "here": [1], "there": [4], "targets": [["fed_up"]]},
    }


def test_another_table_stands_in_the_hint_and_the_pane_where_it_has_the_cell(show: Show) -> None:
    shown = show(small_content(beside=made_up_part()), fragment="#grid")
    cells = shown.page.locator("#panel-grid td.cell")
    cells.nth(0).hover()
    assert "other.csv: 0.550; difference −0.050, not tested" in shown.page.locator("#hint").inner_text()
    cells.nth(1).hover()
    assert "other.csv" not in shown.page.locator("#hint").inner_text()
    cells.nth(3).hover()
    assert "other.csv: 0.500, predicts one class there" in shown.page.locator("#hint").inner_text()
    cells.nth(0).click()
    pane = shown.page.locator("#panel-grid .pane")
    of_t1, of_both = (pane.locator("tbody tr").filter(has_text=words) for words in ("T1", "T1 + diffusion"))
    assert "0.550\t−0.050" in of_t1.last.inner_text() and "–\t–" in of_both.inner_text()
    assert "It is not tested" in pane.inner_text() and "Tested on 400 samples here." in pane.inner_text()


def test_cells_here_are_drawn_against_those_there_and_a_point_opens_its_target(
    show: Show, published_beside: dict[str, Any]
) -> None:
    shown = show(published_beside, fragment="#beside")
    panel = shown.page.locator("#panel-beside")
    assert "700 cells of 25 targets" in panel.inner_text()
    kinds = [target["kind"] for target in published_beside["targets"]]
    num_binary = sum(kinds[target] == "binary" for target in published_beside["models"]["target"])
    dots = [drawing.locator(".dot") for drawing in panel.locator("svg.scatter").all()]
    assert [of.count() for of in dots] == [700 - num_binary, num_binary]
    flagged = sum(map(bool, published_beside["models"]["predicts_one_class"]))
    assert dots[1].and_(panel.locator(".open")).count() == flagged
    dot = dots[0].first
    dot.hover(force=True)
    model = shown.page.evaluate("document.querySelector('.dot.is-lit').__data__.point.model.index")
    target = published_beside["targets"][published_beside["models"]["target"][model]]["title"]
    hint = shown.page.locator("#hint").inner_text()
    assert target in hint and "other.csv: " in hint
    dot.click(force=True)
    assert panel.locator(".pane h2").inner_text() == target
    shown.page.keyboard.press("Escape")
    assert shown.page.evaluate("document.activeElement.textContent") == target
    domain = published_beside["domains"][0]
    panel.get_by_label("Domain").select_option(domain)
    of_domain = [published_beside["targets"][of]["domain"] == 0 for of in published_beside["models"]["target"]]
    assert panel.locator("svg.scatter .dot").count() == sum(of_domain)
    assert panel.get_by_role("table").last.locator("tbody tr").count() == sum(of_domain)


def test_the_tab_of_another_table_follows_the_series_and_lists_what_is_not_compared(show: Show) -> None:
    shown = show(small_content(beside=made_up_part()), fragment="#beside")
    panel = shown.page.locator("#panel-beside")
    assert "Three cells." in panel.inner_text() and "Other people." in panel.inner_text()
    assert panel.locator("svg.scatter").count() == 2 and panel.locator(".dot.open").count() == 1
    assert "no such set\t1\t4\tfed up" in panel.inner_text()
    shown.page.get_by_label("Models by").select_option("baseline linear")
    assert "No cell." in panel.inner_text() and panel.locator("svg.scatter").count() == 0


def test_markup_in_what_another_table_says_is_shown_as_text(show: Show) -> None:
    hostile = '</script><img src="x" onerror="document.title=1">'
    part = {**made_up_part(), "name": hostile, "cautions": [hostile]}
    shown = show(small_content(beside=part), fragment="#beside")
    assert shown.page.locator("#panel-beside").inner_text().count(hostile) >= 2
    assert shown.page.locator("img").count() == 0 and shown.page.title() == "Small"
    assert len(shown.requests) == 1 and shown.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_tab_and_its_pane(
    show: Show, published_beside: dict[str, Any], scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    shown = show(published_beside, fragment="#beside", color_scheme=scheme)
    shown.page.locator("#panel-beside [data-target]").first.click()
    found = axe.Axe().run(shown.page).response["violations"]
    assert [of["id"] for of in found if of["impact"] in SERIOUS] == []


@pytest.mark.parametrize("width", [390, 1366, 1920])
def test_the_tab_is_no_wider_than_the_window(show: Show, published_beside: dict[str, Any], width: int) -> None:
    shown = show(published_beside, fragment="#beside", width=width)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    shown.page.locator("#panel-beside [data-target]").first.click()
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width

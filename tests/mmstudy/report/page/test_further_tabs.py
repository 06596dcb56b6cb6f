"""Communities, calibration, groups and hours in a browser: drawn, told to the pointer, and there as tables."""

from typing import Any

import pytest

from tests.mmstudy.report.page.conftest import Show
from tests.mmstudy.report.page.made_up import small_content


def test_a_curve_is_drawn_with_its_points_intervals_and_the_line_of_perfect_calibration(show: Show) -> None:
    shown = show(small_content(), fragment="#calibration")
    charts = shown.page.locator("#panel-calibration .charts").first.locator("figure")
    assert charts.locator("h3").all_inner_texts() == ["age from T1 + diffusion", "sex from T1"]
    of_age = charts.first
    assert of_age.locator("circle").count() == of_age.locator("line.span").count() == 3
    assert of_age.locator("line.ideal").count() == 1
    axes = ["mean predicted age (years)", "mean true age (years)"]
    assert of_age.locator(".axis-title").all_text_contents() == axes
    assert "Slope 0.95: where predictions differ by 1" in of_age.locator("figcaption").inner_text()
    assert "Calibration error 0.031. Brier score 0.120." in charts.nth(1).locator("figcaption").inner_text()
    assert charts.nth(1).locator(".axis-title").all_text_contents()[1] == "share of class 1"
    of_age.locator("circle").nth(1).hover()
    hint = shown.page.locator("#hint").inner_text()
    assert "mean predicted age (years): 60" in hint and "59 (57 to 61)" in hint and "200 participants" in hint
    assert shown.complaints == []


def test_points_lie_on_one_scale_in_both_directions(show: Show) -> None:
    shown = show(small_content(), fragment="#calibration")
    figure = shown.page.locator("#panel-calibration .charts figure").first
    ideal = figure.locator("line.ideal")
    x1, x2, y1, y2 = (float(str(ideal.get_attribute(name))) for name in ("x1", "x2", "y1", "y2"))
    points = small_content()["calibration"]["curves"][0]
    circles = figure.locator("circle").all()
    placed = [tuple(float(str(circle.get_attribute(name))) for name in ("cx", "cy")) for circle in circles]
    for predicted, observed, (cx, cy) in zip(points["predicted"], points["observed"], placed, strict=True):
        is_below = (cy - y1) / (y2 - y1) < (cx - x1) / (x2 - x1)
        assert is_below == (observed < predicted)


def test_every_drawing_of_calibration_and_groups_is_there_as_a_table(show: Show) -> None:
    shown = show(small_content(), fragment="#calibration")
    panel = shown.page.locator("#panel-calibration")
    curve = panel.locator("figure").first
    assert curve.locator("svg").get_attribute("role") == "img"
    curve.locator("summary").click()
    curve.locator("tbody tr").first.wait_for()
    lines = curve.locator("tbody tr").all_inner_texts()
    assert [line.split("\t") for line in lines][1] == ["60", "59", "(57 to 61)", "200"]
    group = panel.locator("figure", has_text="MAE (years)")
    group.locator("summary").click()
    group.locator("tbody tr").first.wait_for()
    lines = [line.split("\t") for line in group.locator("tbody tr").all_inner_texts()]
    assert lines[0] == ["sex", "female", "3.100", "(2.900 to 3.300)", "200"] and lines[2][3] == ""


def test_a_model_whose_curve_may_not_be_told_says_so(show: Show) -> None:
    shown = show(small_content(), fragment="#calibration")
    shown.page.get_by_label("Models by").select_option("baseline linear")
    panel = shown.page.locator("#panel-calibration")
    assert panel.locator("figure h3").all_inner_texts() == ["sex from T1"]
    assert "too few participants" in panel.locator("figure").inner_text() and panel.locator("svg").count() == 0


def test_groups_are_drawn_under_what_they_are_groups_by_beside_the_line_of_all(show: Show) -> None:
    shown = show(small_content(), fragment="#calibration")
    charts = shown.page.locator("#panel-calibration .charts").nth(1).locator("figure")
    assert charts.count() == 2
    of_age = charts.first
    assert of_age.locator("svg text.heading").all_text_contents() == ["sex", "age"]
    assert of_age.locator("circle").count() == 3 and of_age.locator("line.span").count() == 2
    assert of_age.locator("line.ideal").count() == 1 and charts.nth(1).locator("line.ideal").count() == 0
    assert "smaller is better. All together: 3.000." in of_age.locator("figcaption").inner_text()


def test_communities_are_a_tree_beside_a_map_in_one_order(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#communities")
    drawing = shown.page.locator("svg.communities")
    communities, targets = published["communities"], published["targets"]
    in_order = [targets[place]["title"] for place in communities["order"]]
    names = drawing.locator("text:not(.axis-title)").all_text_contents()
    assert names[::2] == names[1::2] == in_order
    num_branches = sum(len(set(level)) for level in communities["levels"]) + len(targets)
    assert drawing.locator(".branch").count() == num_branches
    assert drawing.locator(".leaf").count() == 25 and drawing.locator("rect:not(.community)").count() == 25 * 25
    assert communities["method"] in shown.page.locator("#panel-communities").inner_text()
    (edges,) = [of for of in published["edges"] if of["name"] == communities["edges"]]
    one, other = (communities["order"].index(edges[end][0]) for end in ("one", "other"))
    drawing.locator("rect:not(.community)").nth(25 * one + other).hover()
    hint = shown.page.locator("#hint").inner_text()
    assert f"{edges['strength'][0]:.3f}, 1 of {len(edges['one'])}" in hint
    assert shown.complaints == []


def test_shades_of_the_map_follow_the_ranks_of_ties_in_light_and_in_dark(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#communities")
    (edges,) = [of for of in published["edges"] if of["name"] == published["communities"]["edges"]]
    fills = """new Promise((tell) => requestAnimationFrame(() => requestAnimationFrame(() =>
        tell([...document.querySelectorAll("svg.communities rect")].map(
            (cell) => [cell.__data__?.edge, cell.getAttribute("fill")])))))"""
    light = {edge: fill for edge, fill in shown.page.evaluate(fills) if edge is not None and edge >= 0}
    assert len(light) == len(edges["one"]) and light[0] != light[len(light) - 1]
    shown.page.emulate_media(color_scheme="dark")
    dark = {edge: fill for edge, fill in shown.page.evaluate(fills) if edge is not None and edge >= 0}
    assert dark.keys() == light.keys() and dark[0] != light[0]


def test_communities_and_ties_are_there_as_tables(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#communities")
    panel = shown.page.locator("#panel-communities")
    panel.get_by_text("The communities as a table").click()
    panel.locator("tbody tr").first.wait_for()
    communities, targets = published["communities"], published["targets"]
    lines = [line.split("\t") for line in panel.locator("details").first.locator("tbody tr").all_inner_texts()]
    assert [(line[0], line[2]) for line in lines] == [
        (targets[place]["title"], str(communities["levels"][0][place] + 1)) for place in communities["order"]
    ]
    panel.get_by_text("The ties as a table").click()
    panel.get_by_role("button", name="Show all").click()
    (edges,) = [of for of in published["edges"] if of["name"] == communities["edges"]]
    assert panel.locator("details").nth(1).locator("tbody tr").count() == len(edges["one"]) > 100


def test_the_communities_are_saved_as_a_picture(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#communities")
    with shown.page.expect_download() as download:
        shown.page.locator("#panel-communities").get_by_role("button", name="as SVG").click()
    content = download.value.path().read_bytes()
    assert download.value.suggested_filename == "communities.svg" and content.startswith(b"<svg")
    assert content.count(b"<rect") > 25 * 25 and b"var(" not in content


@pytest.mark.parametrize("tab", ["graph", "communities"])
def test_equal_targets_are_called_equal_and_not_by_the_strength_that_they_are_drawn_with(show: Show, tab: str) -> None:
    content = small_content()
    content["edges"][0]["num_equal"] = 1
    shown = show(content, fragment=f"#{tab}")
    if tab == "graph":
        shown.node(0).press("Enter")
        assert "sex: equal profiles" in shown.page.locator("#panel-graph .pane").text_content()
        shown.page.evaluate(
            "document.querySelector('.edges line').dispatchEvent(new PointerEvent('pointermove', { bubbles: true }))"
        )
    else:
        shown.page.locator("svg.communities rect").nth(1).hover()
    assert "equal profiles" in shown.page.locator("#hint").inner_text()


def test_the_hours_of_series_and_trunks_are_told_with_their_sum(show: Show) -> None:
    shown = show(small_content(), fragment="#time")
    tables = shown.page.locator("#panel-time table")
    totals = [line.split("\t") for line in tables.first.locator("tbody tr").all_inner_texts()]
    assert totals == [["separate fusion", "54 minutes"], ["trunks", "36 minutes"], ["in all", "90 minutes"]]
    assert tables.first.locator("tr.chosen").inner_text().startswith("in all")
    assert tables.nth(2).locator("tbody tr").all_inner_texts() == ["T1\t1\t36 minutes\t36 minutes"]
    without = show(small_content(trunks={"inputs": [], "num_trunks": [], "mean": [], "hours": []}), fragment="#time")
    assert without.page.locator("#panel-time table").count() == 2


def test_printed_drawings_have_the_width_of_the_sheet_at_most_and_their_tables_stay_out(
    show: Show, published: dict[str, Any]
) -> None:
    small = small_content()
    shown = show({**published, "calibration": small["calibration"], "subgroups": small["subgroups"]}, width=1000)
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown.page.emulate_media(media="print")
    for drawing in shown.page.locator("svg.chart").all():
        box = drawing.bounding_box()
        assert box is not None and box["x"] + box["width"] <= 1000
    assert shown.page.locator("figure summary:visible").count() == 0

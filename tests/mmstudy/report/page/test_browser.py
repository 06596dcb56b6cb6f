"""A report's page in a browser: what it asks for, what it says, and what can be done, also without a pointer."""

from typing import Any

import pytest

from tests.mmstudy.report.page.conftest import Show, Shown
from tests.mmstudy.report.page.made_up import best_lines, models_of, small_content

TABS = {
    "graph": "Graph",
    "communities": "Communities",
    "grid": "Grid",
    "inputs": "What an input adds",
    "time": "Training time",
    "calibration": "Calibration and groups",
    "data": "Data",
    "methods": "Methods and limits",
}
SERIOUS = ("serious", "critical")


def point_at(shown: Shown, target: int) -> None:
    box = shown.node(target).locator(".dot").bounding_box()
    assert box is not None
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def place_of(shown: Shown, target: int) -> str:
    return str(shown.node(target).get_attribute("transform"))


def test_every_tab_is_shown_without_a_complaint_and_nothing_is_asked_for(show: Show) -> None:
    shown = show(small_content())
    assert shown.page.get_by_role("tab").all_inner_texts() == list(TABS.values())
    for name, title in TABS.items():
        shown.page.get_by_role("tab", name=title, exact=True).click()
        assert shown.page.locator(f"#panel-{name}").is_visible()
        assert shown.page.locator("[role=tabpanel]:visible").count() == 1
    assert shown.complaints == []
    assert shown.requests == [shown.address]


def test_a_request_that_a_script_should_try_is_refused(show: Show) -> None:
    shown = show(small_content())
    refused = "async () => { try { await fetch('http://127.0.0.1:9/'); return false } catch { return true } }"
    assert shown.page.evaluate(refused)
    assert any("Content Security Policy" in complaint for complaint in shown.complaints)


def test_what_the_content_lacks_has_no_tab(show: Show, published: dict[str, Any]) -> None:
    lacking = {"communities": None, "effects": {}, "hours": {}, "data": {}, "methods_text": [], "limits": []}
    shown = show({**published, **lacking})
    assert shown.page.get_by_role("tab").all_inner_texts() == ["Graph", "Grid"]


def test_markup_in_the_content_is_shown_as_text(show: Show) -> None:
    hostile = '</script><img src="x" onerror="document.title=1">'
    content = small_content(limits=[hostile], domains=[hostile])
    content["targets"][0]["title"] = content["inputs"][0]["title"] = content["about"]["notes"][0] = hostile
    shown = show(content)
    for title in TABS.values():
        shown.page.get_by_role("tab", name=title, exact=True).click()
    assert shown.page.locator("img").count() == 0 and shown.page.title() == "Small"
    assert hostile in shown.page.locator("#panel-methods").inner_text()
    assert shown.requests == [shown.address] and shown.complaints == []


def test_the_pointer_on_each_of_25_targets_tells_its_best_model_and_lights_its_neighbours(
    show: Show, published: dict[str, Any]
) -> None:
    shown = show(published)
    edges = published["edges"][0]
    pairs = list(zip(edges["one"], edges["other"], strict=True))[:125]
    for target in range(25):
        point_at(shown, target)
        hint = shown.page.locator("#hint").inner_text()
        assert all(line in hint for line in best_lines(published, target)), target
        neighbours = {one + other - target for one, other in pairs if target in (one, other)}
        assert f"{len(neighbours)} neighbours" in hint
        assert shown.page.locator("svg.graph .node.is-lit").count() == len(neighbours) + 1
    assert shown.page.locator("svg.graph .edges line").count() == 125


def test_a_click_on_each_of_25_targets_opens_all_its_models_with_the_best_marked(
    show: Show, published: dict[str, Any]
) -> None:
    shown = show(published)
    for target in range(25):
        point_at(shown, target)
        shown.page.mouse.down()
        shown.page.mouse.up()
        pane = shown.page.locator("#panel-graph .pane")
        title, inputs, score = best_lines(published, target)
        models = models_of(published, target)
        assert pane.locator("h2").inner_text() == title
        assert f"Best: {inputs}, {score}. Chosen by the test score" in pane.inner_text()
        assert pane.locator("tbody tr").count() == len(models)
        scores = pane.locator("tbody td:nth-child(2)").all_inner_texts()
        assert scores == [f"{published['models']['score'][model]:.3f}" for model in models]
        assert pane.locator("tbody tr.chosen th").all_inner_texts() == [f"{inputs} best set"]
        flagged = [model for model in models if published["models"]["predicts_one_class"][model]]
        assert pane.locator("tbody td", has_text="predicts one class").count() == len(flagged)


def test_without_tests_a_model_shows_the_plain_difference_to_the_largest_smaller_set(show: Show) -> None:
    shown = show(small_content(differences={name: [] for name in small_content()["differences"]}))
    shown.node(0).press("Enter")
    pane = shown.page.locator("#panel-graph .pane")
    assert pane.locator("tbody tr").nth(0).locator(".line").first.inner_text() == "diffusion +0.100"
    assert "Against the best set" not in pane.locator("thead").inner_text()


def test_a_table_is_sorted_by_the_heading_that_is_chosen(show: Show, published: dict[str, Any]) -> None:
    shown = show(published)
    shown.node(0).press("Enter")
    pane = shown.page.locator("#panel-graph .pane")
    column = pane.locator("tbody td:nth-child(2)")
    best_first = column.all_inner_texts()
    assert best_first == sorted(best_first, reverse=True)
    pane.get_by_role("button", name="R²").click()
    assert column.all_inner_texts() == sorted(best_first)
    assert pane.locator("th[aria-sort=ascending]").inner_text().startswith("R²")


def test_the_graph_is_used_by_keyboard_alone(show: Show, published: dict[str, Any]) -> None:
    shown = show(published)
    shown.node(0).focus()
    assert published["targets"][0]["title"] in shown.page.locator("#hint").inner_text()
    seen = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 3:
        shown.page.keyboard.press(key)
        seen.add(shown.page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert len(seen) > 3
    focused = shown.page.evaluate("document.activeElement.getAttribute('aria-label')").split(".")[0]
    shown.page.keyboard.press(" ")
    assert shown.page.locator(".node.fixed").count() == 1
    shown.page.keyboard.press(" ")
    assert shown.page.locator(".node.fixed").count() == 0
    shown.page.keyboard.press("Enter")
    assert shown.page.locator("#panel-graph .pane h2").inner_text() == focused
    shown.page.keyboard.press("Escape")
    assert not shown.page.locator("#panel-graph .pane").is_visible()
    assert shown.page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(focused)
    shown.page.keyboard.press("/")
    assert shown.page.evaluate("document.activeElement.id") == "search"


def test_the_search_lights_what_matches_and_enter_goes_there(show: Show, published: dict[str, Any]) -> None:
    shown = show(published)
    titles = [target["title"] for target in published["targets"]]
    shown.page.locator("#search").fill("HBA1")
    assert shown.page.locator(".node.is-lit").all_text_contents() == [
        title for title in titles if "hba1" in title.lower()
    ]
    shown.page.keyboard.press("Enter")
    assert "hba1c" in shown.page.evaluate("document.activeElement.getAttribute('aria-label')").lower()


def test_fewer_edges_are_the_strongest_ones(show: Show, published: dict[str, Any]) -> None:
    shown = show(published)
    slider = shown.page.get_by_label("Edges shown")
    assert slider.get_attribute("aria-valuetext") == "125 of 300 (42 %)"
    slider.fill("10")
    assert shown.page.locator(".edges line").count() == 10
    edges = published["edges"][0]
    drawn = shown.page.evaluate("[...document.querySelectorAll('.edges line')].map((line) => line.__data__.strength)")
    assert drawn == edges["strength"][:10]


def test_a_dragged_node_stays_until_it_is_released(show: Show, published: dict[str, Any]) -> None:
    shown = show(published)
    before = place_of(shown, 3)
    point_at(shown, 3)
    shown.page.mouse.down()
    shown.page.mouse.move(900, 400, steps=4)
    shown.page.mouse.up()
    dragged = place_of(shown, 3)
    assert dragged != before and shown.page.locator(".node.fixed").count() == 1
    shown.page.get_by_text("Sizes and forces").click()
    shown.page.get_by_label("Repulsion").fill("900")
    assert place_of(shown, 3) == dragged and not shown.page.locator("#panel-graph .pane").is_visible()
    shown.page.get_by_role("button", name="Release all").click()
    assert place_of(shown, 3) != dragged


def test_equal_contents_are_laid_out_alike_and_still_where_the_reader_wants_no_motion(
    show: Show, published: dict[str, Any]
) -> None:
    first, second = show(published), show(published)
    places = [place_of(first, target) for target in range(25)]
    assert [place_of(second, target) for target in range(25)] == places and len(set(places)) == 25
    first.page.wait_for_timeout(200)
    assert [place_of(first, target) for target in range(25)] == places


@pytest.mark.parametrize(("form", "beginning"), [("SVG", b"<svg"), ("PNG", b"\x89PNG"), ("JPG", b"\xff\xd8\xff")])
def test_the_graph_is_saved_as_a_picture(show: Show, published: dict[str, Any], form: str, beginning: bytes) -> None:
    shown = show(published)
    with shown.page.expect_download() as download:
        shown.page.get_by_role("button", name=f"as {form}").click()
    assert download.value.suggested_filename == f"targets.{form.lower()}"
    content = download.value.path().read_bytes()
    assert content.startswith(beginning) and len(content) > 10_000
    assert [request for request in shown.requests if not request.startswith(("data:", "blob:"))] == [shown.address]
    assert shown.complaints == []


def test_the_graph_as_a_table_has_every_target_with_its_best_model(show: Show, published: dict[str, Any]) -> None:
    shown = show(published)
    shown.page.get_by_text("The graph as a table").click()
    rows = shown.page.locator(".same tbody tr")
    rows.first.wait_for()
    assert rows.count() == 25
    for target in range(25):
        assert all(line in rows.nth(target).inner_text() for line in best_lines(published, target))


def test_the_graph_follows_the_series_that_is_chosen(show: Show) -> None:
    shown = show(small_content())
    assert shown.page.locator(".edges line").count() == 1
    assert "R² 0.600 (0.550 to 0.650)" in str(shown.node(0).get_attribute("aria-label"))
    shown.page.get_by_label("Models by").select_option("baseline linear")
    assert "no score" in str(shown.node(0).get_attribute("aria-label"))
    assert "balanced accuracy 0.550" in str(shown.node(1).get_attribute("aria-label"))
    assert shown.page.locator(".edges line").count() == 0
    assert shown.page.get_by_text("This series has no edges.").is_visible()


def test_the_grid_has_every_model_and_marks_best_sets_and_flags(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#grid")
    cells = shown.page.locator("#panel-grid td.cell")
    assert cells.count() == 700
    assert shown.page.locator("td.best-cell").count() == 25
    assert shown.page.locator("td.cell", has_text="×").count() == sum(published["models"]["predicts_one_class"])
    cells.nth(40).hover()
    model = int(str(cells.nth(40).get_attribute("data-model")))
    hint = shown.page.locator("#hint").inner_text()
    assert f"{published['models']['score'][model]:.3f}" in hint
    assert published["targets"][published["models"]["target"][model]]["title"] in hint


def test_filters_of_the_grid_leave_what_they_say(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#grid")
    cells, models, sets = shown.page.locator("#panel-grid td.cell"), published["models"], published["sets"]
    t1 = next(place for place, of in enumerate(published["inputs"]) if of["name"] == "t1")
    shown.page.get_by_label("T1", exact=True).select_option("with")
    assert cells.count() == sum(t1 in sets[of] for of in models["set"])
    shown.page.get_by_label("T1", exact=True).select_option("without")
    assert cells.count() == sum(t1 not in sets[of] for of in models["set"])
    shown.page.get_by_label("T1", exact=True).select_option("either")
    domain = published["domains"][0]
    shown.page.get_by_label(domain, exact=True).first.uncheck()
    of_domain = [published["targets"][target]["domain"] == 0 for target in models["target"]]
    assert cells.count() == 700 - sum(of_domain)
    shown.page.get_by_label("predicts one class").uncheck()
    flagged = [one and not of for one, of in zip(models["predicts_one_class"], of_domain, strict=True)]
    assert cells.count() == 700 - sum(of_domain) - sum(flagged)


def test_the_grid_is_used_by_keyboard_alone(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, fragment="#grid")
    first = shown.page.locator("#panel-grid table.grid").first.locator("td.cell").first
    first.focus()
    shown.page.keyboard.press("ArrowDown")
    focused = shown.page.evaluate("document.activeElement.closest('tr').querySelector('th button').textContent")
    assert focused == published["targets"][1]["title"]
    assert focused in shown.page.locator("#hint").inner_text()
    shown.page.keyboard.press("End")
    assert shown.page.evaluate("document.activeElement === [...document.activeElement.closest('tr').cells].at(-1)")
    shown.page.keyboard.press("Enter")
    assert shown.page.locator("#panel-grid .pane h2").inner_text() == focused
    shown.page.keyboard.press("Escape")
    assert shown.page.evaluate("document.activeElement.textContent") == focused


def require_nothing_serious(shown: Shown) -> None:
    """Require of every tab that axe finds nothing serious on it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for tab in shown.page.get_by_role("tab").all():
        tab.click()
        found = axe.Axe().run(shown.page).response["violations"]
        serious = [
            f"{of['id']}: {at['html'][:100]}" for of in found if of["impact"] in SERIOUS for at in of["nodes"][:3]
        ]
        assert serious == [], tab.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_tab(show: Show, compared: dict[str, Any], scheme: str) -> None:
    small = small_content()
    extra = {name: small[name] for name in ("calibration", "subgroups", "trunks")}
    shown = show({**compared, **extra}, color_scheme=scheme, fragment="#graph&grid-target=age")
    shown.node(0).press("Enter")
    shown.page.locator("#panel-graph .run summary").first.click()
    shown.page.get_by_text("The graph as a table").click()
    require_nothing_serious(shown)


def test_axe_finds_nothing_serious_on_any_tab_of_25_targets(show: Show, published: dict[str, Any]) -> None:
    shown = show(published)
    shown.node(0).press("Enter")
    shown.page.get_by_text("The graph as a table").click()
    require_nothing_serious(shown)


def require_no_tab_wider_than(width: int, shown: Shown) -> None:
    """Require of every tab that nothing on it widens the page beyond the window."""
    for tab in shown.page.get_by_role("tab").all():
        tab.click()
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width, tab.inner_text()


@pytest.mark.parametrize("width", [390, 1366, 1920])
def test_no_tab_is_wider_than_the_window(show: Show, compared: dict[str, Any], width: int) -> None:
    shown = show(compared, width=width, fragment="#graph&grid-target=age")
    shown.node(0).press("Enter")
    shown.page.locator("#panel-graph .run summary").first.click()
    require_no_tab_wider_than(width, shown)


def test_no_tab_of_25_targets_is_wider_than_a_narrow_window(show: Show, published: dict[str, Any]) -> None:
    shown = show(published, width=390)
    shown.node(0).press("Enter")
    require_no_tab_wider_than(390, shown)


def test_a_served_page_is_loaded_again_when_nobody_touches_it_and_keeps_its_tab(show: Show) -> None:
    shown = show(small_content(), reload_seconds=1)
    with shown.page.expect_event("load"):
        shown.page.locator("#tab-grid").click()
    assert shown.page.locator("#panel-grid").is_visible() and shown.page.url.endswith("#grid")
    assert len(shown.requests) >= 2 and shown.complaints == []
    assert {of.partition("#")[0] for of in shown.requests} == {shown.address}


def test_printed_every_tab_is_there(show: Show) -> None:
    shown = show(small_content())
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown.page.emulate_media(media="print")
    assert shown.page.locator("[role=tabpanel]:visible").count() == len(TABS)
    assert shown.page.locator("#panel-methods").inner_text().count("We trained models.") == 1
    assert not shown.page.locator("#tabs").is_visible()


def test_a_dark_page_is_printed_in_light_colours(show: Show) -> None:
    shown = show(small_content(), fragment="#grid", color_scheme="dark")
    colour = """new Promise((tell) => requestAnimationFrame(() => requestAnimationFrame(() =>
        tell(getComputedStyle(document.querySelectorAll("td.cell")[2]).backgroundColor))))"""
    dark = shown.page.evaluate(colour)
    shown.page.emulate_media(media="print")
    printed = shown.page.evaluate(colour)
    shown.page.emulate_media(media="screen", color_scheme="light")
    assert shown.page.evaluate(colour) == printed != dark

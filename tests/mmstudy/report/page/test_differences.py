"""The table of differences in a browser: its filters by family, target, input and verdict."""

from typing import Any

from tests.mmstudy.report.page.conftest import Show

CHOSEN = "(select) => select.selectedOptions[0].textContent"


def test_differences_are_filtered_by_target_and_by_the_input_that_is_left_out(
    show: Show, compared: dict[str, Any]
) -> None:
    shown = show(compared)
    panel = shown.tab("inputs")
    table = panel.locator("table").first
    told = compared["differences"]
    rows = [row for row in range(len(told["family"])) if told["family"][row] == "less one input"]
    rows = [row for row in rows if compared["models"]["series"][told["model"][row]] == 0]
    target = next(place for place, of in enumerate(compared["targets"]) if of["name"] == "weight")
    rows = [row for row in rows if compared["models"]["target"][told["model"][row]] == target]
    panel.get_by_label("Target", exact=True).select_option("weight")
    assert table.locator("caption").inner_text() == f"{len(rows)} differences"
    assert set(table.locator("tbody th").all_inner_texts()) == {"weight"}
    t1 = next(place for place, of in enumerate(compared["inputs"]) if of["name"] == "t1")
    without = [row for row in rows if t1 in told["less"][row]]
    panel.get_by_label("Without").select_option("T1")
    assert table.locator("tbody tr").count() == len(without) > 0
    assert shown.page.locator("#said").inner_text() == f"{len(without)} differences shown"


def test_the_filters_are_used_by_keyboard_and_keep_a_target_that_the_next_family_has(
    show: Show, compared: dict[str, Any]
) -> None:
    shown = show(compared)
    panel = shown.tab("inputs")
    target = panel.get_by_label("Target", exact=True)
    target.focus()
    shown.page.keyboard.press("ArrowDown")
    first = target.evaluate(CHOSEN)
    assert set(panel.locator("table").first.locator("tbody th").all_inner_texts()) == {first}
    family = panel.get_by_label("Compare")
    family.focus()
    family.select_option("best baseline")
    assert family.evaluate("(select) => select === document.activeElement")
    assert panel.get_by_label("Target", exact=True).evaluate(CHOSEN) == first
    assert set(panel.locator("table").first.locator("tbody th").all_inner_texts()) == {first}
    panel.get_by_label("Input", exact=True).select_option("T1")
    firsts = panel.locator("table").first.locator("tbody td:nth-child(2)").all_inner_texts()
    assert firsts and all("T1" in inputs for inputs in firsts)

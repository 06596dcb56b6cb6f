"""Take the pictures of the tutorial and the README from the report of the tutorial's own sweep.

    python docs/make_pictures.py study/report.html

Needs playwright and a Chromium, as the tests of the page do. The report lies where the tutorial's commands wrote it.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZE = {"width": 1280, "height": 860}
"""Of the window, in CSS pixels."""
SCALE = 1
"""Pixels of a picture for each of them."""
TARGET = "age"
"""Whose models are shown."""


def main(report: Path) -> None:
    """Write every picture beside this script."""
    with browser_page(report.resolve().as_uri()) as page:
        for name, show in PICTURES.items():
            show(page)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=Path(__file__).with_name(f"{name}.png"), animations="disabled")


@contextmanager
def browser_page(address: str) -> Iterator[Page]:
    """Open a page in a browser in which nothing moves by itself."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE, reduced_motion="reduce", color_scheme="light")
        page.goto(address)
        yield page
        browser.close()


def show_tab(page: Page, name: str) -> None:
    """Show a tab."""
    page.locator(f"#tab-{name}").click()


def show_target(page: Page) -> None:
    """Show all models of a target in the pane of the grid."""
    show_tab(page, "grid")
    page.locator("#panel-grid").get_by_role("button", name=TARGET, exact=True).click()


PICTURES: dict[str, Callable[[Page], None]] = {
    "tutorial-graph": lambda page: show_tab(page, "graph"),
    "tutorial-grid": lambda page: show_tab(page, "grid"),
    "tutorial-target": show_target,
    "tutorial-inputs": lambda page: show_tab(page, "inputs"),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]))

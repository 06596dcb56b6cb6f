"""Take the pictures of the tutorial and the README from the report of the tutorial's own sweep.

    python docs/make_pictures.py study/report.html

Needs playwright and a Chromium, as the tests of the page do. The report lies where the tutorial's commands wrote it.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZE, WIDE = {"width": 1280, "height": 1040}, {"width": 1900, "height": 1180}
"""Of the window, in CSS pixels; the wide one is for the pane."""
SCALE = 1.5
"""Pixels of a picture for each of them."""
TABS = ("graph", "grid", "inputs")
TARGET = "age"
"""Whose models the pane shows."""


def main(report: Path) -> None:
    """Write every picture beside this script."""
    with browser_page(report.resolve().as_uri()) as page:
        for tab in TABS:
            page.locator(f"#tab-{tab}").click()
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=picture(tab), full_page=tab == "grid")
        page.set_viewport_size(WIDE)
        page.locator("#tab-grid").click()
        page.locator("#panel-grid").get_by_role("button", name=TARGET, exact=True).click()
        page.locator("#panel-grid .pane").screenshot(path=picture("target"))


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


def picture(name: str) -> Path:
    """Return where a picture is written."""
    return Path(__file__).with_name(f"tutorial-{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

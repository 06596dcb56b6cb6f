"""A browser that draws volumes on the processor, and what a page asks for and complains of in it."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ON_THE_PROCESSOR = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SECONDS = 90
"""Until a volume is drawn, where many tests share the cores."""


@dataclass
class Shown:
    """A page in a browser."""

    page: "Page"
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def wait(self) -> None:
        """Wait until volumes are drawn."""
        self.page.wait_for_selector("#viewer[data-ready=yes]", timeout=1000 * SECONDS)

    def wait_for(self, name: str, text: str) -> None:
        """Wait until an element has this text. A function to wait for is one that the page's policy may refuse."""
        self.page.wait_for_selector(f"#{name}:text-is('{text}')", timeout=1000 * SECONDS)

    def picture(self, canvas: str) -> NDArray[Any]:
        """Return what a canvas shows, shape (height, width, 3), 0 to 1."""
        return imread(io.BytesIO(self.page.locator(f"#{canvas}").screenshot()))[..., :3]

    def values(self) -> tuple[float, float]:
        """Return the values at the crosshair."""
        one, mean = (float(self.page.locator(f"#{name}-value").inner_text()) for name in ("one", "mean"))
        return one, mean


@contextmanager
def show(path: Path, *options: str) -> Iterator[Shown]:
    """Open a page from its folder."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it drives the browser")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *options])
        shown = Shown(page=browser.new_page(viewport={"width": 900, "height": 700}))
        shown.page.on("request", lambda request: shown.requests.append(request.url))
        shown.page.on("console", lambda message: shown.complaints.append(message.text))
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.page.goto(path.as_uri())
        yield shown
        browser.close()

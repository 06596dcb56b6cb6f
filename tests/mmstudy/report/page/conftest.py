"""Pages of reports in a real browser, with whatever it asks for and complains of."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmstudy.report.page.page import report_page
from tests.mmstudy.report.page.made_up import compared_content, made_up_content

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Shown:
    """A page in a browser."""

    page: "Page"
    content: dict[str, Any]
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def node(self, target: int) -> "Locator":
        """Return a target of the graph."""
        return self.page.locator("svg.graph .node").nth(target)

    def tab(self, name: str) -> "Locator":
        """Open a tab by its name in the address and return what is on it."""
        self.page.locator(f"#tab-{name}").click()
        return self.page.locator(f"#panel-{name}")


Show = Callable[..., Shown]


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it drives the browser")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def published() -> dict[str, Any]:
    return made_up_content()


@pytest.fixture(scope="session")
def compared() -> dict[str, Any]:
    return compared_content()


@pytest.fixture
def show(browser: "Browser", tmp_path: Path) -> Iterator[Show]:
    """Show a content, by default with nothing that moves by itself."""
    contexts = []

    def show(
        content: dict[str, Any],
        *,
        width: int = 1366,
        fragment: str = "",
        reload_seconds: int | None = None,
        **options: Any,
    ) -> Shown:
        path = tmp_path / "report.html"
        path.write_text(report_page(content, reload_seconds=reload_seconds), encoding="utf-8")
        settings = {"viewport": {"width": width, "height": 850}, "reduced_motion": "reduce", **options}
        context = browser.new_context(**settings)
        contexts.append(context)
        shown = Shown(page=context.new_page(), content=content, address=path.as_uri() + fragment)
        shown.page.on("request", lambda request: shown.requests.append(request.url))
        shown.page.on("console", lambda message: shown.complaints.append(message.text))
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.page.goto(shown.address)
        return shown

    yield show
    for context in contexts:
        context.close()

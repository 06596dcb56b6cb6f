"""The documentation as a site: every page is on it, every link leads somewhere, and no page asks another machine."""

import doctest
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import MakeOnce

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def site(make_once: MakeOnce) -> Path:
    """The site as `make docs` makes it. Tests must not change it."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder / "site")]
        built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        assert built.returncode == 0, built.stderr
        assert "excluded from" not in built.stderr

    return make_once("site", build) / "site"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_on_the_site_and_readme_is_its_first(site: Path) -> None:
    written = [*(ROOT / "docs").rglob("*.md"), *(ROOT / f"{name}.md" for name in ("BENCHMARKS", "CHANGELOG"))]
    on_site = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    assert {path.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/") for path in written} <= on_site
    first = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="tutorial.html"' in first and 'src="tutorial-graph.png"' in first


def test_no_page_asks_another_machine_for_anything(site: Path) -> None:
    asked = [
        f"{page.name}: {found}"
        for page in site.rglob("*.html")
        for found in re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', page.read_text())
    ]
    assert asked == []


def test_a_list_that_follows_a_text_without_a_blank_line_is_a_list_on_the_site(site: Path) -> None:
    source = (ROOT / "docs" / "subsets.md").read_text(encoding="utf-8")
    assert "Three limits:\n- **The cohort" in source
    assert "<p>Three limits:</p>\n<ul>" in (site / "subsets.html").read_text(encoding="utf-8")


def test_links_of_the_repository_become_links_of_the_site(pages: ModuleType) -> None:
    assert doctest.testmod(pages).attempted > 2
    assert doctest.testmod(pages).failed == 0


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# One\n[nowhere](two.md), [nor here](#three)\n")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:\n  - Start")[0]
    (tmp_path / "mkdocs.yml").write_text(settings.replace("hooks: [docs/site_pages.py]\n", ""))
    command = [sys.executable, "-m", "mkdocs", "build"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 1
    assert "'two.md'" in built.stderr and "'#three'" in built.stderr

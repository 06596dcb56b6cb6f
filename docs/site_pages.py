"""What mkdocs is told beside mkdocs.yml: pages beside docs belong to the site, and links lead to where files lie there.

The pages are written for the repository, as it is read in a clone or on a forge. There README.md is the first page and
links are relative to the file; on the site README.md is index.md, and what lies in docs lies at the top.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r'(?P<before>\]\(|src=")(?P<target>[^)#":\s]+)(?=[)#"])')
_FENCE = "```"
_OUTSIDE = ("README.md", "BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md")
"""Pages of the repository that lie beside docs."""
_FIRST_DECISION = "adr/0001-dependencies.md"


def on_config(config: Any) -> Any:
    """Put all decisions at the end of the navigation."""
    decisions = [path.relative_to(ROOT / "docs").as_posix() for path in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    config.nav.append({"Decisions": decisions})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie beside docs, and whatever else pages link to there."""
    pages = {name: (ROOT / name).read_text(encoding="utf-8") for name in _OUTSIDE}
    pages |= {f"docs/{file.src_uri}": file.content_string for file in files if file.is_documentation_page()}
    linked = {linked_file(page, found["target"]) for page, text in pages.items() for found in _LINK.finditer(text)}
    for name in sorted({*linked, *_OUTSIDE}):
        is_file = (ROOT / name).is_file() and not name.startswith("docs/")
        if is_file:
            files.append(File.generated(config, site_name(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to where files lie on the site, and lists begin behind a blank line, as this Markdown needs it."""
    source = in_repository(page.file.src_uri)
    return with_blank_lines(with_links_of_site(markdown, source))


def with_links_of_site(markdown: str, source: str) -> str:
    """Return a page of the repository with its links as they are on the site.

    >>> with_links_of_site("[a](docs/labels.md#x), [b](docs/adr)", "README.md")
    '[a](labels.md#x), [b](adr/0001-dependencies.md)'
    >>> with_links_of_site("[a](../README.md), [b](adr/0004-reader.md)", "docs/streaming.md")
    '[a](index.md), [b](adr/0004-reader.md)'
    """

    def replace(found: re.Match[str]) -> str:
        target = site_name(linked_file(source, found["target"]))
        return found["before"] + posixpath.relpath(target, posixpath.dirname(site_name(source)) or ".")

    return _LINK.sub(replace, markdown)


def with_blank_lines(markdown: str) -> str:
    r"""Return a page in which a list or table that follows a text begins behind a blank line.

    >>> with_blank_lines("Of these:\n- one\n- two")
    'Of these:\n\n- one\n- two'
    """
    lines: list[str] = []
    is_code = False
    for line in markdown.splitlines():
        before = lines[-1] if lines else ""
        starts = line.startswith(("- ", "| "))
        if starts and not is_code and before.strip() and not before.startswith(("- ", "| ", "|-", " ")):
            lines.append("")
        is_code ^= line.startswith(_FENCE)
        lines.append(line)
    return "\n".join(lines)


def linked_file(source: str, target: str) -> str:
    """Return the file of the repository that a link in a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def site_name(name: str) -> str:
    """Return where a file of the repository lies on the site."""
    if name == "README.md":
        return "index.md"
    return _FIRST_DECISION if name == "docs/adr" else name.removeprefix("docs/")


def in_repository(name: str) -> str:
    """Return the file of the repository that a page of the site is made from."""
    if name == "index.md":
        return "README.md"
    return name if name in _OUTSIDE else f"docs/{name}"

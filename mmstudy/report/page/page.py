"""A report's content as one page for a browser, which loads nothing and asks nobody: `mmbase.sealed_page`."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from mmbase.sealed_page import embedded_json, page_policy

LIBRARY = "vendor/d3.min.js"
"""Of 7.9.2, as it was published; ADR 21."""
SCRIPTS = (
    *("address", "elements", "content", "numbers", "choice", "colours", "hint", "table", "differences", "beside"),
    *("pane", "graph_measures", "graph_forces", "graph_drawing", "graph_keys", "graph_pointer", "graph_controls"),
    *("graph_table", "picture", "graph", "chart", "communities", "strip", "scatter"),
    *("grid_filters", "grid_picture", "grid", "effects", "hours", "calibration", "groups", "methods", "part"),
    *("tabs", "reload", "main"),
)
"""In the order in which they are put together: they share one scope, and only `main` does something when it is read."""
STYLES = ("page", "table", "graph", "grid", "beside", "chart", "print")


def report_page(content: Mapping[str, Any], *, reload_seconds: int | None = None) -> str:
    """Return the page of a report.

    Parameters
    ----------
    content
        Of `mmstudy.report.content.report_content`. A part that it lacks has no tab.
    reload_seconds
        Without a touch, after which the browser loads it again, while what it tells of still grows.

    Raises
    ------
    ValueError
        It holds a number that JSON does not know, or a value that is none of its kinds.
    """
    library, scripts, style = _text(LIBRARY), _scripts(), "\n".join(_text(f"styles/{name}.css") for name in STYLES)
    return _template().render(
        title=content["about"]["title"],
        policy=page_policy((library, scripts), style),
        library=Markup(library),
        scripts=Markup(scripts),
        style=Markup(style),
        content=Markup(embedded_json(content)),
        reload_seconds=reload_seconds,
    )


def _scripts() -> str:
    """Return the page's own scripts in one scope, so that they share names with each other and with nobody else."""
    return '"use strict";\n(() => {\n' + "\n".join(_text(f"scripts/{name}.js") for name in SCRIPTS) + "\n})();"


@cache
def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.j2")

"""Jupyter notebooks and pages made of them: what a cell has printed, drawn or tabled is data, whoever cleared the code.

Source: nbformat 4, https://nbformat.readthedocs.io.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.stream import NotLookedIntoError

_PAGE_OF_NOTEBOOK = re.compile(rb"jp-OutputArea|jp-Cell-outputArea|output_subarea|class=\"dataframe|class='dataframe")


def look_at_notebook(content: bytes) -> Iterator[Mark]:
    """Yield the outputs of a notebook's cells, and the pictures that its texts hold."""
    try:
        notebook = json.loads(content)
        sheets = [notebook] if "cells" in notebook else notebook["worksheets"]
        cells = [cell for sheet in sheets for cell in sheet["cells"]]
        for number, cell in enumerate(cells, start=1):
            if outputs := cell.get("outputs"):
                yield Mark(Kind.NOTEBOOK, f"{_kind_of_output(outputs)} in the output of a notebook", f"cell {number}")
            if cell.get("attachments"):
                yield Mark(Kind.NOTEBOOK, "a picture that is attached to a notebook", f"cell {number}")
        if notebook.get("metadata", {}).get("widgets"):
            yield Mark(Kind.NOTEBOOK, "what the widgets of a notebook show", "its metadata")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotLookedIntoError("it cannot be read as a notebook") from error


def is_page_of_notebook(content: bytes) -> bool:
    """Return whether a page in HTML shows the outputs of a notebook, or a table of pandas."""
    return _PAGE_OF_NOTEBOOK.search(content) is not None


def _kind_of_output(outputs: Sequence[Mapping[str, Any]]) -> str:
    told = [output.get("data", output) for output in outputs]
    names = {name for data in told for name in data}
    if any("<table" in "".join(data.get("text/html", "")) for data in told):
        return "a table"
    if any(name.startswith("image/") for name in names) or names & {"png", "jpeg", "svg"}:
        return "a picture"
    return "a text"

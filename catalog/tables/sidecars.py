"""Read what a JSON file beside a BIDS table says of its columns: what codes stand for (Levels), and units (Units).

Source: the Brain Imaging Data Structure specification, 1.10, Common principles, Tabular files.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog.errors import TableError
from catalog.tables.cells import NULLS
from mmbase.input_files import read_regular
from mmbase.printable import shown

MAX_SIDECAR_BYTES = 1 << 24

_COMMA_TOO_MANY = re.compile(r'(?P<string>"(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
"""A comma behind the last entry, which people leave and JSON does not allow; strings are matched to be kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnDescription:
    """What is said of one column."""

    levels: Mapping[str, str] = field(default_factory=dict)
    """What the texts in its cells stand for."""
    unit: str = ""
    text: str = ""
    """Its name in words and its description."""


Sidecar = Mapping[str, ColumnDescription]
"""Descriptions by header in lower case."""


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read a JSON file, with or without commas behind last entries; one that is not there says nothing.

    Raises
    ------
    TableError
        It cannot be read, or is no object of columns: what codes and numbers mean would be a guess.
    """
    if not os.path.lexists(path):
        return {}
    try:
        text = read_regular(path, MAX_SIDECAR_BYTES).decode("utf-8-sig")
        content = json.loads(_COMMA_TOO_MANY.sub(lambda match: match["string"] or "", text))
    except FileNotFoundError:
        raise _unusable(path, "it is a link to a file that is not here") from None
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from None
    except (UnicodeDecodeError, RecursionError):
        raise _unusable(path, "it is no JSON in UTF-8") from None
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise _unusable(path, f"it is no JSON{where}") from None
    if not isinstance(content, dict):
        raise _unusable(path, "it is no object with an entry for each column")
    return content


def describe_columns(contents: Sequence[Mapping[str, Any]]) -> Sidecar:
    """Return what JSON files say of columns; a later one replaces what an earlier one says of a column."""
    merged = {header.strip().lower(): entry for content in contents for header, entry in content.items()}
    return {header: _describe(entry) for header, entry in merged.items() if isinstance(entry, dict)}


def _describe(entry: Mapping[str, Any]) -> ColumnDescription:
    levels = entry.get("Levels")
    unit = str(entry.get("Units") or "").strip()
    words = [entry.get("LongName"), entry.get("Description")]
    return ColumnDescription(
        levels={key: _meaning(value) for key, value in levels.items()} if isinstance(levels, dict) else {},
        unit="" if unit.lower() in NULLS else unit,
        text=". ".join(word for word in words if isinstance(word, str)),
    )


def _meaning(level: Any) -> str:
    """Return what a level stands for: text, or, since BIDS 1.9, the Description of an object."""
    return str(level.get("Description", "") if isinstance(level, dict) else level)


def _unusable(path: Path, reason: str) -> TableError:
    return TableError(
        f"{shown(path)} cannot be read: {reason}. It says what the codes and numbers of its table mean, so the table "
        "is not read without it.",
        "Mend it, or remove it if it says nothing that matters.",
    )

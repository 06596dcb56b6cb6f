"""Read a column that names a feature.

A text becomes a number by what is said of the column beside the table, else by the field dictionary. What cannot be
understood is left out and counted. A column is refused, so that none of its values is taken, where its numbers are of
another unit or code, or where more is left out than a few values.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import polars as pl

from catalog.tables.cells import TOLERATED_SHARE, parse_date, parse_number
from catalog.tables.codings import fold
from catalog.tables.reports import ColumnReport
from catalog.tables.sidecars import ColumnDescription
from catalog.tables.units import contradicting_unit, unit_factor

_TOLERATED_FEW = 10
"""Of a small table's values, what may be left out, but no more than half of them."""
_SAYS_MISSING = ("missing", "unknown", "not available", "not applicable", "not reported", "no data", "n/a", "na")
_DENIALS = ("not", "no", "non")
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d{1,2})", re.ASCII)
_SHIFTED_BEFORE = float((date(1925, 1, 1) - date(1970, 1, 1)).days)
"""BIDS has dates moved to before 1925 to hide them."""
_MISSING = math.nan
_FOREIGN = math.inf
"""A number that no code is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedName:
    """What is to be known of a feature to read a column of its name."""

    kind: Literal["number", "code", "date"]
    unit: str = ""
    """Of numbers; of codes, what they mean, for messages."""
    texts: Mapping[str, float] = field(default_factory=dict)
    """Number by text, as `fold` leaves it."""
    codes: frozenset[float] | None = None
    """The numbers that may stand in the table; None for any."""
    headers: tuple[str, ...] = ()
    """Other names of the column, in lower case."""
    is_constant: bool = False
    """Whether a participant has one value for life, so that sessions that differ contradict each other."""


def read_named(
    header: str, texts: pl.Series, wanted: WantedName, description: ColumnDescription
) -> tuple[pl.Series, ColumnReport]:
    """Turn the texts of a column into numbers.

    Parameters
    ----------
    texts
        Without blanks around them; null where there is none.
    description
        What is said of the column beside the table.

    Returns
    -------
    polars.Series
        float64, null where there is no value; all null where the column is refused.
    ColumnReport
        What was left out.
    """
    nothing = pl.Series(texts.name, [None] * len(texts), dtype=pl.Float64)
    num_values = len(texts) - texts.null_count()
    refusal = _wrong_unit(wanted, description) if wanted.kind == "number" else ""
    if refusal:
        return nothing, ColumnReport(column=header, num_values=num_values, num_unreadable=num_values, refusal=refusal)
    counts = dict(texts.drop_nulls().value_counts(name="count").iter_rows())
    decode = _decoder(wanted, description)
    meanings = {text: decode(text) for text in counts}
    num_unreadable = sum(counts[text] for text, meaning in meanings.items() if meaning is None)
    num_foreign = sum(counts[text] for text, meaning in meanings.items() if meaning == _FOREIGN)
    report = ColumnReport(
        column=header,
        num_values=num_values,
        num_unreadable=num_unreadable,
        refusal=_refusal(wanted, description, num_foreign, num_unreadable, num_values),
    )
    if report.refusal:
        return nothing, report
    known = {text: meaning for text, meaning in meanings.items() if meaning is not None and math.isfinite(meaning)}
    numbers = texts.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.Float64)
    return numbers, report


def _decoder(wanted: WantedName, description: ColumnDescription) -> Callable[[str], float | None]:
    """Return what turns a text into a number: NaN where it says that there is none, None where it is unclear."""
    levels = {_canonical(text): _level(meaning, wanted.texts) for text, meaning in description.levels.items()}
    explains_codes = wanted.kind == "code" and any(parse_number(text) is not None for text in description.levels)
    factor = unit_factor(description.unit, wanted.unit) if wanted.kind == "number" else 1.0
    assert factor is not None, "columns of another unit are refused before"

    def decode(text: str) -> float | None:
        key = _canonical(text)
        if key in levels:
            return levels[key]
        if key in wanted.texts:
            return wanted.texts[key]
        if wanted.kind == "date":
            return _date(text)
        number = _number(text)
        if number is None or explains_codes:
            return None
        return number * factor if wanted.codes is None or number in wanted.codes else _FOREIGN

    return decode


def _wrong_unit(wanted: WantedName, description: ColumnDescription) -> str:
    own = wanted.unit.partition(",")[0]
    if unit_factor(description.unit, wanted.unit) is None:
        return (
            f"its unit is given as {description.unit!r}, and nothing says how that becomes {own}. Give the values in "
            f"{own}, and Units accordingly."
        )
    if not description.unit and (other := contradicting_unit(description.text, wanted.unit)):
        return f"its description speaks of {other} where {own} are expected. Say under Units which it is."
    return ""


def _refusal(
    wanted: WantedName, description: ColumnDescription, num_foreign: int, num_unreadable: int, num_values: int
) -> str:
    if num_foreign:
        codes = ", ".join(f"{code:g}" for code in sorted(wanted.codes or ()))
        return (
            f"{num_foreign} of {num_values} values are numbers other than {codes} ({wanted.unit}). Say what they mean "
            "under Levels in the JSON file beside the table."
        )
    if num_unreadable <= max(TOLERATED_SHARE * num_values, min(_TOLERATED_FEW, num_values / 2)):
        return ""
    texts = f" or one of {', '.join(wanted.texts)}" if wanted.texts else ""
    expected = {"number": f"numbers{texts}", "code": f"codes{texts}", "date": "dates as YYYY-MM-DD"}[wanted.kind]
    levels = " in the cells or under Levels in the JSON file beside the table" if description.levels else ""
    return (
        f"{num_unreadable} of {num_values} values cannot be understood. Expected {expected}{levels}, and n/a where "
        "there is none."
    )


def _canonical(text: str) -> str:
    """Return a text as it is compared, so that 1 and 1.0 are the same code."""
    number = parse_number(text.strip())
    return fold(text) if number is None else repr(number)


def _level(meaning: str, texts: Mapping[str, float]) -> float | None:
    """Return the number that a level's description stands for: it is a known text, or has a single one for a word."""
    text = fold(meaning)
    if text in texts:
        return texts[text]
    if text in _SAYS_MISSING:
        return _MISSING
    words = re.findall(r"\w+(?:-\w+)?", text)
    numbers = {texts[word] for word in words if len(word) > 1 and word in texts}
    return numbers.pop() if len(numbers) == 1 and not set(words).intersection(_DENIALS) else None


def _number(text: str) -> float | None:
    if match := _DECIMAL_COMMA.fullmatch(text):
        return float(f"{match[1]}.{match[2]}")
    number = parse_number(text)
    return number if number is not None and math.isfinite(number) else None


def _date(text: str) -> float | None:
    days = parse_date(text)
    return _MISSING if days is not None and days < _SHIFTED_BEFORE else days

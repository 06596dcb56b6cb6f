"""From the text of a field's cells to numbers: numbers, labels, several answers in one cell, dates.

Several answers come as ``4|1``, ``4,1`` or JSON. A label may hold commas itself, so labels are never split at them.
Dates become days since 1970-01-01.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from catalog.errors import TableError
from catalog.tables.codings import Labels, find_labels, fold

NULLS = ("", "na", "n/a", "nan", "null", "<na>", "[]")
"""What stands for a missing value, whatever its case."""
HOW_TO_EXPORT_CODES = (
    "Export raw codes: on the platform, dx run table-exporter -icoding_option=RAW; ukbconv always writes them."
)
TOLERATED_SHARE = 0.01
"""Of a field's values, what may be no number before something is wrong with all of it."""
_EPOCH = date(1970, 1, 1)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_CODES_AND_COMMAS = re.compile(r"-?\d+(\s*,\s*-?\d+)+", re.ASCII)
_DATE_AND_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]\d.*)?", re.ASCII)
_COMMA_IN_NUMBER = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_SLASHED_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: \d.*)?", re.ASCII)

Meaning = tuple[float, ...] | None
"""The numbers that a text stands for; None for a text that cannot be understood."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldCells:
    """The cells of one field in one table."""

    table: str
    """Its name, for messages."""
    field: int
    texts: Sequence[pl.Series] = dataclasses.field(repr=False)
    """By column, as in the table."""
    numbers: Sequence[pl.Series] = dataclasses.field(repr=False)
    """What `plain_numbers` makes of them."""
    codes: Collection[int]
    """What definitions speak of."""
    is_date: bool
    has_lists: bool
    """Whether one column may hold several answers."""


def tidy(text: pl.Expr) -> pl.Expr:
    """Strip blanks, and make what stands for a missing value null."""
    stripped = text.str.strip_chars()
    return pl.when(~stripped.str.to_lowercase().is_in(NULLS)).then(stripped)


def plain_numbers(texts: pl.DataFrame, dates: Collection[str]) -> pl.DataFrame:
    """Return the numbers of cells that hold one number, or one date as YYYY-MM-DD; null for any other.

    Parameters
    ----------
    texts
        Columns of text.
    dates
        The columns that hold dates.
    """
    numbers = texts.select(
        pl.col(name).str.to_date("%Y-%m-%d", strict=False).to_physical().cast(pl.Float64)
        if name in dates
        else pl.col(name).cast(pl.Float64, strict=False)
        for name in texts.columns
    )
    has_infinite = numbers.select(~pl.all().is_finite().all()).row(0) if texts.width else ()
    columns = [pl.col(name) for name, infinite in zip(texts.columns, has_infinite, strict=True) if infinite]
    return numbers.with_columns(pl.when(column.is_finite()).then(column) for column in columns)


def parse_number(text: str) -> float | None:
    """Return the number that a text is; None for any other text.

    >>> parse_number("60.5"), parse_number("60,5")
    (60.5, None)
    """
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_date(text: str) -> float | None:
    """Return the days from 1970-01-01 to a date as YYYY-MM-DD, with or without a time; None for any other text.

    >>> parse_date("1970-01-02T10:00:00"), parse_date("02/01/1970")
    (1.0, None)
    """
    match = _DATE_AND_TIME.fullmatch(text)
    return _days(int(match[1]), int(match[2]), int(match[3])) if match else None


def read_cells(cells: FieldCells) -> tuple[list[list[pl.Series]], int, int]:
    """Read the numbers of a field.

    Returns
    -------
    list[list[polars.Series]]
        For each column its first answers, its second ones and so on, float64; null where there is none.
    int
        Values that cannot be understood and are left out.
    int
        Values, with those.

    Raises
    ------
    TableError
        There are labels that mm has no codes for, dates in an order that cannot be told, or much that is no number.
    """
    columns = list(zip(cells.texts, cells.numbers, strict=True))
    odd = [text.filter(numbers.is_null()).drop_nulls() for text, numbers in columns if _has_odd(text, numbers)]
    counts = _count_texts(odd)
    num_plain = sum(len(numbers) - numbers.null_count() for numbers in cells.numbers)
    if not counts:
        return [[numbers] for numbers in cells.numbers], 0, num_plain
    labels = find_labels(cells.field, cells.codes, is_date=cells.is_date)
    decode = _date_decoder(cells, labels, counts) if cells.is_date else _code_decoder(cells, labels)
    meanings = {text: decode(text.strip()) for text in counts}
    unreadable = {text: count for text, count in counts.items() if meanings[text] is None}
    num_unreadable = sum(unreadable.values())
    num_values = sum(counts.values()) + num_plain
    _require_readable(cells, labels, unreadable, num_values)
    return [_answers(text, numbers, meanings) for text, numbers in columns], num_unreadable, num_values


def _has_odd(text: pl.Series, numbers: pl.Series) -> bool:
    return numbers.null_count() > text.null_count()


def _count_texts(columns: Sequence[pl.Series]) -> dict[str, int]:
    """Count each text that is neither a number nor stands for a missing value."""
    if not columns:
        return {}
    counts = pl.concat([column.alias("text") for column in columns]).value_counts(name="count")
    return {text: count for text, count in counts.iter_rows() if text.strip().lower() not in NULLS}


def _code_decoder(cells: FieldCells, labels: Labels) -> Callable[[str], Meaning]:
    unlisted = None if labels.other is None or not labels.can_tell(cells.codes) else (labels.other,)
    at_commas = labels.is_known or any(code >= 0 for code in cells.codes)

    def decode(text: str) -> Meaning:
        if (code := _code_of(text, labels)) is not None:
            return (code,)
        parts = _split_answers(text, at_commas=at_commas) if cells.has_lists else []
        codes = [_code_of(part, labels) for part in parts]
        if not parts or None in codes:
            return unlisted
        return tuple(code for code in codes if code is not None)

    return decode


def _split_answers(text: str, *, at_commas: bool) -> list[str]:
    """Return the answers in one cell; empty where the text is none or a single one."""
    if text.startswith("["):
        try:
            parts = [str(answer) for answer in json.loads(text) if answer is not None]
        except ValueError:
            parts = []
    elif "|" in text:
        parts = text.split("|")
    else:
        parts = text.split(",") if at_commas and _CODES_AND_COMMAS.fullmatch(text) else []
    return [part.strip() for part in parts if part.strip()]


def _code_of(text: str, labels: Labels) -> float | None:
    number = parse_number(text)
    return labels.codes.get(fold(text)) if number is None else number


def _date_decoder(cells: FieldCells, labels: Labels, texts: Collection[str]) -> Callable[[str], Meaning]:
    slashed = {text.strip(): match for text in texts if (match := _SLASHED_DATE.fullmatch(text.strip()))}
    day_first = any(int(match[1]) > 12 for match in slashed.values())
    month_first = any(int(match[2]) > 12 for match in slashed.values())
    if slashed and (month_first or not day_first):
        raise TableError(
            f"Field {cells.field} of {cells.table} holds dates with slashes, and nothing proves that they are "
            "DD/MM/YYYY.",
            "Expected YYYY-MM-DD: export the table again, without opening it in a spreadsheet.",
        )

    def decode(text: str) -> Meaning:
        if match := slashed.get(text):
            days = _days(int(match[3]), int(match[2]), int(match[1]))
            return None if days is None else (days,)
        if (days := parse_date(text)) is not None:
            return (days,)
        code = labels.codes.get(fold(text))
        return None if code is None else (code,)

    return decode


def _days(year: int, month: int, day: int) -> float | None:
    try:
        return float((date(year, month, day) - _EPOCH).days)
    except ValueError:
        return None


def _require_readable(cells: FieldCells, labels: Labels, unreadable: Mapping[str, int], num_values: int) -> None:
    """Refuse what would be a silent loss: labels that may stand for codes, or more than a few odd values."""
    num_unreadable = sum(unreadable.values())
    may_be_codes = labels.is_known or not (cells.is_date or labels.can_tell(cells.codes))
    if num_unreadable <= (0 if may_be_codes else TOLERATED_SHARE * num_values):
        return
    where = f"Field {cells.field} of {cells.table} holds {num_unreadable} values"
    if cells.is_date:
        raise TableError(
            f"{where} that are no dates of the form YYYY-MM-DD.",
            "Export the table again, without opening it in a spreadsheet.",
        )
    if all(_COMMA_IN_NUMBER.fullmatch(text.strip()) for text in unreadable):
        raise TableError(
            f"{where} that are neither numbers nor labels: each has a comma in it.",
            "Expected a decimal point and no comma: export the table again, without opening it in a spreadsheet.",
        )
    raise TableError(f"{where} that are neither numbers nor labels whose codes are known.", HOW_TO_EXPORT_CODES)


def _answers(text: pl.Series, numbers: pl.Series, meanings: Mapping[str, Meaning]) -> list[pl.Series]:
    """Return the first, second and further answers of a column."""
    if not _has_odd(text, numbers):
        return [numbers]
    answers: list[pl.Series] = []
    for place in range(max((len(meaning) for meaning in meanings.values() if meaning), default=0)):
        codes = {text: meaning[place] for text, meaning in meanings.items() if meaning and place < len(meaning)}
        decoded = text.replace_strict(list(codes), list(codes.values()), default=None, return_dtype=pl.Float64)
        if place and decoded.null_count() == len(decoded):
            break
        answers.append(decoded if place else numbers.zip_with(numbers.is_not_null(), decoded))
    return answers or [numbers]

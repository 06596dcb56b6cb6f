"""The forms that UK Biobank's table comes in: one cohort, written as its several tools write it.

ukbconv-csv       every cell quoted, ``31-0.0``
ukbconv-tab       ukbconv's r and txt: tabs, ``f.31.0.0``, NA
rap               the platform's table exporter with raw codes: ``participant.p31``; a field that is asked once has no
                  instance in its header; each answer of a multi-select has a column
rap-tsv           the same with tabs and without ``participant.``
rap-multiselect   raw codes, and all answers of a multi-select in one column, each of the three in another way
rap-labels        labels instead of codes, and all answers of a multi-select in one column
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

from mmdata.synth.labels import label_of
from mmdata.synth.phenotype import NUM_SLOTS
from mmdata.synth.plan import ReleasePlan
from mmdata.synth.table import asked_once, column_names, draw_rows

TableForm = Literal["ukbconv-csv", "ukbconv-tab", "rap", "rap-tsv", "rap-labels", "rap-multiselect"]
Join = Callable[[Sequence[str]], str]
"""Puts several answers into one cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    name: str
    """Of the file."""
    header: Callable[[int, int, int | None], str]
    """Of a column, from field, instance and array; no array where one column holds all answers."""
    eid: str = "eid"
    separator: str = ","
    is_quoted: bool = False
    """Whether every cell is."""
    missing: str = ""
    has_labels: bool = False
    joins: Mapping[int, Join] = field(default_factory=dict)
    """Fields whose answers share a column."""


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    field: int
    sources: tuple[str, ...]
    """The columns of ukbconv's whose answers it holds."""


def _platform_header(number: int, instance: int, slot: int | None) -> str:
    in_instance = "" if number in asked_once() else f"_i{instance}"
    in_slot = f"_a{slot}" if slot is not None and number in NUM_SLOTS else ""
    return f"p{number}{in_instance}{in_slot}"


def _prefixed_header(number: int, instance: int, slot: int | None) -> str:
    return f"participant.{_platform_header(number, instance, slot)}"


def _ukbconv_header(number: int, instance: int, slot: int | None) -> str:
    return f"{number}-{instance}.{slot}"


def _tab_header(number: int, instance: int, slot: int | None) -> str:
    return f"f.{number}.{instance}.{slot}"


_FORMS: dict[TableForm, _Form] = {
    "ukbconv-csv": _Form(name="ukb_synthetic.csv", header=_ukbconv_header, is_quoted=True),
    "ukbconv-tab": _Form(name="ukb_synthetic.tab", header=_tab_header, eid="f.eid", separator="\t", missing="NA"),
    "rap": _Form(name="participant.csv", header=_prefixed_header, eid="participant.eid"),
    "rap-tsv": _Form(name="participant.tsv", header=_platform_header, separator="\t"),
    "rap-multiselect": _Form(
        name="participant.csv", header=_platform_header, joins={6150: "|".join, 6152: json.dumps, 20002: ",".join}
    ),
    "rap-labels": _Form(
        name="participant.csv",
        header=_platform_header,
        has_labels=True,
        joins={6150: "|".join, 6152: "|".join, 20002: json.dumps},
    ),
}
TABLE_FORMS = tuple(_FORMS)


def write_table(root: Path, form: TableForm, seed: int, plan: ReleasePlan) -> int:
    """Write the table of everyone, with imaging and without; return its number of rows."""
    shape = _FORMS[form]
    columns = _columns(shape)
    rows = [[row.eid, *(_cell(shape, column, row.cells) for column in columns)] for row in draw_rows(seed, plan)]
    with (root / shape.name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file,
            delimiter=shape.separator,
            quoting=csv.QUOTE_ALL if shape.is_quoted else csv.QUOTE_MINIMAL,
            lineterminator="\n",
        )
        writer.writerow([shape.eid, *(column.header for column in columns)])
        writer.writerows(rows)
    return len(rows)


def table_name(form: TableForm) -> str:
    """Return the name of a form's file."""
    return _FORMS[form].name


def _columns(shape: _Form) -> list[_Column]:
    columns = []
    for (number, instance), names in groupby(column_names(), key=_visit_of):
        sources = tuple(names)
        if number in shape.joins:
            columns.append(_Column(shape.header(number, instance, None), number, sources))
        else:
            headers = (shape.header(number, instance, slot) for slot in range(len(sources)))
            columns += [_Column(header, number, (source,)) for header, source in zip(headers, sources, strict=True)]
    return columns


def _visit_of(column: str) -> tuple[int, int]:
    """Return field and instance of a column of ukbconv's.

    >>> _visit_of("20002-0.3")
    (20002, 0)
    """
    number, _, rest = column.partition("-")
    return int(number), int(rest.split(".")[0])


def _cell(shape: _Form, column: _Column, cells: Mapping[str, str]) -> str:
    answers = [text for source in column.sources if (text := cells.get(source, ""))]
    if shape.has_labels:
        answers = [label_of(column.field, text) for text in answers]
    if not answers:
        return shape.missing
    join = shape.joins.get(column.field)
    return join(answers) if join else answers[0]

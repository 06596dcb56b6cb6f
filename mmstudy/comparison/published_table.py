"""A table in the published 23 columns as scores, and scores as such a table.

A continuous target is one that has an R², a correlation or an error anywhere in the table: those of binary targets are
filled with 0. Its "weighted" precision, recall and F1 are macro averages. Neither validation scores nor participants
are in such a table, so what is best in it is chosen on test, and no paired test can be made of it.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl

from catalog.fields import Dictionary
from mmbase.errors import first_line
from mmbase.input_files import read_regular
from mmbase.names import METADATA
from mmstudy.comparison.elements import in_order
from mmstudy.comparison.scores import SCORES
from mmstudy.results.published import (
    BLOCK_COLUMNS,
    HEADER,
    INPUT_COLUMNS,
    PublishedRow,
    published_target,
    published_text,
)
from mmstudy.sweep.cells import Cell, ordered_inputs
from mmtrain.errors import TrainError

METHOD = "published"
_MAX_BYTES = 64 << 20
"""The published table has 0.1 MB."""
_VALUES = ("r2", "r", "MAE")
_NUMBERS = {
    "Balanced accuracy": "balanced_accuracy",
    "Weighted precision": "precision",
    "Weighted recall": "recall",
    "Weighted F1": "f1",
    "AUC": "auc",
    "Training time (mins)": "minutes",
    "Loss": "loss",
    **dict(zip(_VALUES, ("r2", "r", "mae"), strict=True)),
}
"""Columns with a number, and what they are called here."""
_DECIDED = tuple(_NUMBERS.values())[:5]
_YES_NO = {"Yes": True, "No": False}
_WHAT_TO_DO = "Give a table that mm runs --csv or mm compare wrote, or the published one as it is."


def read_published(path: Path, dictionary: Dictionary) -> pl.DataFrame:
    """Return the scores in a table, a row for each of its lines, in their order.

    Parameters
    ----------
    dictionary
        Targets that it knows get the names that they have there; others stay as the table writes them.

    Raises
    ------
    TrainError
        The file cannot be read, lacks columns, or has a cell that cannot be what its column is for.
    """
    lines = list(_read_lines(path))
    names = {published_target(name): name for name in dictionary}
    have_values = {line["Target"] for line in lines if any(_number(line, name, path) for name in _VALUES)}
    rows = [_scores_of(line, line["Target"] in have_values, names, path) for line in lines]
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def published_csv_of_scores(scores: pl.DataFrame) -> str:
    """Return scores as a table in the published columns, as text; what is not known is empty."""
    return published_text(
        PublishedRow(
            target=row["target"],
            domain=row["domain"] or "",
            inputs=row["inputs"],
            blocks=row["blocks"],
            decided=[row[name] for name in _DECIDED],
            minutes=row["minutes"],
            loss=row["loss"],
            values=None if row["kind"] == "binary" else [row[name] for name in ("r2", "r", "mae")],
        )
        for row in scores.iter_rows(named=True)
    )


def _read_lines(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield each line by the names of its columns."""
    try:
        text = read_regular(path, _MAX_BYTES).decode("utf-8-sig")
        reader = csv.DictReader(StringIO(text, newline=""), strict=True)
        missing = [name for name in HEADER[1:] if name not in (reader.fieldnames or ())]
        if missing:
            raise TrainError(f"{path.name} lacks the columns {', '.join(missing)}.", _WHAT_TO_DO)
        for line in reader:
            if None in line or None in line.values():
                raise TrainError(
                    f"Line {reader.line_num} of {path.name} has not as many cells as the header.", _WHAT_TO_DO
                )
            yield line
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainError(f"{path.name} cannot be read as a table: {first_line(error)}.", _WHAT_TO_DO) from error


def _scores_of(line: Mapping[str, str], is_continuous: bool, names: Mapping[str, str], path: Path) -> dict[str, Any]:
    target = names.get(line["Target"], line["Target"])
    inputs = _said_yes(line, {**INPUT_COLUMNS, "Metadata": METADATA}, path)
    blocks = in_order(_said_yes(line, BLOCK_COLUMNS, path))
    cell = Cell(target=target, inputs=ordered_inputs(frozenset(inputs)), blocks=blocks)
    numbers = {name: _number(line, column, path) for column, name in _NUMBERS.items()}
    if not is_continuous:
        numbers |= dict.fromkeys(("r2", "r", "mae"))
    return {
        **dict.fromkeys(SCORES.names()),
        **numbers,
        "cell": cell.name,
        "target": target,
        "domain": line["Domain"].lower(),
        "kind": "continuous" if is_continuous else "binary",
        "inputs": list(cell.inputs),
        "blocks": list(blocks),
        "method": METHOD,
        "network": "",
        "score": numbers["r2" if is_continuous else "balanced_accuracy"],
    }


def _said_yes(line: Mapping[str, str], columns: Mapping[str, str], path: Path) -> Sequence[str]:
    """Return what the columns are for in which a line says Yes."""
    if wrong := [name for name in columns if line[name] not in _YES_NO]:
        raise TrainError(
            f"Expected Yes or No in column {wrong[0]} of {path.name}, and a line has something else.", _WHAT_TO_DO
        )
    return [name for column, name in columns.items() if _YES_NO[line[column]]]


def _number(line: Mapping[str, str], column: str, path: Path) -> float | None:
    """Return a number; None where the cell is empty or not a finite number."""
    if not line[column]:
        return None
    try:
        value = float(line[column])
    except ValueError as error:
        raise TrainError(
            f"Expected numbers in column {column} of {path.name}, and a line has something else.", _WHAT_TO_DO
        ) from error
    return value if math.isfinite(value) else None

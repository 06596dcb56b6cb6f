"""Columns of Parquet and Arrow, which are packed: what a table is by its first batch, and whose numbers it holds."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from pyarrow import ArrowException, compute, ipc, parquet, types

from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.people import END_OF_NUMBERS, FIRST_NUMBER, People
from mmstudy.release.rows import MAX_JUDGED, Table, judge_table
from mmstudy.release.stream import NotLookedIntoError
from mmstudy.release.tables import cell_text


def look_at_parquet(file: BinaryIO, people: People | None) -> Iterator[Mark]:
    """Yield what a Parquet file tells of single people."""
    try:
        with parquet.ParquetFile(file) as table:
            batches = table.iter_batches(batch_size=1 << 16)
            yield from _look_at_batches(table.schema_arrow.names, batches, table.metadata.num_rows, people)
    except (ArrowException, OSError, ValueError) as error:
        raise NotLookedIntoError("it cannot be read as Parquet") from error


def look_at_arrow(file: BinaryIO, people: People | None) -> Iterator[Mark]:
    """Yield what a file of Arrow or Feather tells of single people."""
    try:
        reader = ipc.open_file(file)
        num_rows = sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        yield from _look_at_batches(reader.schema.names, batches, num_rows, people)
    except (ArrowException, OSError, ValueError) as error:
        raise NotLookedIntoError("it cannot be read as Arrow") from error


def has_participant(values: Any, people: People) -> bool:
    """Return whether an array of numbers has one that is a participant's."""
    numbers = np.asarray(values).ravel()
    if numbers.dtype.kind == "f":
        numbers = numbers.astype(np.float64)
        numbers = numbers[np.isfinite(numbers) & (numbers % 1 == 0)]
    possible = numbers[(numbers >= FIRST_NUMBER) & (numbers < END_OF_NUMBERS)]
    return bool(people.whose(possible.astype(np.int64)).any())


def _look_at_batches(
    names: Sequence[str], batches: Iterator[Any], num_rows: int, people: People | None
) -> Iterator[Mark]:
    """Judge a table by its first batch, and look for participants in all of them."""
    seen: set[Kind] = set()
    for number, batch in enumerate(batches):
        if number == 0:
            first = batch.slice(0, MAX_JUDGED)
            cells = [list(map(cell_text, column.to_pylist())) for column in first.columns]
            yield from judge_table(Table(tuple(names), list(zip(*cells, strict=True)), num_rows), people)
        if people is None:
            return
        for place, column in enumerate(batch.columns):
            for mark in _people_in_column(column, place, people):
                if mark.kind not in seen:
                    seen.add(mark.kind)
                    yield mark


def _people_in_column(column: Any, place: int, people: People) -> Iterator[Mark]:
    at = f"column {place + 1}"
    if types.is_dictionary(column.type):
        column = column.dictionary
    if types.is_integer(column.type) or types.is_floating(column.type):
        values = column.drop_null().to_numpy(zero_copy_only=False)
        if has_participant(values, people):
            yield Mark(Kind.EID, "the eid of a participant of the study", at)
    elif types.is_string(column.type) or types.is_large_string(column.type) or types.is_string_view(column.type):
        for text in compute.unique(column.cast("large_string")).drop_null().to_pylist():
            if people.has_id(text):
                yield Mark(Kind.SAMPLE_ID, "the id of a sample or participant of the study", at)
                return
            if any(people.has_number(int(number)) for number in re.findall(r"(?<!\d)[1-9]\d{6}(?!\d)", text)):
                yield Mark(Kind.EID, "the eid of a participant of the study", at)
                return

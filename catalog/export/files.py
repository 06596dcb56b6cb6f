"""Files that somebody takes away: named as their format is, and over nothing unasked."""

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import polars as pl

from catalog.errors import CatalogError
from mmbase.files import write_bytes


def require_writable(path: Path, suffixes: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a file whose name ends otherwise, or that is there already; called before the work begins.

    Raises
    ------
    CatalogError
        Says what was expected.
    """
    if path.suffix not in suffixes:
        got = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise CatalogError(f"Expected a file that ends in {' or '.join(suffixes)}; the name that was given {got}.")
    if not path.parent.is_dir():
        raise CatalogError(f"The folder {path.parent} does not exist.", "Make it, or give another name.")
    if path.is_dir():
        raise CatalogError(f"{path} is a folder; expected the name of a file.", "Give another name.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise CatalogError(f"No file can be made in the folder {path.parent}.", "Give a folder that you may write to.")
    if path.exists() and not overwrite:
        raise CatalogError(f"{path} exists.", "Give another name, or --overwrite.")


def write_frame(path: Path, frame: pl.DataFrame, units: Mapping[str, str] | None = None) -> None:
    """Write a table as CSV or Parquet, as its name says, whole or not at all; its owner alone can read it.

    It is made in memory first: what polars raises on a full disk does not say that it is full.

    Parameters
    ----------
    units
        Of columns. Parquet has them in its schema, as ``unit`` in the metadata of the field; CSV has no place for them.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; `path` is as it was.
    """
    content = BytesIO()
    if path.suffix == ".csv":
        frame.write_csv(content)
    else:
        _write_parquet(content, frame, units or {})
    write_bytes(path, content.getvalue())


def _write_parquet(content: BytesIO, frame: pl.DataFrame, units: Mapping[str, str]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - loaded where it is needed alone
    from pyarrow import parquet  # noqa: PLC0415

    table = frame.to_arrow()
    fields = [
        field.with_metadata({"unit": units[field.name]}) if units.get(field.name) else field for field in table.schema
    ]
    parquet.write_table(pa.Table.from_arrays(table.columns, schema=pa.schema(fields)), content)

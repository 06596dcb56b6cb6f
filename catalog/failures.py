"""What a failure of DuckDB means: a damaged file, one of a newer DuckDB, a full disk, or too little memory.

The rest of its errors are mistakes of ours, and are left as they are.
"""

import errno
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from catalog.errors import CatalogError
from mmbase.errors import first_line

STORAGE_VERSION = 64
"""What DuckDB calls the form that mm has it write, that of 1.0, in a file's header."""
_HEADER = struct.Struct("<8x4sQ32x32s")
"""Magic bytes and storage version, then the version of the DuckDB that wrote the file."""
_OF_DAMAGE = (
    *(duckdb.Error, duckdb.IOException, duckdb.InternalException),
    *(duckdb.FatalException, duckdb.SerializationException),
)
"""By their very type: a checksum that does not match is a plain Error."""
_QUOTED_VALUE = re.compile(r"'[^']*'|\d{6,}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what a block meets when a part of the catalogue cannot be read or written into words.

    Raises
    ------
    CatalogError
        The file is damaged, or memory has run out.
    OSError
        The disk is full.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise CatalogError(
            f"There is not enough memory to work on {path.name}. DuckDB says: {said(error)}",
            "Free some memory or raise its limit (ulimit -v), then run the same command again.",
        ) from error
    except duckdb.Error as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if type(error) not in _OF_DAMAGE:
            raise
        raise damaged_catalog(path, error) from error


def damaged_catalog(path: Path, error: duckdb.Error) -> CatalogError:
    """Return the error of a file that DuckDB cannot read."""
    anew = "move it away and run mm ingest again: it is filled again without reading the images again."
    writer = _newer_writer(path)
    if writer and type(error) is not duckdb.Error:
        return CatalogError(
            f"{path.name} was written by DuckDB {writer}; the DuckDB of this mm, {duckdb.__version__}, is too old for "
            "it.",
            f"Install a newer one (pip install -U duckdb), or {anew}",
        )
    return CatalogError(
        f"{path.name} is damaged or not a DuckDB file. DuckDB says: {said(error)}", f"{anew[0].upper()}{anew[1:]}"
    )


def said(error: duckdb.Error) -> str:
    r"""Return what DuckDB says in one line, without a value of the catalogue that it may quote.

    >>> said(duckdb.ConversionException("Could not convert string '1000223' to INT32\nLINE 1: ..."))
    'Could not convert string … to INT32'
    """
    return _QUOTED_VALUE.sub("…", first_line(error))


def _newer_writer(path: Path) -> str:
    """Return the version of the DuckDB that wrote a file, if it wrote it in a newer form than mm does; else nothing.

    Source: the main header, https://duckdb.org/docs/stable/internals/storage.
    """
    with path.open("rb") as file:
        magic, storage_version, version = _HEADER.unpack(file.read(_HEADER.size).ljust(_HEADER.size, b"\0"))
    if magic != b"DUCK" or storage_version <= STORAGE_VERSION:
        return ""
    return re.sub(rb"[^v0-9a-z.-]", b"", version)[:20].decode() or f"of storage version {storage_version}"

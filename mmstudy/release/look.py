"""Look into one file, and into whatever it holds: what it is by its first bytes says how it is read."""

import bz2
import json
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from isal import igzip, isal_zlib

from mmstudy.release.arrays import is_safetensors, look_at_npy, look_at_safetensors, look_at_zarr
from mmstudy.release.columns import look_at_arrow, look_at_parquet
from mmstudy.release.forms import known_form
from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.notebooks import is_page_of_notebook, look_at_notebook
from mmstudy.release.people import People
from mmstudy.release.pickles import is_pickle, tells_of_optimiser
from mmstudy.release.rows import Table, judge_table
from mmstudy.release.secrets import find_secrets
from mmstudy.release.stream import (
    CHUNK_BYTES,
    MAX_DEPTH,
    MAX_UNPACKED_BYTES,
    Budget,
    NotLookedIntoError,
    Readable,
    Stream,
)
from mmstudy.release.tables import (
    DELIMITED,
    delimited_table,
    json_lines_table,
    records_tables,
    spreadsheet_tables,
    tables_in_markdown,
    tables_in_page,
)
from mmstudy.release.text import Window, as_utf8, find_people, windows

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_PACKED_SUFFIXES = {".gz": "", ".bgz": "", ".bz2": "", ".xz": "", ".tgz": ".tar", ".txz": ".tar", ".mgz": ".mgh"}
_MAX_PARSED = 16 << 20
"""Bytes of JSON and of pages that are parsed; what is longer is read as text alone."""
_MAX_TABLE_HEAD = 4 << 20
"""Bytes of a text that a table with fewer lines than `_FEW_LINES` in its head is judged by."""
_FEW_LINES = 20
_PAGES = (".html", ".htm", ".xhtml")
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, isal_zlib.IsalError, EOFError, OSError),
    *(struct.error, ValueError, LookupError, TypeError, NotImplementedError, RuntimeError),
)
"""What libraries raise for files that are damaged, or that they do not know."""


@dataclass(frozen=True, slots=True)
class Looker:
    """What looks into files.

    Parameters
    ----------
    people
        Of the study; None without one.
    bare
        Whether bare numbers may be participants (`mmstudy.release.text`); not in what mm has computed.
    """

    people: People | None
    bare: bool = True

    def look(self, stream: Stream, where: str) -> Iterator[Mark]:
        """Yield what a file must not be published for.

        Parameters
        ----------
        where
            Its name with its folders.
        """
        yield from self._name(where)
        yield from self._look(stream, where, 0, Budget(MAX_UNPACKED_BYTES))

    def _name(self, name: str) -> Iterator[Mark]:
        """Yield what the name of a file tells of participants."""
        encoded = name.encode(errors="surrogateescape")
        for mark in find_people(Window(encoded, 0, len(encoded), 0, 1), self.people):
            yield Mark(mark.kind, mark.what, "its name")

    def _look(self, stream: Stream, where: str, depth: int, budget: Budget) -> Iterator[Mark]:
        try:
            yield from self._by_form(stream, where, depth, budget)
        except NotLookedIntoError as why:
            yield Mark(Kind.UNREAD, f"a file that cannot be looked into: {why}")
        except _BROKEN:
            yield Mark(Kind.UNREAD, "a file that cannot be looked into: it is damaged, or of a form that is not known")

    def _by_form(self, stream: Stream, where: str, depth: int, budget: Budget) -> Iterator[Mark]:
        head, suffixes = stream.head, [suffix.lower() for suffix in PurePosixPath(where).suffixes]
        suffix = suffixes[-1] if suffixes else ""
        packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
        if packed is not None:
            _require_shallow(depth)
            inner = where.removesuffix(PurePosixPath(where).suffix) + _PACKED_SUFFIXES.get(suffix, suffix)
            yield from self._look(Stream(inner, _unpacked(packed, stream), budget=budget), inner, depth + 1, budget)
        elif head.startswith(b"PK\x03\x04"):
            yield from self._zip(stream, depth, budget)
        elif head[257:262] == b"ustar":
            yield from self._tar(stream, depth, budget)
        elif form := known_form(head, suffixes):
            yield form
        elif head.startswith(b"PAR1"):
            yield from look_at_parquet(stream.whole(), self.people)
        elif head.startswith(b"ARROW1"):
            yield from look_at_arrow(stream.whole(), self.people)
        elif head.startswith(b"\x93NUMPY"):
            yield from look_at_npy(stream, self.people)
        elif is_safetensors(head):
            yield from look_at_safetensors(stream, self.people, where)
        elif is_pickle(head, suffix):
            yield Mark(Kind.PICKLE, "a pickle")
            yield from self._pickle(stream)
        else:
            yield from self._text(stream, PurePosixPath(where).name, suffix)

    def _text(self, stream: Stream, name: str, suffix: str) -> Iterator[Mark]:
        """Look at a file as text, and at the tables and outputs that it holds."""
        parts: list[bytes] = []
        last = Window(b"", 0, 0, 0, 1)
        for last in windows(_kept(stream, parts)):
            yield from find_people(last, self.people, bare=self.bare)
            yield from find_secrets(last, self.people)
            if suffix in _PAGES and is_page_of_notebook(last.text):
                yield Mark(Kind.NOTEBOOK, "outputs of a notebook, or a table of pandas, in a page")
        if name == "study.toml" and re.search(rb"(?m)^salt\s*=", stream.head):
            yield Mark(Kind.SALT, "the settings of a study, with its salt")
        if sum(map(len, parts)) == stream.num_bytes:
            yield from self._parsed(b"".join(parts), name, suffix)
        elif suffix == ".ipynb":
            raise NotLookedIntoError("it is too large a notebook to be looked into")
        num_lines = last.first_line + last.text.count(b"\n") - last.text.endswith(b"\n")
        head = stream.head
        if head.count(b"\n") < _FEW_LINES:  # a row of fields or edges may be longer than a head
            head = b"".join(parts[: _MAX_TABLE_HEAD // CHUNK_BYTES])
        for table in _tables_of_text(next(as_utf8([head])), num_lines, suffix):
            yield from judge_table(table, self.people)

    def _parsed(self, content: bytes, name: str, suffix: str) -> Iterator[Mark]:
        """Look at what has to be parsed as a whole."""
        if suffix == ".ipynb":
            yield from look_at_notebook(content)
        elif name in ("zarr.json", ".zarray"):
            yield from look_at_zarr(content)
        elif suffix in _PAGES:
            for table in tables_in_page(content.decode(errors="replace")):
                yield from judge_table(table, self.people)
        elif suffix == ".json":
            for table in _json_tables(content):
                yield from judge_table(table, self.people)

    def _pickle(self, stream: Stream) -> Iterator[Mark]:
        for window in windows(stream.chunks()):
            yield from find_people(window, self.people, bare=self.bare)
            if tells_of_optimiser(window.text):
                yield Mark(Kind.OPTIMISER, "the state of an optimiser")

    def _zip(self, stream: Stream, depth: int, budget: Budget) -> Iterator[Mark]:
        _require_shallow(depth)
        with zipfile.ZipFile(stream.whole()) as archive:
            is_torch = any(PurePosixPath(name).name == "data.pkl" for name in archive.namelist())
            if is_torch:
                yield Mark(Kind.PICKLE, "a pickle of PyTorch")
            if "xl/workbook.xml" in archive.namelist():
                for table in spreadsheet_tables(archive):
                    yield from judge_table(table, self.people)
            for member in archive.infolist():
                if member.is_dir() or (is_torch and PurePosixPath(member.filename).parent.name == "data"):
                    continue  # the numbers of a model
                if member.flag_bits & 1:
                    yield Mark(Kind.UNREAD, "an archive with a password").inside(member.filename)
                    continue
                with archive.open(member) as file:
                    yield from self._member(file, member.filename, depth, budget)

    def _tar(self, stream: Stream, depth: int, budget: Budget) -> Iterator[Mark]:
        _require_shallow(depth)
        with tarfile.open(fileobj=stream.rest(), mode="r|") as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)) is not None:
                    yield from self._member(file, member.name, depth, budget)

    def _member(self, file: Readable, name: str, depth: int, budget: Budget) -> Iterator[Mark]:
        yield from (mark.inside(name) for mark in self._name(name))
        stream = Stream(name, file, budget=budget)
        yield from (mark.inside(name) for mark in self._look(stream, name, depth + 1, budget))


def _require_shallow(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise NotLookedIntoError(f"it is packed more than {MAX_DEPTH} times")


def _unpacked(form: str, stream: Stream) -> Readable:
    if form == "gzip":
        unpacked: Readable = igzip.GzipFile(fileobj=stream.rest())
        return unpacked
    return bz2.BZ2File(stream.rest()) if form == "bzip2" else lzma.LZMAFile(stream.rest())


def _kept(stream: Stream, parts: list[bytes]) -> Iterator[bytes]:
    """Yield a file's chunks, and keep them while they are few enough to be parsed."""
    num_bytes = 0
    for chunk in stream.chunks():
        num_bytes += len(chunk)
        if num_bytes <= _MAX_PARSED:
            parts.append(chunk)
        else:
            del parts[_MAX_TABLE_HEAD // CHUNK_BYTES :]
        yield chunk


def _tables_of_text(head: bytes, num_lines: int, suffix: str) -> Iterator[Table]:
    found = None
    if suffix in DELIMITED and b"\0" not in head:
        found = delimited_table(head, num_lines)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        found = json_lines_table(head, num_lines)
    elif suffix in (".md", ".markdown", ".rmd", ".qmd"):
        yield from tables_in_markdown(head)
    if found is not None:
        yield found


def _json_tables(content: bytes) -> Iterator[Table]:
    try:
        yield from records_tables(json.loads(content))
    except (ValueError, RecursionError):
        return  # it is no JSON, and was read as text

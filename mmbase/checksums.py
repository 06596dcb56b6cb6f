"""Checksums of the files of a folder, kept beside them, that tell what was written from what has changed since.

`checksums.jsonl` has a line for each content that a file was given: its name and the content's 128-bit XXH3. The line
comes before the content. So a file that a kill or a power cut kept from being replaced has its older content on record.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import xxhash
from pydantic import ConfigDict

from mmbase.files import write_bytes
from mmbase.json_text import EXACT, DamagedTextError, parse_json_line
from mmbase.lines import append_lines, look_at_lines

if TYPE_CHECKING:
    import polars as pl

CHECKSUMS = "checksums.jsonl"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line: one content that a file was given."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    file: str
    xxh3_128: str


def write_checked(path: Path, content: bytes) -> None:
    """Write a file in one step, its checksum before it; see `mmbase.files.replace_file`."""
    record_missing(path.parent, [path.name])
    digest = xxhash.xxh3_128_hexdigest(content)
    if digest not in _recorded(path.parent).get(path.name, ()):
        _record(path.parent, [(path.name, digest)])
    write_bytes(path, content)


def write_checked_table(path: Path, table: "pl.DataFrame") -> None:
    """Write a Parquet file in one step, its checksum before it."""
    content = BytesIO()
    table.write_parquet(content)
    write_checked(path, content.getvalue())


def is_unchanged(path: Path) -> bool:
    """Return whether a file holds what was written to it; also where that is not on record, or there is no file."""
    recorded = _recorded(path.parent).get(path.name)
    return not recorded or not path.exists() or digest_of(path) in recorded


def find_changed(folder: Path) -> list[str]:
    """Return the files of a folder that do not hold what was written to them, by name."""
    changed = {name for name in _recorded(folder) if not is_unchanged(folder / name)}
    if None in _entries(folder):
        changed.add(CHECKSUMS)
    return sorted(changed)


def find_missing(folder: Path) -> list[str]:
    """Return the files of a folder that are on record and not there, by name."""
    return sorted(name for name in _recorded(folder) if not (folder / name).exists())


def recorded_digests(path: Path) -> frozenset[str]:
    """Return the checksum of each content that a file was ever given, as far as they are on record."""
    return frozenset(_recorded(path.parent).get(path.name, ()))


def record_missing(folder: Path, names: Iterable[str]) -> None:
    """Put files on record, as they are, that an mm wrote which kept no checksums."""
    recorded = _recorded(folder)
    missing = [name for name in names if name not in recorded and (folder / name).exists()]
    if missing:
        _record(folder, [(name, digest_of(folder / name)) for name in missing])


def digest_of(path: Path) -> str:
    """Return the 128-bit XXH3 of a file's content, in hexadecimal digits."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _record(folder: Path, digests: Iterable[tuple[str, str]]) -> None:
    append_lines(folder / CHECKSUMS, (json.dumps(asdict(_Entry(*digest))).encode() for digest in digests))


def _recorded(folder: Path) -> dict[str, set[str]]:
    """Return the checksums of each file; a damaged line of theirs says nothing about the file."""
    recorded: dict[str, set[str]] = defaultdict(set)
    for entry in _entries(folder):
        if entry is not None:
            recorded[entry.file].add(entry.xxh3_128)
    return dict(recorded)


def _entries(folder: Path) -> Iterator[_Entry | None]:
    """Yield what each line says, None for a damaged one."""
    for _, content in look_at_lines(folder / CHECKSUMS):
        try:
            yield None if content is None else parse_json_line(content, _Entry)
        except DamagedTextError:
            yield None
